"""How vCenter meets a host: the log-in that AddHost and ReconnectHost share, and adding it to a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyVmomi import vim, vmodl

from providers.twin.machines import Identity, knows, tls_identity
from providers.twin.model import Box, Cluster, Host, Hypervisor
from providers.twin.objects.evc import check_host

if TYPE_CHECKING:
    from providers.twin.core.base import ManagedObject
    from providers.twin.house import House

_MOST_SKEW = 24 * 3600.0  # seconds: beyond that vCenter refuses a host's clock


def answering(house: House, name: str) -> tuple[Box, Hypervisor]:
    """The machine that answers at this name or address. Raises vim.fault.NoHost."""
    box = house.contact.box_at(name)
    if box is None or box.running is None or box.cut:
        raise vim.fault.NoHost(name=name, msg=f"Unable to communicate with the host at {name}.")
    return box, box.running


def check_certificate(house: House, box: Box, thumbprint: str) -> Identity:
    """Raises vim.fault.SSLVerifyFault, with the host's true thumbprint, unless this SHA-1 thumbprint is it."""
    found = tls_identity(house.name, box)
    if thumbprint.strip().upper() != found.sha1:
        raise vim.fault.SSLVerifyFault(
            selfSigned=True, thumbprint=found.sha1,
            msg=f"The SSL certificate of {box.name or box.ip} cannot be verified: its thumbprint is {found.sha1}.",
        )
    return found


def check_password(running: Hypervisor, spec: Any) -> None:
    """Raises vim.fault.InvalidLogin."""
    if not knows(running, spec.userName or "", spec.password or ""):
        raise vim.fault.InvalidLogin(msg="Cannot complete login due to an incorrect user name or password.")


def check_clock(box: Box, name: str) -> None:
    """Raises vim.fault.HostConnectFault for a clock that is off by more than a day."""
    if abs(box.skew) > _MOST_SKEW:
        raise vim.fault.HostConnectFault(
            msg=f"The clock of {name} is {abs(box.skew) / 3600:.0f} hours off vCenter's (limit 24 h): set it first"
        )


def check_manager(house: House, box: Box, running: Hypervisor, *, force: bool) -> None:
    """Raises vim.fault.AlreadyBeingManaged where another vCenter has the host, unless it is taken by force."""
    if running.manager not in ("", house.instance) and not force:
        raise vim.fault.AlreadyBeingManaged(
            ipAddress=box.ip, msg=f"The host is already being managed by another vCenter ({running.manager})."
        )


def add_host(house: House, cluster: ManagedObject, spec: Any, *, connected: bool) -> Host:
    """AddHost_Task. Raises NoHost, SSLVerifyFault, InvalidLogin, DuplicateName, AlreadyConnected,
    AlreadyBeingManaged, HostConnectFault, EVCAdmissionFailedCPUFeaturesForMode."""
    if not spec.hostName:
        raise vmodl.fault.InvalidArgument(invalidProperty="spec.hostName", msg="The host has no name.")
    for name in ("sslCertificate", "vmFolder", "managementIp", "hostGateway"):  # the first exists since 9.0
        if getattr(spec, name):
            raise vmodl.fault.NotSupported(msg=f"The twin does not simulate HostConnectSpec.{name}")
    inventory = house.inventory
    namesake = inventory.host_named(spec.hostName)
    if namesake is not None:
        raise _known(house, cluster, namesake, spec.hostName)
    box, running = answering(house, spec.hostName)
    check_certificate(house, box, spec.sslThumbprint or "")
    check_password(running, spec)
    known = inventory.host_of(box.mac)
    if known is not None:
        raise _known(house, cluster, known, spec.hostName)
    check_manager(house, box, running, force=bool(spec.force))
    check_clock(box, spec.hostName)
    check_host(house, house.inventory.need(cluster.moid, Cluster), box, spec.hostName)
    host = Host(inventory.new_id("host-"), spec.hostName, cluster.moid, box.mac)
    inventory.put(host)
    house.contact.connect(host, box)
    if not connected:
        house.contact.lose(host, gone=False)
        host.connection = "disconnected"
    return host


def _known(house: House, cluster: ManagedObject, host: Host, name: str) -> Exception:
    """What vCenter says of a host that it has already."""
    if host.name == name and host.parent == cluster.moid and host.connection != "connected":
        found = cluster.world.find(host.id)
        duplicate: Exception = vim.fault.DuplicateName(
            name=name, object=found.ref() if found else None, msg=f"The cluster already has a host named {name}."
        )
        return duplicate
    known: Exception = vim.fault.AlreadyConnected(name=host.name, msg=f"vCenter already has this host as {host.name}.")
    return known
