"""A firewall rule set of a host: whether it is open, and which addresses it lets through."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from planner.catalog import Operation, ResourceType
from planner.model import Action, Attrs, Change, Diagnostic, Unknown
from planner.ports import Call
from planner.schema import Field, boolean, string, strings
from providers.vsphere.tools import Tools, after, on

PATH = "config.firewall.ruleset"
ALL = "all"
PRIVILEGE = ("Host.Config.NetService",)
OWN_PATH = ("vSphereClient", "vpxHeartbeats")
"""What vCenter itself comes through, and what the host answers it through (VMware's list of ESXi ports)."""


def read(props: Mapping[str, Any], wanted: frozenset[str]) -> dict[str, Attrs]:
    return {each.key: {"enabled": bool(each.enabled), "allowed": addresses(each), "fixed": fixed(each)}
            for each in props.get(PATH) or () if each.key in wanted}


def addresses(ruleset: Any) -> Any:
    """What a rule set lets through, as a fleet file has it; a host without lists (5.x) lets all through."""
    hosts = ruleset.allowedHosts
    if hosts is None or hosts.allIp:
        return [ALL]
    return sorted([*map(str, hosts.ipAddress or ()), *(f"{n.network}/{n.prefixLength}" for n in hosts.ipNetwork or ())])


def fixed(ruleset: Any) -> Any:
    """Attributes that ESXi keeps to itself (since 8.0.2 it says so: HostFirewallRuleset.userControllable, …)."""
    flags = {"enabled": ruleset.userControllable, "allowed": ruleset.ipListUserConfigurable}
    return [name for name, flag in flags.items() if flag is False]


def open_ruleset(tools: Tools, call: Call, name: str) -> None:
    tools.manager(call, "firewallSystem").EnableRuleset(id=name)


def close_ruleset(tools: Tools, call: Call, name: str) -> None:
    tools.manager(call, "firewallSystem").DisableRuleset(id=name)


def allow(tools: Tools, call: Call, name: str) -> None:
    from pyVmomi import vim

    items = [str(a) for a in after(call).get("allowed") or ()]  # type: ignore[union-attr]
    networks = [vim.host.Ruleset.IpNetwork(network=a.partition("/")[0], prefixLength=int(a.partition("/")[2]))
                for a in items if "/" in a]
    hosts = vim.host.Ruleset.IpList(allIp=items == [ALL], ipNetwork=networks,
                                    ipAddress=[a for a in items if "/" not in a and a != ALL])
    spec = vim.host.Ruleset.RulesetSpec(allowedHosts=hosts)
    tools.manager(call, "firewallSystem").UpdateRuleset(id=name, spec=spec)


def validate(attributes: Attrs) -> Iterable[str]:
    items = attributes.get("allowed")
    if not isinstance(items, list):
        return
    if not items:
        yield "`allowed: []` would let nobody through: write `enabled: false` to close the rule set"
    elif ALL in items and len(items) > 1:
        yield "`allowed: all` stands alone: remove it, or the addresses beside it"
    else:
        for item in items:
            wrong = _wrong(item) if isinstance(item, str) and item != ALL else ""
            if wrong:
                yield f"`allowed`: {wrong}"


def _wrong(text: str) -> str:
    """What is wrong with an address or network. ESXi keeps them in one spelling, which the file must have, too."""
    from ipaddress import ip_address, ip_interface

    try:
        normal = ip_interface(text) if "/" in text else ip_address(text)
    except ValueError:
        return f"{text!r} is no address and no network: write 10.0.0.5, 10.0.0.0/24 or all"
    if "/" not in text:
        return "" if str(normal) == text else f"write {text!r} as {normal}"
    network = ip_interface(text).network
    if network.prefixlen == network.max_prefixlen:
        return f"{text!r} is one address: write {network.network_address}"
    return "" if str(network) == text else f"{text!r} is no network: write {network}, or one address"


def check(changes: Sequence[Change], existing: Mapping[str, Attrs]) -> Iterable[Diagnostic]:
    for change in changes:
        name, live = change.address.name, existing.get(change.address.name, {})
        if change.action is not Action.UPDATE:
            continue
        new = {k: v for k, v in (change.after or {}).items() if v != (change.before or {}).get(k)}
        for kept in live.get("fixed") or ():  # type: ignore[union-attr]
            if kept in new:
                what = "opens and closes this rule set" if kept == "enabled" else "sets who is let through"
                yield Diagnostic("error", "this host keeps a part of its firewall to itself",
                                 f"ESXi {what} by itself: {name}", address=change.address,
                                 remedy=f"remove {kept} from it; the service that it belongs to decides")
        yield from cut(change, name, new)


def cut(change: Change, name: str, new: Mapping[str, Any]) -> Iterable[Diagnostic]:
    """A warning for what may lock vCenter out."""
    allowed = new.get("allowed")
    narrowed = allowed is not None and not isinstance(allowed, Unknown) and allowed != [ALL]
    if name in OWN_PATH and (narrowed or new.get("enabled") is False):
        yield Diagnostic("warning", "this may cut vCenter off from the host",
                         f"{name} carries vCenter's own connection", address=change.address,
                         remedy="make sure that vCenter's address is among `allowed`")


FIREWALL = ResourceType(
    name="firewall",
    doc="A firewall rule set of the host.",
    parent="host",
    setting=True,
    order=14,
    fields={
        "enabled": boolean("Whether its ports are open."),
        "allowed": strings("Who is let through: all, or addresses and networks.", unordered=True, lone=True),
        "fixed": Field("list", "Which of these ESXi keeps to itself.", items=string("An attribute."), computed=True),
    },
    label_doc="the rule set's key: sshServer, ntpClient, …",
    paths=(PATH,),
    read=read,
    keys=lambda names: {PATH: names},
    validate=validate,
    check=check,
    baseline={"*": {"enabled": Unknown("read after birth"), "allowed": [ALL], "fixed": []}},
    operations=(
        Operation("firewall.allowed", "HostFirewallSystem.UpdateRuleset", "update", "Set who is let through.",
                  on(allow), ("allowed",), inverse="firewall.allowed", privileges=PRIVILEGE),
        Operation("firewall.open", "HostFirewallSystem.EnableRuleset", "update", "Open the rule set.",
                  on(open_ruleset), ("enabled",), inverse="firewall.close", to={"enabled": True}, privileges=PRIVILEGE),
        Operation("firewall.close", "HostFirewallSystem.DisableRuleset", "update", "Close the rule set.",
                  on(close_ruleset), ("enabled",), inverse="firewall.open", to={"enabled": False},
                  privileges=PRIVILEGE),
    ),
    tested=("twin", "recording"),
)
