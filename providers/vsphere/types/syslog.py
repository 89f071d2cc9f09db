"""Where a host sends its logs, and the firewall rule set that lets it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from planner.catalog import Operation, ResourceType
from planner.model import Action, Attrs, Change, Diagnostic
from planner.ports import Call
from planner.schema import boolean, integer, string, strings
from providers.vsphere.tools import Tools, after, pick, plain
from providers.vsphere.types import firewall, option

LOG_HOST, RULESETS, RULESET = "Syslog.global.logHost", firewall.PATH, "syslog"
OPTIONS: Mapping[str, str] = {
    "log_dir": "Syslog.global.logDir", "unique": "Syslog.global.logDirUnique", "rotate": "Syslog.global.defaultRotate",
    "size": "Syslog.global.defaultSize", "level": "Syslog.global.logLevel",
    "check_certificates": "Syslog.global.certificate.checkSSLCerts",
    "strict_x509": "Syslog.global.certificate.strictX509Compliance",
    "audit_records": "Syslog.global.auditRecord.remoteEnable",
    "max_message": "Syslog.global.remoteHost.maxMsgLen",
}
"""Attribute → advanced option. All of them are set in one call."""
KEYS = {LOG_HOST: "targets", **{key: name for name, key in OPTIONS.items()}}
LEVELS = ("emerg", "alert", "crit", "error", "warning", "notice", "info", "debug")


def read(props: Mapping[str, Any], wanted: frozenset[str]) -> dict[str, Attrs]:
    """A host that lacks an option (an older one) lacks the attribute."""
    values = {each.key: plain(each.value) for each in props.get(option.PATH) or ()}
    ruleset = pick(props.get(RULESETS), RULESET, "key")
    if LOG_HOST not in values or ruleset is None:
        return {}
    text = "" if values[LOG_HOST] == "<none>" else str(values[LOG_HOST] or "")
    found: dict[str, Any] = {"targets": [t.strip() for t in text.split(",") if t.strip()],
                             **{name: values[key] for name, key in OPTIONS.items() if key in values}}
    return {"syslog": {**found, "firewall": bool(ruleset.enabled), "allowed": firewall.addresses(ruleset)}}


def targets(tools: Tools, call: Call) -> None:
    option.write(tools, call, {LOG_HOST: ",".join(map(str, after(call).get("targets") or ()))})  # type: ignore[arg-type]


def options(tools: Tools, call: Call) -> None:
    option.write(tools, call, {OPTIONS[name]: value for name, value in after(call).items()})


def open_ruleset(tools: Tools, call: Call) -> None:
    firewall.open_ruleset(tools, call, RULESET)


def close_ruleset(tools: Tools, call: Call) -> None:
    firewall.close_ruleset(tools, call, RULESET)


def allow(tools: Tools, call: Call) -> None:
    firewall.allow(tools, call, RULESET)


def check(changes: Sequence[Change], existing: Mapping[str, Attrs]) -> Iterable[Diagnostic]:
    live = existing.get("syslog", {})
    for change in changes:
        for name, key in OPTIONS.items() if change.action is Action.UPDATE and live else ():
            if name in (change.after or {}) and name not in live:
                yield Diagnostic("error", "this host has no such option", f"{name} is {key}, which it does not have",
                                 address=change.address, remedy=f"remove `{name}` for this host")


_SETTINGS, _NET = ("Host.Config.Settings",), firewall.PRIVILEGE
SYSLOG = ResourceType(
    name="syslog",
    doc="Where the host keeps its logs, and where it sends them.",
    parent="host",
    singleton=True,
    setting=True,
    order=6,
    fields={
        "targets": strings("Targets: udp://…, tcp://… or ssl://…, in order.", check="syslog_target"),
        "log_dir": string("Folder of the logs: [datastore1] /logs; [] /scratch/log is the host's own."),
        "unique": boolean("Whether that folder holds one of the host's own name."),
        "rotate": integer("Older logs that are kept, of each kind.", minimum=0, maximum=100),
        "size": integer("Size at which a log is rotated, in KiB.", minimum=1, maximum=10240),
        "level": string("What is worth a line.", enum=LEVELS),
        "check_certificates": boolean("Whether certificates of ssl:// targets are checked."),
        "strict_x509": boolean("Whether they must be strictly as X.509 says."),
        "audit_records": boolean("Whether audit records are sent, too."),
        "max_message": integer("Longest message that is sent, in bytes.", minimum=1024, maximum=16384),
        "firewall": boolean("Whether the firewall lets syslog out.", default=True, always=True),
        "allowed": strings("Whom it lets syslog out to: all, or addresses and networks.", unordered=True, lone=True),
    },
    owns={"option": KEYS, "firewall": (RULESET,)},
    paths=(option.PATH, RULESETS),
    read=read,
    keys=lambda _names: {option.PATH: frozenset(KEYS), RULESETS: frozenset({RULESET})},
    validate=firewall.validate,
    check=check,
    baseline={"syslog": {
        "targets": [], "log_dir": "[] /scratch/log", "unique": False, "rotate": 8, "size": 1024, "level": "error",
        "check_certificates": True, "strict_x509": False, "audit_records": False, "max_message": 1024,
        "firewall": False, "allowed": [firewall.ALL]}},
    operations=(
        Operation("syslog.options", "OptionManager.UpdateOptions", "update", "Set how logs are kept and sent.", options,
                  tuple(OPTIONS), inverse="syslog.options", privileges=_SETTINGS),
        Operation("syslog.targets", "OptionManager.UpdateOptions", "update", "Set the targets.", targets, ("targets",),
                  inverse="syslog.targets", privileges=_SETTINGS),
        Operation("syslog.allowed", "HostFirewallSystem.UpdateRuleset", "update", "Set whom syslog may reach.", allow,
                  ("allowed",), inverse="syslog.allowed", privileges=_NET),
        Operation("syslog.open", "HostFirewallSystem.EnableRuleset", "update", "Open the firewall for syslog.",
                  open_ruleset, ("firewall",), inverse="syslog.close", to={"firewall": True}, privileges=_NET),
        Operation("syslog.close", "HostFirewallSystem.DisableRuleset", "update", "Close the firewall for syslog.",
                  close_ruleset, ("firewall",), inverse="syslog.open", to={"firewall": False}, privileges=_NET),
    ),
    tested=("twin", "recording"),
)
