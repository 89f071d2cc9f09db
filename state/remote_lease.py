"""The lock that a midwife holds for us: kept alive by a thread and by every append, and given up in time.

While the midwife's last answer is younger than its lease, nobody else can have the lock. Older than half of it, and
`confirm` asks first. The clock goes on while a machine sleeps: what woke up has lost its lock.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from planner.model import FleetError, Locked

RENEW_SECONDS = 10.0


def since_boot() -> float:
    """Seconds that go on while the machine is suspended."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


class Lease:
    """A lease that was granted. `renew(patience)` asks the midwife once more, and returns its seconds."""

    def __init__(self, token: str, seconds: float, asked: float, renew: Callable[[float], float],
                 patience: float, now: Callable[[], float] = since_boot) -> None:
        self.token = token
        self._seconds, self._confirmed = seconds, asked
        self._renew, self._patience, self._now = renew, patience, now
        self._lost: FleetError | None = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="fleet-lease", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """No renewal follows."""
        self._end.set()

    @property
    def lost(self) -> FleetError | None:
        """Why nothing may be changed under this lease any more; None while it may."""
        return self._lost

    def lose(self, error: FleetError) -> None:
        """The first reason stays."""
        self._lost = self._lost or error

    def signed(self, asked: float) -> None:
        """A call with our token succeeded that was sent at that time."""
        self._confirmed = max(self._confirmed, asked)

    def confirm(self) -> None:
        """Returns while nobody else can have the lock. Waits for a link that was cut. Raises FleetError."""
        if self._lost is not None:
            raise type(self._lost)(*self._lost.diagnostics) from self._lost
        if self._now() - self._confirmed > self._seconds / 2:
            self._ask(self._patience)

    def _ask(self, patience: float) -> None:
        asked = self._now()
        self._seconds = self._renew(patience)
        self.signed(asked)

    def _keep(self) -> None:
        while not self._end.wait(RENEW_SECONDS):
            if self._lost is None and self._now() - self._confirmed > RENEW_SECONDS / 2:
                try:
                    self._ask(0.0)
                except Locked as error:
                    self.lose(error)
                except FleetError:
                    continue  # the link: whoever has something to write waits for it, and says so
