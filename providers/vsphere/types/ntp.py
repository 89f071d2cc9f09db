"""A host's time servers, and the service (ntpd) that follows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from planner.catalog import Operation, ResourceType
from planner.model import Attrs
from planner.ports import Call
from planner.schema import boolean, string, strings
from providers.vsphere.tools import Tools, after, pick
from providers.vsphere.types import service

SERVERS, SERVICE_KEY = "config.dateTimeInfo.ntpConfig.server", "ntpd"
PROTOCOL = "config.dateTimeInfo.systemClockProtocol"


def read(props: Mapping[str, Any], wanted: frozenset[str]) -> dict[str, Attrs]:
    daemon = pick(props.get(service.PATH), SERVICE_KEY, "key")
    if daemon is None:
        return {}
    return {"ntp": {"protocol": protocol_of(props.get(PROTOCOL)), "servers": [str(s) for s in props.get(SERVERS) or ()],
                    "policy": daemon.policy, "running": bool(daemon.running)}}


def protocol_of(shown: Any) -> str:
    """What the clock follows; before 7.0 hosts know nothing but NTP, and do not say so."""
    return str(shown or "ntp")


def follow(tools: Tools, call: Call) -> None:
    """`protocol` of `ntp:` and of `ptp:` is one fact of the host: the two blocks exclude each other."""
    from pyVmomi import vim

    config = vim.host.DateTimeConfig(protocol=str(after(call)["protocol"]))
    tools.manager(call, "dateTimeSystem").UpdateDateTimeConfig(config=config)


def servers(tools: Tools, call: Call) -> None:
    """Writes the configuration only: the API leaves running daemons to HostServiceSystem (vim.host.DateTimeSystem), and
    ntpd reads its servers when it starts. So the plan stops it before this call and starts it again after it."""
    from pyVmomi import vim

    wanted = after(call).get("servers") or ()
    config = vim.host.DateTimeConfig(ntpConfig=vim.host.NtpConfig(server=list(wanted)))  # type: ignore[arg-type]
    tools.manager(call, "dateTimeSystem").UpdateDateTimeConfig(config=config)


NTP = ResourceType(
    name="ntp",
    doc="Time servers, and the service that follows them.",
    parent="host",
    singleton=True,
    setting=True,
    order=5,
    fields={
        "protocol": string("What the clock follows: it is ntp where this block stands.", default="ntp", always=True,
                           enum=("ntp",)),
        "servers": strings("Time servers, in order."),
        "policy": string("When ntpd starts.", default="on", always=True, enum=service.POLICIES),
        "running": boolean("Whether ntpd runs.", default=True, always=True),
    },
    owns={"service": (SERVICE_KEY,)},
    paths=(PROTOCOL, SERVERS, service.PATH),
    read=read,
    keys=lambda _names: {service.PATH: frozenset({SERVICE_KEY})},
    baseline={"ntp": {"protocol": "ntp", "servers": [], "policy": "off", "running": False}},
    operations=(
        Operation("ntp.servers", "HostDateTimeSystem.UpdateDateTimeConfig", "update", "Set the time servers.", servers,
                  ("servers",), inverse="ntp.servers", stopped="running", privileges=("Host.Config.DateTime",)),
        Operation("ntp.follow", "HostDateTimeSystem.UpdateDateTimeConfig", "update", "Let the clock follow NTP.",
                  follow, ("protocol",), inverse="ntp.follow", privileges=("Host.Config.DateTime",)),
        *service.of_daemon("ntp", SERVICE_KEY),
    ),
    tested=("twin", "recording"),
)
