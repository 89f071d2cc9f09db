"""Options of a kernel module. The host shows them by a call only, and a module reads them when it is loaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from planner.catalog import Operation, ResourceType
from planner.model import Action, Attrs, Change, Diagnostic, Unknown
from planner.ports import Call
from planner.schema import string
from providers.vsphere.tools import HostView, Tools, after

ASKED = "kernel modules"


def ask(host: HostView, names: frozenset[str], _props: Mapping[str, Any]) -> dict[str, Any]:
    """One call a module: their list as a whole is long, and names the options of the running system only."""
    from pyVmomi import vim

    manager = host.manager("kernelModuleSystem")
    found: dict[str, str] = {}
    for name in sorted(names):
        try:
            found[name] = str(manager.QueryConfiguredModuleOptionString(name=name) or "")
        except vim.fault.NotFound:
            continue
    return {ASKED: found}


def read(props: Mapping[str, Any], wanted: frozenset[str]) -> dict[str, Attrs]:
    return {name: {"options": text} for name, text in (props.get(ASKED) or {}).items() if name in wanted}


def set_options(tools: Tools, call: Call) -> None:
    tools.manager(call, "kernelModuleSystem").UpdateModuleOptionString(
        name=call.address.name, options=str(after(call)["options"]))


def validate(attributes: Attrs) -> Iterable[str]:
    text = attributes.get("options")
    if isinstance(text, str) and (text != " ".join(text.split()) or any("=" not in each for each in text.split())):
        yield "`options` are written as name=value, separated by one space each (\"\" for none)"


def check(changes: Sequence[Change], existing: Mapping[str, Attrs]) -> Iterable[Diagnostic]:
    for change in changes:
        if change.action is Action.UPDATE:
            yield Diagnostic("warning", "kernel module options count from the next boot on",
                             f"{change.address.name} keeps what it runs with until this host restarts; a host that "
                             "boots stateless loses them by that restart", address=change.address,
                             remedy="restart the host in maintenance mode; for stateless hosts set them in the image")


MODULE = ResourceType(
    name="module",
    doc="Options of a kernel module of the host. They count from its next boot on.",
    parent="host",
    setting=True,
    shorthand="options",
    order=13,
    fields={"options": string("Its options: name=value, separated by spaces; \"\" for none.", required=True)},
    label_doc="the module's name: nfs41client, lpfc, …",
    ask=ask,
    read=read,
    validate=validate,
    check=check,
    baseline={"*": {"options": Unknown("read after birth")}},
    operations=(
        Operation("module.options", "HostKernelModuleSystem.UpdateModuleOptionString", "update",
                  "Set the module's options, for when it is loaded next: at the host's next boot.", set_options,
                  ("options",), inverse="module.options", privileges=("Host.Config.Settings",)),
    ),
)
