"""A host: how it joins, its network, options, services, datastores, maintenance mode."""

from __future__ import annotations

from typing import Any

from pyVmomi import vim

from tests.contract.differential.peers import NAME, Peer
from tests.contract.differential.probing import done, made, probe


@probe
def a_host_without_a_thumbprint(peer: Peer) -> Any:
    spec = peer.spec()
    spec.sslThumbprint = None
    return done(made(peer, "cluster").AddHost_Task(spec, True)).name


@probe
def a_host_that_is_not_there(peer: Peer) -> Any:
    spec = peer.spec()
    spec.hostName = ""
    return done(made(peer, "cluster").AddHost_Task(spec, True)).name


@probe
def a_host(peer: Peer) -> Any:
    peer.things["host"] = done(made(peer, "cluster").AddHost_Task(peer.spec(), True))
    return [peer.host.name, str(peer.host.runtime.connectionState), peer.host.runtime.inMaintenanceMode,
            peer.host.parent == made(peer, "cluster")]


@probe
def the_host_again(peer: Peer) -> Any:
    return done(made(peer, "cluster").AddHost_Task(peer.spec(), True)).name


@probe
def the_host_by_name(peer: Peer) -> Any:
    found = peer.searchIndex.FindByDnsName(None, NAME, False)
    return found is not None and found._moId == made(peer, "host")._moId


@probe
def a_hosts_version(peer: Peer) -> Any:
    return made(peer, "host").config.product.productLineId


@probe
def its_standard_network(peer: Peer) -> Any:
    network = made(peer, "host").config.network
    return [sorted(s.name for s in network.vswitch), sorted(g.spec.name for g in network.portgroup),
            sorted(v.device for v in network.vnic)]


def network(peer: Peer) -> Any:
    return made(peer, "host").configManager.networkSystem


@probe
def a_vswitch(peer: Peer) -> Any:
    network(peer).AddVirtualSwitch("vSwitch5", vim.host.VirtualSwitch.Specification(numPorts=128))
    return "made"


@probe
def the_vswitch_as_it_is_read(peer: Peer) -> Any:
    return "vSwitch5" in [s.name for s in made(peer, "host").config.network.vswitch]


@probe
def a_vswitchs_name_again(peer: Peer) -> Any:
    return network(peer).AddVirtualSwitch("vSwitch5", vim.host.VirtualSwitch.Specification(numPorts=128))


@probe
def a_port_group(peer: Peer) -> Any:
    network(peer).AddPortGroup(vim.host.PortGroup.Specification(
        name="five", vlanId=5, vswitchName="vSwitch5", policy=vim.host.NetworkPolicy()))
    return [g.spec.vlanId for g in made(peer, "host").config.network.portgroup if g.spec.name == "five"]


@probe
def a_port_groups_name_again(peer: Peer) -> Any:
    return network(peer).AddPortGroup(vim.host.PortGroup.Specification(
        name="five", vlanId=5, vswitchName="vSwitch5", policy=vim.host.NetworkPolicy()))


@probe
def a_port_group_on_no_vswitch(peer: Peer) -> Any:
    return network(peer).AddPortGroup(vim.host.PortGroup.Specification(
        name="six", vlanId=5, vswitchName="vSwitch6", policy=vim.host.NetworkPolicy()))


@probe
def a_port_group_that_is_not_there(peer: Peer) -> Any:
    return network(peer).RemovePortGroup("nothing")


@probe
def a_port_group_removed(peer: Peer) -> Any:
    network(peer).RemovePortGroup("five")
    return [g.spec.name for g in made(peer, "host").config.network.portgroup if g.spec.name == "five"]


@probe
def a_vswitch_removed(peer: Peer) -> Any:
    network(peer).RemoveVirtualSwitch("vSwitch5")
    return "removed"


@probe
def a_vswitch_that_is_not_there(peer: Peer) -> Any:
    return network(peer).RemoveVirtualSwitch("nothing")


@probe
def a_resolver(peer: Peer) -> Any:
    network(peer).UpdateDnsConfig(vim.host.DnsConfig(dhcp=False, hostName="esx01", domainName="test",
                                                     address=["10.0.0.53"], searchDomain=["test"]))
    return list(network(peer).dnsConfig.address)


def options(peer: Peer) -> Any:
    return made(peer, "host").configManager.advancedOption


@probe
def an_option(peer: Peer) -> Any:
    options(peer).UpdateOptions([vim.option.OptionValue(key="Config.HostAgent.log.level", value="verbose")])
    return [o.value for o in options(peer).QueryOptions("Config.HostAgent.log.level")]


@probe
def an_option_that_a_host_has_not(peer: Peer) -> Any:
    return options(peer).UpdateOptions([vim.option.OptionValue(key="No.Such.Option", value="x")])


@probe
def an_option_asked_for_that_a_host_has_not(peer: Peer) -> Any:
    return len(options(peer).QueryOptions("No.Such.Option"))


@probe
def services(peer: Peer) -> Any:
    system = made(peer, "host").configManager.serviceSystem
    return {"TSM-SSH", "ntpd"} <= {s.key for s in system.serviceInfo.service}


@probe
def a_service_started(peer: Peer) -> Any:
    system = made(peer, "host").configManager.serviceSystem
    system.StartService("TSM-SSH")
    return [s.running for s in system.serviceInfo.service if s.key == "TSM-SSH"]


@probe
def a_rule_set_opened(peer: Peer) -> Any:
    system = made(peer, "host").configManager.firewallSystem
    system.EnableRuleset("syslog")
    return [r.enabled for r in system.firewallInfo.ruleset if r.key == "syslog"]


@probe
def a_rule_set_that_is_not_there(peer: Peer) -> Any:
    return made(peer, "host").configManager.firewallSystem.EnableRuleset("nothing")


@probe
def an_nfs_datastore(peer: Peer) -> Any:
    spec = vim.host.NasVolume.Specification(remoteHost="nas1", remotePath="/export", localPath="images",
                                            accessMode="readOnly", type="NFS")
    peer.things["store"] = made(peer, "host").configManager.datastoreSystem.CreateNasDatastore(spec)
    return [peer.store.name, peer.store.summary.type, [m.key == peer.host for m in peer.store.host]]


@probe
def an_nfs_datastore_again(peer: Peer) -> Any:
    spec = vim.host.NasVolume.Specification(remoteHost="nas1", remotePath="/export", localPath="images",
                                            accessMode="readOnly", type="NFS")
    return made(peer, "host").configManager.datastoreSystem.CreateNasDatastore(spec).name


@probe
def an_nfs_datastore_removed(peer: Peer) -> Any:
    made(peer, "host").configManager.datastoreSystem.RemoveDatastore(made(peer, "store"))
    return [s.name for s in made(peer, "host").datastore if s.name == "images"]


@probe
def a_user_of_a_host(peer: Peer) -> Any:
    accounts = made(peer, "host").configManager.accountManager
    return accounts is None


@probe
def maintenance_mode(peer: Peer) -> Any:
    host = made(peer, "host")
    done(host.EnterMaintenanceMode_Task(0))
    inside = host.runtime.inMaintenanceMode
    done(host.ExitMaintenanceMode_Task(0))
    return [inside, host.runtime.inMaintenanceMode]


@probe
def left_without_having_been_entered(peer: Peer) -> Any:
    return done(made(peer, "host").ExitMaintenanceMode_Task(0))


@probe
def disconnected(peer: Peer) -> Any:
    done(made(peer, "host").DisconnectHost_Task())
    return str(peer.host.runtime.connectionState)


@probe
def reconnected(peer: Peer) -> Any:
    done(made(peer, "host").ReconnectHost_Task(None, None))
    return str(peer.host.runtime.connectionState)
