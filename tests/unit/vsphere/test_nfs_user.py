"""NFS 4.1 by Kerberos: domain, then user, then mount; and what stands in the way of taking them away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from planner.execute.engine import apply, rollback
from planner.model import FleetError, SecretRef
from tests.support.lab import Lab, Opened, fleet

ESX = 'host.esx["esx01"]'
SECRET, OTHER = SecretRef("env:FIRST"), SecretRef("env:ROOT")
SITE: dict[str, dict[str, Any]] = {
    "datacenter.dc0": {"name": "dc0"}, "cluster.prod": {"name": "prod", "datacenter": "datacenter.dc0"},
    ESX: {"name": "esx01.lab.example", "mac": "52:54:00:00:00:11", "cluster": "cluster.prod", "image": "esxi8",
          "root_password": OTHER}}
DOMAIN = {f"{ESX}.active_directory": {"domain": "lab.example", "user": "joiner", "password": SECRET}}
USER = {f"{ESX}.nfs_user": {"user": "fleet", "password": SECRET}}
MOUNT = {f"{ESX}.nfs.vault": {"server": "nas1,nas2", "path": "/vault", "version": "4.1", "security": "SEC_KRB5I"}}


def operations(opened: Opened) -> list[str]:
    wanted = ("active_directory.", "nfs_user.", "nfs.")
    return [s.operation for s in opened.plan().steps if s.operation.startswith(wanted)]


def applied(lab: Lab, objects: dict[str, dict[str, Any]]) -> Opened:
    opened = lab.open(fleet(objects))
    plan = opened.plan()
    outcome = apply(opened.engine(), plan, images=dict(plan.image_digests))
    assert outcome.exit_code == 0, outcome
    again = opened.plan()
    assert again.empty, ([str(s) for s in again.steps], [str(c) for c in again.changes])
    return opened


def refused(lab: Lab, objects: dict[str, dict[str, Any]]) -> str:
    with pytest.raises(FleetError) as found:
        lab.open(fleet(objects)).plan()
    return " ".join(f"{d.summary} {d.detail} {d.remedy}" for d in found.value.diagnostics)


def test_domain_then_user_then_mount_and_the_other_way_round(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    opened = lab.open(fleet({**SITE, **MOUNT, **USER, **DOMAIN}))
    assert operations(opened) == ["active_directory.join", "nfs_user.set", "nfs.mount"]
    applied(lab, {**SITE, **MOUNT, **USER, **DOMAIN})
    opened = lab.open(fleet(SITE))
    assert operations(opened)[0] == "nfs.unmount"
    assert set(operations(opened)[1:]) == {"active_directory.leave", "nfs_user.clear"}
    applied(lab, SITE)


def test_another_password_and_another_user(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    opened = applied(lab, {**SITE, **USER, **DOMAIN})
    before = opened.dump()
    opened = lab.open(fleet({**SITE, **DOMAIN, f"{ESX}.nfs_user": {"user": "fleet", "password": OTHER}}))
    assert operations(opened) == ["nfs_user.password"]
    opened = lab.open(fleet({**SITE, **DOMAIN, f"{ESX}.nfs_user": {"user": "other", "password": SECRET}}))
    assert operations(opened) == ["nfs_user.clear", "nfs_user.set"]
    assert apply(opened.engine(), opened.plan()).exit_code == 0
    assert rollback(opened.engine()).exit_code in (0, 4)
    assert {k: v for k, v in opened.dump().items() if k in before} == before


def test_what_kerberos_needs_is_said_at_plan(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    said = refused(lab, {**SITE, **MOUNT})
    assert "`active_directory` and `nfs_user`" in said
    said = refused(lab, {**SITE, **MOUNT, **DOMAIN})
    assert "needs `nfs_user` on this host" in said


def test_a_user_in_use_is_not_taken_away(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    applied(lab, {**SITE, **MOUNT, **USER, **DOMAIN})
    said = refused(lab, {**SITE, **MOUNT, **DOMAIN, f"{ESX}.nfs_user": {"user": "other", "password": SECRET}})
    assert "the NFS user is in use by datastores with Kerberos: vault unmount them" in said
