"""HostServiceInfo, HostFirewallInfo, HostDateTimeInfo. Unchanged parts are built once and shared: never change them."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

from providers.twin import baseline
from providers.twin.core.meta import data
from providers.twin.facts.firewall import RuleFact, rulesets
from providers.twin.facts.services import SERVICES
from providers.twin.model import HostConfig, Hypervisor


def service_info(hypervisor: Hypervisor) -> Any:
    """HostServiceInfo: one shared value for all hosts whose services are in the same states."""
    states = tuple(
        (key, state.policy, state.running) for key, state in sorted(hypervisor.config.services.items())
    )
    return _service_info(states, bool(hypervisor.manager))


@lru_cache(maxsize=256)
def _service_info(states: tuple[tuple[str, str, bool], ...], managed: bool) -> Any:
    found = {key: (policy, running) for key, policy, running in states}
    listed = []
    for key, fact in SERVICES.items():
        policy, running = found.get(key, (fact.policy, fact.running))
        listed.append(_service(key, policy, running or (key == "vpxa" and managed)))
    return data("HostServiceInfo", service=listed)


@lru_cache(maxsize=1024)
def _service(key: str, policy: str, running: bool) -> Any:
    fact = SERVICES[key]
    return data(
        "HostService",
        key=key,
        label=fact.label,
        required=fact.required,
        uninstallable=False,
        running=running,
        ruleset=list(fact.rulesets),
        policy=policy,
        sourcePackage=data(
            "HostServiceSourcePackage", sourcePackageName=fact.package, description=f"VIB {fact.package}"
        ),
    )


def firewall_info(hypervisor: Hypervisor) -> Any:
    """HostFirewallInfo: one shared value for all hosts with the same rule sets open."""
    return _firewall_info(tuple(key for key in rulesets() if baseline.ruleset(hypervisor, key)))


@lru_cache(maxsize=256)
def _firewall_info(enabled: tuple[str, ...]) -> Any:
    return data(
        "HostFirewallInfo",
        defaultPolicy=data("HostFirewallDefaultPolicy", incomingBlocked=True, outgoingBlocked=True),
        ruleset=[_ruleset(key, key in enabled) for key in rulesets()],
    )


@cache
def _ruleset(key: str, enabled: bool) -> Any:
    fact = rulesets()[key]
    return data(
        "HostFirewallRuleset",
        key=key,
        label=fact.label,
        required=fact.required,
        rule=[_rule(each) for each in fact.rules],
        service=fact.service or None,
        enabled=enabled,
        allowedHosts=data("HostFirewallRulesetIpList", allIp=True),
        userControllable=not fact.required,
        ipListUserConfigurable=not fact.fixed,
    )


def _rule(fact: RuleFact) -> Any:
    return data(
        "HostFirewallRule",
        port=fact.port,
        endPort=fact.last or None,
        direction="inbound" if fact.inbound else "outbound",
        portType="src" if fact.source else "dst",
        protocol=fact.protocol,
    )


def date_time_info(hypervisor: Hypervisor) -> Any:
    """HostDateTimeInfo. The clock follows NTP where ntpd runs."""
    config: HostConfig = hypervisor.config
    running = baseline.service(hypervisor, "ntpd").running
    return data(
        "HostDateTimeInfo",
        timeZone=data(
            "HostDateTimeSystemTimeZone", key=config.time_zone, name=config.time_zone,
            description=config.time_zone, gmtOffset=0,
        ),
        systemClockProtocol="ntp",
        ntpConfig=data("HostNtpConfig", server=list(config.ntp)),
        enabled=True,
        disableEvents=False,
        disableFallback=False,
        inFallbackState=False,
        serviceSync=running and bool(config.ntp_heard),
        remoteNtpServer=config.ntp_heard[0] if running and config.ntp_heard else None,
    )
