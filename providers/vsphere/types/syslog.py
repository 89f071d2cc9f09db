"""Where a host sends its logs, and the firewall rule set that lets it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from planner.catalog import Operation, ResourceType
from planner.model import Attrs
from planner.ports import Call
from planner.schema import boolean, strings
from providers.vsphere.tools import Tools, after, pick
from providers.vsphere.types import option

LOG_HOST, RULESETS, RULESET = "Syslog.global.logHost", "config.firewall.ruleset", "syslog"


def read(props: Mapping[str, Any], wanted: frozenset[str]) -> dict[str, Attrs]:
    target, ruleset = pick(props.get(option.PATH), LOG_HOST, "key"), pick(props.get(RULESETS), RULESET, "key")
    if target is None or ruleset is None:
        return {}
    text = "" if target.value == "<none>" else str(target.value or "")
    return {"syslog": {"targets": [t.strip() for t in text.split(",") if t.strip()],
                       "firewall": bool(ruleset.enabled)}}


def targets(tools: Tools, call: Call) -> None:
    option.write(tools, call, LOG_HOST, ",".join(map(str, after(call).get("targets") or ())))  # type: ignore[arg-type]


def open_ruleset(tools: Tools, call: Call) -> None:
    tools.manager(call, "firewallSystem").EnableRuleset(id=RULESET)


def close_ruleset(tools: Tools, call: Call) -> None:
    tools.manager(call, "firewallSystem").DisableRuleset(id=RULESET)


SYSLOG = ResourceType(
    name="syslog",
    doc="Remote log targets.",
    parent="host",
    singleton=True,
    setting=True,
    order=6,
    fields={
        "targets": strings("Targets: udp://…, tcp://… or ssl://…, in order.", check="syslog_target"),
        "firewall": boolean("Whether the firewall lets syslog out.", default=True, always=True),
    },
    owns={"option": (LOG_HOST,)},
    paths=(option.PATH, RULESETS),
    read=read,
    keys=lambda _names: {option.PATH: frozenset({LOG_HOST}), RULESETS: frozenset({RULESET})},
    baseline={"syslog": {"targets": [], "firewall": False}},
    operations=(
        Operation("syslog.targets", "OptionManager.UpdateOptions", "update", "Set the targets.", targets, ("targets",),
                  inverse="syslog.targets", privileges=("Host.Config.Settings",)),
        Operation("syslog.open", "HostFirewallSystem.EnableRuleset", "update", "Open the firewall for syslog.",
                  open_ruleset, ("firewall",), inverse="syslog.close", to={"firewall": True},
                  privileges=("Host.Config.NetService",)),
        Operation("syslog.close", "HostFirewallSystem.DisableRuleset", "update", "Close the firewall for syslog.",
                  close_ruleset, ("firewall",), inverse="syslog.open", to={"firewall": False},
                  privileges=("Host.Config.NetService",)),
    ),
)
