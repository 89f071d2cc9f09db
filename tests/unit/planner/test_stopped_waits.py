"""A soft stop ends waits: no failure, nothing undone by itself, and a resumed run waits again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from planner.execute.engine import ApplyOptions, apply, resume, rollback
from planner.execute.walk import Stop
from planner.model import StepFailed
from planner.ports import Call
from tests.support.lab import Lab, fleet
from tests.support.lab_fleets import FIRST
from tests.support.memory_boot import MemoryBoot


def never_born(monkeypatch: pytest.MonkeyPatch, asked: Callable[[], None]) -> None:
    """The birth does not come; a person asks for a stop meanwhile. A wait hears of it through its call."""
    original = MemoryBoot.run

    def run(session: MemoryBoot, operation: Any, call: Call) -> Any:
        if operation.name != "birth.wait":
            assert not call.stop.is_set(), "only waits end at a soft stop"
            return original(session, operation, call)
        asked()
        assert call.stop.is_set()
        raise StepFailed("stopped while waiting for a birth", "no boot file fetched")

    monkeypatch.setattr(MemoryBoot, "run", run)


@pytest.mark.parametrize("ending", [resume, rollback])
def test_a_wait_that_was_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: Any) -> None:
    lab = Lab(tmp_path)
    opened, stop = lab.open(fleet(FIRST)), Stop()
    plan = opened.plan()
    with monkeypatch.context() as patched:
        never_born(patched, stop.soft.set)
        engine = replace(opened.engine(), stop=stop)
        outcome = apply(engine, plan, ApplyOptions("rollback"), dict(plan.image_digests))
    assert (outcome.exit_code, outcome.failures) == (3, ())
    kinds = [r["kind"] for r in opened.store.records(outcome.run)]
    assert "rollback" not in kinds
    assert kinds[-2:] == ["stopped", "end"]
    opened = lab.open(fleet(FIRST))
    assert ending(opened.engine()).exit_code == 0
    if ending is resume:
        assert opened.plan().empty
    else:
        assert opened.dump()["inventory"] == {}
