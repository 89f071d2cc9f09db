"""HostSystem as vCenter has it: connection, maintenance mode, removal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from pyVmomi import vim, vmodl

from providers.twin import model
from providers.twin.core.base import ManagedObject, method, prop
from providers.twin.core.meta import data
from providers.twin.model import Box, Hypervisor
from providers.twin.objects.adding import (
    answering,
    check_certificate,
    check_clock,
    check_manager,
    check_password,
)
from providers.twin.objects.base import EntityObject
from providers.twin.objects.host import HostManager, HostObject
from providers.twin.objects.removal import check_removable, remove_host
from providers.twin.reach import doors


class VcenterHost(HostObject, EntityObject):
    """A host in vCenter's inventory."""

    kind = model.Host

    def children(self) -> Iterable[ManagedObject]:
        return ()

    def contents(self) -> Iterable[ManagedObject]:
        return self.objects(self.house.inventory.vms_on(self.doc))

    @property
    def box(self) -> Box:
        return self.house.inventory.need(self.doc.mac, Box)

    def hypervisor(self) -> Hypervisor:
        return self.house.contact.seen(self.doc)

    def shown(self) -> Hypervisor:
        found, doc = self.hypervisor(), self.doc
        if doc.seen is not None:
            return found
        config = self.house.lag.shown(doc.mac, self.box.boots, found.config)
        return found if config is found.config else msgspec.structs.replace(found, config=config)

    def open(self) -> tuple[Box, Hypervisor]:
        doc = self.doc
        if doc.connection != "connected":
            raise vmodl.fault.HostNotConnected(
                msg=f"Unable to communicate with the remote host {doc.name}: it is {doc.connection}."
            )
        box = self.house.contact.reachable(doc)
        if box is None or box.running is None:
            self.house.contact.notice(doc)
            self.house.commit()
            raise vmodl.fault.HostNotReachable(msg=f"Unable to communicate with the remote host {doc.name}.")
        return box, box.running

    def manager_id(self, kind: type[HostManager]) -> str:
        return f"{kind.prefix}-{self.moid.removeprefix('host-')}"

    def identity(self) -> tuple[str, str]:
        return self.doc.uuid, self.doc.serial

    def thumbprint(self) -> str:
        return self.house.contact.thumbprint(self.doc)

    @prop("runtime.connectionState")
    def connection_state(self) -> str:
        return str(self.doc.connection)

    @prop("summary.managementServerIp")
    def management_server(self) -> str | None:
        return "vcenter.twin" if self.doc.connection == "connected" else None

    @prop("vm")
    def p_vm(self) -> list[ManagedObject]:
        return self.objects(self.house.inventory.vms_on(self.doc))

    @prop("datastore")
    def p_datastore(self) -> list[ManagedObject]:
        return self.objects(self.house.inventory.used_by(self.doc, model.Datastore))

    @prop("network")
    def p_network(self) -> list[ManagedObject]:
        return self.objects(self.house.inventory.used_by(self.doc, model.Network))

    @prop("remediationState", "complianceCheckState", "complianceCheckResult", "precheckRemediationResult",
          "answerFileValidationState")
    def no_profile(self) -> None:
        return None

    @method("QueryHostConnectionInfo")
    def query_connection_info(self) -> Any:
        self.open()
        return data(
            "HostConnectInfo", serverIp=self.management_server(), inDasCluster=False, host=self.summary(),
            vimAccountNameRequired=False, clusterSupported=True,
        )

    # --- maintenance mode ---------------------------------------------------------------------------------

    @method("EnterMaintenanceMode_Task", mutates=True, task=True)
    def enter_maintenance(self, timeout: int, evacuatePoweredOffVms: bool | None = None,
                          maintenanceSpec: Any = None) -> None:
        box, running = self.open()
        if running.maintenance:
            raise vim.fault.InvalidState(msg=f"The host {self.name} is already in maintenance mode.")
        stuck = self.house.contact.evacuate(self.doc, powered_off=bool(evacuatePoweredOffVms))
        if stuck:
            raise vim.fault.Timedout(
                msg=f"The host {self.name} did not enter maintenance mode within {timeout} seconds: "
                    f"these virtual machines run on it and cannot move: {', '.join(sorted(stuck))}."
            )
        running.maintenance = True
        self.house.inventory.mark(box)

    @method("ExitMaintenanceMode_Task", mutates=True, task=True)
    def exit_maintenance(self, timeout: int) -> None:
        box, running = self.open()
        if not running.maintenance:
            raise vim.fault.InvalidState(msg=f"The host {self.name} is not in maintenance mode.")
        running.maintenance = False
        self.house.inventory.mark(box)

    # --- connection ---------------------------------------------------------------------------------------

    @method("DisconnectHost_Task", mutates=True, task=True)
    def disconnect(self) -> None:
        doc = self.doc
        self.house.contact.lose(doc, gone=False)
        doc.connection = "disconnected"
        self.house.inventory.mark(doc)

    @method("ReconnectHost_Task", mutates=True, task=True)
    def reconnect(self, cnxSpec: Any = None, reconnectSpec: Any = None) -> None:
        doc, house = self.doc, self.house
        if doc.connection == "connected":
            raise vim.fault.InvalidState(msg=f"The host {self.name} is connected.")
        name = (cnxSpec.hostName if cnxSpec else None) or doc.name
        box, running = answering(house, name)
        given = (cnxSpec.sslThumbprint if cnxSpec else None) or ""
        check_certificate(house, box, given or house.contact.thumbprint(doc))
        if cnxSpec is not None and cnxSpec.userName:
            check_password(running, cnxSpec)
        elif running.manager != house.instance:
            raise vim.fault.InvalidLogin(
                msg=f"vCenter's own account is gone from {self.name}: reconnect with the host's user and password."
            )
        if box.uuid != doc.uuid:
            cause = vim.fault.UnrecognizedHost(hostName=name, msg=f"{name} is another machine than before.")
            raise vim.fault.HostConnectFault(faultCause=cause, msg=f"{name} is not the host that was added.")
        check_manager(house, box, running, force=bool(cnxSpec and cnxSpec.force))
        check_clock(box, name)
        reborn = running.born != doc.boots
        house.contact.connect(doc, box, name if name in doors(box, running.config) else house.contact.point(name))
        if reborn:
            self._return_vms(sync=bool(reconnectSpec and reconnectSpec.syncState))

    def _return_vms(self, *, sync: bool) -> None:
        """A reborn host knows no VMs: with syncState vCenter registers them there again, else they are orphaned."""
        for each in self.house.inventory.vms_on(self.doc):
            each.state = "connected" if sync else "orphaned"
            each.power = "poweredOff"
            self.house.inventory.mark(each)

    # --- end ----------------------------------------------------------------------------------------------

    @method("Destroy_Task", mutates=True, task=True, privilege="Host.Inventory.RemoveHostFromCluster")
    def destroy(self) -> None:
        doc = self.doc
        if doc.connection == "connected":
            self.open()
        check_removable(self.house, doc)
        remove_host(self.house, doc)

    @method("RebootHost_Task", mutates=True, task=True)
    def reboot(self, force: bool) -> None:
        self._may_stop(force)
        self.house.reboot(self.doc.mac)

    @method("ShutdownHost_Task", mutates=True, task=True)
    def shutdown(self, force: bool) -> None:
        self._may_stop(force)
        self.house.shut_down(self.doc.mac)

    def _may_stop(self, force: bool) -> None:
        _, running = self.open()
        if not (running.maintenance or force):
            raise vim.fault.InvalidState(msg=f"The host {self.name} is not in maintenance mode.")

    @method("Rename_Task", mutates=True, task=True)
    def rename(self, newName: str) -> None:
        raise vmodl.fault.NotSupported(msg="A host cannot be renamed: it is called as it was added.")
