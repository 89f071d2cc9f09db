"""Where the files of virtual machines are: registered or not, they stay on their datastore."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pyVmomi import vim

from providers.twin.model import Datastore, Host, Vm, VmFile

if TYPE_CHECKING:
    from providers.twin.house import House

_PATH = re.compile(r"\[([^\]]+)\] *(\S.*\.vmx)\Z")


def vmx_path(house: House, machine: Vm) -> str:
    """"[images] web1/web1.vmx"; "" for a machine that is on no datastore."""
    if machine.vmx:
        return machine.vmx
    store = house.inventory.get(machine.datastores[0], Datastore) if machine.datastores else None
    return f"[{store.name}] {machine.name}/{machine.name}.vmx" if store is not None else ""


def forget_files(house: House, machine: Vm) -> None:
    """vCenter forgets a machine: what is needed to register it again stays in its files."""
    path = vmx_path(house, machine)
    if not path:
        return
    site = house.inventory.site
    stores = (house.inventory.get(each, Datastore) for each in machine.datastores)
    site.files[path] = VmFile(machine.name, machine.uuid, [s.name for s in stores if s is not None],
                              list(machine.networks))
    house.inventory.mark(site)


def registered(house: House, folder: str, path: str, name: str | None, host: Host) -> Vm:
    """Folder.RegisterVM_Task: a machine by its files, on that host. Raises InvalidName, AlreadyExists, NotFound,
    InvalidDatastore, DuplicateName, InvalidState."""
    inventory = house.inventory
    found = _PATH.match(path)
    if found is None:
        raise vim.fault.InvalidDatastore(name=path, msg=f"{path!r} is no path to a .vmx file on a datastore.")
    store = inventory.datastore_named(inventory.datacenter_of(host), found.group(1))
    if store is None or store.id not in inventory.uses(host):
        raise vim.fault.InvalidDatastore(name=found.group(1),
                                         msg=f"{host.name} has no datastore {found.group(1)!r}.")
    if any(vmx_path(house, each) == path for each in inventory.all(Vm)):
        raise vim.fault.AlreadyExists(name=path, msg=f"{path} is registered already.")
    files = inventory.site.files.get(path)
    if files is None:
        raise vim.fault.NotFound(msg=f"There is no file {path}.")
    if host.connection != "connected":
        raise vim.fault.InvalidState(msg=f"The host {host.name} is {host.connection}.")
    wanted = name or files.name
    if inventory.child(folder, wanted) is not None:
        raise vim.fault.DuplicateName(name=wanted, msg=f"The name '{wanted}' already exists.")
    datacenter = inventory.datacenter_of(host)
    stores = (inventory.datastore_named(datacenter, each) for each in files.datastores)
    made = Vm(inventory.new_id("vm-"), wanted, folder, host.id, uuid=files.uuid, vmx=path,
              datastores=[s.id for s in stores if s is not None], networks=list(files.networks))
    inventory.put(made)
    del inventory.site.files[path]
    inventory.mark(inventory.site)
    return made
