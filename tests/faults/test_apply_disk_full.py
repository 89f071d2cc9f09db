"""The disk fills up in the middle of an apply: at one write of journal, state, history or plan after the other.

The command ends with 1 (nothing was changed) or 3; with room again `resume` ends right, or `rollback` restores.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

import state.files
import state.journal
from planner.cli.running import Seen
from planner.execute.engine import ApplyOptions, Engine, OnFailure, Outcome, apply, open_run, resume, rollback
from planner.model import FleetError
from tests.faults.kit import Bench, bench, complete, restored, two_hosts, two_hosts_done


class Disk:
    """Everything that the state store writes goes through here; full from the `full_at`-th write on (0: never)."""

    def __init__(self) -> None:
        self.writes = self.full_at = 0
        self.tears = False  # a write that does not fit leaves half of it

    def write(self, descriptor: int, data: bytes) -> None:
        self.writes += 1
        if self.full_at and self.writes >= self.full_at:
            if self.tears:
                os.write(descriptor, data[:len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        original(descriptor, data)


original: Callable[[int, bytes], None] = state.files.write_all


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    found = Disk()
    monkeypatch.setattr(state.files, "write_all", found.write)
    monkeypatch.setattr(state.journal, "write_all", found.write)
    return found


@contextmanager
def filling(disk: Disk, at: int) -> Iterator[None]:
    disk.writes, disk.full_at = 0, at
    try:
        yield
    finally:
        disk.full_at = 0


def ended(engine: Engine, start: Callable[[Engine], Outcome]) -> tuple[int, str]:
    """Exit code and message, as the command line makes them of what the engine returns or raises."""
    seen = Seen()
    try:
        outcome = start(replace(engine, listener=seen))
    except FleetError as error:
        return 3 if seen.steps else error.exit_code, str(error)
    return outcome.exit_code, outcome.message


def applying(here: Bench, on_failure: OnFailure = "stop") -> Callable[[Engine], Outcome]:
    def start(engine: Engine) -> Outcome:
        return apply(engine, here.plan, ApplyOptions(on_failure), dict(here.plan.image_digests))

    return start


def rolls_back(engine: Engine) -> Outcome:
    return rollback(engine)


def finish(here: Bench, name: str, ending: Callable[[Engine], Outcome]) -> None:
    """With room again: what is open is finished or undone; what never began is begun."""
    here.reopen()
    assert [d for d in here.opened.store.verify() if d.severity == "error"] == []
    if open_run(here.opened.store.runs()) is None:
        assert here.made() == []
        here.plan = here.opened.plan()
        assert here.apply().exit_code == 0
        complete(here, name)
        return
    outcome = ending(here.engine())
    assert outcome.exit_code == 0, outcome
    (complete(here, name) if ending is resume else restored(here))


@pytest.mark.parametrize("tears", [False, True])
@pytest.mark.parametrize("ending", [resume, rollback])
@pytest.mark.parametrize("name", ["birth", "move"])
def test_at_every_write_of_an_apply(disk: Disk, name: str, ending: Callable[[Engine], Outcome], tears: bool) -> None:
    disk.tears = tears
    for at in range(1 + tears, 200, 2 if name == "move" else 5):
        with bench(name) as here:
            with filling(disk, at):
                code, message = ended(here.engine(), applying(here))
            try:
                if code == 0:  # all is done and in the journal; where only the last checkpoint is missing it says so
                    assert ("No space left" in message) == (disk.writes >= at)
                    complete(here, name)
                    if disk.writes < at:
                        break
                    continue
                assert code in (1, 3), message
                assert "No space left on device" in message
                if code == 1:
                    assert here.made() == []
                finish(here, name, ending)
            except BaseException as error:
                error.add_note(f"full at write {at}: exit {code}, {message}")
                raise
    else:
        raise AssertionError("it never succeeded")
    assert at > 10


@pytest.mark.parametrize("tears", [False, True])
def test_at_every_write_of_a_rollback(disk: Disk, tears: bool) -> None:
    disk.tears = tears
    for at in range(1 + tears, 200, 2):
        with bench("move") as here:
            assert here.apply().exit_code == 0
            here.reopen()
            with filling(disk, at):
                code, message = ended(here.engine(), rolls_back)
            try:
                if code == 0:
                    assert ("No space left" in message) == (disk.writes >= at)
                else:
                    assert code in (1, 3), message
                    here.reopen()
                    run = open_run(here.opened.store.runs())
                    assert (resume if run else rollback)(here.engine()).exit_code == 0
                restored(here)
            except BaseException as error:
                error.add_note(f"full at write {at}: exit {code}, {message}")
                raise
            if disk.writes < at:
                break
    assert at > 10


@pytest.mark.parametrize("at", [10, 20, 35, 50])
def test_threads_that_run_when_it_fills_up(disk: Disk, at: int) -> None:
    """Calls in flight end; what they did is read back, and made only once."""
    with two_hosts(4) as here:
        with filling(disk, at):
            code, message = ended(here.engine(), applying(here))
        assert code == 3, message
        here.reopen()
        outcome = resume(here.engine())
        assert outcome.exit_code == 0, outcome
        assert here.opened.dump() == two_hosts_done()
        assert sorted(here.made()) == sorted(here.reviewed())


def test_rollback_on_failure_with_a_full_disk_is_3(disk: Disk) -> None:
    with bench("changes") as here:
        here.house.faults.add(kind="fault", method="CreateNasDatastore", fault="vmodl.fault.NotEnoughLicenses")

        def hook(point: str, step: str) -> None:
            if (point, step) == ("before", "s0001") and struck:
                disk.full_at = 1  # while it rolls back
            struck.append(step)

        struck: list[Any] = []
        here.lab.hook = hook
        code, message = ended(here.engine(), applying(here, "rollback"))
        here.lab.hook = lambda _point, _step: None
        disk.full_at = 0
        assert code == 3, message
        here.reopen()
        outcome = resume(here.engine())
        assert outcome.exit_code == 0, outcome
        restored(here)
