"""HostDatastoreSystem."""

from __future__ import annotations

from typing import Any

from pyVmomi import vim, vmodl

from providers.twin import baseline, model
from providers.twin.core.base import ManagedObject, method, prop
from providers.twin.core.meta import data
from providers.twin.objects.host_swap import LocalSwap
from providers.twin.objects.network_system import invalid, refused
from providers.twin.objects.vmfs_stores import VmfsStores
from providers.twin.views import storage


class DatastoreSystem(VmfsStores, LocalSwap):
    """`vim.host.DatastoreSystem`."""

    wire = "HostDatastoreSystem"
    field, prefix, door_id = "datastoreSystem", "datastoreSystem", "ha-datastoresystem"

    @prop("datastore")
    def datastore(self) -> list[ManagedObject]:
        return self._objects(self.house.inventory.used_by(self._host(), model.Datastore))

    @prop("capabilities")
    def capabilities(self) -> Any:
        return data("HostDatastoreSystemCapabilities", nfsMountCreationRequired=True,
                    nfsMountCreationSupported=True, localDatastoreSupported=False, vmfsExtentExpansionSupported=False)

    def _host(self) -> model.Host:
        found = self.house.inventory.host_of(self.host.box.mac)
        if found is None or self.world.find(found.id) is None:
            raise vmodl.fault.NotSupported(msg="The twin plays a host's datastores through vCenter only")
        return found

    def _objects(self, stores: list[model.Datastore]) -> list[ManagedObject]:
        found = (self.world.find(each.id) for each in stores)
        return [each for each in found if each is not None]

    @method("CreateNasDatastore", mutates=True)
    def create_nas(self, spec: Any) -> ManagedObject:
        host = self._host()
        mount = self._mount(spec)
        self.host.open()
        self._check_free(host, mount, spec.localPath)
        with self.editing() as config:
            config.nfs[spec.localPath] = mount
        made = self.house.inventory.datastore_of(self.house.inventory.datacenter_of(host), mount)
        if made is None:
            raise AssertionError(f"{spec.localPath} was mounted, but is no datastore")
        return self._objects([made])[0]

    @staticmethod
    def _mount(spec: Any) -> model.Nfs:
        kind = spec.type or "NFS"
        if kind not in ("NFS", "NFS41"):
            raise vmodl.fault.NotSupported(msg=f"The twin does not simulate datastores of type {kind}")
        for name in ("userName", "password", "vmknicToBind", "connections"):
            if getattr(spec, name):
                raise vmodl.fault.NotSupported(msg=f"The twin does not simulate HostNasVolumeSpec.{name}")
        servers = [str(each) for each in spec.remoteHostNames] if kind == "NFS41" else []
        server = servers[0] if servers else spec.remoteHost
        for name, value in (("localPath", spec.localPath), ("remoteHost", server), ("remotePath", spec.remotePath)):
            if not value:
                raise invalid(f"spec.{name}", "It must be given.")
        if "/" in spec.localPath or len(spec.localPath) > 42:
            raise invalid("spec.localPath", "A datastore's name has at most 42 characters and no slash.")
        if spec.accessMode not in ("readOnly", "readWrite"):
            raise invalid("spec.accessMode", f"{spec.accessMode!r} is neither readOnly nor readWrite.")
        security = spec.securityType or "AUTH_SYS"
        if security not in ("AUTH_SYS", "SEC_KRB5", "SEC_KRB5I") or (kind == "NFS" and security != "AUTH_SYS"):
            raise invalid("spec.securityType", f"{security!r} is none of {kind}.")
        if len(set(servers)) < len(servers):
            raise invalid("spec.remoteHostNames", "A server is named twice.")
        return model.Nfs(server, spec.remotePath, kind, spec.accessMode, servers if len(servers) > 1 else [], security)

    def _check_free(self, host: model.Host, mount: model.Nfs, name: str) -> None:
        inventory = self.house.inventory
        mounts = self.config.nfs
        datacenter = inventory.datacenter_of(host)
        own = inventory.datastore_named(datacenter, name)
        if name in mounts or (own is not None and own.id in inventory.uses(host)):
            raise vim.fault.DuplicateName(
                name=name, object=self._objects([own])[0].ref() if own else None,
                msg=f"The host {self.host.name} already has a datastore {name}.",
            )
        known = inventory.datastore_of(datacenter, mount)
        if known is not None and known.id in inventory.uses(host):
            raise vim.fault.AlreadyExists(
                name=known.name, msg=f"{mount.server}:{mount.path} is mounted already, as {known.name}."
            )
        if known is not None and known.name != name:
            raise vim.fault.DuplicateName(
                name=known.name, object=self._objects([known])[0].ref(),
                msg=f"{mount.server}:{mount.path} is called {known.name} in this datacenter: use the same name.",
            )
        most = baseline.option(self.config, "NFS.MaxVolumes" if mount.type == "NFS" else "NFS41.MaxVolumes")
        if sum(each.type == mount.type for each in mounts.values()) >= int(most):
            raise refused(f"NFS has reached the maximum number of supported volumes ({most}).")
        if mount.security != "AUTH_SYS" and not self.config.storage.nfs_user:
            raise refused(f"NFS mount {mount.server}:{mount.path} failed: Kerberos needs an NFS user on the host.")
        if storage.gone(mount, self.house.inventory.site.unreachable):
            raise refused(f"NFS mount {mount.server}:{mount.path} failed: unable to connect to the NFS server.")

    @method("RemoveDatastore", mutates=True)
    def remove(self, datastore: Any) -> None:
        host = self._host()
        store: model.Datastore = self.world.resolve(datastore).doc
        if store.id not in self.house.inventory.uses(host):
            raise vim.fault.NotFound(msg=f"The host {self.host.name} has no datastore {store.name}.")
        if store.name not in self.config.nfs:
            raise vmodl.fault.NotSupported(msg="The twin does not simulate removing a VMFS datastore")
        users = [each.name for each in self.house.inventory.vms_on(host) if store.id in each.datastores]
        if users:
            raise vim.fault.ResourceInUse(
                type=vim.Datastore, name=store.name, msg=f"The datastore {store.name} is in use by {', '.join(users)}."
            )
        with self.editing() as config:
            del config.nfs[store.name]
