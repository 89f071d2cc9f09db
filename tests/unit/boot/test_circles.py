"""What a host needs to boot, and that runs on a host that is booted: told where names and addresses tell it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from planner.model import Address, Attrs, Fleet, Live, LiveHost, Resource
from providers.boot.circles import cautions
from tests.support.process import Site

HOST, DISK = Address("host", "esx"), Address("host", "disk")
BODY: dict[str, Any] = {"name": "esx01.lab.example", "mac": "52:54:00:00:00:11", "image": "esxi8"}
SITE: dict[str, Any] = {"vsphere": {"server": "vc.lab.example:443"}, "boot": {"listen": ["10.0.0.5", "fd00::5"]}}


def told(providers: dict[str, Any], declared: Attrs | None = None, **live: Any) -> list[str]:
    """Details of the warnings about one host; beside it one with a disk, which needs nobody, carries the same."""
    resources = {HOST: Resource(HOST, {**BODY, **(declared or {})}), DISK: Resource(DISK, {
        **BODY, **(declared or {}), "netboot": "once", "mac": "52:54:00:00:00:12"})}
    for root in (HOST, DISK):
        resources[root.under("dns")] = Resource(root.under("dns"), {"servers": ["10.0.0.53"]})
        vmk1 = root.under("vmkernel", "vmk1")
        resources[vmk1] = Resource(vmk1, {"ip": live.get("vmk", "10.9.9.9")})
    status = {k: v for k, v in live.items() if k != "vmk"}
    hosts = {root: LiveHost(root, f"host-{root.label}", "connected", **status) for root in (HOST, DISK)}
    found = list(cautions(Fleet("lab", "f", "/", resources, providers), Live("vc", {}, hosts)))
    assert all((d.severity, d.address) == ("warning", HOST) for d in found)
    return [d.detail for d in found]


@pytest.mark.parametrize(("live", "words"), [
    ({}, []),
    ({"vms": ("db1", "vcenter", "10")}, []),
    ({"vms": ("vc.lab.example",)}, ["vCenter vc.lab.example: a virtual machine on it is called vc.lab.example"]),
    ({"vms": ("VC",)}, ["vCenter vc.lab.example: a virtual machine on it is called VC"]),
    ({"guests": (("appliance", "VC.lab.example."),)},
     ["vCenter vc.lab.example: virtual machine appliance on it has that name or address"]),
    ({"guests": (("pxe", "FD00:0::5"), ("ns", "10.0.0.53"))},
     ["the midwife (boot files, births) fd00::5: virtual machine pxe on it has that name or address",
      "a DNS server 10.0.0.53: virtual machine ns on it has that name or address"]),
    ({"ip": "10.0.0.5"}, ["the midwife (boot files, births) 10.0.0.5: that is the host's own address"]),
    ({"vmk": "10.0.0.5"}, ["the midwife (boot files, births) 10.0.0.5: that is the host itself"]),
])
def test_what_live_and_the_fleet_show(live: dict[str, Any], words: list[str]) -> None:
    assert told(SITE, **live) == words


@pytest.mark.parametrize(("server", "vm"), [
    ("https://vc.lab.example:8443", "vc"), ("[fd00::7]:443", "fd00::7"), ("fd00::7", "fd00::7"),
    ("10.0.0.7:443", "10.0.0.7")])
def test_servers_as_they_are_written(server: str, vm: str) -> None:
    assert len(told({"boot": {"midwife": server}}, vms=(vm,))) == 1
    assert len(told({"vsphere": {"server": server}}, vms=(vm,))) == 1


def test_addresses_that_dhcp_hands_out() -> None:
    assert told({"boot": {"dhcp": {"dns": ["10.0.0.54"]}}}, {"boot_address": "10.0.0.54"}) == [
        "a DNS server 10.0.0.54: that is the host itself"]


def test_the_embedded_twin_and_loopback_are_nowhere_else() -> None:
    local = {"vsphere": {"server": "twin"}, "boot": {"listen": "127.0.0.1", "midwife": "https://localhost:8443"}}
    assert told(local, vms=("twin", "localhost", "127"), ip="127.0.0.1") == []


def test_a_plan_says_so(tmp_path: Path) -> None:
    """The DNS server of the lab runs on one of its hosts."""
    folder = tmp_path / "fleets"
    shutil.copytree(Path(__file__).parents[3] / "fleets", folder)
    seed = folder / "seeds" / "lab.yaml"
    seed.write_text(seed.read_text() + "vms:\n  ns1: {host: esx03.lab.example, guest: {ip: 10.0.0.53}}\n")
    found = Site(folder).look("plan", "lab.yaml", "--json").json["diagnostics"]
    (warning,) = [d for d in found if d["summary"] == "this host carries what it needs to boot"]
    assert (warning["address"], warning["severity"]) == ('host.esx["esx03"]', "warning")
    assert "virtual machine ns1" in warning["detail"]
