"""Lockdown mode: who may still log in at the host itself. The last of a host's settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from planner.catalog import Operation, ResourceType
from planner.model import Attrs
from planner.ports import Call
from planner.schema import string, strings
from providers.vsphere.tools import HostView, Tools, after

PATH, EXCEPTIONS = "config.lockdownMode", "lockdown.exceptions"
MODES = {"disabled": "lockdownDisabled", "normal": "lockdownNormal", "strict": "lockdownStrict"}
_NAMES = {mode: name for name, mode in MODES.items()}
_CUTS = {
    "normal": "nobody but the exceptions logs in at the host itself any more (SSH, host client); its console (DCUI) "
              "stays",
    "strict": "nobody but the exceptions logs in at the host itself any more, and its console (DCUI) stops: should "
              "vCenter lose the host for good, only a new installation, or a stateless boot, opens it again",
}


def ask(view: HostView, _names: frozenset[str], _props: Mapping[str, Any]) -> Mapping[str, Any]:
    """The exceptions are shown by a method only."""
    return {EXCEPTIONS: view.manager("hostAccessManager").QueryLockdownExceptions() or ()}


def read(props: Mapping[str, Any], _wanted: frozenset[str]) -> dict[str, Attrs]:
    if props.get(PATH) is None or EXCEPTIONS not in props:
        return {}
    return {"lockdown": {"mode": _NAMES.get(str(props[PATH]), str(props[PATH])),
                         "exceptions": [*sorted(map(str, props[EXCEPTIONS]))]}}


def set_exceptions(tools: Tools, call: Call) -> None:
    wanted: Any = after(call).get("exceptions") or ()
    tools.manager(call, "hostAccessManager").UpdateLockdownExceptions(users=[str(each) for each in wanted])


def set_mode(tools: Tools, call: Call) -> None:
    tools.manager(call, "hostAccessManager").ChangeLockdownMode(mode=MODES[str(after(call)["mode"])])


def cuts(_before: Attrs | None, wanted: Attrs | None) -> str:
    """Which ways to the host a mode closes."""
    return _CUTS.get(str((wanted or {}).get("mode")), "")


def lifted(_before: Attrs, wanted: Attrs) -> bool:
    """Lockdown protects users' permissions: it is lifted before anything else is changed."""
    return wanted.get("mode") == "disabled"


def validate(attributes: Attrs) -> Iterable[str]:
    exceptions: Any = attributes.get("exceptions")
    taken = sorted({"dcui", "vpxuser"} & set(exceptions if isinstance(exceptions, (list, tuple)) else ()))
    if taken:
        yield f"lockdown mode never shuts out {' and '.join(taken)}: leave them out of `exceptions`"


LOCKDOWN = ResourceType(
    name="lockdown",
    doc="Lockdown mode: the host is managed through vCenter only.",
    parent="host",
    singleton=True,
    setting=True,
    order=15,
    siblings={"exceptions": "users"},  # after the users that it excepts
    fields={
        "mode": string("normal leaves the console (DCUI) to those of DCUI.Access; strict stops it.",
                       enum=tuple(MODES)),
        "exceptions": strings("Users who keep their permissions: local ones by name, those of a domain as "
                              "DOMAIN\\name.", unordered=True, lone=True),
    },
    paths=(PATH,),
    ask=ask,
    read=read,
    validate=validate,
    baseline={"lockdown": {"mode": "disabled", "exceptions": []}},
    operations=(
        Operation("lockdown.unexcept", "HostAccessManager.UpdateLockdownExceptions", "remove_item",
                  "Take a user from the exceptions.", set_exceptions, ("exceptions",), inverse="lockdown.except",
                  early=lambda _before, _after: True, privileges=("Global.Settings",)),
        Operation("lockdown.except", "HostAccessManager.UpdateLockdownExceptions", "add_item",
                  "Except a user from lockdown mode.", set_exceptions, ("exceptions",), inverse="lockdown.unexcept",
                  privileges=("Global.Settings",)),
        Operation("lockdown.mode", "HostAccessManager.ChangeLockdownMode", "update", "Set the lockdown mode.",
                  set_mode, ("mode",), inverse="lockdown.mode", early=lifted, disruptive=cuts, cuts="access",
                  loses="whether the service DCUI was stopped: without strict lockdown it runs",
                  privileges=("Host.Config.Settings",)),
    ),
)
