"""Clusters whole: HA, DRS, DPM, EVC, groups and rules; what a server refuses, and what becomes of members that go."""

from __future__ import annotations

from typing import Any

import pytest
from pyVmomi import vim, vmodl

from tests.support.twin import boot, cluster, connect_spec, done, host, mac_of, make_house, vcenter

Spec = vim.cluster.ConfigSpecEx
SEED = """
datacenters: [dc0]
clusters: {dc0/prod: {drs: {enabled: true}, ha: {enabled: true}}, dc0/other: {}}
hosts:
  esx01.test: {mac: 52:54:00:01:00:01, cluster: dc0/prod, config: &config {nfs: {shared: {server: nas1, path: /x}}}}
  esx02.test: {mac: 52:54:00:01:00:02, cluster: dc0/prod, evc: intel-haswell, config: *config}
  esx03.test: {mac: 52:54:00:01:00:03, cluster: dc0/other}
vms:
  web1: {host: esx01.test, datastores: [shared]}
  web2: {host: esx02.test, datastores: [shared], power: "on"}
  far: {host: esx03.test}
"""


def reconfigure(prod: Any, **spec: Any) -> None:
    done(prod.ReconfigureComputeResource_Task(Spec(**spec), True))


def group(operation: str, info: Any = None, name: str = "") -> Any:
    return [vim.cluster.GroupSpec(operation=operation, info=info, removeKey=name or None)]


def rule(operation: str, info: Any = None, key: int | None = None) -> Any:
    return [vim.cluster.RuleSpec(operation=operation, info=info, removeKey=key)]


@pytest.fixture
def found() -> Any:
    return vcenter(make_house(seed=SEED), codec=True)


def vms(found: Any) -> dict[str, Any]:
    return {vm.name: vm for number in (1, 2, 3) for vm in host(found, number).vm}


# --- HA, DRS, DPM -----------------------------------------------------------------------------------------------


def test_settings_are_merged_and_options_go_by_key(found: Any) -> None:
    prod = cluster(found)
    option = vim.option.OptionValue
    reconfigure(prod, dasConfig=vim.cluster.DasConfigInfo(option=[option(key="das.a", value="1"),
                                                                  option(key="das.b", value="2")]))
    reconfigure(prod, dasConfig=vim.cluster.DasConfigInfo(hostMonitoring="disabled",
                                                          option=[option(key="das.a", value="")]))
    das = prod.configurationEx.dasConfig
    assert (das.enabled, das.hostMonitoring, [(o.key, o.value) for o in das.option]) == (
        True, "disabled", [("das.b", "2")])


def test_a_policy_replaces_the_one_before(found: Any) -> None:
    prod, one = cluster(found), host(found, 1)
    reconfigure(prod, dasConfig=vim.cluster.DasConfigInfo(
        admissionControlPolicy=vim.cluster.FailoverResourcesAdmissionControlPolicy(
            cpuFailoverResourcesPercent=25, memoryFailoverResourcesPercent=30, autoComputePercentages=False)))
    shown = prod.configurationEx.dasConfig.admissionControlPolicy
    assert (shown.cpuFailoverResourcesPercent, shown.memoryFailoverResourcesPercent) == (25, 30)
    reconfigure(prod, dasConfig=vim.cluster.DasConfigInfo(
        admissionControlPolicy=vim.cluster.FailoverHostAdmissionControlPolicy(failoverHosts=[one])))
    assert list(prod.configurationEx.dasConfig.admissionControlPolicy.failoverHosts) == [one]
    done(one.EnterMaintenanceMode_Task(60))
    done(cluster(found, "other").MoveInto_Task([one]))
    assert list(prod.configurationEx.dasConfig.admissionControlPolicy.failoverHosts) == []


def refused_settings(found: Any) -> dict[str, Any]:
    other = host(found, 3)
    return {
        "vmotionRate": Spec(drsConfig=vim.cluster.DrsConfigInfo(vmotionRate=6)),
        "hostPowerActionRate": Spec(dpmConfig=vim.cluster.DpmConfigInfo(hostPowerActionRate=0)),
        "vmSwapPlacement": Spec(vmSwapPlacement="inherit"),
        "hBDatastoreCandidatePolicy": Spec(dasConfig=vim.cluster.DasConfigInfo(hBDatastoreCandidatePolicy="none")),
        "cpuFailoverResourcesPercent": Spec(dasConfig=vim.cluster.DasConfigInfo(
            admissionControlPolicy=vim.cluster.FailoverResourcesAdmissionControlPolicy(
                cpuFailoverResourcesPercent=101, memoryFailoverResourcesPercent=0))),
        "failoverHosts": Spec(dasConfig=vim.cluster.DasConfigInfo(
            admissionControlPolicy=vim.cluster.FailoverHostAdmissionControlPolicy(failoverHosts=[other]))),
    }


@pytest.mark.parametrize("name", ["vmotionRate", "hostPowerActionRate", "vmSwapPlacement", "failoverHosts",
                                  "hBDatastoreCandidatePolicy", "cpuFailoverResourcesPercent"])
def test_values_that_a_server_does_not_take(found: Any, name: str) -> None:
    with pytest.raises(vmodl.fault.InvalidArgument) as failed:
        done(cluster(found).ReconfigureComputeResource_Task(refused_settings(found)[name], True))
    assert failed.value.invalidProperty == name


# --- groups and rules -------------------------------------------------------------------------------------------


def test_groups_and_rules_live_and_go(found: Any) -> None:
    prod, machines = cluster(found), vms(found)
    hosts = vim.cluster.HostGroup(name="h", host=[host(found, 1)])
    guests = vim.cluster.VmGroup(name="v", vm=[machines["web1"], machines["web2"]])
    reconfigure(prod, groupSpec=[*group("add", hosts), *group("add", guests)])
    reconfigure(prod, rulesSpec=[
        *rule("add", vim.cluster.AntiAffinityRuleSpec(name="apart", vm=[machines["web1"], machines["web2"]])),
        *rule("add", vim.cluster.VmHostRuleInfo(name="on", vmGroupName="v", affineHostGroupName="h", mandatory=True))])
    shown = {each.name: each for each in prod.configurationEx.rule}
    assert (shown["apart"].enabled, shown["apart"].mandatory, shown["on"].mandatory) == (True, False, True)
    assert shown["apart"].key != shown["on"].key
    reconfigure(prod, rulesSpec=rule("edit", vim.cluster.AntiAffinityRuleSpec(
        key=shown["apart"].key, enabled=False, vm=list(shown["apart"].vm))))
    assert [each.enabled for each in prod.configurationEx.rule] == [False, True]
    with pytest.raises(vmodl.fault.InvalidArgument, match="used by the rule on"):
        reconfigure(prod, groupSpec=group("remove", name="h"))
    reconfigure(prod, rulesSpec=[*rule("remove", key=shown["apart"].key), *rule("remove", key=shown["on"].key)],
                groupSpec=[])
    reconfigure(prod, groupSpec=[*group("remove", name="h"), *group("remove", name="v")])
    assert not prod.configurationEx.group
    assert not prod.configurationEx.rule


def test_members_that_go_are_dropped(found: Any) -> None:
    prod, machines = cluster(found), vms(found)
    reconfigure(prod, groupSpec=[
        *group("add", vim.cluster.HostGroup(name="h", host=[host(found, 1), host(found, 2)])),
        *group("add", vim.cluster.VmGroup(name="v", vm=[machines["web1"]]))])
    machines["web1"].UnregisterVM()
    one = host(found, 1)
    done(one.EnterMaintenanceMode_Task(60))
    done(one.Destroy_Task())
    shown = {each.name: each for each in prod.configurationEx.group}
    assert [each.name for each in shown["h"].host] == ["esx02.test"]
    assert list(shown["v"].vm) == []


def refused_parts(found: Any) -> dict[str, Any]:
    machines = vms(found)
    here = [machines["web1"], machines["web2"]]
    return {
        "no such group": {"groupSpec": group("remove", name="none")},
        "edit of no group": {"groupSpec": group("edit", vim.cluster.HostGroup(name="none"))},
        "another cluster's host": {"groupSpec": group("add", vim.cluster.HostGroup(name="h", host=[host(found, 3)]))},
        "another cluster's VM": {"groupSpec": group("add", vim.cluster.VmGroup(name="v", vm=[machines["far"]]))},
        "twice": {"groupSpec": group("add", vim.cluster.VmGroup(name="v")) * 2},
        "one VM": {"rulesSpec": rule("add", vim.cluster.AffinityRuleSpec(name="r", vm=here[:1]))},
        "no name": {"rulesSpec": rule("add", vim.cluster.AffinityRuleSpec(vm=here))},
        "no such key": {"rulesSpec": rule("remove", key=99)},
        "no groups": {"rulesSpec": rule("add", vim.cluster.VmHostRuleInfo(
            name="r", vmGroupName="v", affineHostGroupName="h"))},
        "on and off": {"rulesSpec": rule("add", vim.cluster.VmHostRuleInfo(
            name="r", vmGroupName="v", affineHostGroupName="h", antiAffineHostGroupName="h"))},
    }


@pytest.mark.parametrize("what", ["no such group", "edit of no group", "another cluster's host", "another cluster's VM",
                                  "twice", "one VM", "no name", "no such key", "no groups", "on and off"])
def test_what_is_refused_changes_nothing(what: str) -> None:
    house = make_house(seed=SEED)
    found = vcenter(house)
    before = house.dump()
    with pytest.raises(vmodl.fault.InvalidArgument):
        reconfigure(cluster(found), **refused_parts(found)[what])
    assert house.dump() == before


# --- EVC --------------------------------------------------------------------------------------------------------


def test_evc(found: Any) -> None:
    prod = cluster(found)
    manager = prod.EvcManager()
    assert manager.managedCluster == prod
    assert "intel-haswell" in {each.key for each in manager.evcState.supportedEVCMode}
    assert "intel-skylake" not in {each.key for each in manager.evcState.supportedEVCMode}
    done(vms(found)["web2"].PowerOffVM_Task())
    done(manager.ConfigureEvcMode_Task("intel-haswell"))
    assert (prod.summary.currentEVCModeKey, manager.evcState.currentEVCModeKey) == ("intel-haswell", "intel-haswell")
    done(manager.DisableEvcMode_Task())
    assert prod.summary.currentEVCModeKey is None


@pytest.mark.parametrize(("mode", "fault"), [
    ("intel-skylake", vim.fault.EVCModeUnsupportedByHosts), ("intel-broadwel", vim.fault.EVCModeIllegalByVendor),
    ("amd-zen2", vim.fault.EVCModeUnsupportedByHosts), ("intel-nehalem", vim.fault.ActiveVMsBlockingEVC)])
def test_a_mode_that_the_cluster_cannot_have(found: Any, mode: str, fault: Any) -> None:
    manager = cluster(found).EvcManager()
    problems = done(manager.CheckConfigureEvcMode_Task(mode))
    assert isinstance(problems[0].error, fault)
    with pytest.raises(fault):
        done(manager.ConfigureEvcMode_Task(mode))
    assert cluster(found).summary.currentEVCModeKey is None


def test_a_host_that_does_not_fit_is_not_admitted() -> None:
    house = make_house(seed="datacenters: [dc0]\nclusters: {dc0/prod: {evc: intel-skylake}}\n", machines=1)
    boot(house, 1)
    house.box(mac_of(1)).evc = "intel-haswell"
    prod = cluster(vcenter(house))
    with pytest.raises(vim.fault.EVCAdmissionFailedCPUFeaturesForMode):
        done(prod.AddHost_Task(connect_spec(house, 1), True))
    house.box(mac_of(1)).evc = "intel-icelake"
    done(prod.AddHost_Task(connect_spec(house, 1), True))


# --- files of machines ------------------------------------------------------------------------------------------


def test_unregistered_and_registered_again(found: Any) -> None:
    machine = vms(found)["web1"]
    folder, pool, one = machine.parent, machine.resourcePool, host(found, 1)
    path, uuid = machine.summary.config.vmPathName, machine.summary.config.uuid
    assert path == "[shared] web1/web1.vmx"
    with pytest.raises(vim.fault.AlreadyExists):
        done(folder.RegisterVM_Task(path, None, False, pool, one))
    machine.UnregisterVM()
    again = done(folder.RegisterVM_Task(path, None, False, pool, one))
    assert (again.name, again.summary.config.uuid, again.runtime.connectionState) == ("web1", uuid, "connected")


@pytest.mark.parametrize(("path", "fault"), [
    ("[shared] none/none.vmx", vim.fault.NotFound), ("[none] web1/web1.vmx", vim.fault.InvalidDatastore),
    ("web1.vmx", vim.fault.InvalidDatastore)])
def test_what_cannot_be_registered(found: Any, path: str, fault: Any) -> None:
    machine = vms(found)["web1"]
    with pytest.raises(fault):
        done(machine.parent.RegisterVM_Task(path, None, False, machine.resourcePool, host(found, 1)))


def test_orphans_can_neither_run_nor_be_started() -> None:
    house = make_house(seed=SEED.replace("web1: {host: esx01.test,", "web1: {host: esx01.test, state: orphaned,"))
    machine = vms(vcenter(house))["web1"]
    assert machine.runtime.connectionState == "orphaned"
    with pytest.raises(vim.fault.InvalidState):
        done(machine.PowerOnVM_Task())


def test_a_mandatory_rule_keeps_a_machine_from_every_other_host() -> None:
    from planner.model import Address
    from providers.vsphere.collector import Collector
    from providers.vsphere.evacuation import evacuations
    from providers.vsphere.link import Link

    vmotion = "vmkernel: {vmk1: {portgroup: VM Network, ip: 10.0.20.1, netmask: 255.255.255.0, services: [vmotion]}}, "
    house = make_house(seed=SEED.replace("config: &config {", "config: &config {" + vmotion))
    found = vcenter(house)
    prod, machines, two = cluster(found), vms(found), host(found, 2)
    reconfigure(prod, groupSpec=[
        *group("add", vim.cluster.HostGroup(name="h", host=[two])),
        *group("add", vim.cluster.VmGroup(name="v", vm=[machines["web2"]]))])
    home = vim.cluster.VmHostRuleInfo(name="home", vmGroupName="v", affineHostGroupName="h", mandatory=True)
    reconfigure(prod, rulesSpec=rule("add", home))
    link = Link(two._stub, lambda _content: None)
    link.content = found
    told = evacuations(Collector(link), {Address("host", "two"): two})[Address("host", "two")]
    assert told.stuck == ("web2 (a mandatory DRS rule keeps it from every other host: home)",)
    with pytest.raises(vim.fault.Timedout, match="web2"):
        done(two.EnterMaintenanceMode_Task(60))
    [shown] = prod.configurationEx.rule
    shown.mandatory = False
    reconfigure(prod, rulesSpec=rule("edit", shown))
    assert evacuations(Collector(link), {Address("host", "two"): two})[Address("host", "two")].stuck == ()
    done(two.EnterMaintenanceMode_Task(60))
