"""The payload run for real: the module unpacked, under busybox `sh` and python3, against the birth listener by TLS."""

from __future__ import annotations

import json
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from providers.boot.modules import Kind, birth_module
from providers.boot.payload import message, post, thumbprint
from providers.midwife.desk import Desk, Verdict
from providers.midwife.identity import open_identity, server_context
from providers.midwife.inbox import Birth, Inbox
from providers.midwife.listener import BirthListener
from providers.midwife.standing import Standings
from tests.support.esxi_root import MAC, UUID, HostRoot, until
from tests.unit.boot.kit import WallClock, certificate

PEM = certificate("esx01")


class Midwife:
    """A birth listener on loopback, with a MAC that has just fetched its boot configuration."""

    def __init__(self, folder: Path, host: str = "127.0.0.1") -> None:
        self.folder, self.clock = folder, WallClock()
        self.inbox, self.standings = Inbox(folder), Standings(None)
        self.desk = Desk(self.standings, self.inbox, self.clock)
        self.desk.stage(MAC, "d" * 64, "/images", "", "")
        minted = self.desk.mint(MAC, "10.0.0.9")
        assert minted is not None
        self.boot = minted[1]
        identity = open_identity(folder)
        self.spki = identity.spki_sha256
        self._tls = server_context(identity)
        self.sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.sock.bind((host, 0))  # bound: from now on the port is known, and refuses
        self.port = int(self.sock.getsockname()[1])
        self.url = f"https://[{host}]:{self.port}" if ":" in host else f"https://{host}:{self.port}"
        self._listener: BirthListener | None = None

    def start(self) -> None:
        self.sock.listen()
        self.sock.setblocking(False)
        self._listener = BirthListener(self.sock, self.desk, self._tls)
        self._listener.start()

    def stop(self) -> None:
        if self._listener is not None:
            self._listener.stop()
        self.sock.close()
        self.inbox.close()

    def cmdline(self, **changes: str) -> str:
        words = {"midwife": self.url, "midwife_spki": self.spki, "birth": self.boot.nonce,
                 "BOOTIF": "01-" + MAC.replace(":", "-").upper(), **changes}
        return " ".join(f"{name}={value}" for name, value in words.items())

    def births(self) -> list[Birth]:
        return [dict(each) for each in self.inbox]


@pytest.fixture
def midwife(tmp_path: Path) -> Iterator[Midwife]:
    made = Midwife(tmp_path / "midwife")
    yield made
    made.stop()


def host(midwife: Midwife, kind: Kind = "tgz", **changes: str) -> HostRoot:
    root = HostRoot(midwife.folder.parent / f"host-{kind}", kind)
    return root.install(midwife.cmdline(**changes), bytes.fromhex(midwife.boot.key), PEM)


def check_silence(midwife: Midwife, root: HostRoot) -> None:
    """Neither nonce nor key in the log, nor on the command line of any tool."""
    for text in (root.log(), "\n".join(root.calls())):
        assert midwife.boot.nonce not in text
        assert midwife.boot.key not in text
        assert "Traceback" not in text


@pytest.mark.parametrize("kind", ["tgz", "cpio"])
def test_a_birth(midwife: Midwife, kind: Kind) -> None:
    midwife.start()
    root = host(midwife, kind)
    assert root.run() == 0
    [birth] = midwife.births()
    version = "8.0.3" if kind == "tgz" else birth["version"]
    assert birth | {"mac": MAC, "uuid": UUID, "serial": "VMW-1" if kind == "tgz" else "unknown", "ip": "10.0.0.9",
                    "version": version, "certificate": PEM, "thumbprint": thumbprint(PEM)} == birth
    assert root.firewall() == (["true", "false"] if kind == "tgz" else [])
    assert not root.has_key()
    check_silence(midwife, root)


def test_a_linux_image_may_say_what_it_is(midwife: Midwife) -> None:
    midwife.start()
    root = host(midwife, "cpio")
    root.write("etc/midwife/version", "VMware ESXi 8.0.3 build-24022510\n")
    assert root.run() == 0
    [birth] = midwife.births()
    assert (birth["version"], birth["build"]) == ("8.0.3", "24022510")


def test_the_same_boot_announces_itself_once(midwife: Midwife) -> None:
    midwife.start()
    root = host(midwife)
    assert root.run() == 0
    calls = len(root.firewall())
    root.boot()  # the script is started again
    assert root.ended(times=2) == [0, 0]
    assert "announced already" in root.log()
    assert len(root.firewall()) == calls
    assert len(midwife.births()) == 1


def test_two_at_once_are_one_birth(midwife: Midwife) -> None:
    root = host(midwife)
    root.address("")
    root.boot()
    until(lambda: "waiting" in root.log())
    root.boot()
    root.ended(times=1)
    assert "another process" in root.log()
    midwife.start()
    root.address("10.0.0.9")
    assert root.ended(times=2) == [0, 0]
    assert len(midwife.births()) == 1
    assert root.firewall() == ["true", "false"]


def test_a_host_that_boots_twice_is_born_by_its_newer_boot(midwife: Midwife) -> None:
    midwife.start()
    first = host(midwife)
    minted = midwife.desk.mint(MAC, "10.0.0.9")  # power-cycled while the first boot still waited
    assert minted is not None
    assert first.run() == 1
    assert "refused the birth: 401" in first.log()
    assert first.firewall() == ["true", "false"]
    assert first.has_key()
    midwife.boot = minted[1]
    second = HostRoot(first.folder.with_name("again")).install(midwife.cmdline(), bytes.fromhex(minted[1].key), PEM)
    assert second.run() == 0
    assert len(midwife.births()) == 1


@pytest.mark.parametrize("kind", ["tgz", "cpio"])
def test_link_and_lease_that_come_late(midwife: Midwife, kind: Kind) -> None:
    midwife.start()
    root = host(midwife, kind)
    root.address("")
    root.boot()
    until(lambda: "waiting: there is no address yet" in root.log())
    assert root.firewall() == []  # closed for as long as there is nothing to say
    root.address("10.0.0.10")
    assert root.ended() == [0]
    assert midwife.births()[0]["ip"] == "10.0.0.10"


def test_a_link_that_never_comes_ends_with_a_reason(midwife: Midwife) -> None:
    root = host(midwife)
    root.address("")
    module = root.folder / "opt/midwife/providers/boot/payload.py"
    text = module.read_text()
    module.write_text(text.replace("READY_SECONDS, READY_PAUSE = 1800.0", "READY_SECONDS, READY_PAUSE = 9.0"))
    assert root.run() == 1
    assert "given up after 9 s: there is no address yet" in root.log()
    assert root.firewall() == []


@pytest.mark.parametrize("early", [None, "", PEM[:200]])
def test_a_certificate_that_comes_late(midwife: Midwife, early: str | None) -> None:
    midwife.start()
    root = host(midwife)
    path = root.folder / "etc/vmware/ssl/rui.crt"
    path.unlink() if early is None else path.write_text(early)
    root.boot()
    until(lambda: "waiting: " in root.log())
    root.write("etc/vmware/ssl/rui.crt", PEM)
    assert root.ended() == [0]
    assert midwife.births()[0]["certificate"] == PEM


def test_a_key_beside_the_certificate_is_not_sent(midwife: Midwife) -> None:
    midwife.start()
    root = host(midwife, "cpio")
    secret = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"
    root.write("etc/midwife/host.pem", secret + PEM + secret)
    assert root.run() == 0
    assert midwife.births()[0]["certificate"] == PEM


def test_a_midwife_that_is_down_at_first(midwife: Midwife) -> None:
    root = host(midwife)
    root.boot()
    until(lambda: root.log().count("again in about") >= 3)
    assert root.is_open()
    midwife.start()
    assert root.ended() == [0]
    assert root.firewall() == ["true", "false"]
    assert len(midwife.births()) == 1
    check_silence(midwife, root)


def test_a_midwife_that_stays_down(midwife: Midwife) -> None:
    root = host(midwife)
    module = root.folder / "opt/midwife/providers/boot/payload.py"
    module.write_text(module.read_text().replace("TRIES = 150", "TRIES = 4"))
    assert root.run() == 1
    assert "no birth in 4 attempts; last: no answer (ConnectionRefusedError)" in root.log()
    assert root.firewall() == ["true", "false"]
    assert root.has_key()


def test_a_slow_midwife_gets_the_same_bytes_until_it_answers_in_time(midwife: Midwife,
                                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    judge, bodies = midwife.desk.judge, list[bytes]()
    answered = threading.Event()

    def slow(body: bytes, client: str) -> Verdict:
        bodies.append(body)
        verdict = judge(body, client)
        if len(bodies) < 3:
            answered.wait(20)  # the first two hear nothing
        return verdict

    monkeypatch.setattr(midwife.desk, "judge", slow)
    midwife.start()
    root = host(midwife)
    root.boot()
    assert root.ended() == [0]
    answered.set()
    assert "no answer" not in root.log().splitlines()[-1]
    assert len(bodies) >= 3
    assert len(set(bodies)) == 1
    assert "announced: 200" in root.log()  # the first one counted; its reply was lost
    assert len(midwife.births()) == 1


def test_a_midwife_that_cannot_write_it_down(midwife: Midwife, monkeypatch: pytest.MonkeyPatch) -> None:
    append, refused = midwife.inbox.append, list[Birth]()

    def full(record: Birth) -> Future[None]:
        if len(refused) >= 2:
            return append(record)
        refused.append(record)
        failed: Future[None] = Future()
        failed.set_exception(OSError(28, "No space left on device"))
        return failed

    monkeypatch.setattr(midwife.inbox, "append", full)
    midwife.start()
    root = host(midwife)
    assert root.run() == 0
    assert {each["body_sha256"] for each in refused} == {midwife.births()[0]["body_sha256"]}
    assert root.firewall() == ["true", "false"]


def test_4xx_stops(midwife: Midwife) -> None:
    midwife.start()
    root = host(midwife)
    root.unpack(birth_module(b"x" * 32))
    assert root.run() == 1  # forged: 401
    assert "the midwife refused the birth: 401 not accepted" in root.log()
    assert root.log().count("again in about") == 0
    assert root.firewall() == ["true", "false"]
    assert [each["status"] for each in midwife.inbox.refused()] == [401]
    check_silence(midwife, root)


def test_409_stops(midwife: Midwife) -> None:
    midwife.start()
    facts = {"mac": MAC, "uuid": UUID, "serial": "T", "address": "10.0.0.1", "version": "8.0.3", "certificate": PEM,
             "thumbprint": thumbprint(PEM)}
    body = message(facts, midwife.boot.nonce, bytes.fromhex(midwife.boot.key), time.time())
    assert post(midwife.url, midwife.spki, body)[0] == 201
    root = host(midwife)
    assert root.run() == 1
    assert "409" in root.log()
    assert not root.is_open()


def test_another_midwife_is_told_nothing(midwife: Midwife) -> None:
    midwife.start()
    root = host(midwife, midwife_spki="0" * 64)
    assert root.run() == 1
    assert "the midwife's key is not the one" in root.log()
    assert midwife.inbox.refused() == []  # nothing was sent to it
    assert root.firewall() == ["true", "false"]


@pytest.mark.parametrize("kind", ["tgz", "cpio"])
@pytest.mark.parametrize("seconds", [600, -600, 2 * 86400, -2 * 86400])
def test_a_clock_that_is_off_is_set_and_posted_once_more(midwife: Midwife, kind: Kind, seconds: int) -> None:
    midwife.start()
    root = host(midwife, kind)
    root.write("clock", str(seconds))
    assert root.run() == 0
    assert abs(float((root.folder / "clock").read_text())) < 10
    assert len(midwife.births()) == 1
    told = re.search(r"the clock is ([+-]\d+) s off", root.log())
    assert told is not None
    assert abs(int(told.group(1)) - seconds) < 10
    assert ("over a day" in root.log()) == (abs(seconds) > 86400)
    assert [each["status"] for each in midwife.inbox.refused()] == [428]


def test_a_clock_that_cannot_be_set_stops(midwife: Midwife) -> None:
    midwife.start()
    root = host(midwife)
    root.write("clock", "600")
    root.write("broken.time", "")
    assert root.run() == 1
    assert "the clock cannot be set (esxcli ended with 1)" in root.log()
    assert [call.split()[0] for call in root.calls() if "system time set" in call] == ["localcli", "esxcli"]
    assert not root.is_open()


def test_what_was_open_before_stays_open(midwife: Midwife) -> None:
    midwife.start()
    root = host(midwife)
    root.write("httpClient", "true\n")
    assert root.run() == 0
    assert root.firewall() == []
    assert root.is_open()


def test_a_rule_set_that_cannot_be_read_or_opened(midwife: Midwife) -> None:
    midwife.start()  # on loopback no firewall is in the way
    root = host(midwife)
    root.write("broken.opening", "")
    root.write("broken.closing", "")  # once
    assert root.run() == 0
    assert root.firewall() == ["true", "false", "false"]
    assert not root.is_open()
    assert "cannot be opened" in root.log()
    assert "cannot be closed" in root.log()


def test_hostd_closes_the_rule_set_meanwhile(midwife: Midwife) -> None:
    root = host(midwife)
    root.boot()
    until(lambda: "again in about" in root.log())
    root.write("httpClient", "false\n")
    until(root.is_open)
    midwife.start()
    assert root.ended() == [0]
    assert not root.is_open()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_closes_the_rule_set(midwife: Midwife, number: signal.Signals) -> None:
    root = host(midwife)
    root.boot()
    until(lambda: "again in about" in root.log())
    assert root.is_open()
    root.signal(number)
    assert root.ended() == [1]
    assert root.firewall() == ["true", "false"]
    assert not root.is_open()
    assert f"ended by signal {int(number)}" in root.log()


def test_localcli_that_fails_is_made_up_for_by_esxcli(midwife: Midwife) -> None:
    midwife.start()
    root = host(midwife)
    root.write("httpClient", "true\n")
    root.write("broken.localcli", "")
    assert root.run() == 0
    assert midwife.births()[0]["serial"] == "VMW-1"


def test_older_hosts_print_their_options_otherwise(midwife: Midwife) -> None:
    midwife.start()
    root = host(midwife)
    path = root.folder / "bin/bootOption"
    path.write_text(path.read_text().replace('"-o"', '"-roC"'))
    assert root.run() == 0
    assert len(midwife.births()) == 1


def test_a_boot_without_a_midwife_changes_nothing(midwife: Midwife) -> None:
    root = host(midwife)
    root.write("answers/bootOption", "quiet\n")
    assert root.run() == 0
    assert root.firewall() == []
    assert root.has_key()


def test_an_installer_is_not_the_host(midwife: Midwife) -> None:
    midwife.start()
    root = host(midwife, ks="http://10.0.0.2/ks.cfg")
    assert root.run() == 0
    assert "this boot installs" in root.log()
    assert midwife.births() == []


@pytest.mark.parametrize("damage", ["", "zz", None])
def test_a_boot_without_a_usable_key_stops(midwife: Midwife, damage: str | None) -> None:
    root = host(midwife)
    path = root.folder / "etc/midwife/birth.key"
    path.unlink()
    if damage:
        path.write_text(damage)
    elif damage == "":
        path.mkdir()
    assert root.run() == 1
    assert "was birth.tgz loaded?" in root.log()
    assert root.firewall() == []


def test_a_host_without_a_usable_python_says_so(midwife: Midwife) -> None:
    root = host(midwife)
    for name in ("python3", "python"):
        root.script(name, "#!/bin/sh\nexit 1\n")  # as 2.7 answers the question for its version
    root.boot()
    assert "there is no Python 3.5 or later" in root.log()
    assert root.calls() == []


def test_a_midwife_that_is_reached_by_ipv6(tmp_path: Path) -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    midwife = Midwife(tmp_path / "midwife", "::1")
    try:
        midwife.start()
        root = host(midwife)
        root.address("2001:db8::9")
        assert root.run() == 0
        assert midwife.births()[0]["ip"] == "2001:db8::9"
    finally:
        midwife.stop()


def test_what_is_posted_is_what_the_contract_says(midwife: Midwife, monkeypatch: pytest.MonkeyPatch) -> None:
    judge, bodies = midwife.desk.judge, list[bytes]()

    def kept(body: bytes, client: str) -> Verdict:
        bodies.append(body)
        return judge(body, client)

    monkeypatch.setattr(midwife.desk, "judge", kept)
    midwife.start()
    assert host(midwife).run() == 0
    assert set(json.loads(bodies[0])) == {"mac", "uuid", "serial", "address", "version", "certificate", "thumbprint",
                                          "clock", "nonce", "hmac"}
