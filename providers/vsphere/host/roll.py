"""A connected host whose declared image is another one than it runs: an evacuating reboot, in place. Pure.

The new image is on trial until the host is read back clean on it: a host that loses its power before that boots what it
booted before. Back, it goes the same way (`planner.execute.restore`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from planner.catalog import Draft, ProgramInput
from planner.model import Attrs, Diagnostic, Evacuation, LiveHost, Roll
from providers.vsphere.host.install import before, boots_once, staged

EVACUATE = Draft("host.evacuate", {"in_maintenance": False}, {"in_maintenance": True})
REBOOT = Draft("host.reboot", {"rebooted": False}, {"rebooted": True})


def rolls(given: ProgramInput) -> bool:
    """Whether this plan changes its image."""
    return another(given) and not given.hold and not given.change.adopted


def another(given: ProgramInput) -> bool:
    """Whether it runs another image than the declared one, as far as anybody can tell.

    By the digest of what it was born with; for a host that fleet has not booted yet, by the build of its product.
    """
    live, ran = given.live, str(given.facts.get("image") or "")
    if live is None or live.connection != "connected" or not given.image:
        return False
    if ran:
        return ran != given.image
    return bool(given.build and live.build) and given.build != live.build


def replaced(given: ProgramInput) -> bool:
    """Whether a host that is booted anyway gets another image than the one that stands for it."""
    ran, stands = given.facts.get("image"), given.facts.get("staged")
    return bool(ran and stands) and ran != given.image and not boots_once(given.change.after or {})


def refused(given: ProgramInput) -> Iterable[tuple[str, str, str]]:
    """What makes it impossible: summary, detail, remedy."""
    declared, facts = given.change.after or {}, given.facts
    left_alone = bool(facts.get("image")) and not facts.get("staged")  # nothing stands for it: it boots from its disk
    if another(given) and (boots_once(declared) or left_alone):
        how = "is installed on its disk" if declared.get("install") else "boots from its own disk"
        yield (f"a host that {how} gets no other image by itself", _images(given),
               f"declare the image that it runs, or plan with --replace '{given.change.address}'")


def kept(given: ProgramInput) -> Iterable[Diagnostic]:
    """That a connected host goes on with the image that it runs, and why, although another one is declared."""
    change, live = given.change, given.live
    old, new = ((a or {}).get("image") for a in (change.before, change.after))
    news = change.adopted or old != new
    if another(given) and (given.hold or change.adopted):
        why = given.hold or "a host that is adopted is not rebooted"
        yield Diagnostic("warning", "this host keeps the image that it runs", f"{why}; {_images(given)}",
                         address=change.address, remedy="" if given.hold else
                         "the plan after this one changes it, with everything that nobody declared lost")
    elif news and live is not None and given.image and not (given.facts.get("image") or (given.build and live.build)):
        unknown = "the declared image says no build" if not given.build else "vCenter does not show its build"
        yield Diagnostic("warning", "this host keeps the image that it runs: nobody can tell whether it is another one",
                         unknown, address=change.address, remedy="write `build=` into the image's boot.cfg")


def waits(given: ProgramInput, live: LiveHost) -> str:
    """Why its turn has not come; "" where it has."""
    if live.in_maintenance or not given.out:
        return ""
    return "its image is to be changed, and one host of a cluster is out at a time: " \
        f"{', '.join(map(str, given.out))}"


def staging(given: ProgramInput) -> tuple[Draft, Draft]:
    """Serving the new image on trial; and, once the host is read back clean, for good."""
    wanted = staged(given)
    trial = {**wanted, "boots": "trial"}
    return (Draft("boot.stage", before(given, trial), trial),
            Draft("boot.keep", {"staged": wanted["staged"], "boots": "trial"},
                  {"staged": wanted["staged"], "boots": None}))


def restart(given: ProgramInput) -> tuple[Draft, ...]:
    """By vCenter; and, where an interrupted run finds the machine neither running nor born, by its button."""
    press = "power.boot" if given.power == "twin" else "power.manual"
    return REBOOT, Draft(press, None, None, when="not-restarted")


def verified(given: ProgramInput, verify: Draft) -> Draft:
    """The read-back, build of the image included."""
    return replace(verify, after={"build": given.build}) if given.build else verify


def roll(given: ProgramInput, live: LiveHost) -> Roll:
    after = given.change.after or {}
    return Roll(given.change.address, str((given.change.before or {}).get("cluster") or after.get("cluster") or ""),
                str(after.get("image") or ""), str(given.facts.get("image") or ""), given.image,
                (live.build, given.build), given.evacuation or Evacuation())


def notes(given: ProgramInput) -> Iterable[Diagnostic]:
    """What a reviewer has to know about its virtual machines, and about the way back."""
    found, address = given.evacuation or Evacuation(), given.change.address
    if found.stuck:
        yield Diagnostic("warning", "virtual machines on this host cannot move to another one",
                         "; ".join(found.stuck[:10]) + _more(found.stuck), address=address,
                         remedy="make room for them, or power them off: the host is not restarted while one runs on it")
    if found.by_hand:
        yield Diagnostic("warning", "nobody moves these virtual machines by itself", ", ".join(found.by_hand[:10])
                         + _more(found.by_hand), address=address,
                         remedy="move them while apply waits, or let fully automated DRS do it")
    if not given.facts.get("image"):
        yield Diagnostic("warning", "rolled back, this host keeps the new image", "what it runs is no image that fleet "
                         "has booted it with", address=address)


def _images(given: ProgramInput) -> str:
    live, ran = given.live, str(given.facts.get("image") or "")
    if ran:
        return f"it runs {ran[:12]}, declared is {given.image[:12]}"
    return f"it runs build {live.build if live else '?'}, declared is build {given.build}"


def _more(names: tuple[str, ...]) -> str:
    return f" and {len(names) - 10} more" if len(names) > 10 else ""


def groups(*sides: Attrs | None) -> tuple[str, ...]:
    """The clusters that do without the host while its steps run."""
    found = (str((side or {}).get("cluster") or "") for side in sides)
    return tuple(dict.fromkeys(name for name in found if name))
