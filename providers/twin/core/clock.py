"""Wall time, the default of a world that is given no clock."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from planner.ports import Clock


class WallClock:
    """Real time. Implements `planner.ports.Clock`."""

    def now(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def moment(clock: Clock) -> datetime:
    """The clock's time as the API shows it: an aware UTC datetime."""
    return datetime.fromtimestamp(clock.now(), UTC)
