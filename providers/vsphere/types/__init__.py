"""The resource types of vSphere, in the order in which a host is configured."""

from __future__ import annotations

from planner.catalog import ResourceType
from providers.vsphere.types.autostart import AUTOSTART
from providers.vsphere.types.cluster import CLUSTER
from providers.vsphere.types.datacenter import DATACENTER
from providers.vsphere.types.dns import DNS
from providers.vsphere.types.drs_group import HOST_GROUP, VM_GROUP
from providers.vsphere.types.drs_rule import DRS_RULE
from providers.vsphere.types.firewall import FIREWALL
from providers.vsphere.types.folder import FOLDER
from providers.vsphere.types.host import HOST
from providers.vsphere.types.module import MODULE
from providers.vsphere.types.nfs import NFS
from providers.vsphere.types.ntp import NTP
from providers.vsphere.types.option import OPTION
from providers.vsphere.types.portgroup import PORTGROUP
from providers.vsphere.types.power_policy import POWER_POLICY
from providers.vsphere.types.ptp import PTP
from providers.vsphere.types.route import ROUTE
from providers.vsphere.types.service import SERVICE
from providers.vsphere.types.swap import SWAP
from providers.vsphere.types.syslog import SYSLOG
from providers.vsphere.types.tcpip_stack import TCPIP_STACK
from providers.vsphere.types.vmkernel import VMKERNEL
from providers.vsphere.types.vsan import VSAN
from providers.vsphere.types.vswitch import VSWITCH

TYPES: tuple[ResourceType, ...] = (
    DATACENTER, FOLDER, CLUSTER, HOST, HOST_GROUP, VM_GROUP, DRS_RULE,
    DNS, NTP, SYSLOG, VSWITCH, PORTGROUP, VMKERNEL, TCPIP_STACK, ROUTE, PTP, NFS,
    OPTION, MODULE, SWAP, SERVICE, FIREWALL, POWER_POLICY, VSAN, AUTOSTART,
)
