"""State as it is now: the newest checkpoint, and the journal of the run that it does not hold yet."""

from __future__ import annotations

from collections.abc import Callable

from planner.catalog import Catalog
from planner.execute.projector import OPEN, Projector, is_open
from planner.model import Diagnostic, FleetError, State
from planner.plan import decode_plan
from planner.ports import RunInfo, StateStore

__all__ = ["OPEN", "Projector", "base_of", "current_state", "is_open", "next_serial", "projected", "settle"]


def next_serial(state: State | None, run: str) -> int:
    """The serial that a run writes: one more than before it; the same again while it goes on."""
    if state is None:
        return 1
    return state.serial if state.run == run and not state.complete else state.serial + 1


def base_of(store: StateStore, info: RunInfo) -> State | None:
    """The state that a run started from; None where there was none. Raises FleetError where it is no longer kept."""
    if not info.serial:
        return None
    old = store.history(info.serial)
    if not old:
        raise FleetError(Diagnostic(
            "error", "the state that a run started from is missing", f"run {info.run}, serial {info.serial}",
            remedy="Put history/ back from a backup, or give the run up: "
                   f"fleet state abandon PATH {info.run} --reason TEXT."))
    return old[0]


def projected(store: StateStore, catalog: Catalog, info: RunInfo, state: State | None) -> State | None:
    """What a run made of the state, from its base and its whole journal. `state`: the newest checkpoint."""
    records = store.records(info.run)
    if not records:
        return state
    if state is not None and state.run == info.run and state.merged > len(records):
        raise FleetError(Diagnostic(
            "error", "the journal is shorter than what state has taken from it",
            f"run {info.run}: {len(records)} records, state has {state.merged}",
            remedy="Put the journal back from a backup; fleet state verify PATH lists all damage."))
    projector = Projector(base_of(store, info), decode_plan(store.plan(info.run)), catalog, info.run,
                          str(records[0].get("lineage", "")))
    for record in records:
        projector.apply(record)
    return projector.state()


def _unmerged(store: StateStore, state: State | None) -> RunInfo | None:
    """The run whose journal says more than the newest checkpoint: an open one, or one killed while it ended."""
    runs = store.runs()
    for info in reversed(runs):
        if is_open(info.outcome):
            return info
    if state is None and runs:
        raise FleetError(Diagnostic(
            "error", "there are runs, but no state", f"the last one is {runs[-1].run}, {runs[-1].outcome}",
            remedy="put state.json back from a backup, or rebuild it: fleet state push PATH --rebuild"))
    if state is not None and not state.complete:
        return next((info for info in runs if info.run == state.run), None)
    return None


def current_state(store: StateStore, catalog: Catalog | Callable[[], Catalog]) -> State | None:
    """The checkpoint, or where a run is open: its base with the whole journal replayed. None: no state yet.

    `catalog` may be a function: it is called only where a journal has to be replayed. Raises FleetError on damage.
    """
    state = store.read()
    info = _unmerged(store, state)
    if info is None:
        return state
    return projected(store, catalog() if callable(catalog) else catalog, info, state)


def settle(store: StateStore, catalog: Catalog | Callable[[], Catalog]) -> State | None:
    """`current_state`, written down where the run that it comes from has ended (its last checkpoint was cut off).

    For whoever holds the lock and is about to start a run: the next serial's history must be the true one.
    """
    state = store.read()
    info = _unmerged(store, state)
    if info is None:
        return state
    found = projected(store, catalog() if callable(catalog) else catalog, info, state)
    if found is not None and not is_open(info.outcome):
        store.write(found)
    return found
