"""Guards: what only apply can see. Pure."""

from __future__ import annotations

from planner.model import Attrs
from providers.vsphere.host.program import moment

_JITTER = 5.0  # seconds by which vCenter's boot time of one boot wanders
_LONGEST_BOOT = 1800.0  # seconds from a kernel's start to the birth that it sends


def shown_connected(status: Attrs, facts: Attrs) -> bool:
    """Whether vCenter still shows as connected what has been reborn since.

    Then the boot time that it shows is still the one recorded before; where none was recorded, one that lies too
    far before the birth to belong to it.
    """
    if status.get("connection") != "connected":
        return False
    shown, recorded, born = (moment(v) for v in (status.get("boot_time"), facts.get("boot_time"), facts.get("born")))
    if shown is None:
        return True
    if recorded is not None:
        return (shown - recorded).total_seconds() <= _JITTER
    return born is None or (born - shown).total_seconds() > _LONGEST_BOOT
