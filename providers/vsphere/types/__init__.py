"""The resource types of vSphere, in the order in which a host is configured."""

from __future__ import annotations

from planner.catalog import ResourceType
from providers.vsphere.types.active_directory import ACTIVE_DIRECTORY
from providers.vsphere.types.autostart import AUTOSTART
from providers.vsphere.types.certificate import CERTIFICATE
from providers.vsphere.types.cluster import CLUSTER
from providers.vsphere.types.core_dump import CORE_DUMP
from providers.vsphere.types.custom_attribute import CUSTOM_ATTRIBUTE, CUSTOM_VALUE
from providers.vsphere.types.datacenter import DATACENTER
from providers.vsphere.types.distributed_portgroup import DISTRIBUTED_PORTGROUP
from providers.vsphere.types.distributed_switch import DISTRIBUTED_SWITCH
from providers.vsphere.types.dns import DNS
from providers.vsphere.types.drs_group import HOST_GROUP, VM_GROUP
from providers.vsphere.types.drs_rule import DRS_RULE
from providers.vsphere.types.dvs import DVS
from providers.vsphere.types.fc import FC
from providers.vsphere.types.firewall import FIREWALL
from providers.vsphere.types.folder import FOLDER
from providers.vsphere.types.host import HOST
from providers.vsphere.types.iscsi import ISCSI
from providers.vsphere.types.iscsi_port import ISCSI_PORT
from providers.vsphere.types.iscsi_target import ISCSI_STATIC_TARGET, ISCSI_TARGET
from providers.vsphere.types.license import LICENSE
from providers.vsphere.types.lockdown import LOCKDOWN
from providers.vsphere.types.management import MANAGEMENT
from providers.vsphere.types.module import MODULE
from providers.vsphere.types.nfs import NFS
from providers.vsphere.types.nfs_user import NFS_USER
from providers.vsphere.types.ntp import NTP
from providers.vsphere.types.option import OPTION
from providers.vsphere.types.permission import PERMISSION
from providers.vsphere.types.portgroup import PORTGROUP
from providers.vsphere.types.power_policy import POWER_POLICY
from providers.vsphere.types.ptp import PTP
from providers.vsphere.types.role import ROLE
from providers.vsphere.types.route import ROUTE
from providers.vsphere.types.scratch import SCRATCH
from providers.vsphere.types.service import SERVICE
from providers.vsphere.types.snmp import SNMP
from providers.vsphere.types.swap import SWAP
from providers.vsphere.types.syslog import SYSLOG
from providers.vsphere.types.tcpip_stack import TCPIP_STACK
from providers.vsphere.types.users import USER
from providers.vsphere.types.vmfs import VMFS
from providers.vsphere.types.vmkernel import VMKERNEL
from providers.vsphere.types.vsan import VSAN
from providers.vsphere.types.vswitch import VSWITCH

TYPES: tuple[ResourceType, ...] = (
    DATACENTER, FOLDER, CLUSTER, DISTRIBUTED_SWITCH, DISTRIBUTED_PORTGROUP, HOST, HOST_GROUP, VM_GROUP, DRS_RULE,
    ROLE, PERMISSION, CUSTOM_ATTRIBUTE, CUSTOM_VALUE, LICENSE,
    DNS, NTP, CERTIFICATE, SYSLOG, VSWITCH, PORTGROUP, DVS, VMKERNEL, TCPIP_STACK, ROUTE, MANAGEMENT, PTP, ISCSI,
    ISCSI_PORT, ISCSI_TARGET, ISCSI_STATIC_TARGET, FC, ACTIVE_DIRECTORY, NFS_USER, NFS, VMFS, OPTION, SCRATCH,
    CORE_DUMP, MODULE, SWAP, SERVICE, FIREWALL, POWER_POLICY, VSAN, SNMP, AUTOSTART, USER, LOCKDOWN,
)
