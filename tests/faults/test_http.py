"""Boot files over HTTP: parts of files, two families, and peers that read slowly, or not at all."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import pytest

from providers.boot import net
from providers.boot.http import Limits
from providers.boot.images import FileDigests
from providers.boot.tree import Content, Forbidden, Gone
from tests.support.http_site import HttpSite, http_site
from tests.support.tools import need_ipv6
from tests.unit.boot.kit import until

BODY = Random(2).randbytes(300_000)
SIZE = len(BODY)
RANGED = "bytes 0-299999/300000"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "s.v00"
    path.write_bytes(BODY)
    return path


@pytest.fixture
def here(file: Path) -> Iterator[HttpSite]:
    ended: list[str] = []
    found = FileDigests().read(file)
    with http_site({"s.v00": Content(found, "s.v00", "52:54:00:00:00:11", lambda: ended.append("s.v00")),
                    "boot.cfg": Content(b"title=x\n", "boot.cfg"),
                    "gone": Gone("gone"), "forbidden": Forbidden("x"), "broken": RuntimeError("a bug"),
                    "full": OSError(28, "No space left on device")}) as site:
        site.ended = ended
        yield site


@pytest.mark.parametrize(("asked", "start", "end"), [
    ("bytes=0-0", 0, 1), ("bytes=0-99", 0, 100), ("bytes=100-", 100, SIZE), ("bytes=-100", SIZE - 100, SIZE),
    ("bytes=-999999999", 0, SIZE), (f"bytes={SIZE - 1}-", SIZE - 1, SIZE), (f"bytes=5-{SIZE + 50}", 5, SIZE),
    (f"bytes=0-{SIZE - 1}", 0, SIZE), ("BYTES = 7-8", 7, 9), ("bytes=299000-299999", 299_000, SIZE),
])
def test_one_range(here: HttpSite, asked: str, start: int, end: int) -> None:
    status, headers, body = here.get("/s.v00", {"Range": asked})
    assert (status, headers["Content-Range"]) == (206, f"bytes {start}-{end - 1}/{SIZE}")
    assert headers["Content-Length"] == str(end - start)
    assert body == BODY[start:end]
    until(lambda: here.log == [("127.0.0.1", "s.v00", 206, end - start, "52:54:00:00:00:11")])
    # What ends with the last byte may be the rest of a download: the machine has it all.
    until(lambda: bool(here.ended) == (end == SIZE))


@pytest.mark.parametrize("asked", [
    "bytes=0-1,5-6", "bytes=0-1, -1", "bytes=5-4", "bytes=", "bytes=-", "bytes=a-b", "bytes=1", "lines=0-1", "0-1",
    "bytes=0-1-2", "bytes=+0-1", "bytes=" + "9" * 400 + "-", "bytes=\u0660-\u0661", "",
])
def test_what_is_no_single_range_is_answered_whole(here: HttpSite, asked: str) -> None:
    status, headers, body = here.get("/s.v00", {"Range": asked.encode().decode("latin-1")})
    assert status == 200
    assert "Content-Range" not in headers
    assert body == BODY


@pytest.mark.parametrize("asked", [f"bytes={SIZE}-", "bytes=999999999-", "bytes=-0"])
def test_a_range_behind_the_end_is_416(here: HttpSite, asked: str) -> None:
    status, headers, body = here.get("/s.v00", {"Range": asked})
    assert (status, headers["Content-Range"], body) == (416, f"bytes */{SIZE}", b"")
    until(lambda: [entry[2] for entry in here.log] == [416])
    assert here.ended == []


def test_a_download_goes_on_only_with_the_same_content(here: HttpSite) -> None:
    _, headers, _ = here.get("/s.v00", method="HEAD")
    tag = headers["ETag"]
    assert headers["Accept-Ranges"] == "bytes"
    assert here.get("/s.v00", {"Range": "bytes=9-", "If-Range": tag})[::2] == (206, BODY[9:])
    for other in ('"0000"', f"W/{tag}", "Sat, 29 Oct 1994 19:43:31 GMT"):
        assert here.get("/s.v00", {"Range": "bytes=9-", "If-Range": other})[::2] == (200, BODY)


def test_head_has_the_size_and_ends_nothing(here: HttpSite) -> None:
    status, headers, body = here.get("/s.v00", {"Range": "bytes=0-9"}, method="HEAD")
    assert (status, headers["Content-Length"], body) == (200, str(SIZE), b"")
    until(lambda: here.log == [("127.0.0.1", "s.v00", 200, 0, "52:54:00:00:00:11")])
    assert here.ended == []


def test_what_is_rendered_has_no_parts(here: HttpSite) -> None:
    status, headers, body = here.get("/boot.cfg", {"Range": "bytes=0-1"})
    assert (status, body) == (200, b"title=x\n")
    assert not {"ETag", "Accept-Ranges", "Content-Range"} & set(headers)


@pytest.mark.parametrize(("path", "method", "expected"), [
    ("/nothing", "GET", 404), ("/gone", "GET", 410), ("/forbidden", "GET", 403), ("/broken", "GET", 500),
    ("/full", "GET", 500), ("/s.v00", "PUT", 405), ("/s.v00", "DELETE", 405), ("/s.v00", "OPTIONS", 405)])
def test_every_refusal_is_in_the_log(here: HttpSite, path: str, method: str, expected: int) -> None:
    assert here.get(path, method=method)[0] == expected
    until(lambda: [entry[2] for entry in here.log] == [expected])
    assert here.get("/s.v00")[2] == BODY


def test_a_file_that_changed_since_is_gone(here: HttpSite, file: Path) -> None:
    file.write_bytes(BODY[::-1])
    assert here.get("/s.v00")[0] == 410


def test_a_file_that_shrinks_is_no_shorter_answer(tmp_path: Path) -> None:
    path = tmp_path / "big"
    path.write_bytes(bytes(40_000_000))
    with http_site({"big": Content(FileDigests().read(path), "big")}) as site, connected(site) as sock:
        sock.sendall(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
        head = sock.recv(1000)
        os.truncate(path, 10_000_000)
        count = len(head)
        with suppress(ConnectionError):
            while data := sock.recv(1 << 20):  # it ends, or the peer would wait for the rest
                count += len(data)
        assert count < 40_000_000
        until(lambda: [entry[2] for entry in site.log] == [499])


def connected(site: HttpSite, base: int = 0) -> socket.socket:
    parts = urlsplit(site.bases[base])
    return socket.create_connection((parts.hostname or "", parts.port or 80), 20)


def test_requests_follow_each_other_on_one_connection(here: HttpSite) -> None:
    with connected(here) as sock:
        request = b"GET /s.v00 HTTP/1.1\r\nHost: x\r\nRange: bytes=%d-%d\r\n\r\n"
        sock.sendall(b"".join(request % (n, n) for n in range(9)))
        got = b""
        while got.count(b"206 Partial Content") < 9 or not got.endswith(b"\r\n\r\n" + BODY[8:9]):
            got += sock.recv(65536)


def test_half_a_million_bytes_to_each_of_many(here: HttpSite) -> None:
    wrong: list[int] = []

    def fetch() -> None:
        for _ in range(3):
            if here.get("/s.v00")[2] != BODY:
                wrong.append(1)

    threads = [threading.Thread(target=fetch) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []
    until(lambda: len(here.log) == 96)
    assert {entry[2:4] for entry in here.log} == {(200, SIZE)}


def test_a_machine_that_vanishes_in_the_middle_is_noted(tmp_path: Path) -> None:
    path = tmp_path / "big"
    path.write_bytes(bytes(60_000_000))
    ended: list[str] = []
    with http_site({"big": Content(FileDigests().read(path), "big", done=lambda: ended.append("big"))}) as site:
        with connected(site) as sock:
            sock.sendall(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
            sock.recv(1000)
        until(lambda: [entry[2] for entry in site.log] == [499])
        assert 0 < site.log[0][3] < 60_000_000
    assert ended == []


def slow_readers(stack: ExitStack, site: HttpSite, count: int, path: bytes = b"big") -> list[socket.socket]:
    found = []
    for _ in range(count):
        sock = stack.enter_context(socket.socket())
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(20)
        parts = urlsplit(site.bases[0])
        sock.connect((parts.hostname, parts.port))
        sock.sendall(b"GET /" + path + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        found.append(sock)
    return found


def test_a_reader_that_reads_nothing_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "big"
    path.write_bytes(bytes(60_000_000))
    with http_site({"big": Content(FileDigests().read(path), "big")}, limits=Limits(idle=300, stall=0.5)) as site, \
            ExitStack() as stack:
        slow_readers(stack, site, 3)
        until(lambda: [entry[2] for entry in site.log] == [499] * 3)


def test_slow_readers_keep_nobody_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(net, "CROWDED_STALL_SECONDS", 0.3)
    path = tmp_path / "big"
    path.write_bytes(bytes(60_000_000))
    contents: dict[str, Content | Exception] = {
        "big": Content(FileDigests().read(path), "big"), "small": Content(b"hello", "small")}
    with http_site(contents, limits=Limits(connections=8)) as site, ExitStack() as stack:
        slow_readers(stack, site, 20)
        assert site.get("/small")[::2] == (200, b"hello")


def test_half_open_connections_are_closed(here: HttpSite) -> None:
    with http_site(here.contents, limits=Limits(idle=0.5)) as site, ExitStack() as stack:
        socks = [stack.enter_context(connected(site)) for _ in range(40)]
        for sock in socks[::2]:
            sock.sendall(b"GET /s.v00 HTTP/1.1\r\nHost: ")
        assert site.get("/s.v00")[2] == BODY
        for sock in socks:
            assert ended(sock)


def ended(sock: socket.socket) -> bool:
    try:
        return sock.recv(1000) == b""
    except ConnectionError:
        return True


@pytest.mark.parametrize("junk", [
    b"\0" * 2000, b"\x16\x03\x01\x02\x00\x01", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET /" + b"a" * 9000,
    b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 5000, b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"])
def test_junk_harms_nobody(here: HttpSite, junk: bytes) -> None:
    with connected(here) as sock:
        try:
            sock.sendall(junk)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(65536):
                pass
        except ConnectionError:
            pass
    assert here.get("/s.v00")[2] == BODY


def test_both_families_at_once(file: Path) -> None:
    need_ipv6()
    hosts: Sequence[str] = ("127.0.0.1", "::1")
    with http_site({"s.v00": Content(FileDigests().read(file), "s.v00")}, hosts=hosts) as site:
        assert site.bases[1].startswith("http://[::1]:")
        for base in (0, 1):
            assert site.get("/s.v00", {"Range": "bytes=5-"}, base=base)[::2] == (206, BODY[5:])
        until(lambda: {entry[0] for entry in site.log} == {"127.0.0.1", "::1"})


def test_a_slow_reader_delays_nobody(here: HttpSite) -> None:
    with ExitStack() as stack:
        (sock,) = slow_readers(stack, here, 1, b"s.v00")
        assert here.get("/boot.cfg")[2] == b"title=x\n"
        assert sock.recv(15) == b"HTTP/1.1 200 OK"
