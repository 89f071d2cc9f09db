"""The SNMP agent of a host (versions 1 and 2c): HostSnmpSystem."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from planner.catalog import Operation, ResourceType
from planner.model import Attrs, SecretRef, StepFailed, walk_secrets
from planner.ports import Call
from planner.schema import Field, boolean, integer, strings
from providers.vsphere.host.secrets import resolved
from providers.vsphere.tools import HostView, Tools, after

CONFIG = "snmp.configuration"


def ask(view: HostView, _names: frozenset[str], _props: Mapping[str, Any]) -> Mapping[str, Any]:
    """The agent's configuration is a property of its manager, not of the host."""
    return {CONFIG: view.read(view.manager("snmpSystem"), "configuration").get("configuration")}


def read(props: Mapping[str, Any], _wanted: frozenset[str]) -> dict[str, Attrs]:
    """Communities are shown in clear: what reads here says nothing of them, except that there are none."""
    found = props.get(CONFIG)
    if found is None:
        return {}
    attributes: dict[str, Any] = {
        "enabled": bool(found.enabled), "port": int(found.port or 161),
        "targets": sorted(f"{each.hostName}:{each.port}" for each in found.trapTargets or () if each.hostName)}
    if not any(found.readOnlyCommunities or ()):
        attributes["communities"] = []
    return {"snmp": attributes}


def _live(tools: Tools, call: Call) -> tuple[Any, Any, list[str]]:
    """The agent, its configuration, its communities."""
    system = tools.manager(call, "snmpSystem")
    found = tools.read(system, "configuration").get("configuration")
    if found is None:
        raise StepFailed("the SNMP agent does not show its configuration", str(call.address.root),
                         "check that this user has the privilege Global.Settings")
    return system, found, [each for each in found.readOnlyCommunities or () if each]


def communities(tools: Tools, call: Call) -> None:
    """Trap targets that sent with the first community go on with the new first one. One empty community resets the
    agent (that is how the API takes them all away), so what else it has is said again."""
    from pyVmomi import vim

    system, live, old = _live(tools, call)
    wanted: Any = after(call).get("communities") or ()
    new = [resolved(call, each, "a community") for each in wanted]
    targets = [t for t in live.trapTargets or () if t.hostName]
    spec = vim.host.SnmpSystem.SnmpConfigSpec(readOnlyCommunities=new or [""])
    if not new:
        spec.port = live.port
    if targets:
        swapped = {old[0]: new[0]} if old and new else {}
        spec.trapTargets = [_target(t.hostName, t.port, swapped.get(t.community, t.community)) for t in targets]
    system.ReconfigureSnmpAgent(spec=spec)


def configure(tools: Tools, call: Call) -> None:
    from pyVmomi import vim

    system, live, known = _live(tools, call)
    wanted: Any = after(call)
    spec = vim.host.SnmpSystem.SnmpConfigSpec(enabled=wanted.get("enabled"), port=wanted.get("port"))
    if wanted.get("targets") is not None:
        kept = {f"{t.hostName}:{t.port}": t.community for t in live.trapTargets or ()}
        new = [each for each in wanted["targets"] if each not in kept]
        if new and not known:
            raise StepFailed("a trap target needs a community, and the agent has none", ", ".join(new),
                             "declare `communities`")
        spec.trapTargets = [_target(*_parts(each), kept.get(each) or known[0]) for each in wanted["targets"]] \
            or [_target("", 0, "")]
    system.ReconfigureSnmpAgent(spec=spec)


def _target(host: str, port: int, community: str) -> Any:
    from pyVmomi import vim

    return vim.host.SnmpSystem.SnmpConfigSpec.Destination(hostName=host, port=port, community=community)


def _parts(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


def forgotten(before: Attrs | None, _wanted: Attrs | None) -> str:
    """Where the communities before are not known (they are secrets, and the host does not show them)."""
    old = (before or {}).get("communities")
    known = isinstance(old, (list, tuple)) and all(isinstance(each, SecretRef) for each in old)
    return "" if known else "the communities before are not known"


def validate(attributes: Attrs) -> Iterable[str]:
    targets: Any = attributes.get("targets")
    for each in targets if isinstance(targets, (list, tuple)) else ():
        host, _, port = each.rpartition(":") if isinstance(each, str) else ("x", "", "1")
        if not host or not port.isdigit() or not 0 < int(port) < 65536:
            yield f"a trap target is written HOST:PORT, not {each!r} (162 is the usual port)"
    if attributes.get("enabled") is True and "communities" in attributes and \
            not any(walk_secrets(attributes["communities"])):
        yield "an enabled agent needs at least one of `communities`"


SNMP = ResourceType(
    name="snmp",
    doc="The SNMP agent (versions 1 and 2c). Version 3 and the agent's other options are left as they are.",
    parent="host",
    singleton=True,
    setting=True,
    order=14,
    fields={
        "enabled": boolean("Whether the agent runs."),
        "port": integer("UDP port that it answers on (161 usually).", check="port"),
        "communities": Field("list", "Read-only communities; trap targets get the first one.",
                             items=Field("secret", "A community."), observed=False, lone=True),
        "targets": strings("Where traps go: HOST:PORT, at most three.", unordered=True, lone=True),
    },
    ask=ask,
    read=read,
    validate=validate,
    baseline={"snmp": {"enabled": False, "port": 161, "communities": [], "targets": []}},
    operations=(
        Operation("snmp.communities", "HostSnmpSystem.ReconfigureSnmpAgent", "update", "Set the communities.",
                  communities, ("communities",), inverse="snmp.communities", irreversible=forgotten,
                  privileges=("Global.Settings",)),
        Operation("snmp.configure", "HostSnmpSystem.ReconfigureSnmpAgent", "update",
                  "Set port and trap targets, and whether the agent runs.", configure, ("enabled", "port", "targets"),
                  inverse="snmp.configure", privileges=("Global.Settings",),
                  loses="the community of a trap target that had another one than the first"),
    ),
)
