"""The birth listener as a service: killed in a storm, on a full disk, under a flood from one address."""

from __future__ import annotations

import random
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from providers.midwife.inbox import Inbox
from providers.midwife.room import Limits
from tests.support.birth_server import serving
from tests.support.birth_storm import Host, client_context, hosts, post, stage

SECONDS = 120.0
"""Only what hangs takes that long."""


class Server:
    """The listener in a process of its own, started again and again on one port."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, 0

    def start(self) -> subprocess.Popen[str]:
        process = subprocess.Popen([sys.executable, "-m", "tests.support.birth_server", str(self.folder),
                                    str(self.port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        self.port = int(process.stdout.readline())
        return process


def end(process: subprocess.Popen[str], number: int = 0) -> int:
    if number:
        process.send_signal(number)
    for stream in (process.stdin, process.stdout):
        assert stream is not None
        stream.close()
    return process.wait(SECONDS)


class Storm:
    """Threads that post births until each is accepted, as hosts do: the same bytes again on silence and on 5xx."""

    def __init__(self, server: Server, everyone: Sequence[Host]) -> None:
        self._server, self._waiting, self._lock = server, iter(everyone), threading.Lock()
        self.acknowledged: dict[str, int] = {}
        self.silences = 0
        self.others: Counter[int] = Counter()
        self._threads = [threading.Thread(target=self._run) for _ in range(6)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        context = client_context()
        while True:
            with self._lock:
                host = next(self._waiting, None)
            if host is None:
                return
            body, until = host.body(time.time()), time.monotonic() + SECONDS
            while time.monotonic() < until:
                try:
                    status = post(context, ("127.0.0.1", self._server.port), host.address, body)
                except OSError:
                    self.silences += 1
                    time.sleep(0.01)
                    continue
                if status in (200, 201):
                    self.acknowledged[host.mac] = status
                    break
                self.others[status] += 1
                if status < 500:
                    break

    @property
    def over(self) -> bool:
        return not any(thread.is_alive() for thread in self._threads)

    def join(self) -> None:
        for thread in self._threads:
            thread.join(SECONDS)
        assert self.over


@pytest.mark.slow
def test_20_kills_in_a_boot_storm_lose_no_acknowledged_birth(tmp_path: Path) -> None:
    stage(tmp_path, 1200)
    server, delays, kills = Server(tmp_path), random.Random(7), 0
    process = server.start()
    storm = Storm(server, list(hosts(tmp_path)))
    while kills < 20 and not storm.over:
        before = len(storm.acknowledged)
        while len(storm.acknowledged) == before and not storm.over:
            time.sleep(0.001)  # it is up and at work
        time.sleep(delays.uniform(0.0, 0.05))
        assert end(process, signal.SIGKILL) == -signal.SIGKILL
        kills += 1
        written = {mac for mac, _ in Inbox(tmp_path / "midwife").macs()}
        assert storm.acknowledged.keys() - written == set()
        process = server.start()
    assert kills == 20
    storm.join()
    assert end(process) == 0
    assert len(storm.acknowledged) == 1200
    assert storm.others == {}
    assert storm.silences > 0
    births = [str(birth["mac"]) for birth in Inbox(tmp_path / "midwife")]
    assert sorted(births) == sorted(storm.acknowledged)  # each once, however often it was posted


def test_on_a_full_disk_births_are_repeated_until_there_is_room(tmp_path: Path) -> None:
    stage(tmp_path, 40)
    server = Server(tmp_path)
    process = server.start()
    everyone = list(hosts(tmp_path))
    context = client_context()
    try:
        assert post(context, ("127.0.0.1", server.port), "127.0.0.1", everyone[0].body(time.time())) == 201
        log = (tmp_path / "midwife" / "births.db-wal").stat().st_size
        unlimited = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (log + 1000, unlimited[1]))  # no file can grow further
        storm = Storm(server, everyone[1:])
        while storm.others[503] < 30:
            assert not storm.over
            time.sleep(0.01)
        assert storm.acknowledged == {}
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, unlimited)
        storm.join()
    finally:
        end(process)
    assert len(storm.acknowledged) == 39
    assert set(storm.others) == {503}
    assert len(list(Inbox(tmp_path / "midwife"))) == 40


@pytest.fixture
def everyone(tmp_path: Path) -> list[Host]:
    stage(tmp_path, 30)
    return list(hosts(tmp_path))


def ask(port: int, host: Host, source: str, key: str = "") -> int:
    """The reply's status; 0: reset, or closed without one."""
    try:
        return post(client_context(), ("127.0.0.1", port), source, host.body(time.time(), key))
    except OSError:
        return 0


def test_an_address_that_asks_too_often_is_reset_and_others_are_born(tmp_path: Path, everyone: list[Host]) -> None:
    limits = Limits(rate=0.001, burst=10)
    with serving(tmp_path, limits=limits) as (port, listener):
        assert [ask(port, host, "127.6.6.6") for host in everyone[:12]] == [201] * 10 + [0] * 2
        assert ask(port, everyone[20], "127.0.0.9") == 201
        assert listener.limited == 2


def test_forgeries_use_an_address_up_sooner(tmp_path: Path, everyone: list[Host]) -> None:
    limits = Limits(rate=0.001, burst=13, refused_cost=5)
    with serving(tmp_path, limits=limits) as (port, _):
        replies = [ask(port, everyone[0], "127.6.6.6", "ff" * 32) for _ in range(5)]
        assert replies == [401, 401, 401, 0, 0]  # each costs 1 + 5 of 13
        assert ask(port, everyone[0], "127.0.0.9") == 201


def test_the_address_with_the_most_idle_connections_makes_room(tmp_path: Path, everyone: list[Host]) -> None:
    with serving(tmp_path, limits=Limits(connections=50)) as (port, listener):
        quiet = socket.create_connection(("127.0.0.1", port), 20, source_address=("127.0.0.8", 0))
        flood = [socket.create_connection(("127.0.0.1", port), 20, source_address=("127.6.6.6", 0))
                 for _ in range(60)]
        assert ask(port, everyone[0], "127.0.0.9") == 201
        assert listener.dropped >= 11
        quiet.setblocking(False)
        with pytest.raises(BlockingIOError):
            quiet.recv(1)  # it still has its time: only the flood made room
        for sock in (quiet, *flood):
            sock.close()


def test_stopping_answers_what_was_accepted(tmp_path: Path, everyone: list[Host]) -> None:
    replies: list[int] = []
    with serving(tmp_path) as (port, _):
        threads = [threading.Thread(target=lambda h=host: replies.append(ask(port, h, h.address)))
                   for host in everyone]
        for thread in threads:
            thread.start()
        while not replies:
            time.sleep(0.001)
    for thread in threads:
        thread.join(30)
    assert set(replies) <= {201, 0}
    assert replies.count(201) <= len(list(Inbox(tmp_path / "midwife")))
