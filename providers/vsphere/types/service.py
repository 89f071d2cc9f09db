"""A service of a host: its start policy, and whether it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from planner.catalog import Operation, ResourceType
from planner.model import Attrs, Unknown
from planner.ports import Call
from planner.schema import boolean, string
from providers.vsphere.tools import Tools, after, on

PATH = "config.service.service"
POLICIES = ("on", "off", "automatic")


def read(props: Mapping[str, Any], wanted: frozenset[str]) -> dict[str, Attrs]:
    return {each.key: {"policy": each.policy, "running": bool(each.running)}
            for each in props.get(PATH) or () if each.key in wanted}


def set_policy(tools: Tools, call: Call, name: str) -> None:
    tools.manager(call, "serviceSystem").UpdateServicePolicy(id=name, policy=after(call)["policy"])


def start_service(tools: Tools, call: Call, name: str) -> None:
    tools.manager(call, "serviceSystem").StartService(id=name)


def stop_service(tools: Tools, call: Call, name: str) -> None:
    tools.manager(call, "serviceSystem").StopService(id=name)


_NET = ("Host.Config.NetService",)


def of_daemon(name: str, key: str) -> tuple[Operation, ...]:
    """Policy, start and stop of the service that a type manages along: NAME.policy, NAME.start, NAME.stop."""
    return (
        Operation(f"{name}.policy", "HostServiceSystem.UpdateServicePolicy", "update", f"Set when {key} starts.",
                  on(set_policy, key), ("policy",), inverse=f"{name}.policy", privileges=_NET),
        Operation(f"{name}.start", "HostServiceSystem.StartService", "update", f"Start {key}.",
                  on(start_service, key), ("running",), inverse=f"{name}.stop", to={"running": True}, privileges=_NET),
        Operation(f"{name}.stop", "HostServiceSystem.StopService", "update", f"Stop {key}.",
                  on(stop_service, key), ("running",), inverse=f"{name}.start", to={"running": False},
                  privileges=_NET),
    )


SERVICE = ResourceType(
    name="service",
    doc="A service of the host (TSM-SSH, TSM, …).",
    parent="host",
    setting=True,
    order=14,
    fields={
        "policy": string("When it starts: with the host (on), with its firewall ports (automatic), never (off).",
                         enum=POLICIES),
        "running": boolean("Whether it runs now."),
    },
    label_doc="the service's key: TSM-SSH, TSM, …",
    paths=(PATH,),
    read=read,
    keys=lambda names: {PATH: names},
    baseline={
        "TSM-SSH": {"policy": "off", "running": False},
        "TSM": {"policy": "off", "running": False},
        "*": {"policy": Unknown("read after birth"), "running": Unknown("read after birth")},
    },
    operations=(
        Operation("service.policy", "HostServiceSystem.UpdateServicePolicy", "update", "Set the start policy.",
                  on(set_policy), ("policy",), inverse="service.policy", privileges=_NET),
        Operation("service.start", "HostServiceSystem.StartService", "update", "Start the service.",
                  on(start_service), ("running",), inverse="service.stop", to={"running": True}, privileges=_NET),
        Operation("service.stop", "HostServiceSystem.StopService", "update", "Stop the service.",
                  on(stop_service), ("running",), inverse="service.start", to={"running": False}, privileges=_NET),
    ),
    tested=("twin", "recording"),
)
