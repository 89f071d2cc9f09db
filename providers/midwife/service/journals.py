"""What the journals of this site's fleets say of each host: runs of runners elsewhere, and restores of our own.

Both are files below `fleets/NAME/runs/`, so both are followed as they grow. A look costs one stat for each run that is
followed, and the bytes that were appended since the last one. What is damaged or torn says nothing here:
`fleet state verify` is who tells.
"""

from __future__ import annotations

import os
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec

from providers.midwife.progress import Note, RunProgress

RUNS = 16
"""Runs of a fleet that are followed: the newest. Of older ones it is remembered what they reached while followed."""

AT_FIRST = 32 << 20
"""Bytes of a fleet's journals that are read when they are first looked at, of the newest runs; one run always is."""

BATCH = 4 << 20
"""Bytes of a journal that are read at a time."""

PLAN = 64 << 20
"""Bytes, decompressed, of a plan that is looked into."""

FRESH_SECONDS = 0.5
"""However many hosts are asked for, the files are looked at once in that time."""

SETTLED = ("applied", "rolled-back", "abandoned")
"""Ends of a run after which nobody need see to what went wrong in it."""

GZIP = b"\x1f\x8b"
TICK_NS = 1_000_000_000


class _Step(msgspec.Struct):
    id: str
    address: str
    operation: str


class _Plan(msgspec.Struct):
    steps: list[_Step]


class _Record(msgspec.Struct):
    """Of a journal's line (state/records.py), what matters here."""

    kind: str = ""
    step: str = ""
    time: str = ""
    error: str = ""
    outcome: str = ""


_plan = msgspec.json.Decoder(_Plan)
_record = msgspec.json.Decoder(_Record)


class _Followed:
    """One run's journal, from where it was read to."""

    def __init__(self, path: Path, progress: RunProgress) -> None:
        self._path, self.progress = path, progress
        self._read = 0

    def follow(self) -> None:
        """Raises OSError."""
        size = self._path.stat().st_size
        if size < self._read:
            return  # a torn tail was cut off, which was not read; or records that are gone for good
        with self._path.open("rb") as file:
            while self._read < size:
                file.seek(self._read)
                data = file.read(BATCH)
                whole = data.rfind(b"\n") + 1
                if not whole:
                    return  # in the middle of being written
                for line in data[:whole].splitlines():
                    self._note(line)
                self._read += whole

    def _note(self, line: bytes) -> None:
        try:
            found = _record.decode(line)
        except msgspec.DecodeError:
            return
        if found.kind != "end" or found.outcome in SETTLED:
            self.progress(Note(found.kind, found.step, _micros(found.time), found.error))


class _Fleet:
    """The runs of one fleet, oldest first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._listed = -1
        self._seen: set[str] = set()
        self._runs: dict[str, _Followed] = {}
        self._before: dict[str, dict[str, str]] = {}  # what runs reached that are followed no longer

    def follow(self) -> None:
        """Raises OSError."""
        try:
            changed = self._folder.stat().st_mtime_ns
        except FileNotFoundError:
            return  # nothing was applied yet
        if changed != self._listed:
            self._list()
            if time.time_ns() - changed > TICK_NS:  # else more may come within the clock's tick
                self._listed = changed
        for run in self._runs.values():
            run.follow()

    def _list(self) -> None:
        first = not self._seen
        names = sorted(name.removesuffix(".jsonl") for name in os.listdir(self._folder) if name.endswith(".jsonl"))
        fresh = [name for name in names[-RUNS:] if name not in self._seen]
        if first:
            fresh = self._affordable(fresh)
        self._seen = set(names)
        for name in fresh:
            steps = _steps(self._folder / f"{name}.plan")
            self._runs[name] = _Followed(self._folder / f"{name}.jsonl", RunProgress(steps, *_operations()))
        for name in sorted(self._runs)[:-RUNS]:
            self._leave(self._runs.pop(name))
        self._runs = dict(sorted(self._runs.items()))

    def _affordable(self, names: list[str]) -> list[str]:
        left, found = AT_FIRST, list[str]()
        for name in reversed(names):
            left -= (self._folder / f"{name}.jsonl").stat().st_size
            if left < 0 and found:
                break
            found.append(name)
        return found[::-1]

    def _leave(self, run: _Followed) -> None:
        run.follow()
        for host in run.progress.hosts():
            _later(self._before.setdefault(host, {}), run.progress.reached(host))

    def reached(self, host: str) -> Mapping[str, str]:
        found = dict(self._before.get(host, {}))
        for run in self._runs.values():
            _later(found, run.progress.reached(host))
        return found

    def problem(self, host: str) -> str:
        """Of the newest run that had to do with it."""
        for run in reversed(self._runs.values()):
            if run.progress.reached(host) or run.progress.problem(host):
                return run.progress.problem(host)
        return ""


class Journals:
    """`view.RunView` for the site's page; hosts are asked for as `NAME ADDRESS`. Thread-safe, no I/O until asked.

    `fleets`: the folder that has one of each fleet. `now`: seconds that never go back.
    """

    def __init__(self, fleets: Path, now: Callable[[], float] = time.monotonic) -> None:
        self._folder, self._now = fleets, now
        self._lock = threading.Lock()
        self._fleets: dict[str, tuple[_Fleet, float]] = {}

    def reached(self, host: str) -> Mapping[str, str]:
        name, _, address = host.partition(" ")
        with self._lock:
            return self._of(name).reached(address)

    def problem(self, host: str) -> str:
        name, _, address = host.partition(" ")
        with self._lock:
            return self._of(name).problem(address)

    def _of(self, name: str) -> _Fleet:
        fleet, looked = self._fleets.get(name) or (_Fleet(self._folder / name / "runs"), -FRESH_SECONDS)
        now = self._now()
        if now - looked >= FRESH_SECONDS:
            fleet.follow()
            self._fleets[name] = fleet, now
        return fleet


def _steps(path: Path) -> dict[str, tuple[str, str]]:
    """Step → (its host's address, operation); none where the plan cannot be read, which says no more than that."""
    try:
        data = path.read_bytes()
        if data.startswith(GZIP):
            data = zlib.decompressobj(wbits=31).decompress(data, PLAN)
        found = _plan.decode(data)
    except (OSError, zlib.error, msgspec.DecodeError):
        return {}
    names: dict[str, str] = {}
    return {step.id: (names.setdefault(root, root), step.operation)
            for step in found.steps if (root := _root(step.address))}


def _root(address: str) -> str:
    from planner.model import Address

    try:
        return str(Address.parse(address).root)
    except ValueError:
        return ""


def _operations() -> tuple[Iterable[str], Iterable[str]]:
    """Operations that start a machine; those after which vCenter has a newborn."""
    from providers.power import provider as power
    from providers.vsphere import provider as vsphere

    every = [operation for kind in vsphere.types() for operation in kind.operations]
    return ({o.name for o in power.operations()} | {o.name for o in every if o.birth == "restart"},
            {o.name for o in every if o.birth == "taken"})


def _later(into: dict[str, str], found: Mapping[str, str]) -> None:
    for stage, at in found.items():
        into[stage] = max(at, into.get(stage, ""))


def _micros(time: str) -> str:
    """A journal's milliseconds as the inbox and the access log write times: they are compared as text."""
    return f"{time[:-1]}000+00:00" if len(time) == 24 and time.endswith("Z") else time
