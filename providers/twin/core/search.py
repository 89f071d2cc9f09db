"""SearchIndex: finding inventory by path, name, UUID and address."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from pyVmomi import vim, vmodl

from providers.twin.core.base import ManagedObject, World, method
from providers.twin.core.meta import vim_type
from providers.twin.core.paths import read
from providers.twin.core.views import descendants

_UUID = {"HostSystem": ("hardware.systemInfo.uuid",), "VirtualMachine": ("config.uuid",)}
_INSTANCE_UUID = {"VirtualMachine": ("config.instanceUuid",)}
_DNS = {"HostSystem": ("config.network.dnsConfig.hostName",), "VirtualMachine": ("guest.hostName",)}
_IP = {"HostSystem": ("config.network.vnic",), "VirtualMachine": ("guest.ipAddress",)}


class SearchIndex(ManagedObject):
    """`vim.SearchIndex` over everything below `root`."""

    wire = "SearchIndex"

    def __init__(self, world: World, root: ManagedObject, moid: str = "SearchIndex") -> None:
        super().__init__(world, moid)
        self._root = root

    @method("FindByInventoryPath")
    def find_by_inventory_path(self, inventoryPath: str) -> ManagedObject | None:
        at: ManagedObject | None = self._root
        for part in inventoryPath.strip("/").split("/"):
            if at is None or not part:
                break
            at = next((each for each in at.children() if unquote(each.name) == unquote(part)), None)
        return None if at is self._root else at

    @method("FindChild")
    def find_child(self, entity: Any, name: str) -> ManagedObject | None:
        container = self.world.resolve(entity)
        return next((each for each in container.children() if unquote(each.name) == unquote(name)), None)

    @method("FindAllByUuid")
    def find_all_by_uuid(self, uuid: str, vmSearch: bool, datacenter: Any = None,
                         instanceUuid: bool | None = None) -> list[ManagedObject]:
        paths = _INSTANCE_UUID if instanceUuid else _UUID
        wanted = uuid.lower()
        return [each for each, found in self._values(datacenter, vmSearch, paths) if str(found).lower() == wanted]

    @method("FindByUuid")
    def find_by_uuid(self, uuid: str, vmSearch: bool, datacenter: Any = None,
                     instanceUuid: bool | None = None) -> ManagedObject | None:
        return next(iter(self.find_all_by_uuid(uuid, vmSearch, datacenter, instanceUuid)), None)

    @method("FindAllByDnsName")
    def find_all_by_dns_name(self, dnsName: str, vmSearch: bool, datacenter: Any = None) -> list[ManagedObject]:
        wanted = dnsName.lower()
        found = [each for each, name in self._values(datacenter, vmSearch, _DNS) if str(name).lower() == wanted]
        if not vmSearch:  # a host is known by the name it was added with, too
            found += [each for each in self._entities(datacenter, "HostSystem")
                      if each.name.lower() == wanted and each not in found]
        return found

    @method("FindByDnsName")
    def find_by_dns_name(self, dnsName: str, vmSearch: bool, datacenter: Any = None) -> ManagedObject | None:
        return next(iter(self.find_all_by_dns_name(dnsName, vmSearch, datacenter)), None)

    @method("FindAllByIp")
    def find_all_by_ip(self, ip: str, vmSearch: bool, datacenter: Any = None) -> list[ManagedObject]:
        return [each for each, found in self._values(datacenter, vmSearch, _IP)
                if found == ip or (isinstance(found, list) and any(nic.spec.ip.ipAddress == ip for nic in found))]

    @method("FindByIp")
    def find_by_ip(self, ip: str, vmSearch: bool, datacenter: Any = None) -> ManagedObject | None:
        return next(iter(self.find_all_by_ip(ip, vmSearch, datacenter)), None)

    def _entities(self, datacenter: Any, wire: str) -> Iterator[ManagedObject]:
        root = self.world.resolve(datacenter) or self._root
        kind = vim_type(wire)
        return (each for each in descendants(root) if issubclass(vim_type(each.wire), kind))

    def _values(self, datacenter: Any, vms: bool, paths: Mapping[str, tuple[str, ...]]
                ) -> Iterator[tuple[ManagedObject, Any]]:
        """Each entity of the searched kind with its value; those that cannot tell (a dead host) are left out."""
        wire = "VirtualMachine" if vms else "HostSystem"
        for each in self._entities(datacenter, wire):
            for path in paths.get(wire, ()):
                try:
                    value = read(each, path)
                except (vmodl.fault.HostCommunication, vim.fault.HostConnectFault):
                    continue
                if value is not None:
                    yield each, value
