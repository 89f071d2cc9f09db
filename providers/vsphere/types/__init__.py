"""The resource types of vSphere, in the order in which a host is configured."""

from __future__ import annotations

from collections.abc import Mapping

from planner.catalog import ResourceType
from providers.vsphere.types import ntp, option, service, syslog
from providers.vsphere.types.cluster import CLUSTER
from providers.vsphere.types.datacenter import DATACENTER
from providers.vsphere.types.dns import DNS
from providers.vsphere.types.folder import FOLDER
from providers.vsphere.types.host import HOST
from providers.vsphere.types.nfs import NFS
from providers.vsphere.types.portgroup import PORTGROUP
from providers.vsphere.types.vmkernel import VMKERNEL
from providers.vsphere.types.vswitch import VSWITCH

TYPES: tuple[ResourceType, ...] = (
    DATACENTER, FOLDER, CLUSTER, HOST, DNS, ntp.NTP, syslog.SYSLOG, VSWITCH, PORTGROUP, VMKERNEL, NFS, option.OPTION,
    service.SERVICE,
)


def keys_of(rtype: str, names: frozenset[str]) -> Mapping[str, frozenset[str]]:
    """Array paths of which a type needs single elements only, and their keys: never all 1,300 options of a host."""
    if rtype == "option":
        return {option.PATH: names}
    if rtype == "service":
        return {service.PATH: names}
    if rtype == "ntp":
        return {service.PATH: frozenset({ntp.SERVICE_KEY})}
    if rtype == "syslog":
        return {option.PATH: frozenset({syslog.LOG_HOST}), syslog.RULESETS: frozenset({syslog.RULESET})}
    return {}
