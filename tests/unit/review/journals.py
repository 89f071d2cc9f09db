"""Journals of the plan `plans.day`: one that stopped part-way, and the same one rolled back."""

from __future__ import annotations

from typing import Any

WHO = {"who": "alice", "host": "ws1", "reason": "CHG-4711 | MTU", "job": "https://ci.example/jobs/1"}


def _at(second: int, kind: str, step: str = "", **more: Any) -> dict[str, Any]:
    record = {"n": second, "time": f"2026-11-22T15:00:{second:02}.000Z", "kind": kind, **more}
    return {**record, "step": step} if step else record


def stopped() -> list[dict[str, Any]]:
    one = 'host.esx["esx01"]'
    return [
        _at(0, "head", run="20261122T150000Z-abc123", fleet="lab", plan="ab" * 32, mode="apply", **WHO),
        _at(1, "begin", "s0001", operation="vswitch.update", address=f"{one}.vswitch.vSwitch0"),
        _at(3, "readback", "s0001", found="before"),
        _at(4, "done", "s0001", facts={}),
        _at(5, "skipped", "s0003", guard="not-connected"),
        _at(6, "begin", "s0004", operation="vswitch.add", address='host.esx["esx02"].vswitch.vSwitch1'),
        _at(7, "failed", "s0004", error="vmnic1 is in use: by vSwitch7", remedy="release it", effect="none"),
        _at(8, "begin", "s0002", operation="portgroup.remove", address=f'{one}.portgroup["Backup | old"]'),
        _at(9, "end", outcome="incomplete"),
    ]


def rolled_back() -> list[dict[str, Any]]:
    return [
        *stopped(),
        _at(10, "rollback", who="bob", host="ws2", reason="", job=""),
        _at(11, "readback", "s0002", found="before"),
        _at(12, "undone", "s0002", effect="none"),
        _at(13, "undoing", "s0001", operation="vswitch.update"),
        _at(14, "undone", "s0001"),
        _at(15, "end", outcome="rolled-back"),
    ]
