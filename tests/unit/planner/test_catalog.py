"""The catalogue as it is installed, and what it refuses at start-up."""

from __future__ import annotations

from dataclasses import replace

import pytest

from planner.catalog import Catalog, CatalogError
from tests.support.lab import CATALOG
from tests.support.toy import toy_catalog

IRREVERSIBLE = {
    "power.boot", "power.manual",  # a host's power
    "birth.wait", "install.wait",  # boot, and a disk
    "door.set_password",  # first password
    "host.disconnect", "host.reconnect",  # reconnection: it stays connected
    "host.reboot",  # what was configured in the boot before
    "host.remove_dead",  # row 1b of operations.md
    "host.leave_switch", "distributed_switch.clean",  # 1c: hosts that have lost their part of a switch, or are gone
    "distributed_switch.upgrade",  # its version is never lowered
    "certificate.refresh",  # the certificate before it
    "fc.rescan", "vmfs.scan",  # a rescan only looks
    "vmfs.create",  # a formatted disk: no volume is ever deleted
}
SOMETIMES = {
    "host.unregister_vm",  # 1c: of a VM whose file vCenter does not tell
    "nfs.unmount",  # of an export whose server is gone
    "snmp.communities", "users.role", "users.update", "nfs_user.clear", "nfs_user.password",  # secrets of others
}
"""They say why by (before, after), and have an inverse where nothing is said."""


def test_exactly_these_operations_cannot_be_undone() -> None:
    assert {o.name for o in CATALOG.operations.values() if o.irreversible} == IRREVERSIBLE | SOMETIMES
    assert {o.name for o in CATALOG.operations.values() if not o.inverse and o.kind != "verify"} == IRREVERSIBLE


LIKE = {"host.evacuate": "host.enter_maintenance", "boot.keep": "boot.unstage"}
"""Operations that do what another one does, and a little more: undone, that other one leads back."""


def test_every_inverse_leads_back() -> None:
    for operation in CATALOG.operations.values():
        if operation.inverse:
            back = LIKE.get(operation.name, operation.name)
            assert CATALOG.operations[operation.inverse].inverse == back, operation.name


def _box(**changes: object) -> Catalog:
    """The toy catalogue with one operation changed."""
    types = list(toy_catalog().types.values())
    box = types[1]
    first = replace(box.operations[0], **changes)  # type: ignore[arg-type]
    return Catalog.of([types[0], replace(box, operations=(first, *box.operations[1:]))])


def test_an_operation_without_inverse_says_why() -> None:
    with pytest.raises(CatalogError, match="neither an inverse nor a reason"):
        _box(inverse="")
    assert _box(inverse="", irreversible="it is gone").operations


def test_an_inverse_has_to_exist() -> None:
    with pytest.raises(CatalogError, match=r"box\.nothing is not in the catalogue"):
        _box(inverse="box.nothing")


def test_windows_are_closed_under_inverse() -> None:
    types = list(toy_catalog().types.values())
    box = types[1]
    destroy = replace(box.operations[-1], window="maintenance")
    with pytest.raises(CatalogError, match="needs the window 'maintenance'"):
        Catalog.of([types[0], replace(box, operations=(*box.operations[:-1], destroy))])


def test_what_is_switched_off_meanwhile_can_be_switched() -> None:
    with pytest.raises(CatalogError, match="nothing switches color off and on"):
        _box(stopped="color")


def test_names_are_unique_and_attributes_declared() -> None:
    types = list(toy_catalog().types.values())
    with pytest.raises(CatalogError, match="declared twice"):
        Catalog.of([types[0], types[0]])
    with pytest.raises(CatalogError, match="undeclared attributes"):
        _box(attributes=("nothing",))
