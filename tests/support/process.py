"""Real `fleet` processes in a folder of their own: run them, read them, kill them in the middle of a run."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from planner.cli.main import main
from state.records import scan

FLEET = (sys.executable, "-m", "planner.cli.main")
SECONDS = 120.0
"""Only a hung process takes that long."""


@dataclass(frozen=True, slots=True)
class Done:
    """A command that ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """The JSON objects on stdout, one a line."""
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass(frozen=True, slots=True)
class Kill:
    """What a SIGKILL hit."""

    run: str
    records: list[dict[str, Any]]  # of the journal, as they were right after the kill
    torn: bool  # the journal ended in a record that was never acknowledged
    said: list[dict[str, Any]]  # whole JSON lines that the process had printed
    ports: list[tuple[str, int, int, int]]  # address, port, family, kind: what it listened on

    def __str__(self) -> str:
        last = self.records[-1]
        words = (last["kind"], last.get("step", ""), last.get("operation", ""), "and a torn tail" if self.torn else "")
        return f"killed after record {last['n']}: {' '.join(word for word in words if word)}"


@dataclass(frozen=True, slots=True)
class Site:
    """A working directory with a fleet in it. `env` is added to the environment of its processes."""

    folder: Path
    fleet: str = "lab"
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def runs(self) -> Path:
        return self.folder / ".fleet" / self.fleet / "runs"

    def copy(self, folder: Path) -> Site:
        shutil.copytree(self.folder, folder)
        return Site(folder, self.fleet, self.env)

    def start(self, *arguments: str, stdout: Any = subprocess.PIPE, stderr: Any = subprocess.PIPE,
              env: Mapping[str, str] | None = None, stdin: Any = subprocess.DEVNULL) -> subprocess.Popen[str]:
        """A process of its own session: whatever it starts can be told by that."""
        return subprocess.Popen([*FLEET, *arguments], cwd=self.folder, env={**os.environ, **self.env, **(env or {})},
                                stdin=stdin, stdout=stdout, stderr=stderr, text=True, start_new_session=True)

    def run(self, *arguments: str, code: int | None = 0, env: Mapping[str, str] | None = None) -> Done:
        """A process, to its end. `code`: the exit code that it must have; None: any."""
        process = self.start(*arguments, env=env)
        try:
            out, err = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise AssertionError(f"fleet {' '.join(arguments)} hangs\n{out}\n{err}") from None
        done = Done(process.returncode, out, err)
        assert code is None or done.code == code, f"fleet {' '.join(arguments)}: {done.code}, not {code}\n{out}\n{err}"
        return done

    def look(self, *arguments: str, code: int = 0) -> Done:
        """A command that only reads, inside of this process: as `run`, and much quicker."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.chdir(self.folder), self._environment(), contextlib.redirect_stdout(out), \
                contextlib.redirect_stderr(err):
            found = main(arguments)
        done = Done(found, out.getvalue(), err.getvalue())
        assert done.code == code, f"fleet {' '.join(arguments)}: {done.code}, not {code}\n{done.out}\n{done.err}"
        return done

    @contextlib.contextmanager
    def _environment(self) -> Iterator[None]:
        before = {name: os.environ.get(name) for name in self.env}
        os.environ.update(self.env)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value

    # --- journals -------------------------------------------------------------------------------------------

    def count(self) -> int:
        """Records in all journals, the one that is being written included."""
        found = 0
        with contextlib.suppress(FileNotFoundError):
            for path in self.runs.glob("*.jsonl"):
                found += path.read_bytes().count(b"\n")
        return found

    def _ended(self) -> bool:
        path = self.newest()
        return path is not None and b'"kind":"end"' in path.read_bytes()[-1000:].rstrip(b"\n").split(b"\n")[-1]

    def _size(self) -> int:
        try:
            with os.scandir(self.runs) as entries:
                return sum(entry.stat().st_size for entry in entries if entry.name.endswith(".jsonl"))
        except FileNotFoundError:
            return 0

    def newest(self) -> Path | None:
        """The journal that was written last."""
        try:
            return max(self.runs.glob("*.jsonl"), key=lambda path: path.stat().st_mtime_ns, default=None)
        except FileNotFoundError:
            return None

    def kill(self, *arguments: str, after: int | None, delay: float = 0.0, ports: bool = False) -> Kill | None:
        """Start a command that journals and kill it `delay` seconds after its `after`-th record (None: its last one).

        None where that missed: it had ended, or its journal was not open. Asserts that nothing of it lives on.
        `ports`: look what it listens on as well (that takes a moment, in which the first records are written).
        """
        before = self.count()
        log = self.folder / "killed.out"
        with log.open("w") as stdout, (self.folder / "killed.err").open("w") as stderr:
            process = self.start(*arguments, "--json", stdout=stdout, stderr=stderr)
            listened, children = self._watch(process, before, after, ports=ports)
            time.sleep(delay)
            process.send_signal(signal.SIGKILL)
            code = process.wait(SECONDS)
        _gone(process.pid, children, listened)
        path = self.newest()
        if code != -signal.SIGKILL or path is None:
            return None
        found = scan(path.read_bytes())
        assert not found.damage, found.damage
        if self.count() == before or not found.records or found.records[-1]["kind"] == "end":
            return None
        assert found.records[0]["kind"] == "head"
        lines = log.read_text().split("\n")[:-1]  # the last one may be cut
        return Kill(path.stem, found.records, bool(found.torn), [json.loads(line) for line in lines], listened)

    def _watch(self, process: subprocess.Popen[str], before: int, after: int | None, *,
               ports: bool) -> tuple[list[tuple[str, int, int, int]], list[psutil.Process]]:
        """Until the journals have grown by `after` records, or the process has ended. What it listens on by then."""
        end, sizes, grown = time.monotonic() + SECONDS, -1, 0
        listened: list[tuple[str, int, int, int]] = []
        children: list[psutil.Process] = []
        while process.poll() is None:
            size = self._size()
            if size != sizes:
                sizes, grown = size, self.count() - before
            if ports and grown:  # they are bound before the first record
                listened, children = _belongings(process.pid)
                ports = False
            if grown and (self._ended() if after is None else grown >= after):
                break
            if time.monotonic() > end:
                process.kill()
                raise AssertionError(f"hangs: {(self.folder / 'killed.err').read_text()}")
            time.sleep(0.0003 if grown else 0.001)
        return listened, children


def _belongings(pid: int) -> tuple[list[tuple[str, int, int, int]], list[psutil.Process]]:
    """Sockets that a process listens on (datagram ones: that it has bound), and its children."""
    try:
        process = psutil.Process(pid)
        first = _listening(process.net_connections(kind="inet"))
        time.sleep(0.05)  # a machine of the twin that just asks by TFTP has bound a datagram socket, too
        again = _listening(process.net_connections(kind="inet"))
        return [each for each in first if each in again], process.children(recursive=True)
    except psutil.NoSuchProcess:
        return [], []


def _listening(sockets: list[Any]) -> list[tuple[str, int, int, int]]:
    return [(s.laddr.ip, s.laddr.port, int(s.family), int(s.type)) for s in sockets
            if s.laddr and s.status in (psutil.CONN_LISTEN, psutil.CONN_NONE)]


def _gone(session: int, children: list[psutil.Process], ports: list[tuple[str, int, int, int]]) -> None:
    """Assert that nothing of a dead process lives on: no process of its session, no child, no socket."""
    end = time.monotonic() + 10
    while alive := [*_of_session(session), *(child for child in children if child.is_running())]:
        assert time.monotonic() < end, f"still alive: {alive}"
        time.sleep(0.01)
    if not ports:
        return
    assert not set(_listening(psutil.net_connections(kind="inet"))).intersection(ports)


def _of_session(session: int) -> list[int]:
    found = []
    for pid in psutil.pids():
        with contextlib.suppress(OSError, psutil.NoSuchProcess):
            if os.getsid(pid) == session and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                found.append(pid)
    return found


def tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file and folder below: when it was written, and its bytes. Equal trees: nobody wrote there.

    SQLite's shared memory (`-shm`) is left out: it counts readers, and holds no data."""
    return {str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
            for path in sorted(folder.rglob("*")) if not path.name.endswith("-shm")}
