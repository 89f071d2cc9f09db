"""Reborn at night: hosts that are born while nobody applies anything get back what was last applied.

Births of a short while are restored together, in one run of the midwife's own under the fleet's lock; each fleet has a
thread of its own. A birth that an apply waits for is that apply's: it holds the lock meanwhile, and afterwards the
state says that vCenter has that birth. Nothing is ever done about a MAC that nobody owns.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from planner.model import Attrs, FleetError, Incomplete, Locked
from planner.ports import Event, RestoreOutcome
from providers.midwife.desk import iso
from providers.midwife.restores import LOOP, Case, Restores

BORN_FACTS = ("uuid", "serial", "mac", "ip", "certificate", "thumbprint", "version", "build", "image", "born")
TICK_SECONDS = 1.0
"""How often it is looked whether a quarantine was ended."""


class Nursery(Protocol):
    """Where births are, and whose they are."""

    def birth(self, mac: str) -> Mapping[str, object] | None:
        """The newest accepted birth that answers what stands staged for that MAC."""

    def fleets(self) -> Iterable[str]: ...

    def macs(self, fleet: str) -> Iterable[str]: ...

    def folder(self, fleet: str) -> Path:
        """Where that fleet's state is."""


class Workbench(Protocol):
    """Of `planner.ports.Workshop`, what is needed here."""

    def restore(self, folder: Path, fleet: str, births: Mapping[str, Attrs], *, again: Iterable[str] = (),
                held: Mapping[str, str] = MappingProxyType({}), hosts: int = 8, stop: threading.Event | None = None,
                listener: Callable[[Event], None] = lambda _event: None) -> RestoreOutcome: ...


@dataclass(frozen=True, slots=True)
class Limits:
    """`quiet`: a restore begins when nobody was born for so long, or after `longest` at the latest (seconds).

    `hosts` at once. Trouble of the whole fleet (vCenter is away) is waited out: from `first` to `most` seconds between
    two tries, doubled each time; `busy` at most while somebody holds the lock. A host that fails is tried `attempts`
    times, `again` seconds apart at first.
    """

    quiet: float = 3.0
    longest: float = 15.0
    hosts: int = 8
    first: float = 2.0
    most: float = 300.0
    busy: float = 10.0
    attempts: int = 5
    again: float = 30.0


@dataclass(slots=True)
class _Fleet:
    """What is to be done for one fleet. Times by the monotonic clock."""

    name: str
    since: float = 0.0  # the first birth that waits
    last: float = 0.0  # the newest one
    fresh: dict[str, set[str]] = field(default_factory=dict)  # MAC → when it was born, as told
    later: dict[str, float] = field(default_factory=dict)  # MAC → when it is tried again
    pause: float = 0.0  # nothing before that
    tries: int = 0
    told: str = ""
    thread: threading.Thread | None = None


class Restorer:
    """Constructing does no I/O. `listener` gets the events of runs, with the fleet's name."""

    def __init__(self, nursery: Nursery, workbench: Workbench, restores: Restores, say: Callable[[str], None],
                 limits: Limits = Limits(), now: Callable[[], float] = time.time,
                 listener: Callable[[str, Event], None] = lambda _fleet, _event: None) -> None:
        self._nursery, self._bench, self._restores, self._say = nursery, workbench, restores, say
        self._limits, self._now, self._listener = limits, now, listener
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._fleets: dict[str, _Fleet] = {}

    # --- from start to end ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Take up what a midwife before this one left: births of the meantime, and its own open runs."""
        for fleet in self._nursery.fleets():
            with self._changed:
                one = self._of(fleet)
                for mac in self._nursery.macs(fleet):
                    one.fresh.setdefault(mac, set())
                one.since = one.last = time.monotonic() - self._limits.longest

    def born(self, fleet: str, mac: str) -> None:
        """A birth of that fleet's host is on disk. Does not block."""
        with self._changed:
            one, now = self._of(fleet), time.monotonic()
            one.since = one.since if one.fresh else now
            one.last = now
            one.fresh.setdefault(mac, set()).add(iso(self._now()))
            self._changed.notify_all()

    def stop(self) -> None:
        """Restores that run end their running steps; they go on at the next start."""
        with self._changed:
            self._stop.set()
            self._changed.notify_all()
            threads = [one.thread for one in self._fleets.values() if one.thread is not None]
        for thread in threads:
            thread.join(timeout=60)

    def idle(self, fleet: str) -> bool:
        """Whether nothing waits or runs for that fleet, failed hosts that are tried again later aside."""
        with self._changed:
            one = self._fleets.get(fleet)
            return one is None or (not one.fresh and not one.tries)

    def _of(self, fleet: str) -> _Fleet:
        one = self._fleets.get(fleet)
        if one is None:
            one = self._fleets[fleet] = _Fleet(fleet)
            one.thread = threading.Thread(target=self._work, args=(one,), name=f"midwife-restores-{fleet}", daemon=True)
            one.thread.start()
        return one

    # --- one fleet ------------------------------------------------------------------------------------------

    def _work(self, one: _Fleet) -> None:
        while not self._stop.is_set():
            try:
                self._free()
                due = self._due(one)
            except (FleetError, OSError) as error:
                self._trouble(one, f"what is known of restores cannot be used: {error}", self._limits.most)
                due = {}
            if due:
                self._restore(one, due)

    def _free(self) -> None:
        """Quarantines that somebody ended: those hosts are restored now. Raises OSError, FleetError."""
        for mac in self._restores.released():
            for fleet in self._nursery.fleets():
                if mac in self._nursery.macs(fleet):
                    self._say(f"{fleet}: {mac} is out of quarantine")
                    with self._changed:
                        one = self._of(fleet)
                        one.fresh[mac] = set()
                        one.since = one.last = time.monotonic() - self._limits.longest
                        self._changed.notify_all()

    def _due(self, one: _Fleet) -> dict[str, set[str]]:
        """MACs whose restore is to begin now, with their births as told; {} after a while with none."""
        with self._changed:
            now = time.monotonic()
            at = [one.pause] if one.fresh or one.later else []
            begin = min(one.last + self._limits.quiet, one.since + self._limits.longest) if one.fresh else None
            soonest = min([t for t in (begin, *one.later.values()) if t is not None], default=None)
            if soonest is not None and max([soonest, *at]) <= now:
                due = {mac: told for mac, told in one.fresh.items()} if begin is not None and begin <= now else {}
                for mac in [m for m, t in one.later.items() if t <= now]:
                    del one.later[mac]
                    due.setdefault(mac, set())
                if begin is not None and begin <= now:
                    one.fresh = {}
                return due
            wait = TICK_SECONDS if soonest is None else min(TICK_SECONDS, max([soonest, *at]) - now)
            self._changed.wait(max(0.01, wait))
            return {}

    def _restore(self, one: _Fleet, due: Mapping[str, set[str]]) -> None:
        try:
            births = {mac: _facts(found) for mac in due if (found := self._nursery.birth(mac)) is not None}
            boots = {mac: str(births[mac]["born"]) for mac in births}
            cases = {mac: self._restores.get(mac, one.name) for mac in births}
            held = self._held(one, cases, due)
            again = {mac for mac, case in cases.items() if case.attempts and case.boot == boots[mac]}
            outcome = self._bench.restore(
                self._nursery.folder(one.name), one.name, births, again=again, held=held, hosts=self._limits.hosts,
                stop=self._stop, listener=lambda event: self._listener(one.name, event))
            self._settle(one, outcome, cases, boots, due, held)
        except Locked as error:
            self._postpone(one, due, f"somebody holds the lock: {error}", self._limits.busy)
        except Incomplete as error:
            self._postpone(one, due, f"a run is open: {error}", self._limits.most)
        except (FleetError, OSError) as error:
            self._postpone(one, due, str(error), self._limits.most)
        except Exception as error:  # a defect must not end the nights of all fleets
            self._postpone(one, due, f"unexpected {type(error).__name__}: {error}", self._limits.most)

    def _held(self, one: _Fleet, cases: Mapping[str, Case], due: Mapping[str, set[str]]) -> dict[str, str]:
        """MACs that are to get nothing, and why."""
        now, found = iso(self._now()), {}
        for mac, case in cases.items():
            lately = case.lately(now, due.get(mac, ()))
            if case.quarantined:
                found[mac] = f"in quarantine since {case.quarantined[:19]}Z: `fleet midwife release {one.name} {mac}`"
            elif len(lately) >= LOOP:
                found[mac] = f"born {len(lately)} times within an hour: in quarantine until `fleet midwife release " \
                             f"{one.name} {mac}`"
        return found

    # --- what became of it ------------------------------------------------------------------------------------

    def _settle(self, one: _Fleet, outcome: RestoreOutcome, cases: Mapping[str, Case], boots: Mapping[str, str],
                due: Mapping[str, set[str]], held: Mapping[str, str]) -> None:
        now, known = iso(self._now()), {}
        with self._changed:
            one.tries, one.pause, one.told = 0, 0.0, ""
        if outcome.interrupted:
            self._again(one, due, 0.0)
        for mac in cases:
            case, told = cases[mac], due.get(mac, set())
            if mac in outcome.known or outcome.interrupted:
                continue
            births = case.lately(now, told or {boots[mac]})
            if mac in outcome.done:
                known[mac] = Case(one.name, births)
            elif mac in outcome.left:
                since = case.quarantined or (now if mac in held else "")
                known[mac] = replace(case, births=births, boot=boots[mac], attempts=0, quarantined=since,
                                     problem=outcome.left[mac])
                if outcome.left[mac] != case.problem:
                    self._say(f"{one.name}: {mac} stays as it is: {outcome.left[mac]}")
            elif mac in outcome.failed:
                known[mac] = self._failed(one, mac, replace(case, births=births), boots[mac], outcome.failed[mac])
        self._restores.put(known)
        if outcome.done:
            self._say(f"{one.name}: restored {len(outcome.done)} of {len(cases)}"
                      f"{f' in run {outcome.run}' if outcome.run else ''}")

    def _failed(self, one: _Fleet, mac: str, case: Case, boot: str, why: str) -> Case:
        attempts = case.attempts + 1 if case.boot == boot else 1
        if attempts < self._limits.attempts:
            self._again(one, (mac,), self._limits.again * 2 ** (attempts - 1))
            self._say(f"{one.name}: {mac} could not be restored, and is tried again: {why}")
        else:
            self._say(f"{one.name}: {mac} could not be restored, and is given up after {attempts} attempts: {why}")
        return replace(case, boot=boot, attempts=attempts, problem=why)

    def _again(self, one: _Fleet, macs: Iterable[str], seconds: float) -> None:
        with self._changed:
            for mac in macs:
                one.later[mac] = time.monotonic() + seconds

    def _postpone(self, one: _Fleet, due: Mapping[str, set[str]], why: str, most: float) -> None:
        """Nothing was done: all of it waits, with whoever is born meanwhile."""
        with self._changed:
            for mac, told in due.items():
                one.fresh.setdefault(mac, set()).update(told)
            one.since = one.last = time.monotonic() - self._limits.longest
        self._trouble(one, why, most)

    def _trouble(self, one: _Fleet, why: str, most: float) -> None:
        with self._changed:
            wait = min(most, self._limits.first * 2.0 ** min(one.tries, 20))
            one.tries += 1
            one.pause = time.monotonic() + wait
            news, one.told = why != one.told, why
        if news:
            self._say(f"{one.name}: restores wait: {why}")


def _facts(birth: Mapping[str, object]) -> dict[str, str]:
    return {name: str(birth[name]) for name in BORN_FACTS}


# --- in a midwife ---------------------------------------------------------------------------------------------


class _Owners(Protocol):
    """Of `providers.midwife.service.macs.Macs`."""

    def all(self) -> Mapping[str, Any]: ...

    def of(self, fleet: str) -> Mapping[str, Any]: ...


class _Midwife(Protocol):
    """Of `providers.midwife.service.midwife.Midwife`."""

    @property
    def folder(self) -> Path: ...

    @property
    def macs(self) -> _Owners: ...

    def birth(self, mac: str) -> Mapping[str, object] | None: ...


@dataclass(frozen=True, slots=True)
class MidwifeNursery:
    """Births and owners of a midwife."""

    midwife: _Midwife

    def birth(self, mac: str) -> Mapping[str, object] | None:
        return self.midwife.birth(mac)

    def fleets(self) -> Iterable[str]:
        return sorted({owned.fleet for owned in self.midwife.macs.all().values()})

    def macs(self, fleet: str) -> Iterable[str]:
        return self.midwife.macs.of(fleet)

    def folder(self, fleet: str) -> Path:
        return self.midwife.folder / "fleets" / fleet


def restorer_of(midwife: _Midwife, workbench: Workbench, say: Callable[[str], None],
                limits: Limits = Limits()) -> Restorer:
    """The restorer of a midwife; `workbench` is the command's workshop."""
    return Restorer(MidwifeNursery(midwife), workbench, Restores(midwife.folder / "midwife"), say, limits)
