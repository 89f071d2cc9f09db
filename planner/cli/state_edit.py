"""The rare repairs of a state: each takes the lock, leaves a run of its own in the history, and says why."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, cast

from planner.model import Address, Diagnostic, FleetError, Incomplete, Stale, State, StateResource
from planner.ports import Journal, RunInfo, StateStore

if TYPE_CHECKING:
    from planner.catalog import Catalog

EDITED = "edited"
"""Outcome of a run that changed state by hand: it has no steps, and nothing before it can be rolled back."""


class StateFiles(StateStore, Protocol):
    """A store that can also be repaired by hand (`state.local` is one)."""

    def dump(self, state: State) -> bytes:
        """The state document."""

    def parse(self, data: bytes, source: str, *, edited: bool = False) -> State:
        """Read a state document; `edited` accepts one without checksum. Raises FleetError."""

    def newest_kept(self) -> State | None:
        """The newest old state that can be read."""

    def salvage(self, run: str) -> Journal:
        """A damaged journal, cut to what is good before the damage, for appending."""


def store_of(path: str, *, pushes: bool = False) -> tuple[str, StateFiles]:
    """The fleet's name and its store; of the fleet's files only what says where the state is gets read. A state that
    was left behind in the working directory is refused, unless the command `pushes` one. Raises FleetError."""
    from planner.cli.wiring import Source, header, refuse_strayed, state_folder, store_at

    name, settings = header(Source.of(path))
    folder = state_folder(name, settings)
    if not pushes:
        refuse_strayed(folder, settings, path)
    store = store_at(folder, name, settings)
    missing = [m for m in ("dump", "parse", "newest_kept", "salvage") if not hasattr(store, m)]
    if missing:
        raise FleetError(Diagnostic("error", "this state back end cannot be repaired by hand",
                                    f"it has no {', '.join(missing)}"))
    return name, cast("StateFiles", store)


def catalog() -> Catalog:
    """Of all installed providers; needed only where a journal has to be replayed."""
    from planner.cli.wiring import installed

    return installed().catalog


def refuse_open(store: StateStore) -> None:
    """Raises Incomplete (3) while a run waits for resume, rollback or abandon."""
    from planner.execute.project import is_open

    for info in store.runs():
        if is_open(info.outcome):
            raise Incomplete(Diagnostic(
                "error", "an earlier run is not complete", f"run {info.run} by {info.who}, started {info.started}",
                remedy=f"`fleet resume`, `fleet rollback`, or `fleet state abandon PATH {info.run} --reason TEXT`"))


def _head(state: State, run: str, mode: str, reason: str) -> dict[str, object]:
    from planner.cli.who import ci_job, host, timestamp, user

    return {"kind": "head", "run": run, "fleet": state.fleet, "lineage": state.lineage, "serial": state.serial,
            "who": user(), "host": host(), "reason": reason, "job": ci_job(), "started": timestamp(), "mode": mode}


def _edit(store: StateStore, mode: str, reason: str, present: State | None, wanted: State) -> State:
    """Write a state by hand: journal first (who, why), then the state, one serial up."""
    from planner.cli.who import run_id

    run = run_id()
    state = replace(wanted, run=run, merged=2, complete=True)
    journal = store.begin(run, b"")
    try:
        journal.append(_head(present or replace(wanted, serial=0), run, mode, reason))
        journal.append({"kind": "end", "outcome": EDITED})
        try:
            store.write(state)
        except FleetError:
            with contextlib.suppress(FleetError):
                journal.append({"kind": "end", "outcome": "failed"})
            raise
    finally:
        journal.close()
    return state


def _change(store: StateStore, mode: str, reason: str, change: Callable[[State], Mapping[Address, StateResource]],
            ) -> State:
    from planner.execute.project import settle

    with store.lock(mode, reason):
        refuse_open(store)
        state = settle(store, catalog)
        if state is None:
            raise FleetError(Diagnostic("error", "state is empty", remedy="there is nothing to change"))
        return _edit(store, mode, reason, state, replace(state, resources=change(state), serial=state.serial + 1))


def remove(store: StateStore, address: Address, reason: str) -> tuple[list[Address], State]:
    """Forget an object and what hangs on it. Raises FleetError where state does not have it."""
    gone: list[Address] = []

    def change(state: State) -> Mapping[Address, StateResource]:
        gone.extend(sorted(a for a in state.resources
                           if a == address or (a.child_type and a.root == address)))
        if not gone:
            raise absent(address)
        return {a: r for a, r in state.resources.items() if a not in gone}

    state = _change(store, "state rm", reason, change)
    return gone, state


def move(store: StateStore, source: Address, target: Address, reason: str) -> State:
    """Give an object another address. Raises FleetError where that cannot be."""
    from planner.plan import apply_moved

    def change(state: State) -> Mapping[Address, StateResource]:
        if source not in state.resources:
            raise absent(source)
        if target in state.resources:
            raise FleetError(Diagnostic("error", "that address is in state already", str(target)))
        if source.rtype != target.rtype or bool(source.child_type) != bool(target.child_type):
            raise FleetError(Diagnostic("error", "an object keeps its type", f"{source} → {target}"))
        if target.child_type and target.root not in state.resources:
            raise FleetError(Diagnostic("error", "what it would hang on is not in state", str(target.root)))
        return apply_moved(state.resources, [(source, target)])

    return _change(store, "state mv", reason, change)


def absent(address: Address) -> FleetError:
    return FleetError(Diagnostic("error", "not in state", str(address),
                                 remedy="fleet state list PATH prints every address"))


# --- push, rebuild, abandon -----------------------------------------------------------------------------------


def push(store: StateFiles, data: bytes, source: str, reason: str) -> State:
    """Replace the state by a document. Raises Stale (5) where it is older than the state, FleetError on damage."""
    pushed = store.parse(data, source, edited=True)
    with store.lock("state push", reason):
        refuse_open(store)
        present = _present(store)
        if present is not None and pushed.lineage != present.lineage:
            raise FleetError(Diagnostic("error", "this state is of another lineage",
                                        f"{source}: {pushed.lineage}, here it is {present.lineage}"))
        if present is not None and pushed.serial < present.serial and not _restores(store, pushed):
            raise Stale(Diagnostic(
                "error", "the state has moved since this document was pulled",
                f"{source} has serial {pushed.serial}, the state {present.serial}",
                remedy="pull again and edit that. To go back to an old state on purpose, push history/SERIAL.json"))
        serial = max(pushed.serial, present.serial if present else 0) + 1
        return _edit(store, "state push", reason, present, replace(pushed, serial=serial))


def _present(store: StateFiles) -> State | None:
    from planner.execute.project import settle

    try:
        return settle(store, catalog)
    except FleetError:
        return store.newest_kept()


def _restores(store: StateFiles, pushed: State) -> bool:
    """Whether it is, unedited, a state that this fleet had."""
    return any(old == pushed for old in store.history(pushed.serial))


def rebuild(store: StateFiles, reason: str) -> State:
    """The state as the last run's journal tells it, from the state before that run. Raises FleetError."""
    from planner.execute.project import projected

    with store.lock("state push", reason):
        info = _latest(store)
        if info is None:
            raise FleetError(Diagnostic("error", "there is no run to rebuild the state from",
                                        remedy="put state.json back from a backup"))
        if info.outcome == EDITED:
            raise FleetError(Diagnostic(
                "error", "the state was last changed by hand, and no journal tells how", f"run {info.run}",
                remedy="put state.json back from a backup, or push the newest file of history/"))
        state = projected(store, catalog(), info, None)
        if state is None:
            raise FleetError(Diagnostic("error", "the last run's journal is empty", f"run {info.run}"))
        store.write(state)
        return state


def _latest(store: StateStore) -> RunInfo | None:
    """The run that wrote last: by the time of its last record (a rollback goes on in an older run's journal)."""
    def last(info: RunInfo) -> str:
        records = store.records(info.run)
        return str(records[-1]["time"]) if records else ""

    return max(store.runs(), key=last, default=None)


def abandon(store: StateFiles, run: str, reason: str) -> tuple[State | None, list[Diagnostic]]:
    """End an open run as it is. A damaged journal is cut to what is good; then what it lost is said.

    Raises FleetError where there is no such run, or it is not open.
    """
    from planner.cli.who import host, user
    from planner.execute.project import is_open, projected

    with store.lock("state abandon", reason):
        info = next((i for i in store.runs() if i.run == run), None)
        if info is None or not is_open(info.outcome):
            raise FleetError(Diagnostic(
                "error", "that run is not open", f"{run}: {info.outcome if info else 'no such run'}",
                remedy="fleet state history PATH lists the runs"))
        warnings: list[Diagnostic] = []
        if info.damaged:
            warnings.append(Diagnostic("warning", "the journal was damaged; what stood behind that is not in state",
                                       info.damaged, remedy="`fleet plan` reads live and shows what differs"))
        journal = store.salvage(run)
        try:
            journal.append({"kind": "end", "outcome": "abandoned", "who": user(), "host": host(), "reason": reason})
            records = len(journal.records())
        finally:
            journal.close()
        state = store.read()
        try:
            state = projected(store, catalog(), info, state)
        except FleetError as error:  # no plan or no base any more: the checkpoint is what is known
            warnings.extend(replace(d, severity="warning") for d in error.diagnostics)
            state = replace(state, merged=min(state.merged, records), complete=True) if state else None
        if state is not None:
            store.write(state)
        return state, warnings
