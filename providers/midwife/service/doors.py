"""Agentless births at the midwife: the doors of machines that have their image are looked at until they answer.

Looking takes root's first password (see `providers.boot.agentless`). A stateless host has an empty one at first; any
other comes with the wait of an apply, and is kept in memory only while that goes on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from planner.model import Address, FleetError, SecretRef, StepFailed
from planner.ports import Call
from providers.boot.agentless import Doors, SocketDoors, Watch
from providers.boot.trail import Trail
from providers.midwife.desk import Desk
from providers.midwife.standing import Standing, Standings

TICK_SECONDS = 1.0
WORKERS = 8
KEPT_SECONDS = 120.0
"""Passwords are forgotten when no wait has come with them for so long."""

_INITIAL, _SET = SecretRef("wait:initial"), SecretRef("wait:set")


@dataclass(slots=True)
class _Asked:
    """What a wait brought along."""

    passwords: Mapping[SecretRef, str] = field(repr=False)
    until: float


@dataclass(slots=True)
class _Look:
    boot: str
    watch: Watch
    busy: bool = False
    failed: StepFailed | None = None
    wrong: list[Mapping[SecretRef, str]] = field(default_factory=list, repr=False)  # passwords that failed


class DoorKeeper:
    """Looks at the doors of all agentless machines, from `start` to `stop`."""

    def __init__(self, standings: Standings, desk: Desk, trail: Trail, now: Callable[[], float],
                 doors: Doors | None = None) -> None:
        self._standings, self._desk, self._trail, self._now = standings, desk, trail, now
        self._doors: Doors = doors or SocketDoors()
        self._lock = threading.Lock()
        self._asked: dict[str, _Asked] = {}
        self._looks: dict[str, _Look] = {}
        self._ended = threading.Event()
        self._pool = ThreadPoolExecutor(WORKERS, "midwife-doors")
        self._thread = threading.Thread(target=self._run, name="midwife-doors", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join(timeout=5)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def learn(self, mac: str, initial: str, lasting: str) -> None:
        """A wait goes on for this MAC, with these passwords of root."""
        with self._lock:
            self._asked[mac] = _Asked({_INITIAL: initial, _SET: lasting}, time.monotonic() + KEPT_SECONDS)

    def failure(self, mac: str, boot: str) -> StepFailed | None:
        """Why this boot of the machine is not looked at any more; None while it is, or need not be."""
        with self._lock:
            found = self._looks.get(mac)
            if found is None or found.boot != boot or found.busy or self._known(mac) not in found.wrong:
                return None
            return found.failed

    def _known(self, mac: str) -> Mapping[SecretRef, str]:
        asked = self._asked.get(mac)
        return asked.passwords if asked is not None else {_INITIAL: "", _SET: ""}

    def _run(self) -> None:
        while not self._ended.wait(TICK_SECONDS):
            with self._lock:
                for mac in [m for m, a in self._asked.items() if a.until < time.monotonic()]:
                    del self._asked[mac]
            try:
                standings = self._standings.all().values()
            except (OSError, FleetError):
                continue  # told where it is served
            for standing in standings:
                if standing.way.agentless and standing.boot is not None:
                    self._begin(standing, standing.boot.id)

    def _begin(self, standing: Standing, boot: str) -> None:
        mac = standing.mac
        with self._lock:
            look = self._looks.get(mac)
            if look is None or look.boot != boot:
                watch = Watch(mac, self._desk, self._trail, self._doors, self._now)
                look = self._looks[mac] = _Look(boot, watch)
            passwords = self._known(mac)
            if look.busy or passwords in look.wrong:
                return  # wrong passwords lock root out: only others are worth a try
            look.busy = True
        self._pool.submit(self._look, look, mac, passwords)

    def _look(self, look: _Look, mac: str, passwords: Mapping[SecretRef, str]) -> None:
        failed: StepFailed | None = None
        try:
            if self._desk.birth(mac) is not None:
                return
            look.watch.look(Call(
                Address("host", "machine"), "birth.wait", None, None, {},
                {"initial_root_password": _INITIAL, "root_password": _SET}, lambda _address: "",
                passwords.__getitem__, self._ended, self._now() + 60.0, report=lambda _reason: None))
        except StepFailed as error:
            failed = error
            self._trail.note(mac, str(error))
        except Exception as error:  # whatever answers there must not end the looking
            self._trail.note(mac, f"its door cannot be looked at: {type(error).__name__}")
        finally:
            with self._lock:
                look.busy, look.failed = False, failed
                if failed is not None:
                    look.wrong.append(passwords)
