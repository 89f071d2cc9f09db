"""Rules of storage between hosts, and what a plan says of dead datastores."""

from __future__ import annotations

from typing import Any

from planner.model import Live, LiveObject, SecretRef
from providers.vsphere import provider
from providers.vsphere.storage_rules import storage_cautions, storage_problems
from tests.unit.vsphere.kit import at, make_fleet

HOST: dict[str, Any] = {"name": "a.lab.example", "image": "esxi8", "root_password": SecretRef("env:ROOT")}
DISK = "naa.6000000000000001"


def summaries(resources: dict[str, Any]) -> list[str]:
    return [d.summary for d in storage_problems(make_fleet(resources))]


def test_one_disk_is_formatted_by_one_host() -> None:
    def both(disk: str) -> dict[str, Any]:
        made = {"create": True, "disk": disk}
        return {"host.a": HOST, "host.b": HOST, "host.a.vmfs.one": made, "host.b.vmfs.one": made}

    assert summaries(both(DISK)) == ["two hosts would make a volume on one disk"]
    assert summaries(both("mpx.vmhba0:C0:T0:L0")) == []


def test_scratch_of_a_stateless_host_is_refused() -> None:
    scratch = {"host.a.scratch": {"location": "/vmfs/volumes/san1/a"}}
    assert summaries({"host.a": HOST, **scratch}) == ["scratch never takes effect on a stateless host"]
    for more in ({"install": {"disk": "first"}}, {"netboot": "once"}, {"image": None}):
        assert summaries({"host.a": {**HOST, **more}, **scratch}) == []


def test_dead_datastores_are_named() -> None:
    gone = {"server": "nas9", "path": "/x", "version": "3", "dead": "its server does not answer"}
    own, other = at("host.a.nfs.own"), at("host.a.nfs.other")
    live = Live("vc", {a: LiveObject(a, gone) for a in (own, other)}, {}, unmanaged=(other,))
    fleet = make_fleet({"host.a": HOST, "host.a.nfs.own": {"server": "nas9", "path": "/x"}})
    assert [(d.severity, d.summary, d.address) for d in storage_cautions(fleet, live)] == [
        ("warning", "this datastore is dead", own), ("warning", "a dead datastore of this host's own", other)]
    assert [d.summary for d in provider.cautions(fleet, live)][-2:] == [
        "this datastore is dead", "a dead datastore of this host's own"]
