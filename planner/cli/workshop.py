"""What commands of providers get to work with: `planner.ports.Workshop`, on the parts of the other commands."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from planner.cli.wiring import Sessions
    from planner.model import Attrs, Fleet
    from planner.ports import Event, OpenFleet, RestoreOutcome, Session


@dataclass(slots=True)
class _Open:
    fleet: Fleet
    folder: Path
    sessions: Sessions

    def session(self, name: str) -> Session:
        from planner.cli.wiring import LIVE

        return self.sessions.live if name == LIVE else self.sessions[name]


class CliWorkshop:
    """Implements `planner.ports.Workshop`."""

    @contextmanager
    def open(self, path: str, *, purpose: str = "") -> Iterator[OpenFleet]:
        from planner.cli.wiring import Source, bench

        with (bench(Source.of(path), writable=bool(purpose)) as place,
              place.store.lock(purpose) if purpose else nullcontext()):
            try:
                yield _Open(place.fleet, place.sessions.folder, place.sessions)
            finally:
                place.sessions.close()  # before the lock is let go: they write until then

    def restore(self, folder: Path, fleet: str, births: Mapping[str, Attrs], *, again: Iterable[str] = (),
                held: Mapping[str, str] = MappingProxyType({}), hosts: int = 8, stop: threading.Event | None = None,
                listener: Callable[[Event], None] = lambda _event: None) -> RestoreOutcome:
        from planner.cli.restoring import Request, restore

        return restore(Request(folder, fleet, {mac.lower(): birth for mac, birth in births.items()},
                               frozenset(mac.lower() for mac in again), held, hosts, stop, listener))
