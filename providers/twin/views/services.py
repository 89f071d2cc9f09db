"""HostServiceInfo, HostFirewallInfo, HostDateTimeInfo. Unchanged parts are built once and shared: never change them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from providers.twin import baseline
from providers.twin.core.meta import data
from providers.twin.facts.firewall import RuleFact, rulesets
from providers.twin.facts.services import SERVICES
from providers.twin.model import HostConfig, Hypervisor

PTP_PORTS = 1
"""HostCapability.maxSupportedPtpPorts of ESXi 8.0.3."""


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
    """HostFirewallInfo: one shared value for all hosts with the same rule sets open to the same addresses."""
    allowed = tuple((key, tuple(items)) for key, items in sorted(hypervisor.config.settings.allowed.items()))
    return _firewall_info(tuple(key for key in rulesets() if baseline.ruleset(hypervisor, key)), allowed)


@lru_cache(maxsize=256)
def _firewall_info(enabled: tuple[str, ...], allowed: tuple[tuple[str, tuple[str, ...]], ...]) -> Any:
    lists = dict(allowed)
    return data(
        "HostFirewallInfo",
        defaultPolicy=data("HostFirewallDefaultPolicy", incomingBlocked=True, outgoingBlocked=True),
        ruleset=[_ruleset(key, key in enabled, lists.get(key)) for key in rulesets()],
    )


def _allowed(items: tuple[str, ...] | None) -> Any:
    """HostFirewallRulesetIpList; None: everybody."""
    networks = [each.split("/") for each in items or () if "/" in each]
    return data("HostFirewallRulesetIpList", allIp=items is None, ipAddress=[e for e in items or () if "/" not in e],
                ipNetwork=[data("HostFirewallRulesetIpNetwork", network=network, prefixLength=int(length))
                           for network, length in networks])


@lru_cache(maxsize=1024)
def _ruleset(key: str, enabled: bool, allowed: tuple[str, ...] | None) -> Any:
    fact = rulesets()[key]
    return data(
        "HostFirewallRuleset",
        key=key,
        label=fact.label,
        required=fact.required,
        rule=[_rule(each) for each in fact.rules],
        service=fact.service or None,
        enabled=enabled,
        allowedHosts=_allowed(allowed),
        userControllable=fact.user,
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
    """HostDateTimeInfo. The clock follows NTP where ntpd runs, unless it is told to follow PTP."""
    config: HostConfig = hypervisor.config
    running = baseline.service(hypervisor, "ntpd").running
    settings = config.settings
    heard = config.ntp_heard if running and settings.clock == "ntp" else []
    return data(
        "HostDateTimeInfo",
        timeZone=data(
            "HostDateTimeSystemTimeZone", key=config.time_zone, name=config.time_zone,
            description=config.time_zone, gmtOffset=0,
        ),
        systemClockProtocol=settings.clock,
        ntpConfig=data("HostNtpConfig", server=list(config.ntp)),
        ptpConfig=data("HostPtpConfig", domain=settings.ptp_domain, port=[
            _ptp_port(config, number) for number in range(PTP_PORTS)]),
        enabled=True,
        disableEvents=False,
        disableFallback=not settings.fallback,
        inFallbackState=False,
        serviceSync=bool(heard),
        remoteNtpServer=heard[0] if heard else None,
    )


def _ptp_port(config: HostConfig, number: int) -> Any:
    """A port shows the address of the adapter that it is on."""
    ports = config.settings.ptp_ports
    device = ports[number].device if number < len(ports) else ""
    nic = config.vnics.get(device)
    if nic is None:
        return data("HostPtpConfigPtpPort", index=number)
    ip = data("HostIpConfig", dhcp=nic.dhcp, ipAddress=nic.ip, subnetMask=nic.netmask)
    return data("HostPtpConfigPtpPort", index=number, deviceType="virtualNic", device=device, ipConfig=ip)
