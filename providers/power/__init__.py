"""The power provider: starts machines, or tells a person which ones to start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from planner.catalog import Operation
from planner.model import Attrs, Fleet

if TYPE_CHECKING:
    from planner.catalog import ResourceType
    from planner.ports import Call, OpenContext
    from planner.schema import Field
    from providers.power.session import PowerSession

STAYS_ON = "a machine that was started stays on"


def _boot(session: Any, call: Call) -> Attrs | None:
    facts: Attrs = session.boot(call)
    return facts


def _manual(session: Any, call: Call) -> Attrs | None:
    facts: Attrs = session.manual(call)
    return facts


OPERATIONS = (
    Operation("power.boot", "power on, or reset if on", "act",
              "Start the machine so that it boots from the network; reset it where it is on.", _boot,
              irreversible=STAYS_ON, kind="boot", provider="power"),
    Operation("power.manual", "a person powers the machine on", "act",
              "Say which machine to power on or reset; the wait for its birth follows.", _manual,
              irreversible=STAYS_ON, kind="manual", provider="power"),
)


class PowerProvider:
    """Entry point of the group `fleet.providers` (planner.ports.Provider)."""

    name = "power"

    def types(self) -> Sequence[ResourceType]:
        return ()

    def operations(self) -> Sequence[Operation]:
        return OPERATIONS

    def block(self) -> Mapping[str, Field]:
        return {}

    def open(self, context: OpenContext) -> PowerSession:
        from providers.power.session import PowerSession

        return PowerSession(context)

    def image_digests(self, fleet: Fleet) -> Mapping[str, str]:
        return {}


provider = PowerProvider()
