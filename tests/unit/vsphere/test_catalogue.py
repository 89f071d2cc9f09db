"""The declarations: accepted by the catalogue, true to the API's metadata, cheap to load."""

from __future__ import annotations

import subprocess
import sys

import pytest

from planner.catalog import Catalog, Operation
from providers.boot import provider as boot
from providers.power import provider as power
from providers.vsphere import provider
from tests.unit.vsphere.kit import OPERATIONS

IRREVERSIBLE = {"distributed_switch.clean", "distributed_switch.upgrade", "host.leave_switch",
                "certificate.refresh", "snmp.communities", "users.role", "users.update",
                "door.set_password", "host.disconnect", "host.reboot", "host.reconnect", "host.remove_dead",
                "host.unregister_vm",
                "fc.rescan", "nfs.unmount", "nfs_user.clear", "nfs_user.password", "vmfs.create", "vmfs.scan"}
CALLS = [o for o in OPERATIONS.values() if o.kind == "call"]


def test_the_catalogue_accepts_them() -> None:
    found = Catalog.of(provider.types(), [*boot.operations(), *power.operations()])
    assert list(found.types) == ["datacenter", "folder", "cluster", "distributed_switch", "distributed_portgroup",
                                 "host", "host_group", "vm_group", "drs_rule",
                                 "role", "permission", "custom_attribute", "custom_value", "license",
                                 "dns", "ntp", "certificate", "syslog", "vswitch",
                                 "portgroup", "dvs", "vmkernel", "tcpip_stack", "route", "management", "ptp",
                                 "iscsi", "iscsi_port", "iscsi_target", "iscsi_static_target", "fc",
                                 "active_directory", "nfs_user", "nfs", "vmfs",
                                 "option", "scratch", "core_dump", "module", "swap", "service",
                                 "firewall", "power_policy", "vsan", "snmp", "autostart",
                                 "users", "lockdown"]
    order = [t.order for t in found.children()]
    assert order == sorted(order)


def test_irreversible_is_exactly_what_was_announced() -> None:
    assert {o.name for o in OPERATIONS.values() if o.irreversible} == IRREVERSIBLE


@pytest.mark.parametrize("operation", CALLS, ids=[o.name for o in CALLS])
def test_its_call_is_a_method_of_the_api(operation: Operation) -> None:
    from pyVmomi.VmomiSupport import GetWsdlType

    wire, _, method = operation.call.partition(".")
    kind = GetWsdlType("urn:vim25", wire)
    assert method in {m.wsdlName for m in kind._GetMethodList()}


@pytest.mark.parametrize("operation", CALLS, ids=[o.name for o in CALLS])
def test_its_call_counts_as_mutating(operation: Operation) -> None:
    from providers.vsphere.link import mutates

    assert mutates(operation.call.partition(".")[2])


@pytest.mark.parametrize("method", ["RetrievePropertiesEx", "ContinueRetrievePropertiesEx", "Fetch", "QueryOptions",
                                    "FindAllByUuid", "CreateContainerView", "DestroyView", "HasPrivilegeOnEntities",
                                    "RetrieveServiceContent", "Login", "Logout", "FindChild"])
def test_readings_do_not_count_as_mutating(method: str) -> None:
    from providers.vsphere.link import mutates

    assert not mutates(method)


def test_every_call_through_vcenter_has_its_privileges() -> None:
    assert {o.name for o in CALLS if o.privileges} == {o.name for o in CALLS if not o.name.startswith("door.")}


def test_every_privilege_exists() -> None:
    from providers.twin.core.authorization import privilege_ids

    by_hand = {"Datacenter.Rename", "Datacenter.Delete", "Folder.Rename", "Folder.Delete",  # of Rename_Task and
               "Host.Inventory.RenameCluster", "Host.Inventory.DeleteCluster",  # Destroy_Task: the metadata of
               "Host.Inventory.RemoveHostFromCluster", "Host.Inventory.MoveHost",  # those names none
               "Host.Config.Settings", "DVPortgroup.Modify", "DVPortgroup.Delete", "DVSwitch.Delete",
               "DVSwitch.HostOp"}
    assert {p for o in CALLS for p in o.privileges} <= set(privilege_ids()) | by_hand


def test_loading_the_types_loads_no_pyvmomi() -> None:
    code = "import sys; from providers.vsphere import provider; provider.types(); provider.block(); " \
           "sys.exit('pyVmomi' in sys.modules or 'cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
