"""Hosts with a disk: what of their declaration belongs together, and the steps that boot them once. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from planner.catalog import Draft, ProgramInput
from planner.model import Action, Attrs, Diagnostic

FIRST = re.compile(r"first\Z|firstdisk=[A-Za-z0-9][A-Za-z0-9._+-]*(?:,[A-Za-z0-9][A-Za-z0-9._+-]*)*\Z")
DEVICE = re.compile(r"(?:/vmfs/devices/disks/)?(?:mpx|naa|eui|t10|vml)\.[A-Za-z0-9._:+-]+\Z")
STAGED_NOTHING = {"staged": None, "boots": None, "installs": None, "agentless": None}


def validate(attributes: Attrs) -> Iterable[str]:
    """Rules across a host's fields: a sentence for each breach."""
    install = attributes.get("install")
    if not isinstance(install, Mapping):
        return
    disk = install.get("disk")
    if isinstance(disk, str) and not FIRST.match(disk) and not DEVICE.match(disk):
        yield ("`install: {disk}` is `first`, `firstdisk=local,usb` or a device such as `mpx.vmhba0:C0:T0:L0`, "
               f"not {disk!r}")
    if attributes.get("initial_root_password") is None:
        yield "`install` needs `initial_root_password`: the installed system gets it, until `root_password` is set"
    if attributes.get("netboot") == "standing":
        yield "`install` boots a host from the network once: remove `netboot: standing`"


def boots_once(declared: Attrs) -> bool:
    """Whether it boots its image this time only."""
    return declared.get("netboot") == "once" or isinstance(declared.get("install"), Mapping)


def staged(given: ProgramInput) -> dict[str, Any]:
    """What boot.stage brings about: the image, and how this host boots it where that is not every time."""
    declared = given.change.after or {}
    found: dict[str, Any] = {"staged": given.image}
    install = declared.get("install")
    if isinstance(install, Mapping):
        found |= {"boots": "install", "installs": {
            "disk": install.get("disk"), "overwrite_vmfs": bool(install.get("overwrite_vmfs")),
            "datastore": install.get("datastore") is not False}}
    elif boots_once(declared):
        found["boots"] = "once"
    if declared.get("birth") == "agentless":
        found["agentless"] = True
    return found


def before(given: ProgramInput, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The same of what is staged now."""
    return {name: given.facts.get(name) for name in wanted}


def wait(declared: Attrs) -> Draft:
    """For the birth; of an installation, with what it overwrites."""
    agentless = {"agentless": True} if declared.get("birth") == "agentless" else {}
    install = declared.get("install")
    if isinstance(install, Mapping):
        return Draft("install.wait", None, {"disk": install.get("disk"), **agentless})
    return Draft("birth.wait", None, agentless or None)


def unstage(given: ProgramInput) -> tuple[Draft, ...]:
    """After the birth. Its inverse stages the image again as it is by then, over: the machine boots from its disk."""
    if not boots_once(given.change.after or {}):
        return ()
    wanted = staged(given)
    return (Draft("boot.unstage", {"staged": wanted["staged"], "boots": "disk"},
                  {name: STAGED_NOTHING[name] for name in wanted}),)


def notes(given: ProgramInput) -> Iterable[Diagnostic]:
    """What a reviewer has to know about a host that is booted by this plan."""
    declared = given.change.after or {}
    install = isinstance(declared.get("install"), Mapping)
    if declared.get("birth") == "agentless":
        yield Diagnostic(
            "warning", "the certificate of this host is trusted on first use", "birth: agentless",
            address=given.change.address,
            remedy="keep the boot network isolated; `provider: {boot: {agentless: deny}}` forbids it")
    elif install:
        yield Diagnostic(
            "warning", "an installed host announces its birth by a script that Secure Boot does not run",
            "%firstboot of its kickstart", address=given.change.address,
            remedy="declare `birth: agentless` where UEFI Secure Boot is on")


def later(given: ProgramInput) -> Iterable[Diagnostic]:
    """A connected host is neither booted nor installed, whatever its declaration says now."""
    old, new = given.change.before or {}, given.change.after or {}
    changed = [name for name in ("install", "netboot") if old.get(name) != new.get(name)]
    if changed and given.change.action is Action.UPDATE:
        yield Diagnostic("warning", "a connected host is not booted anew", f"changed: {', '.join(changed)}",
                         address=given.change.address,
                         remedy=f"it holds from its next birth on; --replace '{given.change.address}' is one")


