"""Which live object is which declared one. Pure."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from planner.model import Address, Attrs
from providers.vsphere.guards import shown_connected
from providers.vsphere.identity import Container, HostRow, Inventory, Want, inventory, match_hosts
from tests.unit.vsphere.kit import at

ROWS = [HostRow("host-1", "a.lab", "u1", ("m1", "m1b")), HostRow("host-2", "b.lab", "u2", ("m2",)),
        HostRow("host-3", "c.lab", "u3", ("m3",))]


def want(name: str = "", mac: str = "", uuid: str = "", text: str = "host.x") -> Want:
    return Want(at(text), ({"name": name, "mac": mac},), uuid=uuid)


@pytest.mark.parametrize(("wanted", "moid"), [
    (want(uuid="U1", mac="m2", name="c.lab"), "host-1"),  # the UUID decides
    (want(mac="M1B"), "host-1"),  # any of its NICs
    (want(name="B.LAB"), "host-2"),
    (want(mac="m2", name="b.lab"), "host-2"),
    (want(uuid="gone", mac="m3"), "host-3"),  # another machine at that MAC: the program asks for --replace
    (want(name="nobody", mac="none"), None)])
def test_by_uuid_then_mac_then_name(wanted: Want, moid: str | None) -> None:
    matched, wrong = match_hosts([wanted], ROWS)
    assert matched.get(at("host.x")) == moid
    assert not wrong


def test_two_live_hosts_for_one_declaration_are_named() -> None:
    _, (problem,) = match_hosts([want(mac="m1", name="b.lab")], ROWS)
    assert (problem.severity, problem.detail) == ("error", "a.lab and b.lab")


def test_two_declarations_of_one_live_host_are_named() -> None:
    matched, (problem,) = match_hosts([want(mac="m1"), want(name="a.lab", text="host.y")], ROWS)
    assert matched == {at("host.x"): "host-1"}
    assert problem.severity == "error"
    assert "host.y" in problem.detail


@pytest.mark.parametrize("turned", [False, True])
def test_a_host_whose_key_was_renamed_asks_for_moved(turned: bool) -> None:
    old, new = Want(at("host.x"), ({"mac": "m1"},), uuid="u1", declared=False), want(mac="m1", text="host.y")
    _, (problem,) = match_hosts([new, old] if turned else [old, new], ROWS)
    assert (problem.summary, str(problem.address)) == ("state knows this host under another address", "host.y")
    assert "{from: 'host.x', to: 'host.y'}" in problem.remedy


def test_machines_that_share_a_mac_are_told_apart_by_name() -> None:
    twins = [HostRow("host-1", "a.lab", "", ("m",)), HostRow("host-2", "b.lab", "", ("m",))]
    assert match_hosts([want(mac="m", name="b.lab")], twins) == ({at("host.x"): "host-2"}, [])
    assert match_hosts([want(mac="m", name="other")], twins)[1]


def test_a_renamed_declaration_is_found_by_what_was_recorded() -> None:
    recorded = Want(at("host.x"), ({"name": "a.lab", "mac": "m1"}, {"name": "new.lab", "mac": "m9"}))
    assert match_hosts([recorded], ROWS)[0] == {at("host.x"): "host-1"}


# --- containers ---------------------------------------------------------------------------------------------------


def ref(moid: str) -> Any:
    return SimpleNamespace(_moId=moid)


def site() -> Inventory:
    places = {place: ref(f"{place[0]}1") for place in ("hostFolder", "vmFolder", "networkFolder", "datastoreFolder")}
    rows = [Container("dc1", "datacenter", "dc0", "root", places),
            *(Container(f"{p[0]}1", "folder", p[0], "dc1", {}) for p in places),
            Container("f9", "folder", "edge", "h1", {}), Container("c1", "cluster", "prod", "h1", {}),
            Container("c2", "cluster", "prod", "f9", {}), Container("v9", "folder", "vms%2fold", "v1", {}),
            Container("f0", "folder", "sites", "root", {})]
    return inventory("root", rows)


def declared(**attributes: Attrs) -> list[Want]:
    """type_label → attributes."""
    return [Want(Address(*name.split("_")), (values,)) for name, values in attributes.items()]


def test_by_name_below_the_matched_parent() -> None:
    found = site()
    found.match(declared(cluster_far={"name": "prod", "folder": "folder.edge"},
                         cluster_near={"name": "prod", "datacenter": "datacenter.dc0"},
                         folder_edge={"datacenter": "datacenter.dc0", "kind": "host"},
                         folder_old={"name": "vms/old", "datacenter": "datacenter.dc0", "kind": "vm"},
                         folder_sites={"kind": "datacenter"}, datacenter_dc0={}, datacenter_none={}))
    assert {str(a): m for a, m in found.matched.items()} == {
        "datacenter.dc0": "dc1", "folder.edge": "f9", "cluster.near": "c1", "cluster.far": "c2", "folder.old": "v9",
        "folder.sites": "f0"}
    assert found.undeclared() == []


def test_a_hint_finds_what_was_renamed_and_moved() -> None:
    found = site()
    found.match([Want(at("cluster.x"), ({"name": "old name", "datacenter": "datacenter.gone"},), "c2"),
                 Want(at("datacenter.y"), ({},), "c1")])  # a hint of another type is no hint
    assert found.matched == {at("cluster.x"): "c2"}


def test_attributes_refer_to_addresses_and_else_to_paths() -> None:
    found = site()
    found.match(declared(cluster_far={"name": "prod", "folder": "folder.edge"}, datacenter_dc0={},
                         folder_edge={"datacenter": "datacenter.dc0", "kind": "host"}))
    assert found.attributes("c2") == {"name": "prod", "folder": "folder.edge"}
    assert found.attributes("c1") == {"name": "prod", "datacenter": "datacenter.dc0"}
    assert found.attributes("v9") == {"name": "vms/old", "kind": "vm", "datacenter": "datacenter.dc0"}
    assert found.attributes("f0") == {"name": "sites", "kind": "datacenter"}
    assert found.reference("c1") == "path:dc0/prod"
    assert found.undeclared() == ["dc0/prod", "dc0/vms/old", "sites"]


def test_parents_that_contain_each_other_end() -> None:
    found = site()
    found.match(declared(folder_a={"parent": "folder.b"}, folder_b={"parent": "folder.a"}))
    assert not found.matched


# --- guards -----------------------------------------------------------------------------------------------------

OLD, NEW = "2026-01-01T08:00:00Z", "2026-01-01T10:00:00Z"


@pytest.mark.parametrize(("connection", "shown", "recorded", "born", "expected"), [
    ("notResponding", OLD, OLD, NEW, False),
    ("connected", OLD, OLD, NEW, True),
    ("connected", "2026-01-01T08:00:01Z", OLD, NEW, True),  # one boot, another second
    ("connected", NEW, OLD, NEW, False),
    ("connected", OLD, "", NEW, True),  # nothing recorded: too old to be the boot that gave birth
    ("connected", "2026-01-01T09:55:00Z", "", NEW, False),
    ("connected", "", OLD, NEW, True)])
def test_shown_connected(connection: str, shown: str, recorded: str, born: str, expected: bool) -> None:
    status = {"connection": connection, "boot_time": shown}
    assert shown_connected(status, {"boot_time": recorded, "born": born}) is expected
