"""A host's settings beside its network and storage, where they are not as newborn (see `HostConfig.settings`)."""

from __future__ import annotations

import msgspec

from providers.twin.parts import Document


class PtpPort(Document):
    """A PTP port. `kind`: none, virtualNic or pciPassthruNic; address and mask of the last only, "" by DHCP."""

    kind: str = "none"
    device: str = ""
    ip: str = ""
    netmask: str = ""


class Ptp(Document):
    """HostPtpConfig. `heard`: the ports that ptpd found when it was started."""

    domain: int = 0
    ports: list[PtpPort] = msgspec.field(default_factory=list)  # as many as are set; a host has `views.services.PORTS`
    heard: bool = False


class AutoPower(Document):
    """One VM's place in the start sequence (AutoStartPowerInfo). `vm` is its id, `order` 1 …; -1: in no order."""

    vm: str
    order: int = -1
    start_delay: int = -1
    stop_delay: int = -1
    heartbeat: str = "systemDefault"
    start: str = "powerOn"
    stop: str = "systemDefault"


class Autostart(Document):
    """HostAutoStartManagerConfig."""

    enabled: bool = False
    start_delay: int = 120
    stop_delay: int = 120
    heartbeat: bool = False
    stop: str = "PowerOff"
    vms: list[AutoPower] = msgspec.field(default_factory=list)  # ordered ones first, then the others


class Settings(Document):
    """Everything here is as newborn by default."""

    allowed: dict[str, list[str]] = msgspec.field(default_factory=dict)  # rule set → addresses, networks; else all
    power_policy: int = 2  # key of HostPowerPolicy
    modules: dict[str, str] = msgspec.field(default_factory=dict)  # kernel module → its options, from the next boot on
    clock: str = "ntp"  # the protocol that the clock follows
    ptp: Ptp = msgspec.field(default_factory=Ptp)
    fallback: bool = True  # PTP falls back to NTP
    autostart: Autostart = msgspec.field(default_factory=Autostart)
    vsan: bool = False
    vsan_cluster: str = ""  # UUID; kept when the service is switched off
    swap: str = ""  # datastore id of VMs' swap files; "": with the VM
    system_swap: list[str] = msgspec.field(default_factory=lambda: ["local"])  # local, cache, "datastore NAME"
