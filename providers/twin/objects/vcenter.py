"""vCenter's door: which object an id is, the service objects, and vCenter's own settings and licences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pyVmomi import vim

from providers.twin import model
from providers.twin.core.base import ManagedObject, World, method, prop
from providers.twin.core.meta import data
from providers.twin.core.service import open_services, vcenter_about
from providers.twin.inventory import ROOT
from providers.twin.objects import evc
from providers.twin.objects.authorization import Authorization
from providers.twin.objects.base import EntityObject, HouseObject, HouseWorld
from providers.twin.objects.cluster import ClusterObject, PoolObject, cluster_id
from providers.twin.objects.dvportgroup import DvpgObject
from providers.twin.objects.dvs import DvsObject
from providers.twin.objects.entities import DatastoreObject, NetworkObject, VmObject
from providers.twin.objects.folder import DatacenterObject, FolderObject
from providers.twin.objects.host import HostObject
from providers.twin.objects.host_vcenter import VcenterHost
from providers.twin.objects.managers import MANAGERS
from providers.twin.objects.network_system import invalid
from providers.twin.objects.vcenter_access import Assignments, CustomFields, HostCertificates, Licenses
from providers.twin.parts.dvs import Dvpg, Dvs

if TYPE_CHECKING:
    from providers.twin.house import House

VERSION, BUILD = "8.0.3", "24022515"

_ENTITIES: tuple[tuple[Any, type[EntityObject]], ...] = (
    (model.Folder, FolderObject),
    (model.Datacenter, DatacenterObject),
    (model.Cluster, ClusterObject),
    (model.Host, VcenterHost),
    (model.Vm, VmObject),
    (model.Datastore, DatastoreObject),
    (model.Network, NetworkObject),
    (Dvs, DvsObject),
    (Dvpg, DvpgObject),
)
_MANAGERS = {kind.prefix: kind for kind in MANAGERS}


class VcenterWorld(HouseWorld):
    """vCenter's objects. Made at the first look and kept while their document lives."""

    def __init__(self, house: House) -> None:
        super().__init__(house, "vcenter")
        self._made: dict[str, ManagedObject] = {}

    def make(self, moid: str) -> ManagedObject | None:
        docs = self.house.inventory.docs
        document = docs.get(moid)
        found = self._made.get(moid)
        if document is None:
            if moid in self._made:
                return self._alive(moid)
            return self._manager(moid)
        if found is None:
            for kind, cls in _ENTITIES:
                if isinstance(document, kind):
                    found = self._made[moid] = cls(self, moid)
        return found

    def _alive(self, moid: str) -> ManagedObject | None:
        """A manager or pool that was made before, while what it belongs to is still there."""
        found = self._made[moid]
        owner = found.parent if isinstance(found, PoolObject) else found.entity
        if owner is None or owner is found or owner.moid not in self.house.inventory.docs:
            del self._made[moid]
            return None
        return found

    def _manager(self, moid: str) -> ManagedObject | None:
        prefix, _, number = moid.rpartition("-")
        made: ManagedObject | None = None
        if prefix == "resgroup" and cluster_id(moid) in self.house.inventory.docs:
            made = PoolObject(self, moid)
        elif prefix == "evcmanager" and evc.cluster_of(moid) in self.house.inventory.docs:
            made = evc.EvcManager(self, moid)
        elif prefix in _MANAGERS:
            host = self.find(f"host-{number}")
            made = _MANAGERS[prefix](host, moid) if isinstance(host, HostObject) else None
        if made is not None:
            self._made[moid] = made
        return made


class VcenterSettings(HouseObject):
    """`vim.option.OptionManager` of vCenter: a few settings."""

    wire = "OptionManager"
    defaults: ClassVar[dict[str, bool | int | str]] = {
        "VirtualCenter.InstanceName": "vcenter.twin",
        "config.vpxd.network.rollback": "true",
        "event.maxAge": 30,
        "event.maxAgeEnabled": True,
        "mail.sender": "",
        "mail.smtp.server": "",
        "task.maxAge": 30,
        "task.maxAgeEnabled": True,
    }

    def _values(self, name: str | None) -> list[Any]:
        values = self.defaults | self.house.inventory.site.settings
        prefix = f"{name.rstrip('.')}." if name else ""
        return [
            data("OptionValue", key=key, value=values[key])
            for key in sorted(values) if key == name or key.startswith(prefix)
        ]

    @prop("setting")
    def setting(self) -> Any:
        return self._values(None)

    @method("QueryOptions")
    def query(self, name: str | None = None) -> Any:
        found = self._values(name)
        if not found:
            raise vim.fault.InvalidName(name=name, msg=f"vCenter has no setting {name!r}.")
        return found

    @method("UpdateOptions", mutates=True)
    def update(self, changedValue: Any) -> None:
        site = self.house.inventory.site
        settings = dict(site.settings)
        for each in changedValue:
            usual = self.defaults.get(each.key)
            if usual is None and not each.key.startswith("config."):
                raise vim.fault.InvalidName(name=each.key, msg=f"vCenter has no setting {each.key!r}.")
            if type(each.value) is not type("" if usual is None else usual):
                raise invalid("changedValue.value", f"{each.key} does not take {each.value!r}.")
            settings[each.key] = each.value
        site.settings = {key: value for key, value in settings.items() if self.defaults.get(key) != value}
        self.house.inventory.mark(site)


def vcenter_world(house: House) -> World:
    """The objects behind vCenter's door, with its service objects; one user."""
    from providers.twin.house import PASSWORD, USER

    world = VcenterWorld(house)
    root = world.find(ROOT)
    if root is None:
        raise AssertionError("the inventory has no root folder")
    open_services(
        world, root, vcenter_about(version=VERSION, build=BUILD, instance=house.instance),
        setting=VcenterSettings(world, "VpxSettings"), licenseManager=Licenses(world, "LicenseManager"),
        authorizationManager=Authorization(world, "AuthorizationManager"),
        customFieldsManager=CustomFields(world, "CustomFieldsManager"),
        certificateManager=HostCertificates(world, "certificateManager"),
    )
    world.add(Assignments(world, Assignments.ID))
    world.sessions.accounts.set(USER, PASSWORD)
    return world
