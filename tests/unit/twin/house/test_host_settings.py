"""Allowed addresses, power, kernel modules, PTP, autostart, vSAN, swap: what a host takes, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
from pyVmomi import vim, vmodl

from planner.model import FleetError
from providers.twin.house import House
from providers.twin.model import Vm
from providers.twin.outbound import Blocked, HouseFirewall, let_out
from tests.support.twin import CLUSTER, done, host, mac_of, make_house, reopen, vcenter

Ruleset, Ptp, Auto = vim.host.Ruleset, vim.host.PtpConfig, vim.host.AutoStartManager


@pytest.fixture
def house() -> House:
    return make_house(hosts=2)


@pytest.fixture
def esx(house: House) -> Any:
    return host(vcenter(house, codec=True))


def hosts(*addresses: str, networks: tuple[tuple[str, int], ...] = (), everyone: bool = False) -> Any:
    return Ruleset.RulesetSpec(allowedHosts=Ruleset.IpList(
        allIp=everyone, ipAddress=list(addresses),
        ipNetwork=[Ruleset.IpNetwork(network=n, prefixLength=length) for n, length in networks]))


def machine(house: House, name: str, number: int = 1) -> Any:
    """A VM on a host, as vCenter refers to it."""
    found = house.inventory.host_of(mac_of(number))
    assert found is not None
    made = Vm(house.inventory.new_id("vm-"), name, house.inventory.datacenter_of(found).vm, found.id)
    house.inventory.put(made)
    return vim.VirtualMachine(made.id)


def power(vm: Any, order: int = 1, **more: Any) -> Any:
    return Auto.AutoPowerInfo(**{"key": vm, "startOrder": order, "startDelay": -1, "waitForHeartbeat": "systemDefault",
                                 "startAction": "powerOn", "stopDelay": -1, "stopAction": "systemDefault", **more})


def test_what_a_rule_set_lets_through(house: House, esx: Any) -> None:
    before, system = house.dump(), esx.configManager.firewallSystem
    system.UpdateRuleset("sshServer", hosts("10.0.0.9", networks=(("10.1.0.0", 16),)))
    found = next(each for each in esx.config.firewall.ruleset if each.key == "sshServer").allowedHosts
    assert (found.allIp, list(found.ipAddress)) == (False, ["10.0.0.9"])
    assert [(each.network, each.prefixLength) for each in found.ipNetwork] == [("10.1.0.0", 16)]
    system.UpdateRuleset("sshServer", hosts(everyone=True))
    assert house.dump() == before
    with pytest.raises(vim.fault.NotFound):
        system.UpdateRuleset("nonsense", hosts(everyone=True))
    for key, spec in (("nfsClient", hosts(everyone=True)), ("sshServer", hosts("nas1")),
                      ("sshServer", hosts(networks=(("10.0.0.1", 8),)))):
        with pytest.raises(vim.fault.HostConfigFault):
            system.UpdateRuleset(key, spec)
    with pytest.raises(vmodl.fault.InvalidArgument):
        system.UpdateRuleset("sshServer", hosts("10.0.0.9", everyone=True))
    assert house.dump() == before


def test_the_host_opens_its_own_rule_sets_by_itself(esx: Any) -> None:
    system, services = esx.configManager.firewallSystem, esx.configManager.serviceSystem

    def is_open() -> bool:
        return next(bool(each.enabled) for each in esx.config.firewall.ruleset if each.key == "ntpClient")

    with pytest.raises(vim.fault.HostConfigFault, match="by the host itself"):
        system.EnableRuleset("ntpClient")
    services.StartService("ntpd")
    assert is_open()
    services.StopService("ntpd")
    assert not is_open()


def test_a_list_of_addresses_holds_for_what_the_host_sends(house: House, esx: Any) -> None:
    system = esx.configManager.firewallSystem
    sender = HouseFirewall(house, mac_of(1), house.box(mac_of(1)).boots)
    system.EnableRuleset("httpClient")
    let_out(sender, "httpClient", "tcp", 443, "10.0.0.9")
    system.UpdateRuleset("httpClient", hosts(networks=(("10.0.0.0", 8),)))
    let_out(sender, "httpClient", "tcp", 443, "10.0.0.9")
    with pytest.raises(Blocked, match=r"not open to 192\.0\.2\.1"):
        let_out(sender, "httpClient", "tcp", 443, "192.0.2.1")


def test_power_policies(house: House, esx: Any) -> None:
    system = esx.configManager.powerSystem
    assert [p.shortName for p in system.capability.availablePolicy] == ["static", "dynamic", "low", "custom"]
    assert esx.config.powerSystemInfo.currentPolicy.shortName == system.info.currentPolicy.shortName == "dynamic"
    system.ConfigurePowerPolicy(1)
    assert esx.config.powerSystemInfo.currentPolicy.shortName == "static"
    with pytest.raises(vim.fault.HostConfigFault):
        system.ConfigurePowerPolicy(9)


def test_kernel_modules(esx: Any) -> None:
    system = esx.configManager.kernelModuleSystem
    system.UpdateModuleOptionString("lpfc", "lpfc_lun_queue_depth=64")
    assert system.QueryConfiguredModuleOptionString("lpfc") == "lpfc_lun_queue_depth=64"
    assert {m.name: m.optionString for m in system.QueryModules()}["lpfc"] == "lpfc_lun_queue_depth=64"
    for call in (system.QueryConfiguredModuleOptionString, lambda name: system.UpdateModuleOptionString(name, "")):
        with pytest.raises(vim.fault.NotFound):
            call("nonsense")


def test_a_stateless_boot_forgets_all_of_it(house: House, esx: Any) -> None:
    before = house.dump()["hosts"]["esx01.test"]["config"]["settings"]
    esx.configManager.kernelModuleSystem.UpdateModuleOptionString("lpfc", "a=1")
    esx.configManager.powerSystem.ConfigurePowerPolicy(1)
    assert house.dump()["machines"][mac_of(1)]["config"]["settings"] != before
    house.complete_boot(mac_of(1), build="1", version="8.0.3")
    assert house.dump()["machines"][mac_of(1)]["config"]["settings"] == before


def test_the_clock_follows_ptp(esx: Any) -> None:
    system = esx.configManager.dateTimeSystem
    port = Ptp.PtpPort(index=0, deviceType="virtualNic", device="vmk0")
    system.UpdateDateTimeConfig(vim.host.DateTimeConfig(protocol="ptp", ptpConfig=Ptp(domain=5, port=[port]),
                                                        disableFallback=False))
    found = esx.config.dateTimeInfo
    assert (found.systemClockProtocol, found.ptpConfig.domain, found.disableFallback) == ("ptp", 5, False)
    assert (found.ptpConfig.port[0].device, bool(found.ptpConfig.port[0].ipConfig.ipAddress)) == ("vmk0", True)
    for config in (Ptp(port=[Ptp.PtpPort(index=0, deviceType="virtualNic", device="vmk7")]),
                   Ptp(port=[Ptp.PtpPort(index=0, deviceType="pciPassthruNic", device="0000:5e:00.0")])):
        with pytest.raises(vim.fault.HostConfigFault):
            system.UpdateDateTimeConfig(vim.host.DateTimeConfig(ptpConfig=config))
    for config in (Ptp(domain=256), Ptp(port=[Ptp.PtpPort(index=1)]), Ptp(port=[Ptp.PtpPort(index=0, deviceType="x")])):
        with pytest.raises(vmodl.fault.InvalidArgument):
            system.UpdateDateTimeConfig(vim.host.DateTimeConfig(ptpConfig=config))
    with pytest.raises(vmodl.fault.InvalidArgument):
        system.UpdateDateTimeConfig(vim.host.DateTimeConfig(protocol="sundial"))


def test_the_vsan_service(house: House, esx: Any) -> None:
    system, before, Config = esx.configManager.vsanSystem, house.dump(), vim.vsan.host.ConfigInfo
    done(system.UpdateVsan_Task(Config(enabled=True, hostSystem=esx)))
    assert esx.config.vsanHostConfig.enabled
    other = Config.ClusterInfo(uuid="5281f817-da25-63b1-f53a-57a4a4c49434")
    nonsense = Config.ClusterInfo(uuid="x")
    for wrong in (Config(enabled=True, clusterInfo=other), Config(enabled=True, clusterInfo=nonsense),
                  Config(enabled=True, hostSystem=host(vcenter(house), 2))):
        with pytest.raises(vmodl.fault.InvalidArgument):
            done(system.UpdateVsan_Task(wrong))
    done(system.UpdateVsan_Task(Config(enabled=False)))
    assert house.dump() == before
    done(system.UpdateVsan_Task(Config(enabled=True, clusterInfo=other)))
    assert esx.config.vsanHostConfig.clusterInfo.uuid == other.uuid
    with pytest.raises(vmodl.fault.NotSupported, match="networkInfo"):
        done(system.UpdateVsan_Task(Config(networkInfo=Config.NetworkInfo())))


def test_where_vms_swap(house: House, esx: Any) -> None:
    system, Spec = esx.configManager.datastoreSystem, vim.host.NasVolume.Specification

    def mount(name: str, access: str) -> Any:
        return system.CreateNasDatastore(Spec(remoteHost="nas", remotePath=f"/{name}", localPath=name,
                                              accessMode=access, type="NFS"))

    writable, locked = mount("a", "readWrite"), mount("b", "readOnly")
    system.UpdateLocalSwapDatastore(writable)
    assert esx.config.localSwapDatastore == writable
    assert host(vcenter(house), 1).config.localSwapDatastore.name == "a"  # as a whole, in the process, too
    with pytest.raises(vim.fault.DatastoreNotWritableOnHost):
        system.UpdateLocalSwapDatastore(locked)
    with pytest.raises(vim.fault.InaccessibleDatastore):
        host(vcenter(house, codec=True), 2).configManager.datastoreSystem.UpdateLocalSwapDatastore(writable)
    system.UpdateLocalSwapDatastore(None)
    assert esx.config.localSwapDatastore is None


def test_where_the_host_swaps(house: House, esx: Any) -> None:
    kinds, before = vim.host.SystemSwapConfiguration, house.dump()
    esx.UpdateSystemSwapConfiguration(kinds(option=[kinds.HostLocalSwapOption(key=1), kinds.HostCacheOption(key=0)]))
    found = esx.config.systemSwapConfiguration.option
    assert [type(each).__name__.rpartition(".")[2] for each in found] == ["HostCacheOption", "HostLocalSwapOption"]
    esx.UpdateSystemSwapConfiguration(kinds(option=[kinds.DisabledOption(key=0)]))
    assert isinstance(esx.config.systemSwapConfiguration.option[0], kinds.DisabledOption)
    for wrong in ([], [kinds.DisabledOption(key=0), kinds.HostCacheOption(key=1)],
                  [kinds.HostCacheOption(key=0), kinds.HostCacheOption(key=1)],
                  [kinds.DatastoreOption(key=0, datastore="nowhere")]):
        with pytest.raises(vmodl.fault.InvalidArgument):
            esx.UpdateSystemSwapConfiguration(kinds(option=wrong))
    esx.UpdateSystemSwapConfiguration(kinds(option=[kinds.HostLocalSwapOption(key=0)]))
    assert house.dump() == before


def test_vms_start_in_an_order(house: House, esx: Any) -> None:
    system, vms = esx.configManager.autoStartManager, [machine(house, name) for name in "abc"]

    def order() -> list[tuple[str, int]]:
        return [(each.key._moId, each.startOrder) for each in system.config.powerInfo]

    a, b, c = (each._moId for each in vms)
    system.ReconfigureAutostart(Auto.Config(powerInfo=[power(vms[0]), power(vms[1], 2), power(vms[2], -1)]))
    assert order() == [(a, 1), (b, 2), (c, -1)]
    system.ReconfigureAutostart(Auto.Config(powerInfo=[power(vms[2], 1)]))  # the others move on
    assert order() == [(c, 1), (a, 2), (b, 3)]
    nothing = {"startAction": "none", "stopAction": "none"}
    system.ReconfigureAutostart(Auto.Config(powerInfo=[power(vms[0], 1, **nothing), power(vms[0], 1, **nothing)]))
    assert order() == [(c, 1), (b, 2)]
    elsewhere = machine(house, "d", 2)
    for wrong in (power(elsewhere), power(vms[0], startAction="jump"), power(vms[0], startDelay=-2)):
        with pytest.raises(vmodl.fault.InvalidArgument):
            system.ReconfigureAutostart(Auto.Config(powerInfo=[wrong]))
    assert order() == [(c, 1), (b, 2)]


def test_autostart_defaults_change_only_where_given(esx: Any) -> None:
    system = esx.configManager.autoStartManager
    system.ReconfigureAutostart(Auto.Config(defaults=Auto.SystemDefaults(enabled=True, stopAction="guestShutdown")))
    found = esx.config.autoStart.defaults
    assert (found.enabled, found.startDelay, found.stopAction) == (True, 120, "GuestShutdown")
    for wrong in ({"startDelay": -1}, {"stopAction": "systemDefault"}):
        with pytest.raises(vmodl.fault.InvalidArgument):
            system.ReconfigureAutostart(Auto.Config(defaults=Auto.SystemDefaults(**wrong)))


def test_ha_takes_autostart_over() -> None:
    house = reopen(None, [], seed="datacenters: [dc0]\nclusters: {dc0/prod: {ha: {enabled: true}}}\n")
    house.add_connected_host(CLUSTER, mac_of(1), "esx01.test")
    esx = host(vcenter(house, codec=True))
    assert esx.config.autoStart.defaults.enabled is None
    with pytest.raises(vmodl.fault.NotSupported, match="vSphere HA"):
        esx.configManager.autoStartManager.ReconfigureAutostart(Auto.Config(defaults=Auto.SystemDefaults(enabled=True)))


SEEDED = """\
datacenters: [dc0]
clusters: {{dc0/prod: {{}}}}
hosts:
  esx01.test: {{mac: "{mac}", cluster: dc0/prod, config: {{{config}}}}}
"""


def test_seeds_of_settings() -> None:
    house = reopen(None, [], seed=SEEDED.format(mac=mac_of(1), config=(
        "firewall: {sshServer: {allowed: [10.0.0.0/8]}, sshClient: {enabled: true}}, power_policy: static, "
        "module: {lpfc: a=1}, clock: ptp")))
    esx = host(vcenter(house, codec=True))
    found = {each.key: each for each in esx.config.firewall.ruleset}
    assert (found["sshClient"].enabled, found["sshServer"].allowedHosts.ipNetwork[0].network) == (True, "10.0.0.0")
    assert esx.config.powerSystemInfo.currentPolicy.shortName == "static"
    assert esx.configManager.kernelModuleSystem.QueryConfiguredModuleOptionString("lpfc") == "a=1"
    assert esx.config.dateTimeInfo.systemClockProtocol == "ptp"


@pytest.mark.parametrize("config", ["firewall: {nonsense: {}}", "firewall: {sshServer: {allowed: [nas1]}}",
                                    "power_policy: silent", "module: {nonsense: a=1}", "clock: sundial"])
def test_seeds_that_do_not_fit(config: str) -> None:
    with pytest.raises(FleetError) as caught:
        reopen(None, [], seed=SEEDED.format(mac=mac_of(1), config=config))
    assert caught.value.diagnostics[0].mark is not None
