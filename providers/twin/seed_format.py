"""What a seed file may say: its keys, their types and defaults. The format with an example: `providers.twin.seed`."""

from __future__ import annotations

import msgspec

from providers.twin.seed_network import NetworkSeed


class _Strict(msgspec.Struct, forbid_unknown_fields=True):
    pass


class DrsSeed(_Strict):
    enabled: bool = False
    automation: str = "fullyAutomated"


class HaSeed(_Strict):
    enabled: bool = False
    admission_control: bool = True


class ClusterSeed(_Strict):
    drs: DrsSeed = msgspec.field(default_factory=DrsSeed)
    ha: HaSeed = msgspec.field(default_factory=HaSeed)
    evc: str = ""


class SwitchSeed(_Strict):
    uplinks: list[str] = msgspec.field(default_factory=list)
    mtu: int = 1500


class PortgroupSeed(_Strict):
    vswitch: str
    vlan: int = 0


class VmkernelSeed(_Strict):
    portgroup: str
    dhcp: bool = False
    ip: str = ""
    netmask: str = ""
    mtu: int = 1500
    services: list[str] = msgspec.field(default_factory=list)


class NfsSeed(_Strict):
    server: str
    path: str
    version: str = "3"
    access: str = "readWrite"
    security: str = "AUTH_SYS"


class IscsiSeed(_Strict):
    """`rescanned`: what the targets show is known already."""

    enabled: bool = True
    iqn: str = ""
    ports: list[str] = msgspec.field(default_factory=list)
    targets: list[str] = msgspec.field(default_factory=list)  # ADDRESS:PORT
    static: dict[str, list[str]] = msgspec.field(default_factory=dict)  # target → portals
    rescanned: bool = True


class LunSeed(_Strict):
    size: int = 1024  # GiB
    hosts: list[str] = msgspec.field(default_factory=list)  # over Fibre Channel; "*" all
    late: bool = False  # mapped after the hosts booted: only a rescan finds it
    holds: list[str] = msgspec.field(default_factory=list)  # types of its partitions
    vmfs: str = ""  # name of the volume that is on it
    copy: bool = False  # that volume is a copy (a snapshot): unresolved


class TargetSeed(_Strict):
    portals: list[str]
    luns: list[str] = msgspec.field(default_factory=list)
    initiators: list[str] = msgspec.field(default_factory=list)
    chap: dict[str, str] = msgspec.field(default_factory=dict)  # name, secret, mutual_secret


class SanSeed(_Strict):
    luns: dict[str, LunSeed] = msgspec.field(default_factory=dict)
    targets: dict[str, TargetSeed] = msgspec.field(default_factory=dict)


class DnsSeed(_Strict):
    servers: list[str] = msgspec.field(default_factory=list)
    domain: str = ""
    hostname: str = ""
    search: list[str] = msgspec.field(default_factory=list)


class NtpSeed(_Strict):
    servers: list[str] = msgspec.field(default_factory=list)
    policy: str = "on"
    running: bool = True


class SyslogSeed(_Strict):
    targets: list[str] = msgspec.field(default_factory=list)
    firewall: bool = True


class ServiceSeed(_Strict):
    policy: str = "off"
    running: bool = False


class FirewallSeed(_Strict):
    enabled: bool | None = None
    allowed: list[str] = msgspec.field(default_factory=lambda: ["all"])


class ConfigSeed(_Strict):
    vswitch: dict[str, SwitchSeed] = msgspec.field(default_factory=dict)
    portgroup: dict[str, PortgroupSeed] = msgspec.field(default_factory=dict)
    vmkernel: dict[str, VmkernelSeed] = msgspec.field(default_factory=dict)
    nfs: dict[str, NfsSeed] = msgspec.field(default_factory=dict)
    dns: DnsSeed | None = None
    ntp: NtpSeed | None = None
    syslog: SyslogSeed | None = None
    service: dict[str, ServiceSeed] = msgspec.field(default_factory=dict)
    option: dict[str, str] = msgspec.field(default_factory=dict)
    network: NetworkSeed = msgspec.field(default_factory=NetworkSeed)
    firewall: dict[str, FirewallSeed] = msgspec.field(default_factory=dict)
    power_policy: str = ""
    module: dict[str, str] = msgspec.field(default_factory=dict)
    clock: str = ""  # ptp: it follows PTP
    iscsi: IscsiSeed | None = None


class HostSeed(_Strict):
    mac: str
    cluster: str
    state: str = "connected"
    maintenance: bool = False
    root_password: str | None = None
    version: str = ""
    build: str = ""
    evc: str = ""
    config: ConfigSeed = msgspec.field(default_factory=ConfigSeed)


class DatastoreSeed(_Strict):
    hosts: list[str]


class GuestSeed(_Strict):
    name: str = ""
    ip: str = ""


class VmSeed(_Strict):
    host: str
    datastores: list[str] = msgspec.field(default_factory=list)
    networks: list[str] = msgspec.field(default_factory=list)
    power: str = "off"
    state: str = "connected"
    vmx: str = ""
    guest: GuestSeed = msgspec.field(default_factory=GuestSeed)


class ExportsSeed(_Strict):
    unreachable: list[str] = msgspec.field(default_factory=list)


class MachineSeed(_Strict):
    name: str = ""
    power: str = ""
    skew: float = 0.0
    managed_by: str = ""
    vlans: list[int] | None = None


class DvPortgroupSeed(_Strict):
    vlan: int = 0


class SwitchesSeed(_Strict):
    version: str = ""
    mtu: int = 1500
    uplinks: list[str] = msgspec.field(default_factory=lambda: ["Uplink 1", "Uplink 2", "Uplink 3", "Uplink 4"])
    portgroups: dict[str, DvPortgroupSeed] = msgspec.field(default_factory=dict)
    hosts: dict[str, list[str]] = msgspec.field(default_factory=dict)


class Seed(_Strict):
    """A whole seed file."""

    datacenters: list[str] = msgspec.field(default_factory=list)
    folders: list[str] = msgspec.field(default_factory=list)
    clusters: dict[str, ClusterSeed] = msgspec.field(default_factory=dict)
    hosts: dict[str, HostSeed] = msgspec.field(default_factory=dict)
    datastores: dict[str, DatastoreSeed] = msgspec.field(default_factory=dict)
    switches: dict[str, SwitchesSeed] = msgspec.field(default_factory=dict)
    vms: dict[str, VmSeed] = msgspec.field(default_factory=dict)
    exports: ExportsSeed = msgspec.field(default_factory=ExportsSeed)
    san: SanSeed = msgspec.field(default_factory=SanSeed)
    machines: dict[str, MachineSeed] = msgspec.field(default_factory=dict)
