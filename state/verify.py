"""Everything that can be wrong with a store's files, in one pass; changes nothing."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from planner.model import Diagnostic, FleetError, State
from state.records import Scan, scan

if TYPE_CHECKING:
    from state.local import LocalStore


def verify(store: LocalStore) -> Iterator[Diagnostic]:
    """Chains and checksums of all journals, plan files, state and history, their lineage, serials and addresses."""
    state: State | None = None
    try:
        state = store.read()
    except FleetError as error:
        yield from error.diagnostics
    if state is not None:
        yield from _resources(store, state)
    yield from _history(store, state)
    yield from _runs(store, state)
    yield from _left_over(store)


def _resources(store: LocalStore, state: State) -> Iterator[Diagnostic]:
    """Address syntax and uniqueness are checked while reading; here: nothing hangs in the air."""
    for address in state.resources:
        if address.root not in state.resources:
            yield Diagnostic("warning", "a resource in state hangs on one that is not in state",
                             f"{store.state_path}: {address}", address=address,
                             remedy=f"If it is gone: fleet state rm PATH '{address}'.")


def _history(store: LocalStore, state: State | None) -> Iterator[Diagnostic]:
    folder = store.folder / "history"
    serials: list[int] = []
    lineage = store.lineage() or (state.lineage if state else "")
    for serial, path in sorted(store._history_files().items()):
        serials.append(serial)
        try:
            old = store.kept(path)
        except FleetError as error:
            yield from error.diagnostics
            continue
        if old.serial != serial:
            yield Diagnostic("error", "an old state has another serial than its name says",
                             f"{path}: serial {old.serial}", remedy="Put the file back from a backup.")
        if lineage and old.lineage != lineage:
            yield Diagnostic("error", "an old state is of another lineage", f"{path}: {old.lineage}, not {lineage}",
                             remedy="Remove the file; it does not belong here.")
    if state is not None:
        serials = sorted({*serials, state.serial})
    for before, after in itertools.pairwise(serials):
        if after - before > 1:
            missing = f"{before + 1}" if after - before == 2 else f"{before + 1} to {after - 1}"
            yield Diagnostic("error", "old states are missing", f"{folder}: serial {missing}",
                             remedy="Put the files back from a backup; runs of those serials cannot be rolled back.")


def _runs(store: LocalStore, state: State | None) -> Iterator[Diagnostic]:
    lineage = store.lineage() or (state.lineage if state else "")
    known: dict[str, int] = {}
    ended = False
    for path in sorted((store.folder / "runs").glob("*.jsonl")):
        run = path.name.removesuffix(".jsonl")
        try:
            found = scan(path.read_bytes())
        except OSError as error:
            yield Diagnostic("error", "a journal cannot be read", f"{path}: {error.strerror}")
            continue
        known[run] = found.number if not found.damage else max(found.number, state.merged if state else 0)
        ended = ended or (bool(found.records) and found.records[-1].get("kind") == "end")
        yield from _journal(path, run, found, lineage)
    if state is not None and state.run and known.get(state.run, -1) < state.merged:
        here = f"it has {known[state.run]} records" if state.run in known else "it is missing"
        yield Diagnostic("error", "a journal is shorter than what state has taken from it",
                         f"{store.folder / 'runs' / (state.run + '.jsonl')}: {here}, state has {state.merged}",
                         remedy="Put the journal back from a backup; without it that run cannot be rolled back.")
    if state is None and ended and not store.state_path.exists():
        yield Diagnostic("error", "there are runs, but no state", str(store.state_path),
                         remedy="Put the file back from a backup, or: fleet state push PATH --rebuild.")


def _journal(path: Path, run: str, found: Scan, lineage: str) -> Iterator[Diagnostic]:
    if found.damage:
        yield Diagnostic("error", "a journal is damaged",
                         f"{path}: record {found.number} (line {found.number + 1}): {found.damage}",
                         remedy="Put the file back from a backup; an unfinished run can be given up: "
                                f"fleet state abandon PATH {run} --reason TEXT.")
    if found.torn:
        yield Diagnostic("warning", "a journal has a torn tail (an unfinished write)",
                         f"{path}: {len(found.torn)} bytes after record {found.number - 1}",
                         remedy="Nothing is lost; the next resume or rollback cuts it off.")
    if not found.records:
        return
    head = found.records[0]
    if head.get("kind") != "head":
        yield Diagnostic("error", "a journal does not begin with its head", f"{path}: {head.get('kind')!r}")
    if lineage and head.get("lineage", lineage) != lineage:
        yield Diagnostic("error", "a journal is of another lineage", f"{path}: {head['lineage']}, not {lineage}",
                         remedy="Remove the file; it does not belong here.")
    plan = path.with_suffix(".plan")
    try:
        digest = hashlib.sha256(plan.read_bytes()).hexdigest()
    except OSError as error:
        yield Diagnostic("error", "a run's plan cannot be read", f"{plan}: {error.strerror}",
                         remedy="Put the file back; without it the run can be neither resumed nor rolled back.")
        return
    if head["prev"] != digest:
        yield Diagnostic("error", "a run's plan was changed since the run began", str(plan),
                         remedy="Put the file back from a backup.")


def _left_over(store: LocalStore) -> Iterator[Diagnostic]:
    for folder, pattern in ((store.folder, "state.json.damaged*"), (store.folder / "runs", "*.damaged")):
        for path in sorted(folder.glob(pattern)):
            yield Diagnostic("warning", "a damaged file was set aside", str(path),
                             remedy="Remove it when nobody needs it any more.")
