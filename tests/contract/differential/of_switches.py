"""A distributed switch and its port groups; then the end of it all."""

from __future__ import annotations

from typing import Any

from pyVmomi import vim

from tests.contract.differential.peers import Peer
from tests.contract.differential.probing import done, made, probe


@probe
def a_distributed_switch(peer: Peer) -> Any:
    spec = vim.DistributedVirtualSwitch.CreateSpec(configSpec=vim.dvs.VmwareDistributedVirtualSwitch.ConfigSpec(
        name="dvs1", maxMtu=9000,
        uplinkPortPolicy=vim.DistributedVirtualSwitch.NameArrayUplinkPortPolicy(uplinkPortName=["up1", "up2"])))
    peer.things["dvs"] = done(made(peer, "dc").networkFolder.CreateDVS_Task(spec))
    return [peer.dvs.name, peer.dvs.config.maxMtu, list(peer.dvs.config.uplinkPortPolicy.uplinkPortName)]


@probe
def a_distributed_switchs_name_again(peer: Peer) -> Any:
    spec = vim.DistributedVirtualSwitch.CreateSpec(
        configSpec=vim.dvs.VmwareDistributedVirtualSwitch.ConfigSpec(name="dvs1"))
    return done(made(peer, "dc").networkFolder.CreateDVS_Task(spec)).name


@probe
def its_uplink_port_group(peer: Peer) -> Any:
    return len(made(peer, "dvs").config.uplinkPortgroup)


@probe
def a_distributed_port_group(peer: Peer) -> Any:
    vlan = vim.dvs.VmwareDistributedVirtualSwitch.VlanIdSpec(inherited=False, vlanId=30)
    spec = vim.dvs.DistributedVirtualPortgroup.ConfigSpec(
        name="storage", type="earlyBinding", numPorts=8,
        defaultPortConfig=vim.dvs.VmwareDistributedVirtualSwitch.VmwarePortConfigPolicy(vlan=vlan))
    done(made(peer, "dvs").AddDVPortgroup_Task([spec]))
    (found,) = [g for g in peer.dvs.portgroup if g.name == "storage"]
    peer.things["dvpg"] = found
    return [found.config.defaultPortConfig.vlan.vlanId, found.config.type, found.config.numPorts]


@probe
def a_distributed_port_groups_name_again(peer: Peer) -> Any:
    spec = vim.dvs.DistributedVirtualPortgroup.ConfigSpec(name="storage", type="earlyBinding", numPorts=8)
    return done(made(peer, "dvs").AddDVPortgroup_Task([spec]))


@probe
def a_host_joins_it(peer: Peer) -> Any:
    member = vim.dvs.HostMember.ConfigSpec(operation="add", host=made(peer, "host"),
                                           backing=vim.dvs.HostMember.PnicBacking())
    spec = vim.DistributedVirtualSwitch.ConfigSpec(configVersion=made(peer, "dvs").config.configVersion, host=[member])
    done(peer.dvs.ReconfigureDvs_Task(spec))
    return [m.config.host == peer.host for m in peer.dvs.config.host]


@probe
def a_distributed_switch_that_changed_since(peer: Peer) -> Any:
    spec = vim.dvs.VmwareDistributedVirtualSwitch.ConfigSpec(configVersion="0", maxMtu=1500)
    return done(made(peer, "dvs").ReconfigureDvs_Task(spec))


@probe
def a_host_leaves_it(peer: Peer) -> Any:
    member = vim.dvs.HostMember.ConfigSpec(operation="remove", host=made(peer, "host"))
    spec = vim.DistributedVirtualSwitch.ConfigSpec(configVersion=made(peer, "dvs").config.configVersion, host=[member])
    done(peer.dvs.ReconfigureDvs_Task(spec))
    return len(peer.dvs.config.host)


@probe
def a_distributed_port_group_removed(peer: Peer) -> Any:
    done(made(peer, "dvpg").Destroy_Task())
    return [g.name for g in peer.dvs.portgroup if g.name == "storage"]


@probe
def a_datacenter_with_something_in_it(peer: Peer) -> Any:
    return done(made(peer, "dc").Destroy_Task())


@probe
def a_cluster_destroyed(peer: Peer) -> Any:
    done(made(peer, "cluster").Destroy_Task())
    return [each.name for each in made(peer, "folder").childEntity]
