"""A VMkernel adapter that the software iSCSI adapter is bound to: its sessions use that one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from planner.catalog import Operation, ResourceType
from planner.model import Attrs
from planner.ports import Call
from planner.schema import computed
from providers.vsphere.tools import HostView, Tools
from providers.vsphere.types.iscsi import CLOSES, HBAS, OPENS, live_adapter, needs_adapter, software

BOUND = "fleet.iscsi.bound"
_CUTS = "all storage paths through this adapter go down; with its last one all iSCSI disks"


def ask(host: HostView, names: frozenset[str], props: Mapping[str, Any]) -> Mapping[str, Any]:
    """No property shows what is bound."""
    adapter = software(props.get(HBAS))
    if adapter is None:
        return {}
    return {BOUND: (adapter.device, host.manager("iscsiManager").QueryBoundVnics(iScsiHbaName=adapter.device))}


def read(props: Mapping[str, Any], wanted: frozenset[str]) -> dict[str, Attrs]:
    device, bound = props.get(BOUND, ("", ()))
    return {each.vnicDevice: {"vmkernel": each.vnicDevice, "adapter": device} for each in bound or ()}


def fits(name: str, attributes: Attrs, host: Mapping[tuple[str, str], Attrs]) -> tuple[str, str] | None:
    """BindVnic wants an adapter on a standard switch whose port group has one active uplink and no standby one."""
    vnic = host.get(("vmkernel", name))
    if vnic is None:
        return f"this host has no VMkernel adapter {name}", f"declare `vmkernel: {{{name}: …}}` on it"
    group = host.get(("portgroup", str(vnic.get("portgroup"))))
    switch = host.get(("vswitch", str(group.get("vswitch")))) if group is not None else None
    if group is None or switch is None:
        return needs_adapter(name, attributes, host)  # on a distributed switch: the host says
    named = _order(group) or _order(switch)
    active, standby = named if named is not None else (_list(switch.get("uplinks")), [])
    if len(active) != 1 or standby:
        shown = ", ".join([*active, *(f"{each} (standby)" for each in standby)]) or "none"
        return (f"port group {vnic.get('portgroup')!r} of {name} has more or less than one active uplink: {shown}",
                "give that port group a failover order with one active NIC and no standby one")
    return needs_adapter(name, attributes, host)


def _list(value: object) -> list[str]:
    return [str(each) for each in value] if isinstance(value, (list, tuple)) else []


def _order(attributes: Attrs) -> tuple[list[str], list[str]] | None:
    """Active and standby NICs of a failover order of its own; None where it takes another's, or all uplinks."""
    teaming = attributes.get("teaming")
    active, standby = (_list(teaming.get(k) if isinstance(teaming, Mapping) else None) for k in ("active", "standby"))
    return (active, standby) if (active or standby) and "inherit" not in active else None


def bind(tools: Tools, call: Call) -> None:
    adapter = live_adapter(tools, call)
    tools.manager(call, "iscsiManager").BindVnic(iScsiHbaName=adapter.device, vnicDevice=call.address.name)


def unbind(tools: Tools, call: Call) -> None:
    """Never by force: the host refuses where that is the last path of a disk in use."""
    adapter = live_adapter(tools, call)
    tools.manager(call, "iscsiManager").UnbindVnic(
        iScsiHbaName=adapter.device, vnicDevice=call.address.name, force=False)


ISCSI_PORT = ResourceType(
    name="iscsi_port",
    doc="A VMkernel adapter bound to the software iSCSI adapter: its port group has exactly one active uplink.",
    parent="host",
    order=10,
    fields={
        "vmkernel": computed("The VMkernel adapter."),
        "adapter": computed("The iSCSI adapter: vmhba64."),
    },
    siblings={"vmkernel": "vmkernel", "adapter": "iscsi"},
    label_doc="the VMkernel adapter: vmk2",
    paths=(HBAS,),
    ask=ask,
    read=read,
    fits=fits,
    operations=(
        Operation("iscsi_port.bind", "IscsiManager.BindVnic", "create", "Bind the iSCSI adapter to it.", bind,
                  inverse="iscsi_port.unbind", privileges=("Host.Config.Storage",), opens=OPENS,
                  closes=("host.refresh_ports", *CLOSES)),
        Operation("iscsi_port.unbind", "IscsiManager.UnbindVnic", "delete",
                  "Unbind it; refused where a disk in use has no other path.", unbind, inverse="iscsi_port.bind",
                  disruptive=_CUTS, cuts="storage", privileges=("Host.Config.Storage",),
                  opens=(*OPENS, "host.rescan_ports"), closes=CLOSES),
    ),
)
