"""The TFTP process: what it inherits, what ends it, what happens when it dies or hangs."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from planner.model import FleetError
from providers.boot.net import bind
from providers.boot.pair import Settings
from providers.boot.tftp_server import MAX_DEATHS
from providers.twin.netboot import tftp_fetch
from tests.support.tftp_clients import Outcome, read_all
from tests.support.tftp_site import CONTENT, TftpSite, tftp_site
from tests.support.tools import need_ipv6
from tests.unit.boot.kit import until

QUICK = Settings(beat=0.1)


def serving(at: TftpSite) -> int:
    """The process id, once it has served something."""
    assert tftp_fetch(*at.server, "x") == CONTENT
    until(lambda: at.tftp.active == 0)
    assert at.tftp.pid is not None
    return at.tftp.pid


def gone(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP, signal.SIGSEGV])
def test_machines_get_their_files_when_the_process_dies_or_hangs(how: signal.Signals) -> None:
    """In the middle of a transfer; the machines start again, as firmware does."""
    with tftp_site(settings=QUICK, size=20_000_000) as at:
        assert read_all(at.server, "x", 1, blksize=1428).done == 1
        first, outcomes = at.tftp.pid, list[Outcome]()
        assert first is not None

        def read() -> None:
            while not outcomes or outcomes[-1].failed:
                outcomes.append(read_all(at.server, "x", 2, blksize=1428, retries=0))

        reader = threading.Thread(target=read)
        reader.start()
        until(lambda: at.tftp.active == 2)
        os.kill(first, how)
        reader.join(60)
        assert outcomes[0].failed  # it was in the middle
        assert outcomes[-1].digests == {at.digest}
        assert at.tftp.pid not in (first, None)
        assert gone(first)
        until(lambda: at.tftp.active == 0)
        assert [entry[2] for entry in at.log].count(200) == 3
        assert at.trouble == []


def test_requests_wait_while_a_new_process_starts() -> None:
    with tftp_site(settings=QUICK) as at, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        os.kill(serving(at), signal.SIGKILL)
        sock.settimeout(20)
        sock.sendto(b"\0\1x\0octet\0", at.server)
        assert sock.recv(2048)[:4] == b"\0\3\0\1"


@pytest.mark.parametrize(("command", "reason"), [
    ((sys.executable, "-c", "raise SystemExit('no such thing')"), "exit code 1: no such thing"),
    ((sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"), "signal SIGKILL"),
    (("/nonexistent/python",), "it cannot be started: No such file or directory"),
])
def test_a_process_that_does_not_stay_up_is_a_named_error(command: tuple[str, ...], reason: str) -> None:
    with tftp_site(command=command) as at:
        until(lambda: bool(at.trouble))
        (found,) = at.trouble
    assert found.summary == "the TFTP server does not stay up"
    assert found.detail == (f"its process for UDP port {at.server[1]} at 127.0.0.1 died {MAX_DEATHS} times within a "
                            f"minute; last: {reason}")
    assert found.remedy


def test_stopping_is_quick_and_frees_the_port_whatever_the_process_does() -> None:
    for disturb in (lambda _pid: None, lambda pid: os.kill(pid, signal.SIGSTOP), lambda pid: os.kill(pid, 9)):
        with tftp_site() as at:
            pid = serving(at)
            disturb(pid)
        assert gone(pid)
        bind("tftp", *at.server).close()
    with tftp_site() as at:  # at once: it may not even have started
        pass
    bind("tftp", *at.server).close()


def test_transfers_under_way_are_written_down_at_the_end() -> None:
    with tftp_site() as at, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(20)
        sock.sendto(b"\0\1x\0octet\0", at.server)
        _, tid = sock.recvfrom(2048)
        sock.sendto(b"\0\4\0\1", tid)
        sock.recv(2048)
    assert at.log == [("127.0.0.1", "x", 499, 512, "")]


PARENT = """
import sys, time
from tests.support.tftp_site import tftp_site
with tftp_site(command=eval(sys.argv[1])) as at:
    while at.tftp.pid is None or not at.tftp._child.spoken:
        time.sleep(0.01)
    print(at.tftp.pid, at.server[1], flush=True)
    time.sleep(120)
"""

DEAF = """
import sys, time
from providers.boot import pair, tftpd
def serve(sock, *_):
    pair.send(sock, pair.Beat())
    time.sleep(120)
tftpd.serve = serve
tftpd.main(sys.argv[1:])
"""


@pytest.mark.parametrize(("command", "stopped"), [((), False), ((), True), ((sys.executable, "-c", DEAF), False)])
def test_a_killed_parent_leaves_no_process_and_no_port(command: tuple[str, ...], stopped: bool) -> None:
    """Not even where the process is stopped, or no longer looks at the pair."""
    with subprocess.Popen([sys.executable, "-c", PARENT, repr(command)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid, port = (int(word) for word in parent.stdout.readline().split())
        if stopped:
            os.kill(pid, signal.SIGSTOP)
        parent.kill()
    until(lambda: gone(pid))
    until(lambda: free(port))


def free(port: int) -> bool:
    try:
        bind("tftp", "127.0.0.1", port).close()
    except Exception:
        return False
    return True


def test_a_parent_that_died_at_once_leaves_nothing() -> None:
    """The pair's end reaches a process that has not even finished starting."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with bind("tftp", "127.0.0.1", 0) as sock:
        command = [sys.executable, "-m", "providers.boot.tftpd", str(theirs.fileno()), str(os.getpid()), "{}",
                   str(sock.fileno())]
        with subprocess.Popen(command, pass_fds=(theirs.fileno(), sock.fileno())) as process:
            theirs.close()
            ours.close()
            assert process.wait(30) == 0


def test_a_terminals_signals_are_not_for_it() -> None:
    with tftp_site() as at:
        pid = serving(at)
        assert os.getpgid(pid) == pid
        assert os.getsid(pid) == os.getsid(0)
        for number in (signal.SIGINT, signal.SIGHUP):
            os.kill(pid, number)
        assert serving(at) == pid


def test_it_inherits_nothing_but_its_sockets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESX_ROOT_PASSWORD", "not for helpers")
    with open(tmp_path / "lock", "w") as lock, tftp_site() as at:
        os.set_inheritable(lock.fileno(), True)
        pid = serving(at)
        kinds = sorted(os.readlink(f"/proc/{pid}/fd/{name}").split(":")[0] for name in os.listdir(f"/proc/{pid}/fd"))
        assert kinds == ["/dev/null", "/dev/null", "/memfd", "anon_inode", "socket", "socket"]
        assert b"not for helpers" not in Path(f"/proc/{pid}/environ").read_bytes()
        assert os.readlink(f"/proc/{pid}/cwd") == "/"
        status = Path(f"/proc/{pid}/status").read_text()
        assert "NoNewPrivs:\t1" in status


def test_it_loads_little() -> None:
    heavy = ("aiohttp", "cryptography", "asyncio", "pyVmomi", "yaml", "providers.midwife", "providers.boot.tree")
    code = f"import sys, providers.boot.tftpd; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_a_folder_with_modules_of_the_same_names_is_not_imported_from(tmp_path: Path,
                                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("selectors", "msgspec", "tftpy", "providers"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported from the working folder')")
    monkeypatch.chdir(tmp_path)
    with tftp_site() as at:
        assert tftp_fetch(*at.server, "x") == CONTENT


def test_the_usual_port_is_bound_by_root_and_served_by_nobody() -> None:
    root = os.geteuid() == 0
    usual = ("127.0.0.69", 69)  # an address that nobody else has servers on
    if not root and int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) > 69:
        with pytest.raises(FleetError, match="Permission denied") as caught:
            bind("tftp", *usual)
        assert "need root" in caught.value.diagnostics[0].remedy
        return
    with tftp_site(host=usual[0], port=usual[1]) as at:
        pid = serving(at)
        assert at.server == ("127.0.0.69", 69)
        lines = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        if root:
            assert set(lines["Uid"].split()) == {"65534"}
            assert set(lines["Gid"].split()) == {"65534"}
            assert lines["Groups"].split() == []
        assert int(lines["CapEff"], 16) == int(lines["CapPrm"], 16) == 0
        os.kill(pid, signal.SIGKILL)  # and another one can be started for the port
        until(lambda: at.tftp.pid not in (pid, None))
        assert serving(at) != pid


def test_ipv6_is_served_as_ipv4_is() -> None:
    need_ipv6()
    with tftp_site(host="::1") as at:
        outcome = read_all(at.server, "x", 4, window=4)
        assert outcome.digests == {at.digest}
        until(lambda: at.tftp.active == 0)
        assert [entry[0] for entry in at.log] == ["::1"] * 4
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.settimeout(20)
            sock.sendto(b"\0\2x\0octet\0", at.server)
            assert sock.recv(512)[:4] == b"\0\5\0\2"


def test_a_parent_that_is_slow_to_answer_costs_a_retry() -> None:
    slow = threading.Event()

    def find(name: str, _client: str) -> None:
        if name == "slow":
            slow.wait(20)

    with tftp_site(find=find) as at, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(20)
        sock.sendto(b"\0\1quick\0octet\0", at.server)
        assert sock.recv(512)[:4] == b"\0\5\0\1"
        pid = at.tftp.pid
        sock.sendto(b"\0\1slow\0octet\0", at.server)
        time.sleep(0.3)
        sock.sendto(b"\0\2write\0octet\0", at.server)  # the process goes on meanwhile
        assert sock.recv(512)[:4] == b"\0\5\0\2"
        slow.set()
        assert struct.unpack("!HH", sock.recv(512)[:4]) == (5, 1)
        assert at.tftp.pid == pid
