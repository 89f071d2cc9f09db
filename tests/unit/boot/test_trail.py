"""The access log: who fetched what, and never more than so many bytes of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from planner.model import Diagnostic
from providers.boot import trail as module
from providers.boot.trail import Trail

ONE, TWO = "52:54:00:00:00:11", "52:54:00:00:00:12"


class Now:
    def __init__(self) -> None:
        self.seconds = 1_700_000_000.0

    def __call__(self) -> float:
        return self.seconds


def lines(folder: Path, name: str = "access.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def test_a_machine_is_known_by_what_it_named_before(tmp_path: Path) -> None:
    now = Now()
    trail = Trail(tmp_path, {ONE: "host.esx.a", TWO: "host.esx.b"}, now, print)
    trail.access("http", "10.0.0.11", "images/abc/k.b00", 200, 5)  # nobody knows yet
    trail.access("tftp", "10.0.0.11", "01-…/boot.cfg", 200, 7, ONE)
    trail.access("http", "10.0.0.11", "images/abc/k.b00", 206, 5)
    trail.access("http", "10.0.0.99", "images/abc/k.b00", 200, 5)
    trail.access("http", "10.0.0.11", "01-…/boot.cfg", 200, 7, TWO)  # behind one address with the other
    trail.access("http", "10.0.0.11", "images/abc/k.b00", 200, 5)
    now.seconds += module.LEASE_SECONDS + 1
    trail.access("http", "10.0.0.11", "01-…/boot.cfg", 200, 7, TWO)  # the address was leased to it since
    trail.access("http", "10.0.0.11", "images/abc/k.b00", 200, 5)
    trail.close()
    assert [(e["mac"], e["by"], e["host"]) for e in lines(tmp_path)] == [
        ("", "", ""), (ONE, "name", "host.esx.a"), (ONE, "address", "host.esx.a"), ("", "", ""),
        (TWO, "name", "host.esx.b"), ("", "", ""), (TWO, "name", "host.esx.b"), (TWO, "address", "host.esx.b")]
    assert lines(tmp_path)[2] == {
        "time": lines(tmp_path)[2]["time"], "via": "http", "from": "10.0.0.11", "mac": ONE, "by": "address",
        "host": "host.esx.a", "path": "images/abc/k.b00", "status": 206, "bytes": 5}


def test_the_log_is_rotated_and_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 2000)
    for _ in range(2):  # a second process goes on where the first one ended
        trail = Trail(tmp_path, {}, Now(), print)
        for number in range(100):
            trail.access("http", "10.0.0.1", f"file-{number:03}", 200, number)
        trail.close()
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["access.1.jsonl", "access.2.jsonl", "access.3.jsonl", "access.jsonl"]
    assert all((tmp_path / name).stat().st_size <= 2000 for name in files)
    kept = [e["path"] for name in ("access.3.jsonl", "access.2.jsonl", "access.1.jsonl", "access.jsonl")
            for e in lines(tmp_path, name)]
    assert kept == [f"file-{number:03}" for number in range(100 - len(kept), 100)]


def test_strangers_do_not_fill_it(tmp_path: Path) -> None:
    trail = Trail(tmp_path, {}, Now(), print)
    for number in range(3000):
        trail.access("tftp", f"10.1.{number // 250}.{number % 250}", "x" * 5000, 404, 0)
    trail.access("tftp", "10.0.0.1", "mboot.efi", 200, 1)
    trail.close()
    found = lines(tmp_path)
    assert len(found) == module.MAX_FAILURES + 1
    assert found[-1]["status"] == 200
    assert len(trail._clients) <= module.MAX_CLIENTS


def test_trouble_is_said_and_belongs_to_every_wait(tmp_path: Path) -> None:
    said: list[str] = []
    trail = Trail(None, {ONE: "host.esx.a"}, Now(), said.append)
    trail.trouble(Diagnostic("error", "the TFTP server does not stay up", "it died", remedy="wait"))
    assert said == ["error: the TFTP server does not stay up: it died; wait"]
    assert trail.reason(ONE) == "no boot file fetched; the TFTP server does not stay up (it died)"
