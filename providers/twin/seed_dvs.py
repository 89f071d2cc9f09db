"""Distributed switches of a seed: with their port groups, and the hosts that are members, gone ones included."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from providers.twin.inventory import Inventory
from providers.twin.model import Box, Datacenter, Folder, Host
from providers.twin.objects.dvs import VERSIONS, dvs_uuid
from providers.twin.objects.dvs_members import ports_for, proxy
from providers.twin.parts.dvs import Dvpg, Dvs, Member
from providers.twin.seed_file import SeedError, Where
from providers.twin.seed_format import SwitchesSeed

if TYPE_CHECKING:
    from providers.twin.house import House


def lay_switches(house: House, seeds: Mapping[str, SwitchesSeed]) -> None:
    """Raises SeedError."""
    for path, seed in seeds.items():
        where: Where = ("switches", path)
        parent, _, name = path.rpartition("/")
        datacenter = house.entity(parent)
        if not isinstance(datacenter, Datacenter):
            raise SeedError(where, f"no datacenter {parent!r}", "list it under datacenters:")
        switch = _switch(house.inventory, house.inventory.need(datacenter.network, Folder), name, seed, house)
        for host, nics in seed.hosts.items():
            _join(house, switch, host, nics, (*where, "hosts", host))


def _switch(inventory: Inventory, folder: Folder, name: str, seed: SwitchesSeed, house: House) -> Dvs:
    made = Dvs(inventory.new_id("dvs-"), name, folder.id, version=seed.version or VERSIONS[-1], mtu=seed.mtu,
               uplinks=list(seed.uplinks), created=house.clock.now())
    made.uuid = dvs_uuid(house.derived_uuid("dvs", made.id))
    uplinks = Dvpg(inventory.new_id("dvportgroup-"), f"{name}-DVUplinks-{made.id.removeprefix('dvs-')}", folder.id,
                   made.id, uplink=True)
    made.group = uplinks.id
    inventory.put(made)
    inventory.put(uplinks)
    for label, group in seed.portgroups.items():
        vlan = {"_type": "VmwareDistributedVirtualSwitchVlanIdSpec", "inherited": False, "vlanId": group.vlan}
        inventory.put(Dvpg(inventory.new_id("dvportgroup-"), label, folder.id, made.id, ports=8,
                           setting={"vlan": vlan}))
    return made


def _join(house: House, switch: Dvs, name: str, nics: list[str], where: Where) -> None:
    host = house.inventory.host_named(name)
    if not isinstance(host, Host):
        raise SeedError(where, f"no host {name!r} under hosts:")
    if len(nics) > len(switch.uplinks):
        raise SeedError(where, f"{len(nics)} NICs for {len(switch.uplinks)} uplinks")
    member = ports_for(switch, Member())
    member.uplinks = dict(zip(nics, member.ports.values(), strict=False))
    config = house.contact.seen(host).config
    taken = [nic for nic in nics if any(nic in each.uplinks for each in config.vswitches.values())]
    if taken:
        raise SeedError(where, f"{', '.join(taken)} is an uplink of a standard switch already")
    switch.members[host.id] = member
    config.proxies[switch.uuid] = proxy(house, switch, member)
    house.inventory.mark(switch, host, house.inventory.need(host.mac, Box))
