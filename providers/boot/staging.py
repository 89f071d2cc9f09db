"""How a planned step says in which way a machine boots, and the other way round. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from planner.model import Attrs, Diagnostic, Fleet
from planner.ports import Call
from providers.midwife.message import BadMessage, normal_mac
from providers.midwife.standing import Standing, Way

BOOTS = (None, "once", "install", "disk", "trial")
"""`boots` of a step: every time; the image once; its installer once; its own disk (either of the two is over); every
time until it is born, and then again what stood before, until the image is kept."""


def way_of(after: Attrs) -> tuple[Way, bool]:
    """Attributes of boot.stage → how it stands, and whether that is over. Raises ValueError on unknown words."""
    boots, installs = after.get("boots"), after.get("installs")
    if boots not in BOOTS:
        raise ValueError(f"boots: {boots}")
    install = dict(installs) if isinstance(installs, Mapping) else None
    if boots == "install" and (install is None or not install.get("disk")):
        raise ValueError("boots: install, without a disk")
    once, trial = boots not in (None, "trial"), boots == "trial"
    return Way(once, bool(after.get("agentless")), install, trial), boots == "disk"


def shown(standing: Standing | None) -> dict[str, Any]:
    """The same attributes of what stands now."""
    if standing is None:
        return {"staged": None, "boots": None, "installs": None, "agentless": None}
    way = standing.way
    boots = "trial" if way.trial else None
    if way.once:
        boots = "disk" if standing.spent else "install" if way.install else "once"
    return {"staged": standing.image, "boots": boots, "installs": dict(way.install) if way.install else None,
            "agentless": way.agentless or None}


def goes_back(call: Call) -> bool:
    """Whether revoking these boot files means that what stood before a trial stands again."""
    return (call.before or {}).get("boots") == "trial" and bool((call.after or {}).get("staged"))


def build_number(text: str) -> str:
    """The last number of a `build=` line: "8.0.3-0.0.24022510" → "24022510"; "" where it ends in none."""
    found = re.search(r"(?:\A|[-.])([0-9]{4,})\Z", text.strip())
    return found.group(1) if found else ""


def unsuited(fleet: Fleet, loaders: Mapping[str, str]) -> Iterable[Diagnostic]:
    """Hosts whose image cannot do what they ask of it. `loaders`: image name → its loader, of images that are known."""
    for resource in fleet.resources.values():
        declared, loader = resource.attributes, loaders.get(str(resource.attributes.get("image") or ""), "")
        if resource.address.type != "host" or resource.address.child_type or not loader:
            continue
        if isinstance(declared.get("install"), Mapping) and loader != "mboot":
            yield Diagnostic("error", "this image cannot be installed by a script",
                             f"install; image {declared['image']} boots by loader {loader}", resource.mark,
                             resource.address, "`install` needs an image of ESXi 5 or later")
        if loader == "legacy" and declared.get("birth") != "agentless":
            yield Diagnostic("warning", "this image has no Python that could announce a birth",
                             f"image {declared['image']}, of ESX 3.5 or 4", resource.mark, resource.address,
                             "declare `birth: agentless`")


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
