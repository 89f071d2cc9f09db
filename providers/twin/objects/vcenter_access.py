"""vCenter's licences, custom attributes and certificates of hosts."""

from __future__ import annotations

import re
from typing import Any

from pyVmomi import vim, vmodl

from providers.twin import model
from providers.twin.core.base import ManagedObject, method, prop
from providers.twin.core.meta import data, vim_type
from providers.twin.objects.base import EntityObject, HouseObject
from providers.twin.objects.host_vcenter import VcenterHost
from providers.twin.objects.network_system import invalid
from providers.twin.parts.access import FieldDoc, SiteAccess
from providers.twin.views import access as views

_KEY = re.compile(r"[0-9A-Z]{5}(-[0-9A-Z]{5}){4}")
_FIELD_TYPES = ("HostSystem", "ClusterComputeResource", "Datacenter", "Folder", "VirtualMachine", "Datastore",
                "Network", "DistributedVirtualSwitch", "DistributedVirtualPortgroup", "ResourcePool", "VirtualApp")


class SiteObject(HouseObject):
    @property
    def access(self) -> SiteAccess:
        return self.house.inventory.site.access

    def keep(self) -> None:
        self.house.inventory.mark(self.house.inventory.site)


# --- licences -----------------------------------------------------------------------------------------------


class Licenses(SiteObject):
    """`vim.LicenseManager`: the evaluation, and the keys that were given. A key is shown as its mark, which stands for
    it in calls, too."""

    wire = "LicenseManager"

    @prop("licenses")
    def licenses(self) -> Any:
        return [views.license_info(key) for key in (views.EVALUATION, *sorted(self.access.licenses))]

    @prop("licensedEdition")
    def edition(self) -> str:
        return "eval"

    @prop("licenseAssignmentManager")
    def assignment(self) -> ManagedObject:
        found = self.world.find(Assignments.ID)
        if found is None:
            raise AssertionError("the assignment manager is registered with vCenter's services")
        return found

    @method("AddLicense", mutates=True)
    def add(self, licenseKey: str, labels: Any = None) -> Any:
        if labels:
            raise vmodl.fault.NotSupported(msg="The twin does not simulate labels of licences")
        return views.license_info(known_key(self, licenseKey, add=True))

    @method("RemoveLicense", mutates=True)
    def remove(self, licenseKey: str) -> None:
        key = known_key(self, licenseKey)
        if key == views.EVALUATION or key in self.access.assigned.values():
            raise invalid("licenseKey", "This licence is in use.")
        del self.access.licenses[key]
        self.keep()


class Assignments(SiteObject):
    """`vim.LicenseAssignmentManager`."""

    wire = "LicenseAssignmentManager"
    ID = "LicenseAssignmentManager"

    def _entity(self, identity: str) -> ManagedObject:
        found = self.world.find(identity)
        if not isinstance(found, VcenterHost):
            raise vim.fault.LicenseEntityNotFound(entityId=identity, msg=f"There is nothing to license: {identity}.")
        return found

    @method("QueryAssignedLicenses")
    def query(self, entityId: str | None = None) -> Any:
        hosts = [each.id for each in self.house.inventory.all(model.Host)]
        wanted = hosts if entityId is None else [self._entity(entityId).moid]
        return [data("LicenseAssignmentManagerLicenseAssignment", entityId=each, scope=self.house.instance,
                     entityDisplayName=self._entity(each).name,
                     assignedLicense=views.license_info(self.access.assigned.get(each, views.EVALUATION)))
                for each in wanted]

    @method("UpdateAssignedLicense", mutates=True)
    def update(self, entity: str, licenseKey: str, entityDisplayName: str | None = None) -> Any:
        host = self._entity(entity)
        key = known_key(self, licenseKey, add=True)
        self.changes(host.name)
        if key == views.EVALUATION:
            self.access.assigned.pop(entity, None)
        else:
            self.access.assigned[entity] = key
        self.keep()
        return views.license_info(key)

    @method("RemoveAssignedLicense", mutates=True)
    def remove(self, entityId: str) -> None:
        self._entity(entityId)
        self.access.assigned.pop(entityId, None)
        self.keep()


def known_key(manager: SiteObject, key: str, *, add: bool = False) -> str:
    """A licence by its key or by the mark that stands for it, as it is shown. `add`: one that is new is taken up."""
    known = manager.access.licenses
    if key == views.EVALUATION or key in known:
        return key
    mark = views.license_mark(key)
    if not _KEY.fullmatch(key) or not (add or mark in known):
        raise invalid("licenseKey", "This is no licence key.")
    if mark not in known:
        known[mark] = ""
        manager.keep()
    return mark


# --- custom attributes --------------------------------------------------------------------------------------


class CustomFields(SiteObject):
    """`vim.CustomFieldsManager`."""

    wire = "CustomFieldsManager"

    @prop("field")
    def field_list(self) -> Any:
        return [definition(int(key), each) for key, each in self.access.fields.items()]

    def _need(self, key: int) -> FieldDoc:
        found = self.access.fields.get(str(key))
        if found is None:
            raise invalid("key", f"There is no custom attribute {key}.")
        return found

    def _free(self, name: str, kind: str, own: int = 0) -> None:
        for key, each in self.access.fields.items():
            if each.name == name and int(key) != own and (not kind or not each.type or each.type == kind):
                raise vim.fault.DuplicateName(name=name, object=self.ref(),
                                              msg=f"There is a custom attribute {name} already.")

    @method("AddCustomFieldDef", mutates=True)
    def add(self, name: str, moType: Any = None, fieldDefPolicy: Any = None, fieldPolicy: Any = None) -> Any:
        if fieldDefPolicy is not None or fieldPolicy is not None:
            raise vmodl.fault.NotSupported(msg="The twin does not simulate privileges of custom attributes")
        kind = "" if moType is None else moType if isinstance(moType, str) else moType._wsdlName
        if not name or (kind and kind not in _FIELD_TYPES):
            raise invalid("moType" if name else "name", f"{name!r} for {kind!r} cannot be.")
        self._free(name, kind)
        self.access.last += 1
        made = self.access.fields[str(self.access.last)] = FieldDoc(name, kind)
        self.keep()
        return definition(self.access.last, made)

    @method("RenameCustomFieldDef", mutates=True)
    def rename(self, key: int, name: str) -> None:
        found = self._need(key)
        self._free(name, found.type, key)
        found.name = name
        self.keep()

    @method("RemoveCustomFieldDef", mutates=True)
    def remove(self, key: int) -> None:
        self._need(key)
        del self.access.fields[str(key)]
        for values in self.access.values.values():
            values.pop(str(key), None)
        self.keep()

    @method("SetField", mutates=True, privilege="Global.SetCustomField")
    def set_value(self, entity: Any, key: int, value: str) -> None:
        target, found = self.world.resolve(entity), self._need(key)
        if not isinstance(target, EntityObject) or found.type not in ("", target.wire):
            raise invalid("key", f"{found.name} is no attribute of such objects.")
        values = self.access.values.setdefault(target.moid, {})
        values[str(key)] = value
        if not value:
            del values[str(key)]
        if not values:
            del self.access.values[target.moid]
        self.keep()


def definition(key: int, found: FieldDoc) -> Any:
    return data("CustomFieldDef", key=key, name=found.name, type=str,
                managedObjectType=vim_type(found.type) if found.type else None)


# --- certificates -------------------------------------------------------------------------------------------


class HostCertificates(SiteObject):
    """`vim.CertificateManager`: vCenter's CA, which gives hosts new certificates."""

    wire = "CertificateManager"

    @method("CertMgrRefreshCertificates_Task", mutates=True, task=True)
    def refresh(self, host: Any) -> None:
        from providers.twin.objects.access import Certificates

        targets = [self.world.resolve(each) for each in host]
        if not targets:
            raise invalid("host", "Name the hosts that get a new certificate.")
        for each in targets:
            each.open()
        for each in targets:
            self.changes(each.name)
            each.manager(Certificates).renew()
