"""The steps around a host's children, decided from values alone. Cases A to G: `tests/cases/vsphere`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from planner.catalog import Draft, Program, ProgramInput
from planner.model import Action, Attrs, Change, Diagnostic, LiveHost
from providers.vsphere.host import residue
from providers.vsphere.host import roll as image
from providers.vsphere.host.install import STAGED_NOTHING, later, notes, staged, unstage, wait
from providers.vsphere.host.install import before as staged_now
from providers.vsphere.host.roll import groups

ENTER = Draft("host.enter_maintenance", {"in_maintenance": False}, {"in_maintenance": True})
EXIT = Draft("host.exit_maintenance", {"in_maintenance": True}, {"in_maintenance": False})
VERIFY = Draft("host.verify", None, None)
VERIFY_KEPT = Draft("host.verify_kept", None, None)
DISCONNECT = Draft("host.disconnect", {"connection": "connected"}, {"connection": "disconnected"},
                   when="shown-connected")
RECONNECT = Draft("host.reconnect", {"connection": "notResponding"}, {"connection": "connected"},
                  when="not-connected")
DOOR = (Draft("door.enter_maintenance", {"door_maintenance": False}, {"door_maintenance": True}),
        Draft("door.set_password", {"password": "initial"}, {"password": "set"}))
JITTER = 5.0  # seconds by which vCenter's boot time of one boot wanders


def program(given: ProgramInput) -> Program:
    """Head, tail and refusals for one host. Pure."""
    made = _program(given)
    return replace(made, groups=groups(given.change.before, given.change.after)) if made.window else made


def _program(given: ProgramInput) -> Program:
    change, live = given.change, given.live
    if change.action is Action.FORGET:
        return Program()
    if change.action is Action.DELETE:
        return _delete(given)
    problems = tuple(_mistakes(given))
    if problems:
        return Program(blocked=problems[0].summary, diagnostics=problems)
    if live is not None and live.connection == "disconnected":
        return Program(blocked="somebody disconnected it in vCenter, and it stays so until somebody reconnects it")
    if change.action is Action.REPLACE:
        leave = _leave(given)
        if leave.blocked:
            return leave
        born = _birth(given, leave.head)
        return replace(born, diagnostics=(*leave.diagnostics, *born.diagnostics))
    if live is None:
        return _birth(given) if change.action is Action.CREATE else Program(
            blocked="vCenter does not know it: plan again with refresh")
    if live.connection == "notResponding" or (given.birth and not reborn(live, given.facts)):
        return _revive(given, live)  # vCenter may be late, and show the boot before as connected
    return _configure(given, live)


# --- A, G: new hosts --------------------------------------------------------------------------------------


def _birth(given: ProgramInput, before: tuple[Draft, ...] = ()) -> Program:
    add = Draft("host.add", None, dict(given.change.after or {}))
    return Program((*before, *_boot(given), *_door(given), add, *unstage(given)), (VERIFY, EXIT), reset=True,
                   window=True, diagnostics=tuple(notes(given)))


def _door(given: ProgramInput) -> tuple[Draft, ...]:
    """Maintenance mode, and root's password; nothing to set where the image brings the lasting one."""
    after = given.change.after or {}
    same = after.get("initial_root_password") == after.get("root_password")
    return DOOR[:1] if same else DOOR


def _boot(given: ProgramInput, stage: Draft | None = None) -> tuple[Draft, ...]:
    press = "power.boot" if given.power == "twin" else "power.manual"
    wanted, declared = staged(given), given.change.after or {}
    stage = stage or Draft("boot.stage", staged_now(given, wanted), wanted)
    return stage, Draft(press, None, None), wait(declared)


# --- B: known, and gone -----------------------------------------------------------------------------------


def _revive(given: ProgramInput, live: LiveHost) -> Program:
    declared = given.change.after or {}
    up = bool(given.birth) and given.image in ("", given.birth.get("image"))
    if isinstance(declared.get("install"), Mapping) and not up:
        return Program(blocked="it does not answer, and booting it from the network would install it anew: start it, "
                               f"or plan with --replace '{given.change.address}'")
    tail = (VERIFY_KEPT,) if live.in_maintenance and not _entered(given.facts) else (VERIFY, EXIT)
    ends = Diagnostic(
        "warning", "virtual machines are registered on this host, which does not answer", _names(live.vms),
        address=given.change.address,
        remedy="make sure that they run elsewhere, or nowhere: if the host still runs, booting it ends them")
    stage, keep = image.staging(given) if image.replaced(given) and not up else (None, None)
    boot = (wait(declared),) if up else _boot(given, stage)
    head = (*boot, *_door(given), DISCONNECT, RECONNECT, *_left_behind(live), *unstage(given), *_move(given.change))
    tail = (tail[0], *((keep,) if keep else ()), *tail[1:])
    return Program(head, tail, reset=True, window=True, reborn=True,
                   diagnostics=(*((ends,) if live.vms and not up else ()), *notes(given)))


def _entered(facts: Attrs) -> bool:
    """Whether maintenance mode is fleet's own, of a configuration that was not completed, and no person's."""
    return bool(facts.get("door_maintenance"))


def _left_behind(live: LiveHost) -> tuple[Draft, ...]:
    """Distributed switches go on counting a host among theirs that has lost its part of them by its reboot."""
    return tuple(Draft("host.leave_switch", {"member_of": switch}, {"member_of": ""}) for switch in live.switches)


def _move(change: Change) -> tuple[Draft, ...]:
    """To another cluster; only in maintenance mode."""
    old, new = (change.before or {}).get("cluster"), (change.after or {}).get("cluster")
    return (Draft("host.move", {"cluster": old}, {"cluster": new}),) if old and new and old != new else ()


# --- C, D: connected --------------------------------------------------------------------------------------


def _configure(given: ProgramInput, live: LiveHost) -> Program:
    if image.rolls(given):
        return _roll(given, live)
    move = _move(given.change)
    fresh = reborn(live, given.facts) and given.children_change
    left = live.in_maintenance and _entered(given.facts)  # by a run that was given up: what it began is ended
    kept = (*_password_kept(given.change), *later(given), *image.kept(given), *residue.notes(given))
    lost = residue.drafts(given)
    if not move and not fresh and not left:
        return Program(lost, diagnostics=kept)
    head = (*lost, *move) if live.in_maintenance else (*lost, ENTER, *move)
    tail = (VERIFY,) if fresh or left else ()
    stays = live.in_maintenance and not left
    return Program(head, tail if stays else (*tail, EXIT), window=True, reborn=fresh, diagnostics=kept)


def _roll(given: ProgramInput, live: LiveHost) -> Program:
    """Out of its cluster, into the other image, configured anew, read back, and in again."""
    why = image.waits(given, live)
    if why:
        return Program(blocked=why)
    stage, keep = image.staging(given)
    stays = live.in_maintenance and not _entered(given.facts)
    enter = () if live.in_maintenance else (image.EVACUATE,)
    boot = (stage, *image.restart(given), wait(given.change.after or {}))
    head = (*residue.drafts(given), *enter, *boot, *_door(given), DISCONNECT, RECONNECT,
            *_left_behind(live), *_move(given.change))
    tail = (image.verified(given, VERIFY_KEPT if stays else VERIFY), keep)
    return Program(head, tail if stays else (*tail, EXIT), reset=True, window=True, roll=image.roll(given, live),
                   reborn=reborn(live, given.facts),
                   diagnostics=(*later(given), *image.notes(given), *notes(given), *residue.notes(given)))


def _password_kept(change: Change) -> Iterable[Diagnostic]:
    """Only a birth sets the password: a connected host does not get the new one."""
    old, new = ((a or {}).get("root_password") for a in (change.before, change.after))
    if old is not None and new is not None and old != new:
        yield Diagnostic("warning", "a connected host keeps its root password", f"{old} is replaced by {new} in the "
                         "fleet only", address=change.address,
                         remedy="change it on the host now; the next birth sets the new one")


def reborn(live: LiveHost, facts: Attrs) -> bool:
    """Whether it booted after its last completed configuration."""
    now, then = moment(live.boot_time), moment(facts.get("boot_time"))
    return now is not None and then is not None and (now - then).total_seconds() > JITTER


def moment(text: Any) -> datetime | None:
    """An ISO 8601 time; None where it is none. Without a zone it is UTC."""
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


# --- F: leaving -------------------------------------------------------------------------------------------


def _delete(given: ProgramInput) -> Program:
    live = given.live
    stands = {name: given.facts[name] for name in STAGED_NOTHING if given.facts.get(name)}
    revoke = (Draft("boot.unstage", stands, {name: None for name in stands}),) if stands.get("staged") else ()
    if live is None:
        return Program(head=revoke)
    if live.connection == "disconnected":
        return Program(blocked="somebody disconnected it in vCenter, and it stays so until somebody reconnects it")
    leave = _leave(given)
    return leave if leave.blocked else replace(leave, head=(*revoke, *leave.head))


def _leave(given: ProgramInput) -> Program:
    """Out of vCenter: with maintenance mode where it answers, for good where it does not."""
    change, live = given.change, given.live
    if live is None:
        return Program()
    before = dict(change.before or {})
    if live.connection != "connected":
        if live.vms and change.action is not Action.REPLACE:
            return _refuse(given, "virtual machines are registered on this host, which does not answer",
                           _names(live.vms), f"plan with --replace '{change.address}', or unregister them")
        return Program((Draft("host.remove_dead", before, None),), window=True,
                       diagnostics=tuple(residue.removal(live, given)))
    leave = Diagnostic("warning", "virtual machines have to move away first", _names(live.vms), address=change.address,
                       remedy="maintenance mode moves what it can; the host is not removed while one stays")
    enter = () if live.in_maintenance else (ENTER,)
    return Program((*residue.drafts(given), *enter, Draft("host.remove", before, None)), window=True,
                   diagnostics=(*((leave,) if live.vms else ()), *residue.notes(given)))


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


# --- refusals ---------------------------------------------------------------------------------------------


def _refuse(given: ProgramInput, summary: str, detail: str, remedy: str) -> Program:
    found = Diagnostic("error", summary, detail, address=given.change.address, remedy=remedy)
    return Program(blocked=f"{summary}: {detail}", diagnostics=(found,))


def _mistakes(given: ProgramInput) -> Iterable[Diagnostic]:
    """Everything about the declaration, or about the host, that makes planning it impossible."""
    for summary, detail, remedy in (*_declared(given), *_found(given)):
        yield Diagnostic("error", summary, detail, address=given.change.address, remedy=remedy)


def _declared(given: ProgramInput) -> Iterable[tuple[str, str, str]]:
    after, live = given.change.after or {}, given.live
    if after.get("birth") == "agentless" and given.options.get("agentless") == "deny":
        yield ("agentless births are denied", "birth: agentless", "use `birth: payload`, or let "
               "`provider: {boot: {agentless: allow}}` be decided by whoever answers for the boot network")
    if after.get("datacenter"):
        yield ("a standalone host is not supported in this version", "datacenter is set",
               "set `cluster` instead of `datacenter`")
    elif not after.get("cluster"):
        yield ("a host needs a cluster", "cluster is not set", "set `cluster`")
    born = live is None or live.connection == "notResponding" or given.change.action is Action.REPLACE or \
        image.rolls(given)
    if not born:
        return
    if not after.get("mac"):
        yield ("a host that is booted by fleet needs its MAC", "mac is not set", "set `mac` to the MAC it boots from")
    if not after.get("image"):
        yield ("a host that is booted by fleet needs an image", "image is not set", "set `image`")
    elif not given.image and not given.birth:
        yield ("the content of the image is not known", f"image {after['image']}", "check the image's `source`")
    if after.get("root_password") is None:
        yield ("a host that is booted by fleet needs a root password", "root_password is not set",
               "set `root_password` to a secret(…)")


def _found(given: ProgramInput) -> Iterable[tuple[str, str, str]]:
    live, facts = given.live, given.facts
    if live is None:
        return
    if live.problems and not given.options.get("coexist"):
        yield ("something else configures this host", "; ".join(live.problems),
               "detach it, or set `coexist: true` on the vsphere provider")
    if given.change.action is Action.REPLACE:
        return
    if live.connection != "connected":
        yield from residue.another_machine(given)
    known = str(facts.get("uuid") or "")
    if known and live.uuid and known.lower() != live.uuid.lower():
        yield ("this is another machine than the recorded one", f"hardware UUID {live.uuid}, recorded {known}",
               f"plan again with --replace '{given.change.address}', or correct `mac` and `name`")
    old, new = ((a or {}).get("mac") for a in (given.change.before, given.change.after))
    if live.connection == "connected" and old and new and old != new:
        yield ("this host has no such MAC", f"declared is {new}, it boots from {old}",
               "correct `mac`: the host would never be recognised at its next boot")
    if not given.hold:
        yield from image.refused(given)
