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
        evc: intel-broadwell                  # the highest EVC mode of its CPU
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
          network: {policy: {VM Network: {security: {promiscuous: true}}}, ipv6: {vmk0: {addresses: ["fd00::5/64"]}},
                    on_stack: {vmk1: vmotion}, tcpip_stack: {vmotion: {gateway: 10.0.20.1}},
                    route: {10.9.0.0/16: 10.128.0.2}}
          firewall: {sshServer: {allowed: [10.0.0.0/8]}, sshClient: {enabled: true}}
          power_policy: static
          module: {lpfc: lpfc_lun_queue_depth=64}
          clock: ptp                          # what it follows; ntp by default
          iscsi: {iqn: iqn.1998-01.com.vmware:esx03, ports: [vmk1], targets: ["10.0.30.10:3260"], rescanned: true}
    datastores:
      dc0/san1: {hosts: [esx03.lab.example]}  # VMFS volumes; NFS ones come with the hosts' mounts
    switches:                                 # distributed ones; a gone host stays a member
      dc0/dvs: {uplinks: [up1, up2], mtu: 9000, portgroups: {vm: {vlan: 20}}, hosts: {esx03.lab.example: [vmnic2]}}
    vms:
      web1: {host: esx03.lab.example, datastores: [images], networks: [VM Network], power: "on"}
      lost: {host: esx03.lab.example, state: orphaned, vmx: "[images] lost/lost.vmx"}
      vc: {host: esx03.lab.example, guest: {name: vc.lab.example, ip: 10.0.0.5}}  # what its tools tell
    exports: {unreachable: ["nas9.lab.example:/export/gone", "nas8.lab.example:*"]}
    san:
      luns:                                   # hosts: over Fibre Channel ("*" all); late: only a rescan finds it
        naa.60000000000000000000000000000001: {size: 2048, hosts: ["*"], vmfs: san1}
        naa.60000000000000000000000000000002: {late: true, hosts: [esx03.lab.example]}
        naa.60000000000000000000000000000003: {holds: [linux]}
      targets:                                # iSCSI; chap, initiators: where it asks for them
        iqn.2001-05.com.example:array1: {portals: ["10.0.30.10:3260"], luns: [naa.60000000000000000000000000000003]}
    machines:
      "52:54:00:00:00:14": {name: esx04.lab.example, power: external, skew: 90000, managed_by: another vCenter's UUID}
      "52:54:00:00:00:15": {vlans: [0, 20]}   # the site's switches carry only these to vCenter

Inventory is laid down once, in an empty twin; `exports` and `machines` hold at every opening.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from planner.model import FleetError
from providers.twin import baseline
from providers.twin.boots import connected_host
from providers.twin.facts.options import options
from providers.twin.facts.services import SERVICES
from providers.twin.inventory import ROOT
from providers.twin.machines import normal_mac
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
from providers.twin.seed_dvs import lay_switches
from providers.twin.seed_file import SeedError, SeedFile, Where
from providers.twin.seed_format import ConfigSeed, HostSeed, MachineSeed, Seed, VmSeed
from providers.twin.seed_network import network
from providers.twin.seed_settings import host_settings
from providers.twin.seed_storage import lay_iscsi, lay_san

if TYPE_CHECKING:
    from providers.twin.house import House


def apply_seed(house: House, file: SeedFile, *, inventory: bool) -> None:
    """Lay down a seed. `inventory` False: only what holds at every opening.

    Raises FleetError for what does not fit, with its place in the file.
    """
    seed = file.seed
    try:
        site = house.inventory.site
        if site.unreachable != seed.exports.unreachable:
            site.unreachable = list(seed.exports.unreachable)
            house.inventory.mark(site)
        if inventory:
            _containers(house, seed)
            lay_san(site.san, seed.san)
            for name, host in seed.hosts.items():
                _host(house, name, host)
            _datastores(house, seed)
            lay_switches(house, seed.switches)
            for name, machine in seed.vms.items():
                with _at("vms", name):
                    _vm(house, name, machine)
            site.seeded = file.digest
            house.inventory.mark(site)
        for mac, facts in seed.machines.items():
            with _at("machines", mac):
                _machine(house, mac, facts)
    except SeedError as error:
        raise FleetError(file.diagnostic(error)) from error


@contextmanager
def _at(*where: str) -> Iterator[None]:
    """What goes wrong inside does so at this place of the file, unless it says where."""
    try:
        yield
    except (KeyError, ValueError) as error:
        raise SeedError(where, str(error.args[0]) if error.args else str(error)) from error


def _containers(house: House, seed: Seed) -> None:
    for name in seed.datacenters:
        house.inventory.add_datacenter(name, ROOT)
    for number, path in enumerate(seed.folders):
        parent, _, name = path.rpartition("/")
        with _at("folders", str(number)):
            house.inventory.add_folder(name, _host_folder(house, parent))
    for path, cluster in seed.clusters.items():
        parent, _, name = path.rpartition("/")
        with _at("clusters", path):
            made = house.inventory.add_cluster(name, _host_folder(house, parent))
        if cluster.drs.enabled:
            made.drs = {"enabled": True, "defaultVmBehavior": cluster.drs.automation}
        if cluster.ha.enabled:
            made.das = {"enabled": True, "admissionControlEnabled": cluster.ha.admission_control}
        made.parts.evc = _evc_mode(cluster.evc, ("clusters", path, "evc"))


def _evc_mode(mode: str, where: Where) -> str:
    from providers.twin.objects.evc import known

    if mode and not known(mode):
        raise SeedError(where, f"{mode!r} is no EVC mode", "write it as intel-broadwell or amd-zen2")
    return mode


def _host_folder(house: House, path: str) -> Folder:
    found = house.entity(path)
    if isinstance(found, Datacenter):
        return house.inventory.need(found.host, Folder)
    if not isinstance(found, Folder):
        raise KeyError(f"no datacenter or folder {path!r}; list it under datacenters: or folders:")
    return found


def _host(house: House, name: str, seed: HostSeed) -> None:
    if seed.state not in ("connected", "gone", "disconnected"):
        raise SeedError(("hosts", name, "state"), f"{seed.state!r} is none of connected, gone, disconnected")
    with _at("hosts", name, "mac"):
        normal_mac(seed.mac)
    with _at("hosts", name, "cluster"):
        host = connected_host(
            house, seed.cluster, seed.mac, name, password=seed.root_password, build=seed.build, version=seed.version
        )
    box = house.inventory.need(host.mac, Box)
    if box.running is None:
        raise AssertionError(f"{name} is not running")
    box.evc = _evc_mode(seed.evc, ("hosts", name, "evc"))
    deviate(box, box.running.config, seed.config, ("hosts", name, "config"))
    if seed.config.iscsi is not None:
        lay_iscsi(house.inventory.site.san, box, box.running.config, seed.config.iscsi,
                  ("hosts", name, "config", "iscsi"))
    box.running.maintenance = seed.maintenance
    house.contact.meet(host, box)
    house.inventory.attach(host, box.running.config)
    if seed.state == "disconnected":
        house.contact.lose(host, gone=False)
        host.connection = "disconnected"
    elif seed.state == "gone":
        house.contact.lose(host, gone=True)
        host.connection = "notResponding"
        box.running, box.power = None, "off"
        house.inventory.mark(box)


def deviate(box: Box, config: HostConfig, seed: ConfigSeed, where: Where) -> None:
    """Make a newborn's configuration what the seed says. Raises SeedError."""
    for name, switch in seed.vswitch.items():
        config.vswitches[name] = Vswitch(uplinks=list(switch.uplinks), mtu=switch.mtu)
    for name, group in seed.portgroup.items():
        if group.vswitch not in config.vswitches:
            raise SeedError((*where, "portgroup", name, "vswitch"), f"no vswitch {group.vswitch}")
        config.portgroups[name] = Portgroup(group.vswitch, group.vlan)
    for device, nic in seed.vmkernel.items():
        if nic.portgroup not in config.portgroups:
            raise SeedError((*where, "vmkernel", device, "portgroup"), f"no portgroup {nic.portgroup}")
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
            raise SeedError((*where, "nfs", name, "version"), f"{mount.version!r} is no version", 'write "3" or "4.1"')
        config.nfs[name] = Nfs(mount.server, mount.path, kind, mount.access, security=mount.security)
    network(config, seed.network, lambda place, text: SeedError((*where, "network", *place), text))
    _settings(config, seed, where)


def _settings(config: HostConfig, seed: ConfigSeed, where: Where) -> None:
    if seed.dns is not None:
        config.dns = Dns(False, seed.dns.hostname or config.dns.hostname, seed.dns.domain, seed.dns.servers,
                         seed.dns.search)
    if seed.ntp is not None:
        config.ntp = list(seed.ntp.servers)
        config.ntp_heard = list(seed.ntp.servers) if seed.ntp.running else []
        baseline.set_service(config, "ntpd", seed.ntp.policy, seed.ntp.running)
    if seed.syslog is not None:
        baseline.set_option(config, "Syslog.global.logHost", ",".join(seed.syslog.targets))
        baseline.set_ruleset(config, "syslog", seed.syslog.firewall)
    for key, service in seed.service.items():
        _known(key, SERVICES, (*where, "service", key))
        baseline.set_service(config, key, service.policy, service.running)
    for key, text in seed.option.items():
        _known(key, options(), (*where, "option", key))
        with _at(*where, "option", key):
            baseline.set_option(config, key, _READ[options()[key].kind](text))
    host_settings(config, seed, where)


_READ: dict[str, Callable[[str], bool | int | str]] = {
    "b": lambda text: text.lower() == "true",
    "i": int,
    "l": int,
    "s": str,
    "c": str,
}


def _known(key: str, table: Mapping[str, Any], where: Where) -> None:
    if key not in table:
        near = get_close_matches(key, table, 1)
        raise SeedError(where, f"the twin's hosts have no {key!r}", f"did you mean {near[0]!r}?" if near else "")


def _datastores(house: House, seed: Seed) -> None:
    for path, facts in seed.datastores.items():
        parent, _, name = path.rpartition("/")
        datacenter = house.entity(parent)
        if not isinstance(datacenter, Datacenter):
            raise SeedError(("datastores", path), f"no datacenter {parent!r}")
        made = Datastore(house.inventory.new_id("datastore-"), name, datacenter.datastore, "VMFS")
        house.inventory.put(made)
        for number, host in enumerate(facts.hosts):
            house.inventory.mount(_named(house, host, ("datastores", path, "hosts", str(number))), made)


def _named(house: House, name: str, where: Where) -> Host:
    found = house.inventory.host_named(name)
    if found is None:
        raise SeedError(where, f"no host {name!r} under hosts:")
    return found


def _vm(house: House, name: str, seed: VmSeed) -> None:
    host = _named(house, seed.host, ("vms", name, "host"))
    datacenter = house.inventory.datacenter_of(host)
    stores = []
    for number, each in enumerate(seed.datastores):
        store = house.inventory.datastore_named(datacenter, each)
        if store is None:
            raise SeedError(("vms", name, "datastores", str(number)), f"no datastore {each!r}")
        stores.append(store.id)
    if seed.power not in ("on", "off"):
        raise SeedError(("vms", name, "power"), f"{seed.power!r} is no power", 'write "on" or "off"')
    if seed.state not in ("connected", "orphaned"):
        raise SeedError(("vms", name, "state"), f"{seed.state!r} is none of connected, orphaned")
    gone = host.connection != "connected"
    house.inventory.put(Vm(
        house.inventory.new_id("vm-"), name, datacenter.vm, host.id,
        uuid=house.derived_uuid("vm", name),
        power="poweredOn" if seed.power == "on" and not gone else "poweredOff",
        state=seed.state, datastores=stores, networks=list(seed.networks), vmx=seed.vmx, guest_name=seed.guest.name,
        guest_ip=seed.guest.ip,
    ))


def _machine(house: House, mac: str, seed: MachineSeed) -> None:
    box = house.box_of(mac, seed.name)
    if seed.power not in ("", "external"):
        raise SeedError(("machines", mac, "power"), 'only "external" can be said here')
    box.external = seed.power == "external"
    box.vlans = seed.vlans
    if box.boots:
        return  # what it does has begun: its clock and its manager are its own
    box.skew = seed.skew
    if seed.managed_by:
        from providers.twin.boots import come_up

        box.boots = 1
        come_up(box, house.clock.now(), build="", version="").manager = seed.managed_by
        house.inventory.mark(box)
