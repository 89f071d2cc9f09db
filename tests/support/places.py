"""Where tests keep files that need not survive a power cut."""

from __future__ import annotations

import fcntl
import os
import pickle
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


@contextmanager
def quick_folder() -> Iterator[Path]:
    """A new folder, in memory where the machine offers that: thousands of examples would wait for fsync otherwise."""
    memory = Path("/dev/shm")
    parent = memory if memory.is_dir() and os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        yield Path(folder)


def session_folder(base: Path) -> Path:
    """A folder that all workers of one run share. `base`: `tmp_path_factory.getbasetemp()`."""
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Alone, among all processes that lock this file."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


SHARED = "FLEET_TEST_SESSION"
"""Environment variable: the run's folder (session_folder). Set by tests/conftest.py."""


def once(name: str, make: Callable[[Path], T]) -> T:
    """What `make` returned for the first worker that asked: others read it.

    `make` gets a folder of its own, that stays until the end of the run.
    """
    folder = Path(os.environ[SHARED])
    with locked(folder / f"{name}.lock"):
        kept = folder / f"{name}.pickle"
        if not kept.exists():
            place = folder / name
            place.mkdir(exist_ok=True)
            kept.write_bytes(pickle.dumps(make(place)))
        found: T = pickle.loads(kept.read_bytes())
        return found
