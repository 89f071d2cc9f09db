"""What of a host leads to vCenter now: vmk0, the second path beside it, and the connection. Readings only."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from planner.model import Attrs, ReadFailed
from planner.ports import Call
from providers.vsphere.host.operations import HostTools
from providers.vsphere.tools import pick

SPARE = "fleet management"
"""Port group of the second path; it is gone when the change is done."""
DEVICE = "vmk0"
VNICS, GROUPS, ROUTE = "networkInfo.vnic", "networkInfo.portgroup", "networkInfo.ipRouteConfig"
TAGS = "info.netConfig"


class PathTools(HostTools, Protocol):
    """What a vSphere session lends to these operations beyond `HostTools`."""

    def answers(self, birth: Attrs) -> bool:
        """Whether a host answers at `ip`, and shows that `certificate`."""

    def leads(self, name: str, wanted: str) -> frozenset[str]:
        """The addresses that a host name leads to, as far as this machine knows. `wanted`: it should, by now."""

    def pause(self, seconds: float, call: Call) -> None:
        """Wait a moment. Raises StepFailed where the run is to stop."""

    def now(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Path:
    """vmk0 and its port group; the second adapter and its group; None where there is none. Live values: not changed."""

    vmk0: Any
    group: Any
    adapter: Any
    network: Any
    gateway: str  # of the default stack
    open: bool  # the second adapter is tagged for management


def look(tools: HostTools, call: Call) -> Path:
    """From the host's managers: those lag no call. Raises ReadFailed where vmk0 is not on a standard port group."""
    found = tools.read(tools.manager(call, "networkSystem"), VNICS, GROUPS, ROUTE)
    groups = {each.spec.name: each for each in found.get(GROUPS) or ()}
    vmk0 = pick(found.get(VNICS), DEVICE, "device")
    adapter = pick(found.get(VNICS), SPARE, "portgroup")
    group = groups.get(vmk0.portgroup) if vmk0 is not None else None
    if group is None:
        raise ReadFailed("management is moved on a standard switch only", f"{DEVICE} is on no standard port group")
    tagged = False
    if adapter is not None:
        tags = tools.read(tools.manager(call, "virtualNicManager"), TAGS).get(TAGS) or ()
        chosen = next((each.selectedVnic or () for each in tags if each.nicType == "management"), ())
        tagged = any(str(key).rpartition("-")[2] == adapter.device for key in chosen)
    return Path(vmk0, group, adapter, groups.get(SPARE), str(getattr(found.get(ROUTE), "defaultGateway", None) or ""),
                tagged)


def address(vnic: Any) -> str:
    return str(vnic.spec.ip.ipAddress or "") if vnic is not None and vnic.spec.ip is not None else ""


def described(vnic: Any) -> str:
    """"10.0.0.5/24": what a step says of the second adapter; "" where there is none."""
    if vnic is None or not address(vnic):
        return ""
    network = ipaddress.ip_interface(f"{address(vnic)}/{vnic.spec.ip.subnetMask}").network
    return f"{address(vnic)}/{network.prefixlen}"


def attributes(path: Path) -> dict[str, Any]:
    """As the type reads them: what comes with a lease is no fact of its own."""
    ip = path.vmk0.spec.ip
    return of(ip, path.gateway) | {"vlan": int(path.group.spec.vlanId)}


def of(ip: Any, gateway: str) -> dict[str, Any]:
    dhcp = bool(ip is None or ip.dhcp)
    return {"dhcp": dhcp, "ip": "" if dhcp else str(ip.ipAddress or ""),
            "netmask": "" if dhcp else str(ip.subnetMask or ""), "gateway": "" if dhcp else gateway}


# --- what steps change, read back ---------------------------------------------------------------------------


def _status(tools: HostTools, call: Call) -> Mapping[str, Any]:
    found = tools.live_host(call)
    if found is None:
        raise ReadFailed("vCenter does not know this host", str(call.address.root))
    return found


def observe_path(tools: HostTools, call: Call) -> Attrs:
    """`at` and `via` are what the step is about, its address and gateway: live has no such things."""
    if _status(tools, call)["connection"] != "connected":
        raise ReadFailed("this host cannot be read", "vCenter does not have it connected")
    path = look(tools, call)
    said = {k: (call.after or {}).get(k) or (call.before or {}).get(k) or "" for k in ("at", "via")}
    vlan = int(path.network.spec.vlanId) if path.network is not None else -1
    return {"network": path.network is not None, "on_vlan": vlan, "adapter": described(path.adapter),
            "open": path.open, **said}


def observe_connection(tools: HostTools, call: Call) -> Attrs:
    """vCenter does not tell by which address it has a host: what the step says is taken for it."""
    if _status(tools, call)["connection"] != "connected":
        return {"connected": False, "at": ""}
    said = (a.get("at") for a in (call.after, call.before) if a and a.get("connected"))
    at = next((each for each in said if each and isinstance(each, str)), "")
    return {"connected": True, "at": at or address(look(tools, call).vmk0)}


def guard(tools: HostTools, name: str, call: Call) -> bool:
    """"moves": vmk0 has not the address to come yet. "beside": a second path was opened."""
    path = look(tools, call)
    if name == "moves":
        return address(path.vmk0) != (call.after or {}).get("at")
    return path.network is not None
