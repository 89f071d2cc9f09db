"""Leases: locks that a midwife holds for runners elsewhere. One truth with the lock file of local commands."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from planner.model import FleetError, Locked, Stale
from state.local import LocalStore
from state.records import seal_all
from state.remote_lease import Lease
from state.shelf import Fenced, Room, Shelf
from tests.unit.state.kit import small_state, text_of

A, B = "token-of-runner-a", "token-of-runner-b"


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def shelf(tmp_path: Path, clock: Clock) -> Iterator[Shelf]:
    made = Shelf(tmp_path, clock)
    yield made
    made.close()


@pytest.fixture
def room(shelf: Shelf) -> Room:
    return shelf.room("lab")


def note(who: str = "alice", **more: Any) -> dict[str, Any]:
    return {"who": who, "host": "ci-1", "pid": 7, "purpose": "apply", "reason": "CHG-1", **more}


def local(room: Room) -> LocalStore:
    """As a command on the midwife itself opens it."""
    return LocalStore(room.store.folder, "lab")


def test_a_lease_is_a_lock_for_everybody_else(room: Room) -> None:
    assert room.take(A, note()) == 60
    assert room.take(A, note()) == 60  # its reply was lost: asked again
    with pytest.raises(Locked) as caught:
        room.take(B, note("bob"))
    assert not isinstance(caught.value, Fenced)
    assert "alice@ci-1 (process 7)" in text_of(caught.value)
    assert "for apply: CHG-1" in text_of(caught.value)
    assert "lapses by itself, after 60 s" in text_of(caught.value)
    with pytest.raises(Locked, match="alice@ci-1"), local(room).lock("restore"):
        pass
    assert "alice@ci-1" in local(room).holder()
    room.release(A)
    room.release(A)
    with local(room).lock("restore"), pytest.raises(Locked, match="for restore"):
        room.take(B, note("bob"))
    room.take(B, note("bob"))


@pytest.mark.parametrize("token", ["", "short", "x" * 65, "with space in it ......", "new\nline.............."])
def test_a_token_is_one_word(room: Room, token: str) -> None:
    with pytest.raises(FleetError, match="no token"):
        room.take(token, note())


def test_a_runners_words_stay_on_one_line(room: Room) -> None:
    room.take(A, note("al\x1b[2Jice\nroot", pid="7", reason="x" * 9000, lease={"token": B}))
    assert room.holder().isprintable()
    assert len(room.holder()) < 700
    assert room.check(A) == 60


def test_nothing_is_changed_without_the_token(room: Room) -> None:
    document = room.store.dump(small_state())
    room.take(A, note())
    for token in ("", B):
        for call in (lambda t: room.check(t), lambda t: room.put(t, document, None), lambda t: room.start(t, "r", b""),
                     lambda t: room.reopen(t, "r"), lambda t: room.extend(t, "r", 0, b"\n")):
            with pytest.raises(Fenced, match="alice@ci-1"):
                call(token)
    room.release(B)  # somebody else's is none of its business
    assert room.check(A) == 60
    assert not (room.store.folder / "runs").exists()
    assert room.document() is None


def test_a_lapsed_lease_may_be_taken(room: Room, clock: Clock) -> None:
    room.take(A, note())
    clock.seconds += 59
    room.check(A)  # a sign of life
    clock.seconds += 59
    with pytest.raises(Locked):
        room.take(B, note("bob"))
    clock.seconds += 2
    assert room.holder() == ""
    room.take(B, note("bob"))
    with pytest.raises(Fenced, match="held now by bob@ci-1"):
        room.check(A)
    room.release(B)
    with pytest.raises(Fenced, match="nobody holds it now"):
        room.check(A)


def test_a_lapsed_lease_that_nobody_took_goes_on(room: Room, clock: Clock) -> None:
    room.take(A, note())
    clock.seconds += 3600
    room.sweep()
    assert room.holder() == ""
    assert room.check(A) == 60
    assert "alice" in room.holder()
    clock.seconds += 3600
    room.sweep()
    with local(room).lock("restore"):  # it was let go for local commands, too
        pass
    with pytest.raises(Fenced, match="nobody holds it now"):
        room.check(A)
    with pytest.raises(Fenced):
        room.extend(A, "r1", 0, b"{}\n")


def test_an_ended_lease_does_not_come_back(room: Room) -> None:
    """A request that a slow network delivers after everything is over."""
    room.take(A, note())
    room.release(A)
    with pytest.raises(Fenced):
        room.take(A, note())
    room.take(B, note())


def test_force_takes_a_lease_away(room: Room) -> None:
    room.take(A, note())
    assert "alice@ci-1" in room.unlock()
    with pytest.raises(Fenced):
        room.check(A)
    room.take(B, note("bob"))
    assert "bob@ci-1" in local(room).unlock()  # by a command on the midwife
    with pytest.raises(Fenced):
        room.check(B)
    with local(room).lock("restore"):
        pass


# --- restarts ---------------------------------------------------------------------------------------------


def test_a_restart_keeps_leases_and_counts_anew(tmp_path: Path, room: Room, shelf: Shelf, clock: Clock) -> None:
    room.take(A, note())
    shelf.close()
    with pytest.raises(Locked, match="alice@ci-1"), local(room).lock("restore"):  # though no midwife runs
        pass
    assert "alice@ci-1" in local(room).holder()
    clock.seconds = 5.0  # another machine boot: its clock begins anew
    again = Shelf(tmp_path, clock)
    again.start()
    clock.seconds += 59
    with pytest.raises(Locked, match="alice@ci-1"):
        again.room("lab").take(B, note("bob"))
    assert again.room("lab").check(A) == 60
    clock.seconds += 61
    again.room("lab").take(B, note("bob"))
    again.close()


def test_a_killed_midwife_leaves_its_leases(tmp_path: Path, clock: Clock) -> None:
    """Its process's locks are gone with it; the file stays."""
    room = Shelf(tmp_path, clock).room("lab")
    room.take(A, note())
    os.close(room.store.file_lock._descriptor)  # what the kernel does
    room.store.file_lock._descriptor = -1
    again = Shelf(tmp_path, clock)
    with pytest.raises(Locked, match="alice@ci-1"):
        again.room("lab").take(B, note("bob"))
    assert again.room("lab").check(A) == 60
    again.close()


def test_without_a_midwife_a_lease_lapses_by_the_files_time(room: Room, shelf: Shelf) -> None:
    room.take(A, note())
    shelf.close()
    old = time.time() - 60 - 16
    os.utime(room.store.folder / "lock", (old, old))
    assert local(room).holder() == ""
    with local(room).lock("restore"):
        pass


def test_a_lapsed_lease_is_not_taken_up_by_a_restart(tmp_path: Path, room: Room, shelf: Shelf, clock: Clock) -> None:
    room.take(A, note())
    clock.seconds += 61
    shelf.sweep()
    shelf.close()
    again = Shelf(tmp_path, clock)
    again.start()
    assert again.room("lab").holder() == ""
    again.room("lab").take(B, note("bob"))
    again.close()


# --- state and journals -----------------------------------------------------------------------------------


def test_compare_and_set(room: Room) -> None:
    room.take(A, note())
    first, second = (room.store.dump(small_state(n)) for n in (1, 2))
    assert room.put(A, first, 0) == 1
    assert room.put(A, first, 0) == 1  # its reply was lost
    with pytest.raises(Stale, match="serial 1, the writer knows 0"):
        room.put(A, second, 0)
    assert room.put(A, second, 1) == 2
    with pytest.raises(FleetError, match="edited by hand"):
        room.put(A, second.replace(b'"serial": 2', b'"serial": 3'), None)
    assert room.document() == second
    assert room.serials() == [1, 2]


def lines(count: int, number: int = 0, prev: str = "0" * 64, **more: Any) -> tuple[bytes, str]:
    import msgspec

    made, last = seal_all([msgspec.json.encode({"kind": "x", "i": number + i, **more}) for i in range(count)], number,
                          prev)
    return b"".join(made), last


def test_records_come_once_whatever_is_sent_twice(room: Room) -> None:
    room.take(A, note())
    start = room.start(A, "r1", b"")
    assert room.start(A, "r1", b"") == start == 0
    import hashlib

    one, last = lines(3, prev=hashlib.sha256(b"").hexdigest())
    two, end = lines(2, 3, last)
    assert room.extend(A, "r1", 0, one) == 3
    assert room.extend(A, "r1", 0, one) == 3
    assert room.extend(A, "r1", 0, one + two) == 5  # the tail is new
    assert room.extend(A, "r1", 3, two) == 5
    assert room.extend(A, "r1", 1, b"".join(one.splitlines(keepends=True)[1:2])) == 5
    with pytest.raises(FleetError) as caught:
        room.extend(A, "r1", 3, lines(2, 3, last, other=True)[0])
    assert getattr(caught.value, "code", "") == "conflict"
    with pytest.raises(FleetError, match="shorter"):
        room.extend(A, "r1", 6, lines(1, 6, end)[0])
    for bad in (lines(1, 5, "f" * 64)[0], lines(1, 6, end)[0], lines(1, 5, end)[0].replace(b'"i"', b'"j"'), b"\n",
                b"[]\n"):
        with pytest.raises(FleetError, match="does not fit"):
            room.extend(A, "r1", 5, bad)
    with pytest.raises(FleetError, match="middle of a line"):
        room.extend(A, "r1", 5, lines(1, 5, end)[0][:-1])
    assert room.lines("r1") == one + two
    with pytest.raises(FleetError, match="there is a run r1 already"):
        room.start(A, "r1", b"")


def test_fleets_have_names(shelf: Shelf) -> None:
    for name in ("", "..", "a/b", ".hidden", "a..b", "x" * 65):
        with pytest.raises(FleetError, match="not a name"):
            shelf.room(name)


# --- the runner's side ------------------------------------------------------------------------------------


class Midwife:
    """Answers renewals, or fails them."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self.error: FleetError | None = None

    def renew(self, patience: float) -> float:
        self.asked.append(patience)
        if self.error is not None:
            raise self.error
        return 60.0


def test_a_runner_asks_before_its_lease_may_be_over(clock: Clock) -> None:
    midwife = Midwife()
    lease = Lease(A, 60.0, clock(), midwife.renew, 900.0, clock)
    clock.seconds += 30
    lease.confirm()
    assert midwife.asked == []
    clock.seconds += 1
    lease.confirm()
    lease.confirm()
    assert midwife.asked == [900.0]
    clock.seconds += 29
    lease.signed(clock())  # an append went through
    clock.seconds += 29
    lease.confirm()
    assert midwife.asked == [900.0]
    midwife.error = Locked("taken")
    clock.seconds += 30
    with pytest.raises(Locked, match="taken"):
        lease.confirm()
    lease.lose(midwife.error)
    midwife.error = None
    with pytest.raises(Locked, match="taken"):  # lost is lost
        lease.confirm()
