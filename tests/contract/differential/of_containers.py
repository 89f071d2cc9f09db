"""Sessions, datacenters, folders, clusters, and reading them."""

from __future__ import annotations

from typing import Any

from pyVmomi import vim, vmodl

from tests.contract.differential.peers import USER, Peer
from tests.contract.differential.probing import done, made, probe


def config(peer: Peer, cluster: str = "cluster") -> Any:
    return made(peer, cluster).configurationEx


@probe
def about(peer: Peer) -> Any:
    told = peer.content.about
    return [told.apiType, told.apiVersion, told.productLineId, told.vendor, bool(told.instanceUuid)]


@probe
def managers(peer: Peer) -> Any:
    wanted = ("rootFolder", "propertyCollector", "viewManager", "setting", "sessionManager", "authorizationManager",
              "licenseManager", "searchIndex", "customFieldsManager", "taskManager", "dvSwitchManager",
              "hostProfileManager", "complianceManager")
    return [name for name in wanted if getattr(peer.content, name, None) is None]


@probe
def a_wrong_password(peer: Peer) -> Any:
    return bool(peer.fresh().sessionManager.Login(USER, "wrong"))


@probe
def no_session(peer: Peer) -> Any:
    return peer.fresh().rootFolder.name


@probe
def a_session_that_ended(peer: Peer) -> Any:
    found = peer.fresh()
    found.sessionManager.Login(USER, peer.password)
    found.sessionManager.Logout()
    return found.rootFolder.name


@probe
def vcenters_options(peer: Peer) -> Any:
    return type(peer.setting.QueryOptions("VirtualCenter.InstanceName")[0].value).__name__


@probe
def an_option_that_vcenter_has_not(peer: Peer) -> Any:
    return len(peer.setting.QueryOptions("No.Such.Option"))


@probe
def a_datacenter(peer: Peer) -> Any:
    peer.things["dc"] = peer.rootFolder.CreateDatacenter("dc0")
    return [peer.dc.name, sorted(peer.dc.hostFolder.childType), peer.dc.hostFolder.parent == peer.dc]


@probe
def its_name_again(peer: Peer) -> Any:
    return peer.rootFolder.CreateDatacenter("dc0").name


@probe
def a_name_with_a_slash(peer: Peer) -> Any:
    folder = made(peer, "dc").hostFolder.CreateFolder("a/b")
    name = folder.name
    done(folder.Destroy_Task())
    return name


@probe
def a_folder(peer: Peer) -> Any:
    peer.things["folder"] = made(peer, "dc").hostFolder.CreateFolder("racks")
    return [peer.folder.name, sorted(peer.folder.childType)]


@probe
def a_folders_name_again(peer: Peer) -> Any:
    return made(peer, "dc").hostFolder.CreateFolder("racks").name


@probe
def a_datacenter_inside_of_one(peer: Peer) -> Any:
    return made(peer, "dc").hostFolder.CreateDatacenter("inner").name


@probe
def a_cluster(peer: Peer) -> Any:
    spec = vim.cluster.ConfigSpecEx(drsConfig=vim.cluster.DrsConfigInfo(enabled=True))
    peer.things["cluster"] = made(peer, "folder").CreateClusterEx("prod", spec)
    return peer.cluster.name


@probe
def what_a_cluster_was_created_with(peer: Peer) -> Any:
    return bool(config(peer).drsConfig.enabled)


@probe
def a_clusters_name_again(peer: Peer) -> Any:
    return made(peer, "folder").CreateClusterEx("prod", vim.cluster.ConfigSpecEx()).name


@probe
def a_cluster_reconfigured(peer: Peer) -> Any:
    spec = vim.cluster.ConfigSpecEx(drsConfig=vim.cluster.DrsConfigInfo(enabled=True, defaultVmBehavior="manual"),
                                    dasConfig=vim.cluster.DasConfigInfo(enabled=True))
    done(made(peer, "cluster").ReconfigureComputeResource_Task(spec, True))
    found = config(peer)
    return [found.drsConfig.enabled, str(found.drsConfig.defaultVmBehavior), found.dasConfig.enabled]


@probe
def what_a_reconfiguration_does_not_name(peer: Peer) -> Any:
    spec = vim.cluster.ConfigSpecEx(dasConfig=vim.cluster.DasConfigInfo(admissionControlEnabled=False))
    done(made(peer, "cluster").ReconfigureComputeResource_Task(spec, True))
    found = config(peer)
    return [found.drsConfig.enabled, str(found.drsConfig.defaultVmBehavior), found.dasConfig.enabled,
            found.dasConfig.admissionControlEnabled]


@probe
def a_cluster_renamed(peer: Peer) -> Any:
    done(made(peer, "cluster").Rename_Task("production"))
    return peer.cluster.name


@probe
def renamed_to_a_name_that_is_taken(peer: Peer) -> Any:
    other = made(peer, "dc").hostFolder.CreateFolder("other")
    peer.things["other"] = other
    done(other.Rename_Task("racks"))
    return other.name


@probe
def found_by_path(peer: Peer) -> Any:
    found = peer.searchIndex.FindByInventoryPath("dc0/host/racks/production")
    return [found is not None and found._moId == made(peer, "cluster")._moId,
            peer.searchIndex.FindByInventoryPath("dc0/host/nothing") is None]


@probe
def moved_into_a_folder(peer: Peer) -> Any:
    done(made(peer, "folder").MoveIntoFolder_Task([made(peer, "other")]))
    return made(peer, "other").parent.name


@probe
def a_host_group(peer: Peer) -> Any:
    group = vim.cluster.HostGroup(name="left")
    spec = vim.cluster.ConfigSpecEx(groupSpec=[vim.cluster.GroupSpec(operation="add", info=group)])
    done(made(peer, "cluster").ReconfigureComputeResource_Task(spec, True))
    return [(g.name, type(g)._wsdlName) for g in config(peer).group]


@probe
def a_host_groups_name_again(peer: Peer) -> Any:
    group = vim.cluster.HostGroup(name="left")
    spec = vim.cluster.ConfigSpecEx(groupSpec=[vim.cluster.GroupSpec(operation="add", info=group)])
    return done(made(peer, "cluster").ReconfigureComputeResource_Task(spec, True))


@probe
def a_rule_of_a_group_that_is_not_there(peer: Peer) -> Any:
    rule = vim.cluster.VmHostRuleInfo(name="rule", enabled=True, vmGroupName="nothing", affineHostGroupName="left")
    spec = vim.cluster.ConfigSpecEx(rulesSpec=[vim.cluster.RuleSpec(operation="add", info=rule)])
    return done(made(peer, "cluster").ReconfigureComputeResource_Task(spec, True))


@probe
def a_host_group_removed(peer: Peer) -> Any:
    spec = vim.cluster.ConfigSpecEx(groupSpec=[vim.cluster.GroupSpec(operation="remove", removeKey="left")])
    done(made(peer, "cluster").ReconfigureComputeResource_Task(spec, True))
    return [g.name for g in config(peer).group]


def collect(peer: Peer, obj: Any, *paths: str) -> Any:
    collector = vmodl.query.PropertyCollector
    spec = collector.FilterSpec(objectSet=[collector.ObjectSpec(obj=obj)],
                                propSet=[collector.PropertySpec(type=type(obj), pathSet=list(paths))])
    return peer.propertyCollector.RetrievePropertiesEx([spec], collector.RetrieveOptions()).objects


@probe
def a_property_by_path(peer: Peer) -> Any:
    (row,) = collect(peer, made(peer, "cluster"), "name", "configurationEx.drsConfig.enabled")
    return sorted((p.name, p.val) for p in row.propSet)


@probe
def a_property_that_no_type_has(peer: Peer) -> Any:
    (row,) = collect(peer, made(peer, "cluster"), "nothing")
    return [[m.path for m in row.missingSet], [p.name for p in row.propSet]]


@probe
def a_property_that_is_unset(peer: Peer) -> Any:
    (row,) = collect(peer, made(peer, "cluster"), "name", "triggeredAlarmState", "overallStatus")
    return sorted(p.name for p in row.propSet if p.name == "name"), [m.path for m in row.missingSet]


@probe
def an_object_that_is_gone(peer: Peer) -> Any:
    folder = made(peer, "dc").hostFolder.CreateFolder("short")
    done(folder.Destroy_Task())
    return folder.name


@probe
def a_view_of_clusters(peer: Peer) -> Any:
    view = peer.viewManager.CreateContainerView(peer.rootFolder, [vim.ClusterComputeResource], True)
    names = [each.name for each in view.view]
    view.DestroyView()
    return names
