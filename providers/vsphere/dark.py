"""What vCenter has and did not let us read: never taken for what is not there, or for something else.

The property collector lists a property that it could not read as missing, with a fault, and goes on. A setting of a
host that is missing makes the host unread (see `live.unreadable`); what an object is told by (its name, its parent,
whether it is connected) makes it hidden: nothing is planned for it, nor for what may be it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from planner.model import Address, ReadFailed
from providers.vsphere import faults
from providers.vsphere.collector import Row

HOST = ("name", "parent", "runtime.connectionState", "summary.hardware.uuid")
PLACE = ("name", "parent")


def dark(row: Row, *paths: str) -> str:
    """Why these properties (all that were asked for, where none is named) are not known; "" where they are.

    A path that the type does not have is no failure to read.
    """
    bad = [f"{path}: {faults.fault_name(fault)}" for path, fault in row.missing.items()
           if faults.fault_name(fault) != "InvalidProperty" and (not paths or path in paths)]
    return f"{type(row.obj)._wsdlName} {row.moid} could not be read ({'; '.join(bad[:3])})" if bad else ""


def all_lit(rows: Iterable[Row], *paths: str) -> None:
    """Raises ReadFailed where one of these objects is dark: what is looked for may be that one."""
    for row in rows:
        why = dark(row, *paths)
        if why:
            raise ReadFailed("an object of vCenter could not be read", why, "give this user the right to read it")


def hidden_hosts(rows: Iterable[Row], matched: Mapping[Address, Row], wanted: Iterable[Address]) -> dict[Address, str]:
    """Hosts that are dark; and those that were not found, where a dark one may be them."""
    unlit = {row.moid: why for row in rows if (why := dark(row, *HOST))}
    if not unlit:
        return {}
    found = {a: unlit[row.moid] for a, row in matched.items() if row.moid in unlit}
    left = [why for moid, why in unlit.items() if moid not in {row.moid for row in matched.values()}]
    return {**found, **{a: f"{left[0]}, and may be this one" for a in wanted if left and a not in matched}}
