"""What one process costs, from exec to exit: CPU time, peak memory, and never wall time (the machine is shared)."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TOLERANCE = 1.5
"""A benchmark fails above this multiple of its target."""


@dataclass(frozen=True, slots=True)
class Cost:
    """`cpu` in seconds (user + system, of all its waited-for children too), `memory` in MB (peak resident set)."""

    cpu: float
    memory: float


@dataclass(frozen=True, slots=True)
class Growth:
    """The work at two sizes; its cost may grow as size to the power of `limit`."""

    small: int
    large: int
    limit: float = 1.1


@dataclass(frozen=True, slots=True)
class Reading:
    """A further figure of a work, that its command wrote down: the least of `repeats` runs counts."""

    measure: str
    value: float
    target: float
    unit: str


@dataclass(frozen=True, slots=True)
class Work:
    """One row of the table. `prepare` writes what `command` works on into a folder; only `command` is measured."""

    name: str
    title: str
    size: int
    cpu: float
    command: Callable[[Path, int], Sequence[str]]
    prepare: Callable[[Path, int], None] = lambda _folder, _size: None
    memory: float | None = None
    growth: Growth | None = None
    repeats: int = 3  # the cheapest counts: a busy machine only ever adds
    peer: Callable[[Path, int], Cost] | None = None
    readings: Callable[[Path], Sequence[Reading]] = lambda _folder: ()


class Failed(Exception):
    """The measured command did not do its work."""


def cost_of(command: Sequence[str], folder: Path, env: Mapping[str, str] | None = None, expected: int = 0) -> Cost:
    """Run a command in `folder`. Raises Failed when its exit code is another than `expected`."""
    with (folder / "output").open("w+b") as output:
        process = subprocess.Popen(command, cwd=folder, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL,
                                   stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != expected:
            output.seek(0)
            tail = output.read()[-3000:].decode(errors="replace")
            raise Failed(f"{' '.join(command)} ended with {process.returncode}:\n{tail}")
    return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


class Bench:
    """Measures works in a folder of its own; what two works prepare alike is prepared once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._prepared: dict[tuple[object, int], Path] = {}
        self.readings: dict[str, list[Reading]] = {}  # work → the least of each

    def _copy(self, work: Work, size: int) -> Path:
        key = (work.prepare, size)
        if key not in self._prepared:
            original = self.folder / f"prepared-{len(self._prepared)}"
            original.mkdir()
            work.prepare(original, size)
            self._prepared[key] = original
        # Absolute paths may be part of what was prepared, so it is restored in place, not moved.
        original, kept = self._prepared[key], Path(f"{self._prepared[key]}.kept")
        if not kept.exists():
            shutil.copytree(original, kept)
        shutil.rmtree(original)
        shutil.copytree(kept, original)
        return original

    def cheapest(self, work: Work, size: int) -> Cost:
        """The least CPU time and the least memory of `repeats` runs, each on what was prepared."""
        costs = []
        for _ in range(work.repeats):
            folder = self._copy(work, size)
            costs.append(cost_of(work.command(folder, size), folder))
            read = list(work.readings(folder))
            before = self.readings.get(work.name, read)
            self.readings[work.name] = [min(pair, key=lambda r: r.value) for pair in zip(before, read, strict=True)]
        return Cost(min(c.cpu for c in costs), min(c.memory for c in costs))

    def growth(self, work: Work, growth: Growth) -> float:
        base, small, large = (self.cheapest(work, size).cpu for size in (1, growth.small, growth.large))
        return exponent(base, small, large, growth.large / growth.small)


def exponent(base: float, small: float, large: float, ratio: float) -> float:
    """e in `cost = base + c · size^e`, from the costs at two sizes; `base` is what the smallest input costs."""
    return math.log(max(large - base, 1e-3) / max(small - base, 1e-3)) / math.log(ratio)


def times_the_limit(growth: Growth, found: float) -> float:
    """How many times dearer the large size is than growth at the limit would make it."""
    return float((growth.large / growth.small) ** (found - growth.limit))
