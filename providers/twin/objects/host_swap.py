"""Where a host swaps: HostDatastoreSystem.UpdateLocalSwapDatastore, HostSystem.UpdateSystemSwapConfiguration."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pyVmomi import vim

from providers.twin.core.base import ManagedObject, method
from providers.twin.model import Datastore
from providers.twin.objects.host import HostManager, HostObject
from providers.twin.objects.network_faults import invalid

PREFIX = "HostSystemSwapConfiguration"


def stores(host: HostObject) -> Iterable[tuple[Datastore, ManagedObject]]:
    """The datastores on a host, as far as this door shows them."""
    found = host.house.inventory.host_of(host.box.mac)
    for each in host.house.inventory.used_by(found, Datastore) if found is not None else ():
        shown = host.world.find(each.id)
        if shown is not None:
            yield each, shown


def store_named(host: HostObject, name: str) -> ManagedObject | None:
    return next((shown for each, shown in stores(host) if each.name == name), None) if name else None


class LocalSwap(HostManager):
    """A part of HostDatastoreSystem."""

    @method("UpdateLocalSwapDatastore", mutates=True)
    def update_local_swap(self, datastore: Any = None) -> None:
        self.host.open()
        name = ""
        if datastore is not None:
            found = next((each for each, shown in stores(self.host) if shown.moid == datastore._moId), None)
            if found is None:
                raise vim.fault.InaccessibleDatastore(
                    datastore=datastore, name=datastore._moId, detail=f"it is not mounted on {self.host.name}",
                    msg=f"{self.host.name} has no datastore {datastore._moId}.")
            mount = self.config.nfs.get(found.name)
            if mount is not None and mount.access == "readOnly":
                raise vim.fault.DatastoreNotWritableOnHost(
                    datastore=datastore, name=found.name, host=self.host.ref(),
                    msg=f"The datastore {found.name} is mounted read-only on {self.host.name}.")
            name = found.name
        with self.editing() as config:
            config.settings.swap = name


def update_system_swap(manager: HostManager, wanted: Any) -> None:
    """What HostSystem.UpdateSystemSwapConfiguration does. Raises vmodl.fault.InvalidArgument."""
    host = manager.host
    host.open()
    options = sorted(wanted.option or (), key=lambda each: int(each.key))
    kinds = [type(each)._wsdlName.removeprefix(PREFIX) for each in options]
    if not kinds or len(set(kinds)) < len(kinds) or ("DisabledOption" in kinds and len(kinds) > 1):
        raise invalid("sysSwapConfig.option", "One of each kind at most, and DisabledOption alone.")
    name = next((str(each.datastore) for each in options if hasattr(each, "datastore")), "")
    if name and store_named(host, name) is None:
        raise invalid("sysSwapConfig.option.datastore", f"{host.name} has no datastore {name}.")
    with manager.editing() as config:
        config.settings.system_swap = [kind for kind in kinds if kind != "DisabledOption"]
        config.settings.system_swap_store = name
