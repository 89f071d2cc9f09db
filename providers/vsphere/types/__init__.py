"""The resource types of vSphere, in the order in which a host is configured."""

from __future__ import annotations

from planner.catalog import ResourceType
from providers.vsphere.types.cluster import CLUSTER
from providers.vsphere.types.datacenter import DATACENTER
from providers.vsphere.types.dns import DNS
from providers.vsphere.types.folder import FOLDER
from providers.vsphere.types.host import HOST
from providers.vsphere.types.nfs import NFS
from providers.vsphere.types.ntp import NTP
from providers.vsphere.types.option import OPTION
from providers.vsphere.types.portgroup import PORTGROUP
from providers.vsphere.types.service import SERVICE
from providers.vsphere.types.syslog import SYSLOG
from providers.vsphere.types.vmkernel import VMKERNEL
from providers.vsphere.types.vswitch import VSWITCH

TYPES: tuple[ResourceType, ...] = (
    DATACENTER, FOLDER, CLUSTER, HOST, DNS, NTP, SYSLOG, VSWITCH, PORTGROUP, VMKERNEL, NFS, OPTION,
    SERVICE,
)
