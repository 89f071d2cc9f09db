"""Builds and starts VMware's simulator for a test (see main.go beside this file)."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

HERE = Path(__file__).parent
SOURCES = ("main.go", "go.mod", "go.sum")
CACHE = HERE.parents[2] / ".cache" / "vcsim"


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


def demanded() -> tuple[int, ...]:
    """The Go version that go.mod asks for."""
    for line in (HERE / "go.mod").read_text().splitlines():
        if line.startswith("go "):
            return version(line.removeprefix("go "))
    raise AssertionError("tests/contract/vcsim/go.mod names no Go version")


def version(text: str) -> tuple[int, ...]:
    """`go1.26.8` → (1, 26, 8); a release candidate counts as its release."""
    numbers = text.strip().removeprefix("go").split("rc")[0].split("-")[0].split(".")
    return tuple(int(number) for number in numbers if number.isdigit())


def unavailable(go: str | None, env: Mapping[str, str]) -> str:
    """Why the simulator cannot be built here; "" where it can. Without a network it needs Go's module cache."""
    need = ".".join(map(str, demanded()))
    if go is None:
        return f"vcsim needs Go {need}, and there is no go on PATH"
    found = _go(go, env, "env", "GOVERSION")
    if found.returncode != 0:
        return f"vcsim needs Go {need}, and `go env` fails: {found.stderr.strip()}"
    if version(found.stdout) < demanded():
        return f"vcsim needs Go {need}, and the go on PATH is {found.stdout.strip()}"
    fetched = _go(go, env, "mod", "download")
    if fetched.returncode != 0:
        return f"vcsim's Go modules cannot be fetched: {fetched.stderr.strip()}"
    return ""


def environment() -> dict[str, str]:
    """For `go`: nothing downloaded but modules, no C compiler, and caches of our own where HOME has none."""
    env = {**os.environ, "GOTOOLCHAIN": "local", "GOWORK": "off", "CGO_ENABLED": "0",
           "GOFLAGS": "-buildvcs=false -modcacherw"}
    home = Path(env.get("HOME") or "/nonexistent")
    if not os.access(home, os.W_OK):
        env.setdefault("GOCACHE", str(CACHE / "go-build"))
        env.setdefault("GOPATH", str(CACHE / "go"))
    return env


def _go(go: str, env: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([go, *arguments], cwd=HERE, env=env, capture_output=True, text=True, check=False)


def build() -> Path:
    """The simulator's binary, built once for these sources. Skips the test where Go cannot build it."""
    digest = hashlib.sha256(b"\0".join((HERE / name).read_bytes() for name in SOURCES)).hexdigest()[:16]
    binary = CACHE / digest / "vcsim"
    binary.parent.mkdir(parents=True, exist_ok=True)
    with (binary.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the other worker builds it, or waits here
        if not binary.exists():
            go, env = shutil.which("go"), environment()
            if reason := unavailable(go, env):
                pytest.skip(reason)
            assert go is not None
            built = _go(go, env, "build", "-trimpath", "-ldflags", "-s -w", "-o", f"{binary}.new", ".")
            assert built.returncode == 0, f"building vcsim failed:\n{built.stderr}"
            os.replace(f"{binary}.new", binary)
    return binary


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
