"""The services of an ESXi 8.0.3 host (HostService) and how they are right after a stateless boot.

Key and label are the API's own (HostServiceSystem.serviceInfo).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServiceFact:
    """`policy` and `running` are the newborn's. `rulesets` are opened with the service."""

    key: str
    label: str
    policy: str = "off"
    running: bool = False
    required: bool = False
    rulesets: tuple[str, ...] = ()
    package: str = "esx-base"


POLICIES = ("on", "off", "automatic")

_ALL = (
    ServiceFact("DCUI", "Direct Console UI", "on", True),
    ServiceFact("TSM", "ESXi Shell"),
    ServiceFact("TSM-SSH", "SSH"),
    ServiceFact("apiForwarder", "apiForwarder", "on", True),
    ServiceFact("attestd", "attestd"),
    ServiceFact("dpd", "dpd", rulesets=("dpd",), package="vmware-dp"),
    ServiceFact("entropyd", "entropyd"),
    ServiceFact("gpuManager", "gpuManager", "on"),
    ServiceFact("hbrsrv", "hbrsrv", package="vmware-hbrsrv"),
    ServiceFact("infravisor", "infravisor", "on", True, package="infravisor"),
    ServiceFact("kmxd", "kmxd"),
    ServiceFact("lbtd", "Load-Based Teaming Daemon", "on", True),
    ServiceFact("lwsmd", "Active Directory Service"),
    ServiceFact("ntpd", "NTP Daemon"),
    ServiceFact("nvmf-discoveryd", "nvmf-discoveryd"),
    ServiceFact("pcscd", "PC/SC Smart Card Daemon"),
    ServiceFact("ptpd", "PTP Daemon"),
    ServiceFact("sfcbd-watchdog", "CIM Server", "on"),
    ServiceFact("slpd", "slpd"),
    ServiceFact("snmpd", "SNMP Server", "on"),
    ServiceFact("vdtc", "VDTC Service", "on", True),
    ServiceFact("vltd", "vltd", rulesets=("vltd",), package="vmware-dp-vlt"),
    ServiceFact("vmsyslogd", "Syslog Server", "on", True, required=True),
    ServiceFact("vpxa", "VMware vCenter Agent", "on", rulesets=("vpxHeartbeats",)),
    ServiceFact("xorg", "X.Org Server", "on", package="esx-xserver"),
)

SERVICES: dict[str, ServiceFact] = {fact.key: fact for fact in _ALL}
