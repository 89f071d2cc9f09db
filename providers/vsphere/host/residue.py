"""What is left of hosts that went away or were reborn: virtual machines that vCenter has lost on them. Pure.

They leave vCenter only where the fleet file says so, one step each, by name; nobody's files are touched. A machine that
is merely inaccessible leaves only where it is named: its storage may come back at any moment.
"""

from __future__ import annotations

from collections.abc import Iterable

from planner.catalog import Draft, ProgramInput
from planner.model import Attrs, Diagnostic, LiveHost, Stray, Value


def drafts(given: ProgramInput) -> tuple[Draft, ...]:
    """A step for each machine that is to leave vCenter."""
    return tuple(Draft("host.unregister_vm", {"registered": about(each)}, {"registered": None})
                 for each in _leaving(given))


def about(stray: Stray) -> dict[str, Value]:
    """What it takes to find it, and to register it again."""
    return {"name": stray.name, "vmx": stray.vmx, "folder": stray.folder, "state": stray.state}


def _leaving(given: ProgramInput) -> list[Stray]:
    after, live = given.change.after or {}, given.live
    if live is None or live.connection != "connected":
        return []
    named = after.get("unregister_vms")
    names = {str(each) for each in named} if isinstance(named, (list, tuple)) else set()
    return [each for each in live.strays if each.name in names
            or (each.state == "orphaned" and after.get("orphans") == "unregister")]


def notes(given: ProgramInput) -> Iterable[Diagnostic]:
    """What leaves, by name; and what stays although vCenter has lost it."""
    address, live, leaving = given.change.address, given.live, _leaving(given)
    if leaving:
        yield Diagnostic("warning", "virtual machines that vCenter has lost on this host leave its inventory",
                         listed(map(str, leaving)), address=address,
                         remedy="their files stay; where vCenter knows the file, a rollback registers it again")
    if live is None or live.connection != "connected":
        return
    left = [each for each in live.strays if each not in leaving]
    if left:
        yield Diagnostic("warning", "vCenter has lost virtual machines on this host",
                         listed(f"{each} is {each.state}" for each in left), address=address,
                         remedy="give the host their datastore again; or declare `orphans: unregister` on it (for "
                                "orphaned ones), or name them in `unregister_vms`")


def removal(live: LiveHost, given: ProgramInput) -> Iterable[Diagnostic]:
    """What goes for good with a host that does not answer, and is removed all the same."""
    address = given.change.address
    if live.vms:
        known = {each.name: str(each) for each in live.strays}
        yield Diagnostic("warning", "virtual machines would be lost to vCenter",
                         listed(known.get(name, name) for name in live.vms), address=address,
                         remedy="their files stay; register them again on another host")
    if live.permissions:
        yield Diagnostic("warning", "permissions that are set on this host are lost", listed(live.permissions),
                         address=address, remedy="set them again once the host is back")


def another_machine(given: ProgramInput) -> Iterable[tuple[str, str, str]]:
    """A birth by another machine than the one that vCenter knows: summary, detail, remedy."""
    live, born = given.live, str(given.birth.get("uuid") or "")
    if live is None or not born or not live.uuid or born.lower() == live.uuid.lower():
        return
    lost = ["its statistics", "alarms", "permissions"]
    lost += [f"the registration of {listed(live.vms)}"] if live.vms else []
    yield ("another machine was born than the one that vCenter knows",
           f"hardware UUID {born}, vCenter has {live.uuid}",
           f"plan with --replace '{given.change.address}': vCenter forgets the old one then, and {', '.join(lost)}")


def unknown_file(before: Attrs | None, after: Attrs | None) -> str:
    """Why a machine cannot be registered again; "" where it can."""
    known = (before or {}).get("registered")
    if isinstance(known, dict) and known.get("vmx"):
        return ""
    return "vCenter does not say where its file is, so nothing can register it again"


def listed(names: Iterable[str]) -> str:
    found = list(names)
    return ", ".join(found[:10]) + (f" and {len(found) - 10} more" if len(found) > 10 else "")
