"""Services, firewall, time, advanced options, through vCenter and real XML."""

from __future__ import annotations

from typing import Any

import pytest
from pyVmomi import VmomiSupport, vim, vmodl

from tests.support.twin import host, make_house, vcenter


@pytest.fixture
def esx() -> Any:
    return host(vcenter(make_house(hosts=1), codec=True))


def service(esx: Any, key: str) -> tuple[str, bool]:
    found = next(each for each in esx.config.service.service if each.key == key)
    return found.policy, found.running


def ruleset(esx: Any, key: str) -> bool:
    return next(bool(each.enabled) for each in esx.config.firewall.ruleset if each.key == key)


def value(key: str, given: Any) -> Any:
    return vim.option.OptionValue(key=key, value=given)


def test_an_option_asked_by_its_key_is_that_of_the_whole_list(esx: Any) -> None:
    esx.configManager.advancedOption.UpdateOptions([value("Mem.MemZipEnable", VmomiSupport.long(0))])
    listed = {each.key: each.value for each in esx.config.option}
    keys = ("Mem.MemZipEnable", "Syslog.global.logHost", "VMkernel.Boot.hyperthreading", "No.Such", "Mem.")
    collector = vmodl.query.PropertyCollector
    spec = collector.FilterSpec(
        objectSet=[collector.ObjectSpec(obj=esx)],
        propSet=[collector.PropertySpec(type=vim.HostSystem, pathSet=[f'config.option["{key}"]' for key in keys])])
    content: Any = vim.ServiceInstance("ServiceInstance", esx._stub).RetrieveContent()
    found = content.propertyCollector.RetrievePropertiesEx([spec], collector.RetrieveOptions()).objects[0].propSet
    assert {each.name: each.val.value for each in found} == {
        f'config.option["{key}"]': listed[key] for key in keys if key in listed}
    assert listed["Mem.MemZipEnable"] == 0
    assert len(found) == 3


def test_services(esx: Any) -> None:
    system = esx.configManager.serviceSystem
    assert len(esx.config.service.service) == 25
    assert [service(esx, key) for key in ("TSM", "TSM-SSH", "ntpd")] == [("off", False)] * 3
    assert service(esx, "vpxa") == ("on", True)
    system.UpdateServicePolicy("TSM-SSH", "on")
    system.StartService("TSM-SSH")
    system.StartService("TSM-SSH")  # as a real host: starting what runs is no fault
    assert service(esx, "TSM-SSH") == ("on", True)
    system.RestartService("TSM-SSH")
    system.StopService("TSM-SSH")
    system.UpdateServicePolicy("TSM-SSH", "off")
    assert service(esx, "TSM-SSH") == ("off", False)
    with pytest.raises(vim.fault.NotFound):
        system.StartService("nonsense")
    with pytest.raises(vmodl.fault.InvalidArgument):
        system.UpdateServicePolicy("ntpd", "sometimes")
    with pytest.raises(vim.fault.InvalidState):
        system.RestartService("ntpd")
    with pytest.raises(vim.fault.InvalidState):
        system.StopService("vmsyslogd")


def test_going_back_to_newborn_leaves_no_trace() -> None:
    house = make_house(hosts=1)
    before = house.dump()
    esx = host(vcenter(house))
    esx.configManager.serviceSystem.StartService("TSM")
    esx.configManager.firewallSystem.EnableRuleset("syslog")
    options = esx.configManager.advancedOption
    options.UpdateOptions([value("UserVars.SuppressShellWarning", VmomiSupport.vmodlTypes["long"](1))])
    assert house.dump() != before
    esx.configManager.serviceSystem.StopService("TSM")
    esx.configManager.firewallSystem.DisableRuleset("syslog")
    options.UpdateOptions([value("UserVars.SuppressShellWarning", VmomiSupport.vmodlTypes["long"](0))])
    assert house.dump() == before


def test_firewall(esx: Any) -> None:
    system = esx.configManager.firewallSystem
    assert not ruleset(esx, "syslog")
    assert not ruleset(esx, "httpClient")
    assert ruleset(esx, "sshServer")
    assert ruleset(esx, "vpxHeartbeats")
    system.EnableRuleset("syslog")
    assert ruleset(esx, "syslog")
    system.DisableRuleset("syslog")
    assert not ruleset(esx, "syslog")
    with pytest.raises(vim.fault.NotFound):
        system.EnableRuleset("nonsense")
    with pytest.raises(vim.fault.HostConfigFault):
        system.DisableRuleset("sshServer")


def test_ntpd_reads_its_servers_when_it_starts(esx: Any) -> None:
    system, services = esx.configManager.dateTimeSystem, esx.configManager.serviceSystem

    def heard() -> str | None:
        found: str | None = system.dateTimeInfo.remoteNtpServer
        return found

    def tell(server: str) -> None:
        system.UpdateDateTimeConfig(vim.host.DateTimeConfig(ntpConfig=vim.host.NtpConfig(server=[server])))

    tell("10.0.0.1")
    assert heard() is None
    services.StartService("ntpd")
    assert (heard(), system.dateTimeInfo.serviceSync) == ("10.0.0.1", True)
    tell("10.0.0.2")
    services.StartService("ntpd")
    assert heard() == "10.0.0.1"
    services.RestartService("ntpd")
    assert heard() == "10.0.0.2"
    services.StopService("ntpd")
    assert heard() is None


def test_time(esx: Any) -> None:
    system = esx.configManager.dateTimeSystem
    assert list(esx.config.dateTimeInfo.ntpConfig.server) == []
    config = vim.host.DateTimeConfig(ntpConfig=vim.host.NtpConfig(server=["10.0.0.1", "10.0.0.2"]))
    system.UpdateDateTimeConfig(config)
    assert list(esx.config.dateTimeInfo.ntpConfig.server) == ["10.0.0.1", "10.0.0.2"]
    system.UpdateDateTimeConfig(vim.host.DateTimeConfig(ntpConfig=vim.host.NtpConfig(server=[])))
    assert list(system.dateTimeInfo.ntpConfig.server) == []
    with pytest.raises(vim.fault.HostConfigFault, match="UTC"):
        system.UpdateDateTimeConfig(vim.host.DateTimeConfig(timeZone="Europe/Berlin"))
    with pytest.raises(vmodl.fault.NotSupported):
        system.UpdateDateTimeConfig(vim.host.DateTimeConfig(resetToFactoryDefaults=True))


def test_options(esx: Any) -> None:
    options = esx.configManager.advancedOption
    long = VmomiSupport.vmodlTypes["long"]
    [found] = options.QueryOptions("UserVars.SuppressShellWarning")
    assert (found.value, type(found.value)) == (0, long)
    options.UpdateOptions([value("UserVars.SuppressShellWarning", long(1)), value("Syslog.global.logHost", "udp://a:514")])
    assert options.QueryOptions("UserVars.SuppressShellWarning")[0].value == 1
    assert next(each.value for each in esx.config.option if each.key == "Syslog.global.logHost") == "udp://a:514"
    assert {each.key.partition(".")[0] for each in options.QueryOptions("Mem.")} == {"Mem"}
    assert len(options.QueryOptions("Mem")) == len(options.QueryOptions("Mem."))
    assert len(options.setting) == len(options.supportedOption) >= 60


@pytest.mark.parametrize(("key", "given", "fault"), [
    ("No.Such", "x", vim.fault.InvalidName),
    ("UserVars.SuppressShellWarning", 1, vmodl.fault.InvalidArgument),  # an int where a long is wanted
    ("UserVars.SuppressShellWarning", "1", vmodl.fault.InvalidArgument),
    ("UserVars.SuppressShellWarning", VmomiSupport.vmodlTypes["long"](2), vmodl.fault.InvalidArgument),
    ("Security.AccountLockFailures", VmomiSupport.vmodlTypes["long"](1), vmodl.fault.InvalidArgument),
    ("Security.AccountLockFailures", True, vmodl.fault.InvalidArgument),
    ("VMkernel.Boot.hyperthreading", 1, vmodl.fault.InvalidArgument),
    ("Syslog.global.logLevel", "loud", vmodl.fault.InvalidArgument),
    ("ScratchConfig.CurrentScratchLocation", "/x", vmodl.fault.InvalidArgument),
])
def test_options_refused(esx: Any, key: str, given: Any, fault: Any) -> None:
    options = esx.configManager.advancedOption
    with pytest.raises(fault):
        options.UpdateOptions([value("Syslog.global.logHost", "tcp://b"), value(key, given)])
    assert options.QueryOptions("Syslog.global.logHost")[0].value == ""  # all or nothing


def test_unknown_option_query(esx: Any) -> None:
    with pytest.raises(vim.fault.InvalidName):
        esx.configManager.advancedOption.QueryOptions("No.Such")


def test_vcenter_settings() -> None:
    setting = vcenter(make_house(), codec=True).setting
    setting.UpdateOptions([value("event.maxAge", 60), value("config.own.key", "x")])
    assert [each.value for each in setting.QueryOptions("event.maxAge")] == [60]
    assert [each.value for each in setting.QueryOptions("config.own.key")] == ["x"]
    with pytest.raises(vim.fault.InvalidName):
        setting.UpdateOptions([value("nonsense", "x")])
