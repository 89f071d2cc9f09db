"""One midwife per folder: a lock that ends with its process, and says whose it is."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from pathlib import Path

from planner.model import Diagnostic, Locked
from providers.midwife.desk import iso


class Holding:
    """The lock of a folder. The kernel lets go of it when the process ends, however that ends."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "lock"
        self._descriptor = -1

    def take(self, now: float, where: str) -> None:
        """`where`: the API's address, for whoever comes second. Raises Locked, OSError."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Locked(Diagnostic(
                "error", "a midwife runs in this folder already", f"{self._path.parent}: {self._who(descriptor)}",
                remedy="stop that one first, or take another --folder")) from None
        except BaseException:
            os.close(descriptor)
            raise
        note = {"pid": os.getpid(), "host": socket.gethostname(), "since": iso(now)[:19] + "Z", "api": where}
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(note).encode(), 0)
        self._descriptor = descriptor

    @staticmethod
    def _who(descriptor: int) -> str:
        try:
            note = json.loads(os.pread(descriptor, 4096, 0))
            return f"process {note['pid']} on {note['host']} since {note['since']}, API at {note['api']}"
        except (ValueError, KeyError, TypeError):
            return "by a process that left no name"
        finally:
            os.close(descriptor)

    def release(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
