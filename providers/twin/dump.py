"""The twin's inventory as canonical data: equal dumps mean equal live, whatever way led there.

Without MoRefs, times, certificates, tasks and events. What a fleet cannot take back has keys of its own, so that tests
can leave it out: `power` (and boot numbers), `connections`, `passwords`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from providers.twin.inventory import descend
from providers.twin.model import Box, Cluster, Datacenter, Datastore, Folder, Host, Hypervisor, Network, Site, Vm
from providers.twin.parts.dvs import Dvpg, Dvs

if TYPE_CHECKING:
    from providers.twin.house import House


def dump(house: House) -> dict[str, Any]:
    """Keys: inventory (path → what it is), hosts (name → …), machines (MAC → what runs there), datastores, networks,
    vms, settings; apart: power, connections, passwords."""
    inventory = house.inventory
    hosts = {each.name: each for each in inventory.all(Host)}
    boxes = sorted(inventory.all(Box), key=lambda box: box.mac)
    return {
        "inventory": {path: facts for path, facts in sorted(_containers(house))},
        "hosts": {name: _host(house, hosts[name]) for name in sorted(hosts)},
        "machines": {box.mac: _machine(house, box) for box in boxes if box.running is not None},
        "datastores": {inventory.path(each): _datastore(house, each) for each in _by_path(house, Datastore)},
        "networks": {inventory.path(each): _names(house, each) for each in _by_path(house, Network)},
        "vms": {inventory.path(each): _vm(house, each) for each in _by_path(house, Vm)},
        "settings": dict(sorted(inventory.site.settings.items())),
        "access": _access(house),
        "power": {box.mac: box.power for box in boxes},
        "connections": {name: hosts[name].connection for name in sorted(hosts)},
        "passwords": {
            box.mac: {user: found.digest for user, found in sorted(box.running.accounts.items())}
            for box in boxes
            if box.running is not None
        },
    }


def _access(house: House) -> dict[str, Any]:
    """vCenter's roles, permissions, assigned licences and custom attributes, by names instead of ids."""
    inventory, access = house.inventory, house.inventory.site.access
    entities = {each: inventory.path(found) for each in {*(g.entity for g in access.grants), *access.values,
                                                         *access.assigned}
                if (found := inventory.docs.get(each)) is not None and not isinstance(found, (Box, Site))}
    roles = {int(key): role.name for key, role in access.roles.items()}
    return {
        "roles": {role.name: list(role.privileges) for _, role in sorted(access.roles.items())},
        "permissions": sorted([entities[g.entity], g.principal, g.group, roles.get(g.role, str(g.role)), g.propagate]
                              for g in access.grants if g.entity in entities),
        "licenses": {entities[each]: key for each, key in sorted(access.assigned.items()) if each in entities},
        "attributes": {found.name: found.type for _, found in sorted(access.fields.items())},
        "values": {entities[each]: {access.fields[key].name: value for key, value in sorted(found.items())}
                   for each, found in sorted(access.values.items()) if each in entities},
    }


def _by_path(house: House, kind: Any) -> list[Any]:
    return sorted(house.inventory.all(kind), key=house.inventory.path)


def _containers(house: House) -> list[tuple[str, dict[str, Any]]]:
    from providers.twin.inventory import ROOT

    found: list[tuple[str, dict[str, Any]]] = []
    for each in descend(house.inventory, ROOT):
        path = house.inventory.path(each)
        if isinstance(each, Datacenter):
            found.append((path, {"type": "datacenter"}))
        elif isinstance(each, Folder):
            found.append((path, {"type": "folder", "holds": each.holds}))
        elif isinstance(each, (Dvs, Dvpg)):
            if not (isinstance(each, Dvpg) and each.uplink):
                found.append((path, _distributed(house, each)))
        elif isinstance(each, Cluster):
            found.append((path, {"type": "cluster", "das": _sorted(each.das), "drs": _sorted(each.drs),
                                 "parts": _cluster_parts(house, each)}))
    return found


def _distributed(house: House, each: Dvs | Dvpg) -> dict[str, Any]:
    """Without counters: UUIDs, keys of ports, versions of configurations."""
    found: dict[str, Any] = _sorted(each)
    for name in ("id", "name", "parent", "serial"):
        found.pop(name)
    if isinstance(each, Dvpg):
        return {**found, "type": "distributed port group", "switch": house.inventory.need(each.switch, Dvs).name}
    for name in ("uuid", "group", "next", "created"):
        found.pop(name)
    for lag in found["lags"].values():
        lag.pop("key")
    hosts = {host.id: host.name for host in house.inventory.all(Host)}
    found["members"] = {hosts.get(key, key): sorted(member.uplinks) for key, member in each.members.items()}
    return {**found, "type": "distributed switch"}


def _cluster_parts(house: House, cluster: Cluster) -> dict[str, Any]:
    """Members by name: they get other ids when they are registered again. Keys of rules are counters."""
    def named(ids: list[str]) -> list[str]:
        documents = (house.inventory.docs.get(each) for each in ids)
        return sorted(each.name for each in documents if isinstance(each, (Host, Vm, Datastore)))

    found: dict[str, Any] = _sorted(cluster.parts)
    found["failover"], found["heartbeat"] = named(cluster.parts.failover), named(cluster.parts.heartbeat)
    for name, group in cluster.parts.groups.items():
        found["groups"][name]["members"] = named(group.members)
    for name, rule in cluster.parts.rules.items():
        found["rules"][name] |= {"vms": named(rule.vms), "key": 0}
    found.pop("keys")
    return found


def _host(house: House, host: Host) -> dict[str, Any]:
    """`config` is what vCenter shows; that of a reborn host is its memory of it."""
    seen = house.contact.seen(host)
    return {
        "parent": house.inventory.path(house.inventory.need(host.parent, Cluster)),
        "mac": host.mac,
        "uuid": host.uuid,
        "maintenance": seen.maintenance,
        "version": seen.version,
        "build": seen.build,
        "config": config(house, seen),
        "vms": sorted(each.name for each in house.inventory.vms_on(host)),
    }


def _machine(house: House, box: Box) -> dict[str, Any]:
    running = box.running
    if running is None:
        return {}
    return {
        "maintenance": running.maintenance,
        "managed": "this vCenter" if running.manager == house.instance else running.manager,
        "image": running.image,
        "version": running.version,
        "build": running.build,
        "config": config(house, running),
    }


def config(house: House, hypervisor: Hypervisor) -> dict[str, Any]:
    """A host's configuration: switches, port groups, adapters, mounts, resolver, time; deviations of the rest."""
    found: dict[str, Any] = _sorted(hypervisor.config)
    del found["access"]["issued"]  # which certificate it shows
    for switch in found["vswitches"].values():
        switch["uplinks"].sort()  # which ones counts, not in what order they were added
    found["proxies"] = {
        proxy.name: {"mtu": proxy.mtu, "uplinks": sorted(proxy.uplinks), "lag": sorted(
            name for name, ports in proxy.lags.items() if set(ports.values()) & set(proxy.uplinks.values()))}
        for proxy in hypervisor.config.proxies.values()
    }
    for device, nic in hypervisor.config.vnics.items():
        if nic.port is not None:
            switch = hypervisor.config.proxies.get(nic.port.switch)
            group = house.inventory.get(nic.port.group, Dvpg)
            found["vnics"][device]["port"] = [switch.name if switch else "", group.name if group else ""]
    return found


def _datastore(house: House, store: Datastore) -> dict[str, Any]:
    return {"type": store.type, "server": store.server, "path": store.path, "hosts": _names(house, store)}


def _names(house: House, entity: Datastore | Network) -> list[str]:
    return sorted(each.name for each in house.inventory.users(entity.id))


def _vm(house: House, machine: Vm) -> dict[str, Any]:
    host = house.inventory.get(machine.host, Host)
    stores = (house.inventory.get(each, Datastore) for each in machine.datastores)
    return {
        "host": host.name if host else "",
        "power": machine.power,
        "state": machine.state,
        "datastores": sorted(each.name for each in stores if each is not None),
        "networks": sorted(machine.networks),
    }


def _sorted(value: Any) -> Any:
    """Plain data with sorted keys. Defaults are written out: whether one was set or never touched is no difference."""
    if isinstance(value, msgspec.Struct):
        return {key: _sorted(getattr(value, key)) for key in sorted(value.__struct_fields__)}
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [_sorted(each) for each in value]
    return value
