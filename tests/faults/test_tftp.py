"""What a network throws at the TFTP process: each case, then an honest machine is served as before."""

from __future__ import annotations

import functools
import itertools
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from random import Random

import pytest

from providers.boot.images import FileDigests
from providers.boot.pair import Settings
from providers.boot.tftp_server import Find
from providers.boot.tree import Content
from providers.twin.netboot import BootFailed, tftp_fetch
from tests.support.tftp_clients import Outcome, read_all
from tests.support.tftp_site import CONTENT, tftp_site
from tests.unit.boot.kit import MACS, Site, make_image, site, until

FOLDER = "01-52-54-00-00-00-11"


def opened(folder: Path) -> AbstractContextManager[Site]:
    return site(folder, image=make_image(folder / "images" / "esxi8", size=200_000))


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One process for all that is thrown at it: nothing may add up, either."""
    with opened(tmp_path_factory.mktemp("tftp")) as found:
        found.run("boot.stage", MACS[0])
        yield found


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Site]:
    with opened(tmp_path) as found:
        found.run("boot.stage", MACS[0])
        yield found


def rrq(name: bytes, mode: bytes = b"octet", *options: bytes, opcode: int = 1) -> bytes:
    return struct.pack("!H", opcode) + b"".join(part + b"\0" for part in (name, mode, *options))


@functools.cache
def numbers() -> Iterator[int]:
    return itertools.count()


@contextmanager
def udp(timeout: float = 5.0, address: str = "") -> Iterator[socket.socket]:
    """A machine, at a loopback address of its own: servers go on sending to machines that are gone, and the system may
    give a new one the old one's port. `address`: that of another machine."""
    number = next(numbers())
    own = f"127.{16 + os.getpid() % 200}.{number // 250 % 250}.{1 + number % 250}"
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((address or own, 0))
    sock.settimeout(timeout)
    try:
        yield sock
    finally:
        sock.close()


def ask(here: Site, packet: bytes) -> tuple[int, bytes]:
    """Opcode and rest of the first answer."""
    with udp() as sock:
        sock.sendto(packet, here.endpoints[0])
        data = sock.recv(65536)
        return struct.unpack("!H", data[:2])[0], data[2:]


def honest(here: Site) -> None:
    """A machine's fetches still work."""
    assert len(tftp_fetch(*here.endpoints[0], "mboot.efi")) == 200_002
    assert b"birth=" in tftp_fetch(*here.endpoints[0], f"{FOLDER}/boot.cfg")


JUNK = {
    "empty": b"", "one byte": b"\0", "two bytes": b"\0\1", "3-byte ack": b"\0\4\0", "3-byte data": b"\0\3\0",
    "3-byte error": b"\0\5\0", "ack": b"\0\4\0\1", "long ack": b"\0\4\0\1" + b"x" * 90, "data": b"\0\3\0\1abc",
    "error": b"\0\5\0\1no\0", "unterminated error": b"\0\5\0\1no", "oack": b"\0\6blksize\x00512\0",
    "junk oack": b"\0\6\0\0\0", "oack without end": b"\0\6blksize", "opcode 0": b"\0\0abc", "opcode 7": b"\0\7abc",
    "opcode 65535": b"\xff\xffabc", "zeros": bytes(100), "ones": b"\xff" * 100, "text": b"GET / HTTP/1.1\r\n\r\n",
    "too long": b"\0\1" + b"a" * 3000 + b"\0octet\0", "far too long": os.urandom(60000),
    "2048 of name": b"\0\1" + b"a" * 2030 + b"\0octet\0",
}
"""Packets without any answer but, at most, an error."""


@pytest.mark.parametrize("name", JUNK)
def test_junk_leaves_the_listener_alone(here: Site, name: str) -> None:
    with udp() as sock:
        sock.sendto(JUNK[name], here.endpoints[0])
        honest(here)


REQUESTS: dict[str, tuple[bytes, int]] = {
    "no mode": (b"\0\1mboot.efi\0", 4), "no NUL at all": (b"\0\1mboot.efi", 4),
    "non-ASCII name": (rrq(b"\xff\xfe\x80.efi"), 4), "UTF-8 name": (rrq("mbööt.efi".encode()), 4),
    "option without NUL": (b"\0\1mboot.efi\0octet\0blksize\x00512", 4),
    "option without value": (rrq(b"mboot.efi", b"octet", b"blksize"), 4),
    "empty options": (b"\0\1mboot.efi\0octet\0\0\0\0", 4), "non-ASCII option": (rrq(b"a", b"octet", b"\xff", b"1"), 4),
    "mail mode": (rrq(b"mboot.efi", b"mail"), 4), "netascii": (rrq(b"mboot.efi", b"netascii"), 4),
    "unknown mode": (rrq(b"mboot.efi", b"\x01"), 4), "empty name": (rrq(b""), 1),
    "write": (rrq(b"mboot.efi", opcode=2), 2), "write elsewhere": (rrq(b"../x", opcode=2), 2),
    "malformed write": (b"\0\2x", 4),
    "dot dot": (rrq(b"../../etc/passwd"), 2), "dot dot inside": (rrq(FOLDER.encode() + b"/../../etc/passwd"), 2),
    "dot dot at root": (rrq(b"/../etc/passwd"), 2), "backslash": (rrq(b"..\\..\\etc\\passwd"), 2),
    "control characters": (rrq(b"mboot.efi\n"), 2), "600 characters": (rrq(b"a" * 600), 2),
    "absolute": (rrq(b"/etc/passwd"), 1), "double slash": (rrq(b"//etc/passwd"), 1), "unknown": (rrq(b"nothing"), 1),
    "a folder": (rrq(FOLDER.encode()), 1), "a folder/": (rrq(FOLDER.encode() + b"/"), 1), "the root": (rrq(b"/"), 1),
    "images": (rrq(b"images"), 1), "an unknown image": (rrq(b"images/00/b.b00"), 1),
    "a MAC that is not staged": (rrq(b"01-52-54-00-00-00-99/boot.cfg"), 1),
    "someone's key": (rrq(FOLDER.encode() + b"/0000000000000000/birth.tgz"), 1),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_bad_requests_get_an_error(here: Site, name: str) -> None:
    packet, code = REQUESTS[name]
    opcode, rest = ask(here, packet)
    assert (opcode, struct.unpack("!H", rest[:2])[0]) == (5, code)
    honest(here)


@pytest.mark.parametrize(("options", "expected"), [
    ((b"blksize", b"1024"), {b"blksize": b"1024"}), ((b"BLKSIZE", b"9000"), {b"blksize": b"1428"}),
    ((b"blksize", b"65464"), {b"blksize": b"1428"}), ((b"tsize", b"0"), {b"tsize": b"200002"}),
    ((b"tsize", b"0", b"blksize", b"8", b"windowsize", b"4"),
     {b"tsize": b"200002", b"blksize": b"8", b"windowsize": b"4"}),
    ((b"WindowSize", b"64"), {b"windowsize": b"16"}), ((b"windowsize", b"0"), None),
    ((b"windowsize", b"65536"), None), ((b"windowsize", b"x"), None),
    ((b"blksize", b"abc"), None), ((b"blksize", b"65536"), None), ((b"blksize", b"7"), None),
    ((b"blksize", b"-1"), None), ((b"blksize", b"99999999999999"), None), ((b"multicast", b"x"), None),
    ((b"timeout", b"0"), None),
])
def test_options(here: Site, options: tuple[bytes, ...], expected: dict[bytes, bytes] | None) -> None:
    opcode, rest = ask(here, rrq(b"mboot.efi", b"octet", *options))
    if expected is None:
        assert opcode == 3
        assert rest[:2] == b"\0\1"
        assert len(rest) == 514
    else:
        words = rest.split(b"\0")[:-1]
        assert opcode == 6
        assert dict(zip(words[::2], words[1::2], strict=True)) == expected
    honest(here)


def test_a_link_out_of_the_image_is_not_followed(fresh: Site, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"x" * 200_002)
    loader = tmp_path / "images" / "esxi8" / "mboot.efi"
    loader.unlink()
    loader.symlink_to(secret)
    with pytest.raises(BootFailed, match=r"mboot\.efi"):
        tftp_fetch(*fresh.endpoints[0], "mboot.efi")
    loader.unlink()
    os.mkfifo(loader)
    with pytest.raises(BootFailed, match=r"mboot\.efi"):
        tftp_fetch(*fresh.endpoints[0], "mboot.efi")
    loader.unlink()
    loader.mkdir()
    with pytest.raises(BootFailed, match=r"mboot\.efi"):
        tftp_fetch(*fresh.endpoints[0], "mboot.efi")
    assert b"birth=" in tftp_fetch(*fresh.endpoints[0], f"{FOLDER}/boot.cfg")


def read_slowly(server: tuple[str, int], disturb: Callable[[socket.socket, tuple[str, int], int], None]) -> bytes:
    """Fetch mboot.efi block by block (1428); `disturb(sock, tid, block)` acts before each acknowledgement."""
    content, block = b"", 0
    with udp(10.0) as sock:
        sock.sendto(rrq(b"mboot.efi", b"octet", b"blksize", b"1428"), server)
        data, tid = sock.recvfrom(2048)
        assert data[:2] == b"\0\6"
        sock.sendto(b"\0\4\0\0", tid)
        while True:
            data, source = sock.recvfrom(2048)
            assert source == tid
            number = struct.unpack("!H", data[2:4])[0]
            if number == block + 1:
                block, content = number, content + data[4:]
            disturb(sock, tid, block)
            sock.sendto(struct.pack("!HH", 4, block), tid)
            if len(data) < 1432:
                return content


def test_strangers_and_junk_cannot_disturb_a_transfer(here: Site) -> None:
    def disturb(sock: socket.socket, tid: tuple[str, int], block: int) -> None:
        if block > 20:
            return
        with udp(address=sock.getsockname()[0]) as stranger:
            stranger.sendto(struct.pack("!HH", 4, block), tid)  # an ACK from a stray port
            assert stranger.recv(512)[:4] == b"\0\5\0\5"  # unknown transfer ID
            stranger.sendto(b"\0\5\0\0stop\0", tid)
        for junk in (b"", b"\0", b"\0\4\0", b"\0\6x", b"\0\3\0", os.urandom(3000), struct.pack("!HH", 4, 60000)):
            sock.sendto(junk, tid)

    assert len(read_slowly(here.endpoints[0], disturb)) == 200_002


def test_a_lost_ack_is_repaired_by_a_resend() -> None:
    lost = set()

    def lose(sock: socket.socket, tid: tuple[str, int], block: int) -> None:
        if block in (1, 70, 141) and block not in lost:
            lost.add(block)
            again, source = sock.recvfrom(2048)  # silence: the server sends the block again
            assert source == tid
            assert struct.unpack("!H", again[2:4])[0] == block

    with tftp_site(settings=Settings(timeout=0.3)) as at:
        assert read_slowly(at.server, lose) == CONTENT
    assert lost == {1, 70, 141}


def test_duplicated_acks_do_not_double_the_stream() -> None:
    """The sorcerer's apprentice: every acknowledgement three times, and every block comes once."""
    blocks: list[int] = []

    def thrice(sock: socket.socket, tid: tuple[str, int], block: int) -> None:
        blocks.append(block)
        for _ in range(2):
            sock.sendto(struct.pack("!HH", 4, block), tid)

    with tftp_site() as at:
        assert read_slowly(at.server, thrice) == CONTENT
    assert blocks == list(range(1, len(CONTENT) // 1428 + 2))


def window_of(sock: socket.socket, count: int) -> list[int]:
    return [struct.unpack("!H", sock.recv(2048)[2:4])[0] for _ in range(count)]


def quiet(sock: socket.socket, seconds: float = 0.1) -> bool:
    before = sock.gettimeout()
    sock.settimeout(seconds)
    try:
        sock.recv(2048)
    except TimeoutError:
        return True
    finally:
        sock.settimeout(before)
    return False


def test_a_window_slides_and_is_sent_again_from_the_gap_on() -> None:
    """RFC 7440: after an acknowledgement in the middle of a window, what follows it comes again, once."""
    with tftp_site(settings=Settings(timeout=5.0)) as at, udp() as sock:
        sock.sendto(rrq(b"mboot.efi", b"octet", b"windowsize", b"4"), at.server)
        data, tid = sock.recvfrom(2048)
        assert data == b"\0\6windowsize\x004\0"
        sock.sendto(b"\0\4\0\0", tid)
        assert window_of(sock, 4) == [1, 2, 3, 4]
        sock.sendto(b"\0\4\0\0", tid)  # a duplicate of what was acknowledged before
        assert quiet(sock)
        for _ in range(3):
            sock.sendto(b"\0\4\0\2", tid)  # block 3 was lost
        assert window_of(sock, 4) == [3, 4, 5, 6]
        sock.sendto(b"\0\4\0\2", tid)
        assert quiet(sock)
        sock.sendto(b"\0\4\0\6", tid)
        assert window_of(sock, 4) == [7, 8, 9, 10]
        sock.sendto(b"\0\4\0\1", tid)  # older than the window
        assert quiet(sock)


@pytest.mark.parametrize("window", [1, 4, 16])
def test_windows_bring_every_byte(window: int) -> None:
    with tftp_site() as at:
        outcome = read_all(at.server, "mboot.efi", 8, window=window)
        assert (outcome.done, outcome.failed) == (8, [])
        assert outcome.digests == {at.digest}


def test_a_client_that_vanishes_or_aborts_is_forgotten() -> None:
    settings = Settings(timeout=0.2)
    with tftp_site(settings=settings) as at, udp() as sock:
        sock.sendto(rrq(b"mboot.efi"), at.server)
        data, tid = sock.recvfrom(2048)
        assert at.tftp.active == 1
        sock.sendto(b"\0\5\0\0enough\0", tid)
        until(lambda: at.tftp.active == 0)
        sock.sendto(rrq(b"mboot.efi"), at.server)
        copies = [sock.recv(2048) for _ in range(1 + settings.retries)]
        assert len(set(copies)) == 1
        assert copies[0] == data
        until(lambda: at.tftp.active == 0)
        assert [entry[2] for entry in at.log] == [499, 499]


def test_a_client_that_vanishes_in_the_middle_is_forgotten() -> None:
    with tftp_site(settings=Settings(timeout=0.2)) as at, udp() as sock:
        sock.sendto(rrq(b"mboot.efi"), at.server)
        for number in range(1, 21):
            _, tid = sock.recvfrom(2048)
            if number < 20:
                sock.sendto(struct.pack("!HH", 4, number), tid)
        assert at.tftp.active == 1
        until(lambda: at.tftp.active == 0)
        assert at.log == [(sock.getsockname()[0], "mboot.efi", 499, 19 * 512, "")]
        assert at.ended == []


def test_a_repeated_request_is_one_transfer_and_one_nonce(fresh: Site) -> None:
    servers = fresh.boot._servers
    assert servers is not None
    with udp() as sock:
        for _ in range(5):
            sock.sendto(rrq(f"{FOLDER}/boot.cfg".encode()), fresh.endpoints[0])
        sock.recv(2048)
        until(lambda: servers.tftp.active == 1)
        standing = fresh.boot.standings.get(MACS[0])
        assert standing is not None
        assert standing.boot is not None
        nonce = standing.boot.nonce
        sock.sendto(rrq(f"{FOLDER}/boot.cfg".encode()), fresh.endpoints[0])
        time.sleep(0.05)
        standing = fresh.boot.standings.get(MACS[0])
        assert standing is not None
        assert standing.boot is not None
        assert standing.boot.nonce == nonce


def test_hundreds_of_half_open_reads_do_not_starve_a_machine() -> None:
    with tftp_site(settings=Settings(max_transfers=64)) as at, ExitStack() as stack:
        for _ in range(400):
            stack.enter_context(udp(address="127.0.0.1")).sendto(rrq(b"mboot.efi"), at.server)
        assert tftp_fetch(*at.server, "mboot.efi") == CONTENT
        assert at.most <= 64 + 1  # an answer may cross the news that its predecessor is over


def test_six_hundred_machines_at_once_are_served() -> None:
    # An address of its own: at 127.0.0.1 the servers of other tests still send to machines that are gone, whose ports
    # 600 new ones get again; and a machine takes the first answer that comes from its server's address.
    with tftp_site(size=30_000, host="127.0.0.6") as at:
        outcome = read_all(at.server, "mboot.efi", 600)
        assert (outcome.done, outcome.failed) == (600, [])
        assert outcome.digests == {at.digest}
        until(lambda: at.tftp.active == 0)
        assert [entry[2] for entry in at.log].count(200) == 600
        assert len(at.ended) == 600


def test_ten_thousand_junk_packets_stop_nothing() -> None:
    random = Random(7)
    with tftp_site() as at, udp() as sock:
        assert tftp_fetch(*at.server, "mboot.efi") == CONTENT
        pid = at.tftp.pid
        reader = threading.Thread(target=lambda: outcome.append(read_all(at.server, "mboot.efi", 4)))
        outcome: list[Outcome] = []
        reader.start()
        for number in range(10_000):
            packet = random.randbytes(random.randrange(0, 600))
            sock.sendto(packet if number % 2 else bytes([0, number % 9]) + packet, at.server)
        reader.join(60)
        assert outcome[0].digests == {at.digest}
        assert (outcome[0].done, outcome[0].failed) == (4, [])
        assert tftp_fetch(*at.server, "mboot.efi") == CONTENT
        assert at.tftp.pid == pid is not None


def fails(_name: str, _client: str) -> Content | None:
    raise RuntimeError("a bug")


def no_space(_name: str, _client: str) -> Content | None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("find", [fails, no_space])
def test_a_question_that_cannot_be_answered_is_an_error(find: Find) -> None:
    with tftp_site(find=find) as at, udp() as sock:
        for _ in range(3):
            sock.sendto(rrq(b"mboot.efi"), at.server)
            assert sock.recv(512)[:4] == b"\0\5\0\0"
        assert {entry[2] for entry in at.log} == {500}


def test_a_file_that_shrinks_is_no_shorter_file(tmp_path: Path) -> None:
    file = tmp_path / "module"
    file.write_bytes(bytes(300_000))
    found = FileDigests().read(file)
    with tftp_site(find=lambda name, _client: Content(found, name)) as at, udp() as sock:
        sock.sendto(rrq(b"module"), at.server)
        data, tid = sock.recvfrom(2048)
        os.truncate(file, 100_000)
        while data[:2] == b"\0\3":
            assert len(data) == 516
            sock.sendto(b"\0\4" + data[2:4], tid)
            data = sock.recv(2048)
        assert data[:4] == b"\0\5\0\0"
        until(lambda: bool(at.log))
        assert at.log[0][2] == 499


def test_contents_in_memory_may_be_large() -> None:
    content = os.urandom(3_000_000)
    with tftp_site(find=lambda name, _client: Content(content, name)) as at:
        assert tftp_fetch(*at.server, "x") == content


def test_many_machines_read_at_once(here: Site) -> None:
    sizes: list[int] = []

    def read() -> None:
        sizes.append(len(tftp_fetch(*here.endpoints[0], "mboot.efi")))

    threads = [threading.Thread(target=read) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sizes == [200_002] * 16


@pytest.mark.parametrize("window", [1, 16])
def test_the_block_counter_wraps(window: int) -> None:
    with tftp_site(size=65_600 * 8 + 5) as at:
        outcome = read_all(at.server, "mboot.efi", 1, blksize=8, window=window)
        assert outcome.digests == {at.digest}


def test_answers_come_from_the_bound_address(tmp_path: Path) -> None:
    with site(tmp_path, block={"listen": "127.0.0.2"}) as here:
        here.run("boot.stage", MACS[0])
        assert here.endpoints[0][0] == "127.0.0.2"
        with udp() as sock:
            sock.sendto(rrq(b"mboot.efi"), here.endpoints[0])
            _, source = sock.recvfrom(2048)
            assert source[0] == "127.0.0.2"
            sock.sendto(rrq(b"nothing"), here.endpoints[0])
            assert sock.recvfrom(2048)[1] == here.endpoints[0]
