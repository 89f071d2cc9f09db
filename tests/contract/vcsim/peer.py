"""Builds and starts VMware's simulator for a test (see main.go beside this file)."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.contract import gobuild

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Vcsim:
    """A running simulator. `thumbprint` is its certificate's SHA-256 (AA:BB:…), `certificate` the PEM text."""

    url: str
    user: str
    password: str
    thumbprint: str
    certificate: str
    instance: str
    pid: int

    @property
    def server(self) -> str:
        return urlsplit(self.url).netloc


def build() -> Path:
    """The simulator's binary, built once. Skips the test where Go cannot build it."""
    return gobuild.build(HERE)


@contextmanager
def running(binary: Path, **flags: str | int) -> Iterator[Vcsim]:
    """A simulator of its own. It ends when its standard input closes, so it cannot outlive the test."""
    arguments = [f"-{name.replace('_', '-')}={value}" for name, value in flags.items()]
    with subprocess.Popen([binary, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            ready: dict[str, Any] = json.loads(process.stdout.readline())
            yield Vcsim(**ready, pid=process.pid)
        finally:
            process.stdin.close()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
