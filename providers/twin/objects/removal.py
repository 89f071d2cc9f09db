"""Taking entities out of the inventory, with all that hangs below them, as vCenter does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyVmomi import vim

from providers.twin.inventory import descend
from providers.twin.model import Host, Vm
from providers.twin.objects.drs_rules import drop_member
from providers.twin.objects.dvs_members import forget_host
from providers.twin.objects.vm_files import forget_files

if TYPE_CHECKING:
    from providers.twin.house import House


def remove_below(house: House, entity: Any) -> None:
    """Remove a container and everything in it. Raises vim.fault.InvalidState for a host that works."""
    everything = [*descend(house.inventory, entity.id)]
    for each in everything:
        if isinstance(each, Host):
            check_removable(house, each)
    for each in everything:
        if isinstance(each, Host):
            remove_host(house, each)
    for each in reversed(everything):
        if isinstance(each, Vm) and each.id in house.inventory.docs:
            forget_vm(house, each)
        elif each.id in house.inventory.docs:
            house.inventory.remove(each)
    house.inventory.remove(entity)


def check_removable(house: House, host: Host) -> None:
    """Raises vim.fault.InvalidState, ResourceInUse: a connected host must be in maintenance and without VMs."""
    if host.connection != "connected":
        return
    if not house.contact.seen(host).maintenance:
        raise vim.fault.InvalidState(
            msg=f"The host {host.name} is connected and not in maintenance mode: it cannot be removed."
        )
    machines = [each.name for each in house.inventory.vms_on(host)]
    if machines:
        raise vim.fault.ResourceInUse(
            type=vim.HostSystem, name=host.name, msg=f"The host {host.name} has virtual machines: {', '.join(machines)}"
        )


def remove_host(house: House, host: Host) -> None:
    """The host leaves vCenter; its VMs are forgotten. On a host that answers, vCenter's account goes, too."""
    box = house.contact.reachable(host)
    if box is not None and box.running is not None:
        box.running.manager = ""
        house.inventory.mark(box)
    for each in house.inventory.vms_on(host):
        forget_vm(house, each)
    drop_member(house, host.id)
    forget_host(house, host)
    house.inventory.attach(host, None)
    house.inventory.remove(host)


def forget_vm(house: House, machine: Vm) -> None:
    """The virtual machine leaves vCenter; its files stay where they are."""
    drop_member(house, machine.id)
    forget_files(house, machine)
    house.inventory.remove(machine)
