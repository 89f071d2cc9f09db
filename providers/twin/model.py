"""What the twin knows, as compact documents: one kind per entity, defaults left out of the file.

One truth: a running hypervisor's configuration is one `HostConfig`; `HostSystem.config.*` and the manager objects
are both views of it. A `HostConfig` without content is a newborn host (see `baseline.newborn`): switches, port
groups and adapters are stored as they are, services, rule sets and options only where they differ from newborn.

MACs are lower case with colons; times are seconds since the epoch, UTC.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from providers.twin.parts import Document as Document
from providers.twin.parts import Plain as Plain
from providers.twin.parts.access import Access, SiteAccess
from providers.twin.parts.cluster import ClusterParts
from providers.twin.parts.dvs import Dvpg, DvPort, Dvs, Proxy
from providers.twin.parts.network import Networking
from providers.twin.parts.services import Settings
from providers.twin.parts.storage import San, Storage

Power: TypeAlias = Literal["off", "booting", "on"]
Connection: TypeAlias = Literal["connected", "disconnected", "notResponding"]
FolderKind: TypeAlias = Literal["datacenter", "host", "vm", "datastore", "network"]


# --- the configuration of a running hypervisor --------------------------------------------------------------


class Vswitch(Document):
    """A standard switch. `uplinks` are device names of physical NICs; `policy` and `discovery` where they were set."""

    uplinks: list[str] = msgspec.field(default_factory=list)
    mtu: int = 1500
    ports: int = 128
    policy: Plain = msgspec.field(default_factory=dict)  # HostNetworkPolicy
    discovery: Plain = msgspec.field(default_factory=dict)  # LinkDiscoveryProtocolConfig
    beacon: int = 1  # seconds


class Portgroup(Document):
    """A port group of a standard switch; `vlan` 0 is untagged, 4095 passes all tags to the guest."""

    vswitch: str
    vlan: int = 0
    policy: Plain = msgspec.field(default_factory=dict)  # HostNetworkPolicy, overrides only


class Vnic(Document):
    """A VMkernel adapter. With `dhcp`, `ip` and `netmask` hold the lease. `ip6`: what was set, as ADDRESS/PREFIX."""

    portgroup: str
    mac: str = ""
    dhcp: bool = False
    ip: str = ""
    netmask: str = ""
    mtu: int = 1500
    stack: str = "defaultTcpipStack"
    gateway: str = ""
    services: list[str] = msgspec.field(default_factory=list)  # nicType names, sorted
    gateway6: str = ""
    ip6: list[str] = msgspec.field(default_factory=list)
    dhcp6: bool = False
    autoconf: bool = False
    port: DvPort | None = None  # on a distributed switch; `portgroup` is "" then


class Nfs(Document):
    """A mounted export. `type` is "NFS" (version 3) or "NFS41"; `access` readOnly or readWrite."""

    server: str
    path: str
    type: str = "NFS"
    access: str = "readWrite"
    servers: list[str] = msgspec.field(default_factory=list)  # NFS 4.1 multipathing; `server` is the first
    security: str = "AUTH_SYS"


class Dns(Document):
    """The default TCP/IP stack's resolver. With `dhcp`, everything but the flag came with the lease."""

    dhcp: bool = True
    hostname: str = ""
    domain: str = ""
    servers: list[str] = msgspec.field(default_factory=list)
    search: list[str] = msgspec.field(default_factory=list)


class ServiceState(Document):
    policy: str = "off"
    running: bool = False


class HostConfig(Document):
    """Everything about a host that a change of configuration can change."""

    vswitches: dict[str, Vswitch] = msgspec.field(default_factory=dict)
    portgroups: dict[str, Portgroup] = msgspec.field(default_factory=dict)
    vnics: dict[str, Vnic] = msgspec.field(default_factory=dict)
    nfs: dict[str, Nfs] = msgspec.field(default_factory=dict)
    dns: Dns = msgspec.field(default_factory=Dns)
    ntp: list[str] = msgspec.field(default_factory=list)
    ntp_heard: list[str] = msgspec.field(default_factory=list)  # the servers that ntpd found when it was started
    time_zone: str = "UTC"
    services: dict[str, ServiceState] = msgspec.field(default_factory=dict)  # where not as newborn
    rulesets: dict[str, bool] = msgspec.field(default_factory=dict)  # where not as newborn
    options: dict[str, bool | int | str] = msgspec.field(default_factory=dict)  # where not as newborn
    settings: Settings = msgspec.field(default_factory=Settings)
    access: Access = msgspec.field(default_factory=Access)
    network: Networking = msgspec.field(default_factory=Networking)
    storage: Storage = msgspec.field(default_factory=Storage)
    proxies: dict[str, Proxy] = msgspec.field(default_factory=dict)  # distributed switches, by UUID


class Account(Document):
    """A local account. Only a salted digest of its password is kept; without a salt it is a crypt hash ("$6$…")."""

    salt: str
    digest: str


class Hypervisor(Document):
    """What runs on a machine that is on. It is all gone with the next boot (stateless), unless it is installed."""

    boot_time: float
    version: str
    build: str
    image: str = ""
    born: int = 0  # the machine's boot number: seeds key and certificate
    certificate: str = ""  # PEM of a birth from outside; "" derives it
    called: str = ""  # the machine's name at that boot: it is in the certificate
    accounts: dict[str, Account] = msgspec.field(default_factory=dict)  # a newborn has root with an empty password
    manager: str = ""  # instance UUID of the vCenter whose vpxuser exists here; "" unmanaged
    maintenance: bool = False
    config: HostConfig = msgspec.field(default_factory=HostConfig)
    kept: bool = False  # installed on the machine's disk
    issued: float = 0.0  # when its certificate was made; 0: at this boot
    passing: dict[str, bool] = msgspec.field(default_factory=dict)  # rule sets its payload sets back: key → to what


class Box(Document, tag="machine", tag_field="kind"):
    """A physical machine. Known by the MAC of vmnic0; `nics` are vmnic0 … vmnic3."""

    mac: str
    name: str = ""  # what DNS calls it
    former: list[str] = msgspec.field(default_factory=list)  # names that DNS still knows
    power: Power = "off"
    boots: int = 0
    external: bool = False  # powered and born outside of the twin
    uuid: str = ""
    serial: str = ""
    ip: str = ""
    nics: list[str] = msgspec.field(default_factory=list)
    skew: float = 0.0  # seconds that its clock is ahead of vCenter's
    evc: str = ""  # the highest EVC mode of its CPU; "" the newest of all
    problem: str = ""  # why the last boot did not end
    cut: bool = False  # runs, but answers nobody
    vlans: list[int] | None = None  # that the site's switches carry from here to vCenter; None: all
    running: Hypervisor | None = None
    disk: Hypervisor | None = None  # an installed system that does not run now


# --- vCenter's inventory ------------------------------------------------------------------------------------


class Folder(Document, tag="folder", tag_field="kind"):
    id: str
    name: str
    parent: str = ""
    holds: FolderKind = "host"


class Datacenter(Document, tag="datacenter", tag_field="kind"):
    """`host`, `vm`, `datastore`, `network` are the ids of its four folders."""

    id: str
    name: str
    parent: str
    host: str = ""
    vm: str = ""
    datastore: str = ""
    network: str = ""


class Cluster(Document, tag="cluster", tag_field="kind"):
    """`das` and `drs` hold what differs from a new cluster's ClusterDasConfigInfo and ClusterDrsConfigInfo."""

    id: str
    name: str
    parent: str
    das: Plain = msgspec.field(default_factory=dict)
    drs: Plain = msgspec.field(default_factory=dict)
    parts: ClusterParts = msgspec.field(default_factory=ClusterParts)


class Host(Document, tag="host", tag_field="kind"):
    """A host as vCenter knows it. `seen` is vCenter's copy of what ran when contact was lost; `ip` the address by which
    it is connected."""

    id: str
    name: str
    parent: str  # the cluster's id
    mac: str
    uuid: str = ""
    serial: str = ""
    ip: str = ""
    connection: Connection = "connected"
    thumbprint: str = ""  # SHA-1 that vCenter accepted; "" derives it from the machine at need
    boots: int = 0  # the boot number of the machine that vCenter is connected to
    seen: Hypervisor | None = None  # None: connected, the machine itself is the truth


class Vm(Document, tag="vm", tag_field="kind"):
    """A registered virtual machine. `host` is a host's id, `state` VirtualMachine.ConnectionState."""

    id: str
    name: str
    parent: str
    host: str
    uuid: str = ""
    power: str = "poweredOff"
    state: str = "connected"
    datastores: list[str] = msgspec.field(default_factory=list)  # ids
    networks: list[str] = msgspec.field(default_factory=list)  # port group names
    vmx: str = ""  # "[datastore] folder/name.vmx"; "" derives it from its first datastore
    cpu: str = ""  # EVC mode that it was started under; "" its host's whole CPU
    guest_name: str = ""  # as its tools tell
    guest_ip: str = ""


class Datastore(Document, tag="datastore", tag_field="kind"):
    """An export mounted by at least one known host of a datacenter (or a VMFS volume that the seed names)."""

    id: str
    name: str
    parent: str
    type: str = "NFS"
    server: str = ""
    path: str = ""
    servers: list[str] = msgspec.field(default_factory=list)
    hosts: list[str] = msgspec.field(default_factory=list)  # of a VMFS volume: the hosts that see it


class Network(Document, tag="network", tag_field="kind"):
    """A port group name in use in a datacenter."""

    id: str
    name: str
    parent: str


class VmFile(Document):
    """What the files of a virtual machine that nobody has registered say. `datastores` by name."""

    name: str
    uuid: str = ""
    datastores: list[str] = msgspec.field(default_factory=list)
    networks: list[str] = msgspec.field(default_factory=list)


class Site(Document, tag="site", tag_field="kind"):
    """The twin itself: counters, what exports cannot be reached, the licence keys it was given."""

    name: str
    format: int = 1
    next: int = 1000
    seeded: str = ""  # digest of the seed that was applied
    profile: str = ""  # what its hosts are like (see `profile`); "" newborn ones
    unreachable: list[str] = msgspec.field(default_factory=list)  # "server:/path", "server:*"
    san: San = msgspec.field(default_factory=San)
    settings: dict[str, bool | int | str] = msgspec.field(default_factory=dict)  # vCenter's advanced settings
    access: SiteAccess = msgspec.field(default_factory=SiteAccess)
    files: dict[str, VmFile] = msgspec.field(default_factory=dict)  # path of a .vmx file → whose it is


Kept: TypeAlias = Box | Folder | Datacenter | Cluster | Host | Vm | Datastore | Network | Dvs | Dvpg | Site
"""Any document of the store."""
