"""What a seed file may say: its keys, their types and defaults. The format with an example: `providers.twin.seed`."""

from __future__ import annotations

import msgspec


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


class Seed(_Strict):
    """A whole seed file."""

    datacenters: list[str] = msgspec.field(default_factory=list)
    folders: list[str] = msgspec.field(default_factory=list)
    clusters: dict[str, ClusterSeed] = msgspec.field(default_factory=dict)
    hosts: dict[str, HostSeed] = msgspec.field(default_factory=dict)
    datastores: dict[str, DatastoreSeed] = msgspec.field(default_factory=dict)
    vms: dict[str, VmSeed] = msgspec.field(default_factory=dict)
    exports: ExportsSeed = msgspec.field(default_factory=ExportsSeed)
    machines: dict[str, MachineSeed] = msgspec.field(default_factory=dict)
