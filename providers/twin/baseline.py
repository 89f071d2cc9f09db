"""A newborn host: what a stateless ESXi looks like right after its first boot, and views that complete deviations."""

from __future__ import annotations

from providers.twin.facts.firewall import rulesets
from providers.twin.facts.options import options
from providers.twin.facts.services import SERVICES
from providers.twin.model import Box, Dns, HostConfig, Hypervisor, Portgroup, ServiceState, Vnic, Vswitch

VERSION = "8.0.3"
BUILD = "24022510"
NETMASK = "255.128.0.0"

NIC_TYPES = (
    "faultToleranceLogging",
    "management",
    "nvmeRdma",
    "nvmeTcp",
    "ptp",
    "vSphereBackupNFC",
    "vSphereProvisioning",
    "vSphereReplication",
    "vSphereReplicationNFC",
    "vmotion",
    "vsan",
    "vsanWitness",
)
"""What a VMkernel adapter can be tagged for (HostVirtualNicManagerNicType)."""


def newborn(box: Box) -> HostConfig:
    """Factory defaults on this machine: the management network on vmnic0, addressed by DHCP."""
    return HostConfig(
        vswitches={"vSwitch0": Vswitch(uplinks=["vmnic0"])},
        portgroups={"Management Network": Portgroup("vSwitch0"), "VM Network": Portgroup("vSwitch0")},
        vnics={
            "vmk0": Vnic(
                "Management Network", mac=box.mac, dhcp=True, ip=box.ip, netmask=NETMASK, services=["management"],
                autoconf=True,
            )
        },
        dns=Dns(dhcp=True, hostname=short_name(box)),
    )


def short_name(box: Box) -> str:
    """The host name that DHCP hands out: the first label of the machine's name."""
    return box.name.partition(".")[0] or "localhost"


def service(hypervisor: Hypervisor, key: str) -> ServiceState:
    """A service's policy and whether it runs; vpxa runs where a vCenter manages the host. Raises KeyError."""
    fact = SERVICES[key]
    state = hypervisor.config.services.get(key) or ServiceState(fact.policy, fact.running)
    return ServiceState(state.policy, True) if key == "vpxa" and hypervisor.manager else state


def set_service(config: HostConfig, key: str, policy: str, running: bool) -> None:
    """Keep a service's state: as a deviation only where it differs from newborn."""
    fact = SERVICES[key]
    if (policy, running) == (fact.policy, fact.running):
        config.services.pop(key, None)
    else:
        config.services[key] = ServiceState(policy, running)


_DAEMONS = {"ntpClient": "ntpd", "ptpd": "ptpd"}
"""Rule sets that the host opens with their daemons."""


def ruleset(hypervisor: Hypervisor, key: str) -> bool:
    """Whether a rule set is open; NFS opens its own with the first mount, vpxa with a vCenter. Raises KeyError."""
    fact = rulesets()[key]
    config = hypervisor.config
    if key == "nfsClient" and any(mount.type == "NFS" for mount in config.nfs.values()):
        return True
    if key == "nfs41Client" and any(mount.type == "NFS41" for mount in config.nfs.values()):
        return True
    if key == "vpxHeartbeats":
        return bool(hypervisor.manager)
    if key in _DAEMONS and service(hypervisor, _DAEMONS[key]).running:
        return True
    return config.rulesets.get(key, fact.enabled)


def set_ruleset(config: HostConfig, key: str, enabled: bool) -> None:
    """Keep whether a rule set is open: only where it differs from newborn."""
    if rulesets()[key].enabled == enabled:
        config.rulesets.pop(key, None)
    else:
        config.rulesets[key] = enabled


def option(config: HostConfig, key: str) -> bool | int | str:
    """An advanced option's value. Raises KeyError."""
    fact = options()[key]
    return config.options.get(key, fact.default)


def set_option(config: HostConfig, key: str, value: bool | int | str) -> None:
    """Keep an option's value: only where it differs from newborn."""
    if options()[key].default == value:
        config.options.pop(key, None)
    else:
        config.options[key] = value
