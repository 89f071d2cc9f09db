"""Dynamic and static targets of the software iSCSI adapter."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from planner.catalog import Operation, ResourceType
from planner.model import Attrs, StepFailed
from planner.ports import Call
from planner.schema import Field, computed, strings
from providers.vsphere.tools import Tools, after, changed_item
from providers.vsphere.types.iscsi import CLOSES, HBAS, OPENS, live_adapter, needs_adapter, software

_CUTS = "disks of this target lose their paths"
_STORAGE = ("Host.Config.Storage",)
_PORTAL = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:\[\]]+):(\d{1,5})")


# --- dynamic ----------------------------------------------------------------------------------------------


def read_dynamic(props: Mapping[str, Any], wanted: frozenset[str]) -> dict[str, Attrs]:
    adapter = software(props.get(HBAS))
    return {each.address: {"port": int(each.port or 3260), "adapter": adapter.device}
            for each in (adapter.configuredSendTarget if adapter is not None else None) or ()}


def _send(call: Call, attributes: Attrs | None) -> Any:
    from pyVmomi import vim

    return vim.host.InternetScsiHba.SendTarget(address=call.address.name, port=(attributes or {}).get("port") or 3260)


def add_dynamic(tools: Tools, call: Call) -> None:
    adapter = live_adapter(tools, call)
    tools.manager(call, "storageSystem").AddInternetScsiSendTargets(
        iScsiHbaDevice=adapter.device, targets=[_send(call, call.after)])


def remove_dynamic(tools: Tools, call: Call) -> None:
    """What it had discovered goes with the next rescan."""
    adapter = live_adapter(tools, call)
    tools.manager(call, "storageSystem").RemoveInternetScsiSendTargets(
        iScsiHbaDevice=adapter.device, targets=[_send(call, call.before)])


ISCSI_TARGET = ResourceType(
    name="iscsi_target",
    doc="A portal that is asked for its targets (dynamic discovery, send targets).",
    parent="host",
    order=10,
    fields={
        "port": Field("int", "Its TCP port.", default=3260, check="port", replace=True),
        "adapter": computed("The iSCSI adapter: vmhba64."),
    },
    siblings={"adapter": "iscsi_port"},  # ports are bound first: sessions would use any adapter else
    label_doc="the portal's address: 10.0.30.10",
    paths=(HBAS,),
    read=read_dynamic,
    fits=needs_adapter,
    operations=(
        Operation("iscsi_target.add", "HostStorageSystem.AddInternetScsiSendTargets", "create",
                  "Ask this portal for targets.", add_dynamic, ("port",), inverse="iscsi_target.remove",
                  privileges=_STORAGE, opens=OPENS, closes=CLOSES),
        Operation("iscsi_target.remove", "HostStorageSystem.RemoveInternetScsiSendTargets", "delete",
                  "Ask it no more.", remove_dynamic, inverse="iscsi_target.add", disruptive=_CUTS, cuts="storage",
                  privileges=_STORAGE, opens=OPENS, closes=CLOSES),
    ),
)


# --- static -----------------------------------------------------------------------------------------------


def read_static(props: Mapping[str, Any], wanted: frozenset[str]) -> dict[str, Attrs]:
    """Those that somebody configured; what a portal was asked for is its own business."""
    adapter = software(props.get(HBAS))
    portals: dict[str, list[str]] = {}
    for each in (adapter.configuredStaticTarget if adapter is not None else None) or ():
        if each.discoveryMethod in (None, "", "staticMethod"):
            portals.setdefault(each.iScsiName, []).append(_text(each.address, each.port))
    return {name: {"portals": sorted(found), "adapter": adapter.device}  # type: ignore[dict-item]
            for name, found in portals.items()}


def _text(address: str, port: int | None) -> str:
    return f"[{address}]:{port or 3260}" if ":" in address else f"{address}:{port or 3260}"


def _static(name: str, portals: Iterable[object]) -> list[Any]:
    from pyVmomi import vim

    made = []
    for each in portals:
        found = _PORTAL.fullmatch(str(each))
        if found is None:
            raise StepFailed("this is no portal", str(each), "write ADDRESS:PORT")
        made.append(vim.host.InternetScsiHba.StaticTarget(
            address=found[1].strip("[]"), port=int(found[2]), iScsiName=name))
    return made


def _portals(attributes: Attrs | None) -> list[Any]:
    found = (attributes or {}).get("portals")
    return list(found) if isinstance(found, (list, tuple)) else []


def _add(tools: Tools, call: Call, portals: Iterable[object]) -> None:
    adapter = live_adapter(tools, call)
    tools.manager(call, "storageSystem").AddInternetScsiStaticTargets(
        iScsiHbaDevice=adapter.device, targets=_static(call.address.name, portals))


def _remove(tools: Tools, call: Call, portals: Iterable[object]) -> None:
    adapter = live_adapter(tools, call)
    tools.manager(call, "storageSystem").RemoveInternetScsiStaticTargets(
        iScsiHbaDevice=adapter.device, targets=_static(call.address.name, portals))


def add_static(tools: Tools, call: Call) -> None:
    _add(tools, call, _portals(after(call)))


def remove_static(tools: Tools, call: Call) -> None:
    _remove(tools, call, _portals(call.before))


def add_portal(tools: Tools, call: Call) -> None:
    _add(tools, call, [changed_item(call, "portals")])


def remove_portal(tools: Tools, call: Call) -> None:
    _remove(tools, call, [changed_item(call, "portals")])


def validate(attributes: Attrs) -> Iterable[str]:
    portals = attributes.get("portals")
    if not isinstance(portals, (list, tuple)):
        return
    if not portals:
        yield "a static target has at least one portal: ADDRESS:PORT"
    for each in portals:
        found = _PORTAL.fullmatch(each) if isinstance(each, str) else None
        if isinstance(each, str) and (found is None or not 0 < int(found[2]) < 65536):
            yield f"{each!r} is no portal: write ADDRESS:PORT, as 10.0.30.10:3260"


ISCSI_STATIC_TARGET = ResourceType(
    name="iscsi_static_target",
    doc="A target that is logged in to without asking for it (static discovery).",
    parent="host",
    order=10,
    fields={
        "portals": strings("Where it is: ADDRESS:PORT, each a path.", required=True, unordered=True),
        "adapter": computed("The iSCSI adapter: vmhba64."),
    },
    siblings={"adapter": "iscsi_port"},
    label_doc="the target's name: iqn.2001-05.com.example:array1",
    paths=(HBAS,),
    read=read_static,
    fits=needs_adapter,
    validate=validate,
    operations=(
        Operation("iscsi_static_target.add", "HostStorageSystem.AddInternetScsiStaticTargets", "create",
                  "Add the target.", add_static, ("portals",), inverse="iscsi_static_target.remove",
                  privileges=_STORAGE, opens=OPENS, closes=CLOSES),
        Operation("iscsi_static_target.remove_portal", "HostStorageSystem.RemoveInternetScsiStaticTargets",
                  "remove_item", "Use this portal of it no more.", remove_portal, ("portals",),
                  inverse="iscsi_static_target.add_portal", disruptive=_CUTS, cuts="storage", privileges=_STORAGE,
                  opens=OPENS, closes=CLOSES),
        Operation("iscsi_static_target.add_portal", "HostStorageSystem.AddInternetScsiStaticTargets", "add_item",
                  "Use this portal of it, too.", add_portal, ("portals",),
                  inverse="iscsi_static_target.remove_portal", privileges=_STORAGE, opens=OPENS, closes=CLOSES),
        Operation("iscsi_static_target.remove", "HostStorageSystem.RemoveInternetScsiStaticTargets", "delete",
                  "Remove the target.", remove_static, inverse="iscsi_static_target.add", disruptive=_CUTS,
                  cuts="storage", privileges=_STORAGE, opens=OPENS, closes=CLOSES),
    ),
)
