"""Builds the Go programs that tests are held against: VMware's simulator, and govc."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.places import locked

SOURCES = ("main.go", "go.mod", "go.sum")
CACHE = Path(__file__).resolve().parents[2] / ".cache"


def demanded(source: Path) -> tuple[int, ...]:
    """The Go version that a folder's go.mod asks for."""
    for line in (source / "go.mod").read_text().splitlines():
        if line.startswith("go "):
            return version(line.removeprefix("go "))
    raise AssertionError(f"{source.name}/go.mod names no Go version")


def version(text: str) -> tuple[int, ...]:
    """`go1.26.8` → (1, 26, 8); a release candidate counts as its release."""
    numbers = text.strip().removeprefix("go").split("rc")[0].split("-")[0].split(".")
    return tuple(int(number) for number in numbers if number.isdigit())


def unavailable(source: Path, go: str | None, env: Mapping[str, str]) -> str:
    """Why a program cannot be built here; "" where it can. Without a network it needs Go's module cache."""
    name, need = source.name, ".".join(map(str, demanded(source)))
    if go is None:
        return f"{name} needs Go {need}, and there is no go on PATH"
    found = _go(source, go, env, "env", "GOVERSION")
    if found.returncode != 0:
        return f"{name} needs Go {need}, and `go env` fails: {found.stderr.strip()}"
    if version(found.stdout) < demanded(source):
        return f"{name} needs Go {need}, and the go on PATH is {found.stdout.strip()}"
    fetched = _go(source, go, env, "mod", "download")
    if fetched.returncode != 0:
        return f"{name}'s Go modules cannot be fetched: {fetched.stderr.strip()}"
    return ""


def environment(cache: Path) -> dict[str, str]:
    """For `go`: nothing downloaded but modules, no C compiler, and caches of our own where HOME has none."""
    env = {**os.environ, "GOTOOLCHAIN": "local", "GOWORK": "off", "CGO_ENABLED": "0",
           "GOFLAGS": "-buildvcs=false -modcacherw"}
    home = Path(env.get("HOME") or "/nonexistent")
    if not os.access(home, os.W_OK):
        env.setdefault("GOCACHE", str(cache / "go-build"))
        env.setdefault("GOPATH", str(cache / "go"))
    return env


def _go(source: Path, go: str, env: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([go, *arguments], cwd=source, env=env, capture_output=True, text=True, check=False)


def build(source: Path, cache: Path = CACHE) -> Path:
    """The binary of a folder's main.go, built once for these sources. Skips the test where Go cannot build it."""
    digest = hashlib.sha256(b"\0".join((source / name).read_bytes() for name in SOURCES)).hexdigest()[:16]
    binary = cache / source.name / digest / source.name
    binary.parent.mkdir(parents=True, exist_ok=True)
    with locked(binary.parent / "lock"):  # the other worker builds it, or waits here
        if not binary.exists():
            go, env = shutil.which("go"), environment(cache / "vcsim")
            if reason := unavailable(source, go, env):
                pytest.skip(reason)
            assert go is not None
            built = _go(source, go, env, "build", "-trimpath", "-ldflags", "-s -w", "-o", f"{binary}.new", ".")
            assert built.returncode == 0, f"building {source.name} failed:\n{built.stderr}"
            os.replace(f"{binary}.new", binary)
    return binary
