"""Datacenters, folders and clusters."""

from __future__ import annotations

from typing import Any

import pytest
from pyVmomi import vim, vmodl

from tests.support.twin import cluster, done, host, make_house, vcenter

Cluster = vim.cluster.ConfigSpecEx


def test_create_rename_destroy() -> None:
    house = make_house(seed=None)
    before = house.dump()
    root = vcenter(house, codec=True).rootFolder
    made = root.CreateDatacenter("dc1")
    assert [each.name for each in (made.hostFolder, made.vmFolder, made.datastoreFolder, made.networkFolder)] == [
        "host", "vm", "datastore", "network"]
    edge = made.hostFolder.CreateFolder("edge")
    prod = edge.CreateClusterEx("prod", Cluster())
    done(prod.Rename_Task("production"))
    assert sorted(house.dump()["inventory"])[:3] == ["dc1", "dc1/datastore", "dc1/host"]
    assert "dc1/host/edge/production" in house.dump()["inventory"]
    done(prod.Destroy_Task())
    done(edge.Destroy_Task())
    done(made.Destroy_Task())
    assert house.dump() == before
    assert [call.target for call in house.calls] == [
        "Datacenters", "host", "edge", "prod", "production", "edge", "dc1"]


@pytest.mark.parametrize(("name", "fault"), [
    ("dc0", vim.fault.DuplicateName), ("", vim.fault.InvalidName), ("x" * 81, vim.fault.InvalidName)])
def test_names(name: str, fault: Any) -> None:
    with pytest.raises(fault):
        vcenter(make_house(), codec=True).rootFolder.CreateDatacenter(name)


def test_what_a_folder_can_hold() -> None:
    root = vcenter(make_house()).rootFolder
    with pytest.raises(vmodl.fault.NotSupported):
        root.CreateClusterEx("x", Cluster())
    with pytest.raises(vmodl.fault.NotSupported):
        root.childEntity[0].hostFolder.CreateDatacenter("x")
    with pytest.raises(vim.fault.InvalidState):
        done(root.childEntity[0].hostFolder.Destroy_Task())


def test_renaming_onto_a_neighbour() -> None:
    house = make_house(seed="datacenters: [dc0]\nclusters: {dc0/prod: {}, dc0/edge: {}}\n")
    with pytest.raises(vim.fault.DuplicateName):
        done(cluster(vcenter(house)).Rename_Task("edge"))


def test_drs_and_ha() -> None:
    house = make_house()
    before = house.dump()
    prod = cluster(vcenter(house, codec=True))
    assert (prod.configurationEx.drsConfig.enabled, prod.configurationEx.dasConfig.enabled) == (False, False)
    drs = vim.cluster.DrsConfigInfo(enabled=True, defaultVmBehavior="partiallyAutomated")
    das = vim.cluster.DasConfigInfo(enabled=True, admissionControlEnabled=False)
    done(prod.ReconfigureComputeResource_Task(Cluster(drsConfig=drs), True))
    done(prod.ReconfigureComputeResource_Task(Cluster(dasConfig=das), True))
    found = prod.configurationEx
    assert (found.drsConfig.enabled, found.drsConfig.defaultVmBehavior) == (True, "partiallyAutomated")
    assert (found.dasConfig.enabled, found.dasConfig.admissionControlEnabled) == (True, False)
    drs = vim.cluster.DrsConfigInfo(enabled=False, defaultVmBehavior="fullyAutomated")
    das = vim.cluster.DasConfigInfo(enabled=False, admissionControlEnabled=True)
    done(prod.ReconfigureComputeResource_Task(Cluster(drsConfig=drs, dasConfig=das), True))
    assert house.dump() == before


def test_reconfigure_without_modify_resets_what_is_left_out() -> None:
    prod = cluster(vcenter(make_house(seed="datacenters: [dc0]\nclusters: {dc0/prod: {drs: {enabled: true}}}\n")))
    assert prod.configurationEx.drsConfig.enabled
    done(prod.ReconfigureComputeResource_Task(Cluster(), False))
    assert not prod.configurationEx.drsConfig.enabled


def test_what_is_not_simulated_is_loud() -> None:
    prod = cluster(vcenter(make_house()))
    with pytest.raises(vmodl.fault.NotSupported, match="inHciWorkflow"):
        done(prod.ReconfigureComputeResource_Task(Cluster(inHciWorkflow=True), True))
    rules = [vim.cluster.RuleSpec(operation="add", info=vim.cluster.DependencyRuleInfo(
        name="x", vmGroup="a", dependsOnVmGroup="b"))]
    with pytest.raises(vmodl.fault.NotSupported, match="ClusterDependencyRuleInfo"):
        done(prod.ReconfigureComputeResource_Task(Cluster(rulesSpec=rules), True))
    with pytest.raises(vmodl.fault.NotSupported, match="AddStandaloneHost"):
        prod.parent.AddStandaloneHost_Task(vim.host.ConnectSpec(), None, True, None)


def test_a_cluster_goes_with_its_hosts_only_when_they_may_go() -> None:
    found = vcenter(make_house(hosts=1))
    with pytest.raises(vim.fault.InvalidState):
        done(cluster(found).Destroy_Task())
    done(host(found).EnterMaintenanceMode_Task(60))
    prod = cluster(found)
    assert prod.resourcePool.owner == prod
    assert prod.summary.numHosts == 1
    done(prod.Destroy_Task())
    assert list(found.rootFolder.childEntity[0].hostFolder.childEntity) == []


def test_networks_come_and_go_with_hosts() -> None:
    house = make_house(hosts=2)
    found = vcenter(house, codec=True)
    [network] = [each for each in found.rootFolder.childEntity[0].network if each.name == "VM Network"]
    assert [each.name for each in network.host] == ["esx01.test", "esx02.test"]
    for number in (1, 2):
        host(found, number).configManager.networkSystem.RemovePortGroup("VM Network")
    assert [each.name for each in found.rootFolder.childEntity[0].network] == ["Management Network"]
