"""`planner.ports.Workshop.restore`: hosts that were born while nobody applied anything get back what they had.

Everything comes from the fleet's state folder: what was last applied from the state, which vCenter from the newest
applied run's plan. Secrets are resolved here, where the midwife runs: `env:NAME` from its environment, `file:PATH`
where the fleet file says, else by its last name from `secrets/` in that folder, else from systemd's credentials.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.cli.secret import Secrets
from planner.cli.version import tool
from planner.cli.who import host, run_id, timestamp
from planner.cli.wiring import LIVE, Sessions, Site, installed, store_at
from planner.model import (
    Address,
    Attrs,
    Diagnostic,
    Fleet,
    FleetError,
    Incomplete,
    Live,
    Plan,
    ReadFailed,
    SecretRef,
    State,
    Step,
    StepFailed,
)
from planner.ports import Listener, RestoreOutcome, RunInfo, StateStore

if TYPE_CHECKING:
    from planner.catalog import Operation
    from planner.execute.run import Engine, Outcome
    from planner.ports import Call, Session
    from planner.restore import Chosen, Restoration


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for: see `planner.ports.Workshop.restore`."""

    folder: Path
    fleet: str
    births: Mapping[str, Attrs]
    again: frozenset[str] = frozenset()
    held: Mapping[str, str] = field(default_factory=dict)
    hosts: int = 8
    stop: threading.Event | None = None
    listener: Listener = lambda _event: None


def restore(asked: Request) -> RestoreOutcome:
    """See `planner.ports.Workshop.restore`."""
    from planner.execute.project import current_state

    site = installed()
    store = store_at(asked.folder, asked.fleet, {})
    work = _Restorer(site, store, asked)
    if _open_run(store) is None:
        chosen, left = work.choose(current_state(store, site.catalog))
        if not chosen.wanted:  # nothing is locked, and no vCenter is asked
            return RestoreOutcome("", chosen.known, left=left)
    names = ", ".join(sorted(asked.births)[:5]) + (" …" if len(asked.births) > 5 else "")
    with store.lock("restore", f"born: {names}" if names else "an interrupted one goes on"):
        return work.run()


def _open_run(store: StateStore) -> RunInfo | None:
    from planner.execute.engine import open_run

    return open_run(store.runs())


class _Restorer:
    """One restore, under the fleet's lock."""

    def __init__(self, site: Site, store: StateStore, asked: Request) -> None:
        self.site, self.store, self.asked = site, store, asked

    def run(self) -> RestoreOutcome:
        from planner.execute.project import settle

        interrupted = self._finish_own()
        if interrupted:
            return RestoreOutcome(interrupted, interrupted=True)
        state = settle(self.store, self.site.catalog)
        chosen, left = self.choose(state)
        if state is None or not chosen.wanted:
            return RestoreOutcome("", chosen.known, left=left)
        with self._sessions(state, self._applied()) as sessions:
            return replace(self._new(sessions, state, chosen.wanted, left), known=chosen.known)

    def choose(self, state: State | None) -> tuple[Chosen, dict[str, str]]:
        """Hosts to restore; MACs that stay as they are, and why."""
        from planner.restore import choose

        found = choose(state, self.asked.births, {*self.asked.again, *self._given_up(state)})
        macs = {a: _mac_in(state, a) for a in found.wanted}
        held = {m: self.asked.held[m] for m in macs.values() if m in self.asked.held}
        return replace(found, wanted={a: b for a, b in found.wanted.items() if macs[a] not in held}), {
            **found.left, **held}

    def _given_up(self, state: State | None) -> set[str]:
        """MACs whose restore was the last thing that happened, and did not end."""
        from planner.execute import rebirths
        from planner.plan import decode_plan
        from planner.restore import unfinished

        info = next(iter(reversed(self.store.runs())), None)
        if info is None or info.outcome != "abandoned" or not rebirths.own(info):
            return set()
        left = unfinished(decode_plan(self.store.plan(info.run)), rebirths.settled(self.store.records(info.run)))
        return {_mac_in(state, a) for a in left}

    # --- one of our own that was interrupted --------------------------------------------------------------

    def _finish_own(self) -> str:
        """Finish it, or give it up where it cannot be; the run's name where it was interrupted once more.

        Raises Incomplete for somebody else's open run.
        """
        from planner.execute import rebirths
        from planner.execute.project import base_of
        from planner.plan import decode_plan

        info = _open_run(self.store)
        if info is None:
            return ""
        if not rebirths.own(info):
            raise Incomplete(Diagnostic(
                "error", "an earlier run is not complete", f"run {info.run} by {info.who}, started {info.started}",
                remedy="`fleet resume`, `fleet rollback` or `fleet state abandon` ends it; hosts are restored then"))
        state, plan = base_of(self.store, info), decode_plan(self.store.plan(info.run))
        if state is None:
            raise FleetError("a restore has no state that it started from")
        with self._sessions(state, plan) as sessions:
            outcome = rebirths.resume(self._engine(sessions, plan.steps, "an interrupted restore goes on"), info)
        return info.run if self._stays_open(info.run, outcome) else ""

    def _stays_open(self, run: str, outcome: Outcome) -> bool:
        """Whether a run was interrupted, and goes on later. One that failed is closed: the next one does the rest."""
        from planner.execute import rebirths

        if not rebirths.still_open(self.store, run):
            return False
        if outcome.unfinished or (self.asked.stop is not None and self.asked.stop.is_set()):
            return True
        rebirths.give_up(self.store, self.site.catalog, run, outcome.message)
        return False

    # --- a new one ----------------------------------------------------------------------------------------

    def _new(self, sessions: Sessions, state: State, wanted: Mapping[Address, Attrs],
             left: Mapping[str, str]) -> RestoreOutcome:
        from planner.execute import rebirths

        macs = {a: _mac_in(state, a) for a in wanted}
        locked = self._without_secrets(sessions, wanted)
        made, live = self._plan(sessions, state, {a: b for a, b in wanted.items() if a not in locked})
        left = {**left, **{macs[a]: why for a, why in made.left.items()}}
        failed, run, interrupted = {**locked, **made.failed}, "", False
        if made.plan is not None:
            reason = _words(sorted({s.address.root for s in made.plan.steps}))
            outcome = rebirths.restore(self._engine(sessions, made.plan.steps, reason), made.plan, state, live)
            run, interrupted = outcome.run, self._stays_open(outcome.run, outcome)
            failed.update(_failing(made.plan, rebirths.settled(self.store.records(run)), outcome))
        done = tuple(macs[a] for a in macs if a not in failed and a not in made.left)
        return RestoreOutcome(run, (), done, left, {} if interrupted else {macs[a]: why for a, why in failed.items()},
                              interrupted)

    def _applied(self) -> Plan:
        """The newest applied run's plan. Raises FleetError where there is none."""
        from planner.plan import decode_plan

        for info in reversed(self.store.runs()):
            if info.outcome == "applied":
                return decode_plan(self.store.plan(info.run))
        raise FleetError(Diagnostic("error", "no run of this fleet was completed", "it was never applied whole",
                                    remedy="`fleet resume` or `fleet apply` completes one"))

    def _without_secrets(self, sessions: Sessions, roots: Iterable[Address]) -> dict[Address, str]:
        """Hosts of which some secret cannot be resolved here, and which."""
        found: dict[Address, str] = {}
        try:
            sessions.secret.check(sessions.fleet, roots)
        except FleetError:  # one host's missing secret does not hold up the others
            for root in roots:
                try:
                    sessions.secret.check(sessions.fleet, (root,))
                except FleetError as error:
                    found[root] = str(error)
        return found

    def _plan(self, sessions: Sessions, state: State, wanted: Mapping[Address, Attrs]) -> tuple[Restoration, Live]:
        from planner.plan import check_instance
        from planner.restore import RestoreInputs, restoration

        live = sessions.live.snapshot(sessions.fleet, state.resources)
        check_instance(state, live)
        options = {"coexist": bool(sessions.fleet.providers.get(LIVE, {}).get("coexist", False))}
        return restoration(RestoreInputs(self.site.catalog, sessions.fleet, state, live, wanted, options, tool(),
                                         f"midwife@{host()}", timestamp())), live

    # --- what a run needs ---------------------------------------------------------------------------------

    @contextmanager
    def _sessions(self, state: State, plan: Plan) -> Iterator[Sessions]:
        from planner.restore import applied_fleet

        folder = self.asked.folder
        fleet = with_files(applied_fleet(self.site.catalog, state, plan, str(folder)), plan.later.files, folder)
        sessions = Sessions(self.site, fleet, SiteSecrets(folder / "secrets"), folder, writable=True)
        try:
            yield sessions
        finally:
            sessions.close()

    def _engine(self, sessions: Sessions, steps: Sequence[Step], reason: str) -> Engine:
        from planner.execute.engine import Engine, Who
        from planner.execute.rebirths import WHO
        from planner.execute.walk import Stop

        others = {self.site.catalog.operation(s).provider for s in steps} - {LIVE}
        opened: dict[str, Session] = {LIVE: sessions.live, **{name: Born(self.asked.births) for name in others}}
        stop = Stop(soft=self.asked.stop) if self.asked.stop is not None else Stop()
        return Engine(
            catalog=self.site.catalog, fleet=sessions.fleet, sessions=opened, live=sessions.live, store=self.store,
            secret=sessions.secret, clock=sessions.clock, who=Who(WHO, host(), reason), listener=self.asked.listener,
            stop=stop, parallelism=self.asked.hosts,  # a host's steps go one after another, and hosts in their order
            outputs=lambda found: found.outputs, new_id=run_id, patient=False)


def _mac_in(state: State | None, root: Address) -> str:
    known = state.resources.get(root) if state is not None else None
    return str(known.attributes.get("mac") or "").lower() if known is not None else ""


def _words(hosts: Sequence[Address]) -> str:
    rest = f" and {len(hosts) - 3} more" if len(hosts) > 3 else ""
    return f"born while nothing was applied: {', '.join(map(str, hosts[:3]))}{rest}"


def _failing(plan: Plan, settled: frozenset[str], outcome: Outcome) -> dict[Address, str]:
    """Hosts that are not done, and why."""
    from planner.restore import unfinished

    why = {step.address.root: error for step, error, _ in outcome.failures}
    return {a: why.get(a, "what it waits for failed, or the restore was stopped") for a in unfinished(plan, settled)}


# --- what a restore has in place of a boot session --------------------------------------------------------


class Born:
    """Births that were accepted already. Nothing is staged or powered here: a plan that wants that is none of ours."""

    def __init__(self, births: Mapping[str, Attrs]) -> None:
        self._births = births

    def prepare(self, steps: Sequence[Step]) -> None:
        return

    def observe(self, operation: Operation, call: Call) -> Attrs | None:
        if operation.kind != "wait":
            raise ReadFailed("the midwife restores without booting anything", operation.name)
        return self._births.get(_mac(call))

    def run(self, operation: Operation, call: Call) -> Attrs:
        """The birth's facts, at once. Raises StepFailed where there is none after the one that does not hold."""
        born = self._births.get(_mac(call)) if operation.kind == "wait" else None
        if born is None or born.get("born") == call.facts.get("void_birth"):
            raise StepFailed("this host was not born again yet", f"{call.address}, MAC {_mac(call)}",
                         "its next birth starts another restore")
        return born

    def guard(self, name: str, call: Call) -> bool:
        raise ReadFailed("the midwife restores without booting anything", name)

    def close(self) -> None:
        return


def _mac(call: Call) -> str:
    return str(call.declared.get("mac") or "").lower()


# --- on another machine than the runner's -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SiteSecrets(Secrets):
    """Secrets where the midwife runs. A `file:` one is looked for where the fleet file says, then by its last name in
    `folder`, then among systemd's credentials."""

    def _file(self, reference: SecretRef, name: str) -> str:
        places = [Path(name)] if Path(name).is_absolute() else []
        places += [self.folder / Path(name).name]
        if credentials := os.environ.get("CREDENTIALS_DIRECTORY"):
            places.append(Path(credentials) / Path(name).name)
        there = next((place for place in places if place.is_file()), self.folder / Path(name).name)
        return Secrets._file(self, reference, str(there))


def with_files(fleet: Fleet, files: Mapping[str, str], folder: Path) -> Fleet:
    """Provider blocks whose files are not on this machine name copies of them. Raises OSError."""
    providers: dict[str, dict[str, Any]] = {name: dict(block) for name, block in fleet.providers.items()}
    for key, text in files.items():
        name, _, attribute = key.partition(".")
        block = providers.get(name, {})
        if attribute not in block or Path(str(block[attribute])).is_file():
            continue
        path = folder / "restore" / f"{attribute}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(f".{path.name}.part")
            part.write_text(text, encoding="utf-8")
            part.replace(path)
        block[attribute] = str(path)
    return replace(fleet, providers=providers)
