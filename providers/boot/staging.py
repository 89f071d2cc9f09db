"""How a planned step says in which way a machine boots, and the other way round. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from planner.model import Attrs, Fleet
from providers.midwife.message import BadMessage, normal_mac
from providers.midwife.standing import Standing, Way

BOOTS = (None, "once", "install", "disk")
"""`boots` of a step: every time; the image once; its installer once; its own disk (either of the two is over)."""


def way_of(after: Attrs) -> tuple[Way, bool]:
    """Attributes of boot.stage → how it stands, and whether that is over. Raises ValueError on unknown words."""
    boots, installs = after.get("boots"), after.get("installs")
    if boots not in BOOTS:
        raise ValueError(f"boots: {boots}")
    install = dict(installs) if isinstance(installs, Mapping) else None
    if boots == "install" and (install is None or not install.get("disk")):
        raise ValueError("boots: install, without a disk")
    return Way(once=boots is not None, agentless=bool(after.get("agentless")), install=install), boots == "disk"


def shown(standing: Standing | None) -> dict[str, Any]:
    """The same attributes of what stands now."""
    if standing is None:
        return {"staged": None, "boots": None, "installs": None, "agentless": None}
    way = standing.way
    boots = None if not way.once else "disk" if standing.spent else "install" if way.install else "once"
    return {"staged": standing.image, "boots": boots, "installs": dict(way.install) if way.install else None,
            "agentless": way.agentless or None}


def build_number(text: str) -> str:
    """The last number of a `build=` line: "8.0.3-0.0.24022510" → "24022510"; "" where it ends in none."""
    found = re.search(r"(?:\A|[-.])([0-9]{4,})\Z", text.strip())
    return found.group(1) if found else ""


def disk_macs(fleet: Fleet) -> frozenset[str]:
    """MACs of hosts that boot from their own disk while nothing is staged for them."""
    found = set()
    for resource in fleet.resources.values():
        declared = resource.attributes
        once = declared.get("netboot") == "once" or isinstance(declared.get("install"), Mapping)
        if resource.address.type == "host" and not resource.address.child_type and once:
            try:
                found.add(normal_mac(str(declared.get("mac") or "")))
            except BadMessage:
                continue
    return frozenset(found)
