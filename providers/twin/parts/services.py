"""A host's settings beside its network and storage, where they are not as newborn (see `HostConfig.settings`)."""

from __future__ import annotations

import msgspec

from providers.twin.parts import Document


class PtpPort(Document):
    """A PTP port on a VMkernel adapter; "" on none."""

    device: str = ""


class AutoPower(Document):
    """One VM's part in starting and stopping (AutoStartPowerInfo); delays in seconds, -1 the host's own.

    `vm` is its id; `ordered`: it has a place in the order, which is its place in the list.
    """

    vm: str
    ordered: bool = True
    start_delay: int = -1
    stop_delay: int = -1
    heartbeat: str = "systemDefault"
    start: str = "powerOn"
    stop: str = "systemDefault"


class Autostart(Document):
    """HostAutoStartManagerConfig; delays in seconds."""

    enabled: bool = False
    start_delay: int = 120
    stop_delay: int = 120
    heartbeat: bool = False
    stop: str = "PowerOff"  # as a host writes it
    vms: list[AutoPower] = msgspec.field(default_factory=list)  # those in order first


class Settings(Document):
    """Everything here is as newborn by default."""

    allowed: dict[str, list[str]] = msgspec.field(default_factory=dict)  # rule set → addresses, networks; else all
    power_policy: int = 2  # key of HostPowerPolicy
    modules: dict[str, str] = msgspec.field(default_factory=dict)  # kernel module → options from the next boot on
    clock: str = "ntp"  # the protocol that the clock follows
    ptp_domain: int = 0
    ptp_ports: list[PtpPort] = msgspec.field(default_factory=list)
    fallback: bool = False  # NTP takes over while PTP fails
    autostart: Autostart = msgspec.field(default_factory=Autostart)
    vsan: bool = False
    vsan_cluster: str = ""  # UUID, while the service runs
    swap: str = ""  # the datastore of VMs' swap files, by name; "": beside the VM
    system_swap: list[str] = msgspec.field(default_factory=lambda: ["HostLocalSwapOption"])  # HostSystemSwap…Option
    system_swap_store: str = ""  # of its DatastoreOption
