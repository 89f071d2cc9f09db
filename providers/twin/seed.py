"""Seeds: what a twin has besides the fleet's own machines. A YAML file, every key optional:

    datacenters: [dc0]                        # in the root folder
    folders: [dc0/edge]                       # host folders
    clusters:
      dc0/prod: {drs: {enabled: true, automation: fullyAutomated}, ha: {enabled: true, admission_control: false}}
    hosts:
      esx03.lab.example:
        mac: 52:54:00:00:00:13
        cluster: dc0/prod
        state: gone                           # connected (default), disconnected, gone (its machine is off)
        maintenance: true
        root_password: text                   # only a digest is kept; without it the empty one of a newborn
        version: 8.0.3
        build: "24022510"
        config:                               # deviations from a newborn host, in the fleet file's own words
          vswitch: {vSwitch1: {uplinks: [vmnic1], mtu: 9000}}
          portgroup: {vMotion: {vswitch: vSwitch1, vlan: 20}}
          vmkernel: {vmk1: {portgroup: vMotion, ip: 10.0.20.13, netmask: 255.255.255.0, mtu: 9000, services: [vmotion]}}
          nfs: {images: {server: nas1, path: /export, version: "3", access: readOnly}}
          dns: {servers: [10.0.0.53], domain: lab.example, hostname: esx03, search: []}
          ntp: {servers: [10.0.0.1], policy: "on", running: true}
          syslog: {targets: ["udp://10.0.0.9:514"], firewall: true}
          service: {TSM-SSH: {policy: "on", running: true}}
          option: {UserVars.SuppressShellWarning: 1}
    datastores:
      dc0/san1: {hosts: [esx03.lab.example]}  # VMFS volumes; NFS ones come with the hosts' mounts
    vms:
      web1: {host: esx03.lab.example, datastores: [images], networks: [VM Network], power: "on"}
    exports: {unreachable: ["nas9.lab.example:/export/gone", "nas8.lab.example:*"]}
    machines:
      "52:54:00:00:00:14": {name: esx04.lab.example, power: external, skew: 90000, managed_by: another vCenter's UUID}

Inventory is laid down once, in an empty twin; `exports` and `machines` hold at every opening.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from planner.model import FleetError
from providers.twin import baseline
from providers.twin.boots import connected_host
from providers.twin.facts.options import options
from providers.twin.facts.services import SERVICES
from providers.twin.inventory import ROOT
from providers.twin.model import (
    Box,
    Datacenter,
    Datastore,
    Dns,
    Folder,
    Host,
    HostConfig,
    Nfs,
    Portgroup,
    Vm,
    Vnic,
    Vswitch,
)
from providers.twin.seed_format import ConfigSeed, HostSeed, MachineSeed, Seed, VmSeed

if TYPE_CHECKING:
    from providers.twin.house import House


def read_seed(path: Path) -> Seed:
    """Raises FleetError that says what is wrong, and where in the file."""
    try:
        return parse_seed(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FleetError(f"the twin's seed {path} cannot be read: {error.strerror}") from error
    except (ValueError, UnicodeDecodeError) as error:
        raise FleetError(f"the twin's seed {path}: {error}") from error


def parse_seed(text: str) -> Seed:
    """Raises ValueError that says what is wrong. Scalars are text (a MAC is never a number); fields give the types."""
    import yaml

    try:
        raw = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 - BaseLoader makes nothing but text, lists and maps
    except yaml.YAMLError as error:
        raise ValueError(f"not YAML: {error}") from error
    try:
        seed = msgspec.convert(raw or {}, Seed, strict=False)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error
    seed.digest = hashlib.sha256(text.encode()).hexdigest()
    return seed


def apply_seed(house: House, seed: Seed, *, inventory: bool) -> None:
    """Lay down a seed. `inventory` False: only what holds at every opening. Raises FleetError for what does not fit."""
    try:
        site = house.inventory.site
        if site.unreachable != seed.exports.unreachable:
            site.unreachable = list(seed.exports.unreachable)
            house.inventory.mark(site)
        if inventory:
            _containers(house, seed)
            for name, host in seed.hosts.items():
                _host(house, name, host)
            _datastores(house, seed)
            for name, machine in seed.vms.items():
                _vm(house, name, machine)
            site.seeded = seed.digest
            house.inventory.mark(site)
        for mac, facts in seed.machines.items():
            _machine(house, mac, facts)
    except (KeyError, ValueError) as error:
        raise FleetError(f"the twin's seed: {error.args[0] if error.args else error}") from error


def _containers(house: House, seed: Seed) -> None:
    for name in seed.datacenters:
        house.inventory.add_datacenter(name, ROOT)
    for path in seed.folders:
        parent, _, name = path.rpartition("/")
        house.inventory.add_folder(name, _host_folder(house, parent))
    for path, cluster in seed.clusters.items():
        parent, _, name = path.rpartition("/")
        made = house.inventory.add_cluster(name, _host_folder(house, parent))
        if cluster.drs.enabled:
            made.drs = {"enabled": True, "defaultVmBehavior": cluster.drs.automation}
        if cluster.ha.enabled:
            made.das = {"enabled": True, "admissionControlEnabled": cluster.ha.admission_control}


def _host_folder(house: House, path: str) -> Folder:
    found = house.entity(path)
    if isinstance(found, Datacenter):
        return house.inventory.need(found.host, Folder)
    if not isinstance(found, Folder):
        raise KeyError(f"no datacenter or folder {path!r}; list it under datacenters: or folders:")
    return found


def _host(house: House, name: str, seed: HostSeed) -> None:
    if seed.state not in ("connected", "gone", "disconnected"):
        raise ValueError(f"hosts.{name}.state: {seed.state!r} is none of connected, gone, disconnected")
    host = connected_host(
        house, seed.cluster, seed.mac, name, password=seed.root_password, build=seed.build, version=seed.version
    )
    box = house.inventory.need(host.mac, Box)
    if box.running is None:
        raise AssertionError(f"{name} is not running")
    deviate(box, box.running.config, seed.config, f"hosts.{name}.config")
    box.running.maintenance = seed.maintenance
    house.inventory.attach(host, box.running.config)
    if seed.state == "disconnected":
        house.contact.lose(host, gone=False)
        host.connection = "disconnected"
    elif seed.state == "gone":
        house.contact.lose(host, gone=True)
        host.connection = "notResponding"
        box.running, box.power = None, "off"
        house.inventory.mark(box)


def deviate(box: Box, config: HostConfig, seed: ConfigSeed, where: str) -> None:
    """Make a newborn's configuration what the seed says. Raises ValueError naming the place."""
    for name, switch in seed.vswitch.items():
        config.vswitches[name] = Vswitch(uplinks=list(switch.uplinks), mtu=switch.mtu)
    for name, group in seed.portgroup.items():
        if group.vswitch not in config.vswitches:
            raise ValueError(f"{where}.portgroup.{name}: no vswitch {group.vswitch}")
        config.portgroups[name] = Portgroup(group.vswitch, group.vlan)
    for device, nic in seed.vmkernel.items():
        if nic.portgroup not in config.portgroups:
            raise ValueError(f"{where}.vmkernel.{device}: no portgroup {nic.portgroup}")
        before = config.vnics.get(device)
        config.vnics[device] = Vnic(
            nic.portgroup,
            mac=before.mac if before else "00:50:56:" + box.nics[1][9:],
            dhcp=nic.dhcp,
            ip=nic.ip or (before.ip if before else ""),
            netmask=nic.netmask or (before.netmask if before else ""),
            mtu=nic.mtu,
            services=sorted(nic.services),
        )
    for name, mount in seed.nfs.items():
        kind = {"3": "NFS", "4.1": "NFS41"}.get(mount.version)
        if kind is None:
            raise ValueError(f'{where}.nfs.{name}.version: write "3" or "4.1"')
        config.nfs[name] = Nfs(mount.server, mount.path, kind, mount.access)
    _settings(config, seed, where)


def _settings(config: HostConfig, seed: ConfigSeed, where: str) -> None:
    if seed.dns is not None:
        config.dns = Dns(False, seed.dns.hostname or config.dns.hostname, seed.dns.domain, seed.dns.servers,
                         seed.dns.search)
    if seed.ntp is not None:
        config.ntp = list(seed.ntp.servers)
        baseline.set_service(config, "ntpd", seed.ntp.policy, seed.ntp.running)
    if seed.syslog is not None:
        baseline.set_option(config, "Syslog.global.logHost", ",".join(seed.syslog.targets))
        baseline.set_ruleset(config, "syslog", seed.syslog.firewall)
    for key, service in seed.service.items():
        _known(key, SERVICES, f"{where}.service")
        baseline.set_service(config, key, service.policy, service.running)
    for key, text in seed.option.items():
        _known(key, options(), f"{where}.option")
        baseline.set_option(config, key, _READ[options()[key].kind](text))


_READ: dict[str, Callable[[str], bool | int | str]] = {
    "b": lambda text: text.lower() == "true",
    "i": int,
    "l": int,
    "s": str,
    "c": str,
}


def _known(key: str, table: Mapping[str, Any], where: str) -> None:
    if key not in table:
        raise ValueError(f"{where}: the twin's hosts have no {key!r}")


def _datastores(house: House, seed: Seed) -> None:
    for path, facts in seed.datastores.items():
        parent, _, name = path.rpartition("/")
        datacenter = house.entity(parent)
        if not isinstance(datacenter, Datacenter):
            raise KeyError(f"datastores.{path}: no datacenter {parent!r}")
        made = Datastore(house.inventory.new_id("datastore-"), name, datacenter.datastore, "VMFS")
        house.inventory.put(made)
        for host in facts.hosts:
            house.inventory.mount(_named(house, host, f"datastores.{path}"), made)


def _named(house: House, name: str, where: str) -> Host:
    found = house.inventory.host_named(name)
    if found is None:
        raise KeyError(f"{where}: no host {name!r} under hosts:")
    return found


def _vm(house: House, name: str, seed: VmSeed) -> None:
    host = _named(house, seed.host, f"vms.{name}")
    datacenter = house.inventory.datacenter_of(host)
    stores = []
    for each in seed.datastores:
        store = house.inventory.datastore_named(datacenter, each)
        if store is None:
            raise KeyError(f"vms.{name}: no datastore {each!r}")
        stores.append(store.id)
    if seed.power not in ("on", "off"):
        raise ValueError(f'vms.{name}.power: write "on" or "off"')
    gone = host.connection != "connected"
    house.inventory.put(Vm(
        house.inventory.new_id("vm-"), name, datacenter.vm, host.id,
        uuid=house.derived_uuid("vm", name),
        power="poweredOn" if seed.power == "on" and not gone else "poweredOff",
        datastores=stores, networks=list(seed.networks),
    ))


def _machine(house: House, mac: str, seed: MachineSeed) -> None:
    box = house.box_of(mac, seed.name)
    if seed.power not in ("", "external"):
        raise ValueError(f"machines.{mac}.power: only \"external\" can be said here")
    box.external = seed.power == "external"
    if box.boots:
        return  # what it does has begun: its clock and its manager are its own
    box.skew = seed.skew
    if seed.managed_by:
        from providers.twin.boots import come_up

        box.boots = 1
        come_up(box, house.clock.now(), build="", version="").manager = seed.managed_by
        house.inventory.mark(box)
