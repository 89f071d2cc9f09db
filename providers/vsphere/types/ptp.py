"""The Precision Time Protocol: the clock follows it instead of NTP. Since 7.0.3; one port on 8.0."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from planner.catalog import Operation, ResourceType
from planner.model import Action, Attrs, Change, Diagnostic
from planner.ports import Call
from planner.schema import Field, boolean, integer, string
from providers.vsphere.tools import Tools, after, editable, pick
from providers.vsphere.types import ntp, service

INFO, SERVICE_KEY = "config.dateTimeInfo", "ptpd"
_PCI = re.compile(r"(?:[0-9a-f]{4}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]\Z")
_VMK = re.compile(r"vmk[0-9]+\Z")
_EMPTY = {"device": "", "ip": "", "netmask": ""}


def read(props: Mapping[str, Any], wanted: frozenset[str]) -> dict[str, Attrs]:
    """{} on a host that has no PTP."""
    info, daemon = props.get(INFO), pick(props.get(service.PATH), SERVICE_KEY, "key")
    if info is None or info.ptpConfig is None or daemon is None:
        return {}
    ports = [_port(each) for each in sorted(info.ptpConfig.port or (), key=lambda each: int(each.index))]
    slots = len(ports)
    while ports and ports[-1] == _EMPTY:
        ports.pop()
    found: dict[str, Any] = {
        "protocol": ntp.protocol_of(info.systemClockProtocol), "domain": int(info.ptpConfig.domain or 0),
        "ports": ports, "fallback": not info.disableFallback, "policy": daemon.policy,
        "running": bool(daemon.running), "slots": slots}
    return {"ptp": found}


def _port(port: Any) -> dict[str, Any]:
    """The address is ours to set on a passed-through NIC only; a VMkernel adapter has its own."""
    if port.deviceType in (None, "none"):
        return dict(_EMPTY)
    ip = port.ipConfig if port.deviceType == "pciPassthruNic" else None
    if ip is None or ip.dhcp:
        return {**_EMPTY, "device": str(port.device or "")}
    return {"device": str(port.device or ""), "ip": str(ip.ipAddress or ""), "netmask": str(ip.subnetMask or "")}


def configure(tools: Tools, call: Call) -> None:
    """Domain, ports and fallback in one call; what is not declared of PTP's configuration stays."""
    from pyVmomi import vim

    wanted = after(call)
    live = tools.read(tools.host(call), f"{INFO}.ptpConfig").get(f"{INFO}.ptpConfig")
    config = vim.host.DateTimeConfig()
    if "domain" in wanted or "ports" in wanted:
        config.ptpConfig = editable(live) if live is not None else vim.host.PtpConfig()
        if "domain" in wanted:
            config.ptpConfig.domain = wanted["domain"]
        if "ports" in wanted:
            ports: list[Any] = list(wanted["ports"] or ())  # type: ignore[arg-type]
            slots = max(len(ports), len((live and live.port) or ()))
            config.ptpConfig.port = [_spec(n, ports[n] if n < len(ports) else _EMPTY) for n in range(slots)]
    if "fallback" in wanted:
        config.disableFallback = not wanted["fallback"]
    tools.manager(call, "dateTimeSystem").UpdateDateTimeConfig(config=config)


def _spec(index: int, port: Mapping[str, Any]) -> Any:
    from pyVmomi import vim

    device = str(port.get("device") or "")
    spec = vim.host.PtpConfig.PtpPort(index=index, deviceType="none")
    if device:
        spec.device, spec.deviceType = device, "virtualNic" if _VMK.match(device) else "pciPassthruNic"
    if spec.deviceType == "pciPassthruNic":
        ip = port.get("ip") or None
        spec.ipConfig = vim.host.IpConfig(dhcp=ip is None, ipAddress=ip, subnetMask=port.get("netmask") or None)
    return spec


def validate(attributes: Attrs) -> Iterable[str]:
    ports = attributes.get("ports")
    for port in ports if isinstance(ports, list) else ():
        if not isinstance(port, Mapping) or not isinstance(port.get("device"), str):
            continue
        device = str(port["device"])
        if not _VMK.match(device) and not _PCI.match(device):
            yield f"`ports`: {device!r} is neither a VMkernel adapter (vmk2) nor a PCI device (0000:5e:00.1)"
        elif bool(port.get("ip")) != bool(port.get("netmask")):
            yield f"`ports`: `ip` and `netmask` of {device} belong together"
        elif port.get("ip") and _VMK.match(device):
            yield f"`ports`: {device} has the address that its vmkernel block says: remove `ip` and `netmask`"


def check(changes: Sequence[Change], existing: Mapping[str, Attrs]) -> Iterable[Diagnostic]:
    slots = existing.get("ptp", {}).get("slots")
    for change in changes:
        ports = (change.after or {}).get("ports")
        if change.action is Action.UPDATE and isinstance(slots, int) and isinstance(ports, list) and len(ports) > slots:
            yield Diagnostic("error", "this host has fewer PTP ports", f"{len(ports)} are declared, it has {slots}",
                             address=change.address, remedy="remove some of `ports`")


_TIME = ("Host.Config.DateTime",)
PTP = ResourceType(
    name="ptp",
    doc="Time by the Precision Time Protocol, instead of `ntp:`.",
    parent="host",
    singleton=True,
    setting=True,
    order=8,
    fields={
        "protocol": string("What the clock follows: it is ptp where this block stands.", default="ptp", always=True,
                           enum=("ptp",)),
        "domain": integer("PTP domain (IEEE 1588).", minimum=0, maximum=255),
        "ports": Field("list", "The ports that PTP listens on: all of them.", items=Field("object", "A port.", fields={
            "device": string("A VMkernel adapter (vmk2), or a passed-through NIC's PCI address.", required=True),
            "ip": string("Address of a passed-through NIC; by DHCP where unset.", default="", always=True,
                         check="ipv4"),
            "netmask": string("Its mask.", default="", always=True, check="netmask"),
        })),
        "fallback": boolean("Whether NTP, as the host has it, takes over while PTP fails."),
        "policy": string("When ptpd starts.", default="on", always=True, enum=service.POLICIES),
        "running": boolean("Whether ptpd runs.", default=True, always=True),
        "slots": Field("int", "How many ports the host has.", computed=True),
    },
    owns={"service": (SERVICE_KEY,), "ntp": ("",)},
    paths=(INFO, service.PATH),
    read=read,
    keys=lambda _names: {service.PATH: frozenset({SERVICE_KEY})},
    validate=validate,
    check=check,
    baseline={"ptp": {"protocol": "ntp", "domain": 0, "ports": [], "fallback": False, "policy": "off", "running": False,
                      "slots": 1}},
    operations=(
        Operation("ptp.configure", "HostDateTimeSystem.UpdateDateTimeConfig", "update", "Set domain, ports, fallback.",
                  configure, ("domain", "ports", "fallback"), inverse="ptp.configure", stopped="running",
                  privileges=_TIME),
        Operation("ptp.follow", "HostDateTimeSystem.UpdateDateTimeConfig", "update", "Let the clock follow PTP.",
                  ntp.follow, ("protocol",), inverse="ptp.follow", privileges=_TIME),
        *service.of_daemon("ptp", SERVICE_KEY),
    ),
)
