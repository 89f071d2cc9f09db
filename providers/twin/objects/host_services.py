"""HostDateTimeSystem, HostServiceSystem, HostFirewallSystem and a host's OptionManager."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pyVmomi import vim, vmodl

from providers.twin import baseline
from providers.twin.core.base import method, prop
from providers.twin.core.meta import field_types
from providers.twin.facts.firewall import RulesetFact, is_source, rulesets
from providers.twin.facts.options import options
from providers.twin.facts.services import POLICIES, SERVICES
from providers.twin.model import HostConfig
from providers.twin.objects.host import HostManager, moment
from providers.twin.objects.network_system import invalid, refused
from providers.twin.parts.services import PtpPort
from providers.twin.views import options as option_views
from providers.twin.views import services

_CLOCK = ("timeZone", "ntpConfig", "protocol", "ptpConfig", "disableFallback")
"""Of HostDateTimeConfig: what is simulated."""


class DateTimeSystem(HostManager):
    """`vim.host.DateTimeSystem`."""

    wire = "HostDateTimeSystem"
    field, prefix, door_id = "dateTimeSystem", "dateTimeSystem", "dateTimeSystem"

    @prop("dateTimeInfo")
    def date_time_info(self) -> Any:
        return services.date_time_info(self.hypervisor())

    @method("QueryDateTime")
    def query_date_time(self) -> datetime:
        box, _ = self.host.open()
        return moment(self.house.clock.now() + box.skew)

    @method("UpdateDateTime", mutates=True)
    def update_date_time(self, dateTime: datetime) -> None:
        box, _ = self.host.open()
        box.skew = dateTime.timestamp() - self.house.clock.now()
        self.house.inventory.mark(box)

    @method("RefreshDateTimeSystem")
    def refresh(self) -> None:
        self.host.open()

    @method("UpdateDateTimeConfig", mutates=True)
    def update_config(self, config: Any) -> None:
        for name in field_types(type(config)):
            if getattr(config, name) not in (None, []) and name not in _CLOCK:
                raise vmodl.fault.NotSupported(msg=f"The twin does not simulate HostDateTimeConfig.{name}")
        if config.protocol not in (None, "ntp", "ptp"):
            raise invalid("config.protocol", f"{config.protocol!r} is neither ntp nor ptp.")
        if config.ntpConfig is not None and config.ntpConfig.configFile:
            raise vmodl.fault.NotSupported(msg="The twin does not simulate HostNtpConfig.configFile")
        with self.editing() as edited:
            if config.timeZone is not None:
                if config.timeZone != "UTC":
                    raise refused(f"ESXi runs in UTC: no time zone {config.timeZone}.")
                edited.time_zone = config.timeZone
            if config.ntpConfig is not None:
                edited.ntp = [str(each) for each in config.ntpConfig.server]
            if config.ptpConfig is not None:
                self._ptp(edited, config.ptpConfig)
            if config.protocol is not None:
                edited.settings.clock = str(config.protocol)
            if config.disableFallback is not None:
                edited.settings.fallback = not config.disableFallback

    def _ptp(self, edited: HostConfig, config: Any) -> None:
        if config.domain is not None:
            if not 0 <= config.domain <= 255:
                raise invalid("config.ptpConfig.domain", "0 to 255.")
            edited.settings.ptp_domain = int(config.domain)
        ports = list(config.port or ())
        if not ports:
            return
        if [each.index for each in ports] != list(range(len(ports))) or len(ports) > services.PTP_PORTS:
            raise invalid("config.ptpConfig.port", f"The host has {services.PTP_PORTS} PTP port, with index 0.")
        made = []
        for each in ports:
            if each.deviceType == "virtualNic" and each.device not in edited.vnics:
                raise refused(f"The host {self.host.name} has no VMkernel adapter {each.device}.")
            if each.deviceType == "pciPassthruNic":
                raise refused(f"The host {self.host.name} has no PCI device {each.device} that is passed through.")
            if each.deviceType not in (None, "none", "virtualNic"):
                raise invalid("config.ptpConfig.port.deviceType", f"{each.deviceType!r} is no type of device.")
            made.append(PtpPort(str(each.device) if each.deviceType == "virtualNic" else ""))
        while made and not made[-1].device:
            made.pop()
        edited.settings.ptp_ports = made


class ServiceSystem(HostManager):
    """`vim.host.ServiceSystem`."""

    wire = "HostServiceSystem"
    field, prefix, door_id = "serviceSystem", "serviceSystem", "serviceSystem"

    @prop("serviceInfo")
    def service_info(self) -> Any:
        return services.service_info(self.hypervisor())

    @method("RefreshServices")
    def refresh(self) -> None:
        self.host.open()

    def _state(self, key: str) -> Any:
        _, running = self.host.open()
        if key not in SERVICES:
            raise vim.fault.NotFound(msg=f"The host {self.host.name} has no service {key}.")
        return baseline.service(running, key)

    @method("UpdateServicePolicy", mutates=True)
    def update_policy(self, id: str, policy: str) -> None:
        state = self._state(id)
        if policy not in POLICIES:
            raise invalid("policy", f"{policy!r} is none of {', '.join(POLICIES)}.")
        with self.editing() as config:
            baseline.set_service(config, id, policy, self._kept(id, state.running))

    @method("StartService", mutates=True)
    def start(self, id: str) -> None:
        state = self._state(id)
        self._unlocked(id)
        with self.editing() as config:
            baseline.set_service(config, id, state.policy, self._kept(id, True))
            if id == "ntpd" and not state.running:
                config.ntp_heard = list(config.ntp)

    @method("StopService", mutates=True)
    def stop(self, id: str) -> None:
        state = self._state(id)
        self._unlocked(id)
        if SERVICES[id].required:
            raise vim.fault.InvalidState(msg=f"The service {id} is required and cannot be stopped.")
        if id == "vpxa":
            raise vmodl.fault.NotSupported(msg="The twin does not simulate stopping vpxa (it cuts the host off)")
        with self.editing() as config:
            baseline.set_service(config, id, state.policy, False)
            if id == "ntpd":
                config.ntp_heard = []

    @method("RestartService", mutates=True)
    def restart(self, id: str) -> None:
        state = self._state(id)
        if not state.running:
            raise vim.fault.InvalidState(msg=f"The service {id} is not running.")
        with self.editing() as config:
            if id == "ntpd":
                config.ntp_heard = list(config.ntp)

    def _unlocked(self, key: str) -> None:
        """Lockdown mode itself says whether the console runs (HostAccessManager.ChangeLockdownMode)."""
        if key == "DCUI" and self.config.access.lockdown != "lockdownDisabled":
            raise vmodl.fault.SecurityError(msg="In lockdown mode the service DCUI cannot be started or stopped.")

    @staticmethod
    def _kept(key: str, running: bool) -> bool:
        """vpxa's state follows from who manages the host; everything else's is kept."""
        return SERVICES[key].running if key == "vpxa" else running


class FirewallSystem(HostManager):
    """`vim.host.FirewallSystem`."""

    wire = "HostFirewallSystem"
    field, prefix, door_id = "firewallSystem", "firewallSystem", "firewallSystem"

    @prop("firewallInfo")
    def firewall_info(self) -> Any:
        return services.firewall_info(self.hypervisor())

    @method("RefreshFirewall")
    def refresh(self) -> None:
        self.host.open()

    @method("EnableRuleset", mutates=True)
    def enable(self, id: str) -> None:
        self._set(id, True)

    @method("DisableRuleset", mutates=True)
    def disable(self, id: str) -> None:
        self._set(id, False)

    @method("UpdateRuleset", mutates=True)
    def update(self, id: str, spec: Any) -> None:
        fact, hosts = self._fact(id), spec.allowedHosts
        if fact.fixed:
            raise refused(f"The allowed addresses of the rule set {id} cannot be edited.")
        listed = [str(each) for each in hosts.ipAddress or ()]
        listed += [f"{each.network}/{each.prefixLength}" for each in hosts.ipNetwork or ()]
        for each in listed:
            if not is_source(each):
                raise refused(f"{each} is neither an address nor a network.")
        if hosts.allIp and listed:
            raise invalid("spec.allowedHosts", "Either all addresses or a list of them.")
        with self.editing() as config:
            if hosts.allIp:
                config.settings.allowed.pop(id, None)
            else:
                config.settings.allowed[id] = sorted(set(listed))

    def _fact(self, key: str) -> RulesetFact:
        self.host.open()
        fact = rulesets().get(key)
        if fact is None:
            raise vim.fault.NotFound(msg=f"The host {self.host.name} has no firewall rule set {key}.")
        return fact

    def _set(self, key: str, enabled: bool) -> None:
        fact = self._fact(key)
        if fact.required and not enabled:
            raise refused(f"The rule set {key} is required and cannot be disabled.")
        if not fact.user and baseline.ruleset(self.hypervisor(), key) != enabled:
            raise refused(f"The rule set {key} is opened and closed by the host itself.")
        with self.editing() as config:
            baseline.set_ruleset(config, key, enabled)


class HostOptions(HostManager):
    """`vim.option.OptionManager` of a host."""

    wire = "OptionManager"
    field, prefix, door_id = "advancedOption", "EsxHostAdvSettings", "ha-adv-options"

    @prop("setting")
    def setting(self) -> Any:
        return option_views.values(self.config)

    @prop("supportedOption")
    def supported(self) -> Any:
        return option_views.definitions()

    @method("QueryOptions")
    def query(self, name: str | None = None) -> Any:
        found = option_views.values(self.config, name)
        if not found:
            raise vim.fault.InvalidName(name=name, msg=f"The host has no advanced option {name!r}.")
        return found

    @method("UpdateOptions", mutates=True)
    def update(self, changedValue: Any) -> None:
        if not changedValue:
            raise invalid("changedValue", "There is nothing to change.")
        with self.editing() as config:
            for each in changedValue:
                fact = options().get(each.key)
                if fact is None:
                    raise vim.fault.InvalidName(name=each.key, msg=f"The host has no advanced option {each.key!r}.")
                if fact.readonly or not option_views.accepts(fact, each.value):
                    kind = type(each.value).__name__
                    raise invalid("changedValue.value", f"{each.key} does not take {each.value!r} ({kind}).")
                value: bool | int | str = each.value
                baseline.set_option(config, each.key, int(value) if fact.kind in ("l", "i") else value)
