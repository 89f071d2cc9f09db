"""Our own checks of `provider.boot.dhcp`: each problem with its place, at `fleet validate` and at `fleet dhcp`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from planner.cli.main import main
from planner.model import Diagnostic, FleetError
from providers.boot.dhcp.command import rendered
from tests.support.dhcp.fleets import fleet_of, place, render

HEAD = """fleet: {name: lab}
provider:
  vsphere: {server: vc.lab.example, user: u, password: '${secret("env:P")}'}
"""
REST = """
image:
  esx8: {source: esx8}
  rescue: {source: rescue}
datacenter: {dc0: {}}
cluster: {prod: {datacenter: '${datacenter.dc0}'}}
host:
"""
DHCP = "{subnet: 10.0.0.0/24, router: 10.0.0.1, dns: [10.0.0.53], range: 10.0.0.100-10.0.0.109}"
HOST = "boot_address: 10.0.0.11, image: '${image.esx8}'"


def text(dhcp: str = DHCP, *hosts: str, boot: str = "listen: 10.0.0.2, loaders: loaders") -> str:
    """Line 4 has the boot block, lines 11 and following the hosts."""
    lines = [f"  h{n}: {{name: h{n}.lab.example, cluster: '${{cluster.prod}}', mac: '52:54:00:00:00:{n:02x}', "
             f"root_password: '${{secret(\"env:P\")}}', {body}}}" for n, body in enumerate(hosts or (HOST,))]
    return f"{HEAD}  boot: {{{boot}, dhcp: {dhcp}}}{REST}" + "\n".join(lines) + "\n"


def column(fleet: str, word: str) -> int:
    return fleet.splitlines()[3].index(word) + 1


def problems(folder: Path, fleet: str, server: str = "") -> list[Diagnostic]:
    """What `fleet dhcp` says; [] where it renders."""
    try:
        return rendered(fleet_of(place(folder, fleet)), server)[1]
    except FleetError as error:
        return list(error.diagnostics)


def subnets(*bodies: str) -> str:
    return f"{{subnets: [{', '.join(f'{{{body}}}' for body in bodies)}]}}"


@pytest.mark.parametrize(("dhcp", "word", "summary", "detail"), [
    ("{}", "dhcp:", "DHCP needs a subnet", "names none"),
    ("{range: 10.0.0.5-10.0.0.6}", "range:", "a key without its subnet", "dhcp.range"),
    ("{subnet: 10.0.0.5/24}", "subnet:", "not a subnet", "host bits set"),
    ("{subnet: 10.0.0.0}", "subnet:", "not a subnet", "prefix"),
    ("{subnet: 10.0.0.0/31}", "subnet:", "not a subnet", "/1 to /30"),
    ("{subnet: 10.0.0.0/24, lease: soon}", "lease:", "not a lease time", "'soon'"),
    ("{subnet: 10.0.0.0/24, lease: 1m}", "lease:", "out of range", "60 s"),
    ("{subnet: 10.0.0.0/24, lease: 99999d}", "lease:", "out of range", "8639913600 s"),
    ("{subnet: 10.0.0.0/24, range: 10.0.0.9}", "range:", "not a range of addresses", "hyphen"),
    ("{subnet: 10.0.0.0/24, range: 10.0.0.9-10.0.0.300}", "range:", "not a range of addresses", "300"),
    ("{subnet: 10.0.0.0/24, range: 10.0.0.20-10.0.0.19}", "range:", "not a range of addresses", "above its last"),
    ("{subnet: 10.0.0.0/24, range: 10.0.1.5-10.0.1.9}", "range:", "a range outside of its subnet", "10.0.0.0/24"),
    ("{subnet: 10.0.0.0/24, range: 10.0.0.20-10.0.0.255}", "range:", "a range outside of its subnet", "255"),
    ("{subnet: 10.0.0.0/24, range: 10.0.0.1-10.0.0.9}", "range:", "a range with an address that is taken",
     "provider.boot.listen"),
    ("{subnet: 10.0.0.0/24, range: 10.0.0.60-10.0.0.69, router: 10.0.0.66}", "range:",
     "a range with an address that is taken", "10.0.0.66 is the router"),
    ("{subnet: 10.0.0.0/24, range: 10.0.0.60-10.0.0.69, dns: [10.0.0.61]}", "range:",
     "a range with an address that is taken", "10.0.0.61 is a DNS server"),
    ("{subnet: 10.0.0.0/24, router: 10.0.1.1}", "router:", "a router outside of its subnet", "10.0.1.1"),
    ("{subnet: 10.0.0.0/24, router: 10.0.0.255}", "router:", "a router outside of its subnet", "10.0.0.255"),
    ("{subnet: 10.0.0.0/24, unknown: lease}", "unknown:", "no addresses for machines that are not declared", "range"),
    ("{subnet: 10.0.0.0/24, interface: 'eth1,eth2'}", "interface:", "not a network interface", "eth1,eth2"),
    ("{subnet: 10.0.0.0/24, loader: {bios: missing.0}}", "bios:", "a boot loader is missing", "'missing.0'"),
    ("{subnet: 10.0.0.0/24, loader: {uefi: 'a,b'}}", "uefi:", "not a file name", "'a,b'"),
    (subnets("subnet: 10.0.0.0/24", "subnet: 10.1.0.0/16"), "subnet: 10.1",
     "machines of this subnet cannot reach the boot server", "no router"),
    (subnets("subnet: 10.0.0.0/24", "subnet: 10.0.0.128/25"), "subnet: 10.0.0.128", "subnets overlap",
     "10.0.0.128/25"),
    ("{subnet: 10.0.0.0/24, subnets: [{subnet: 10.2.0.0/16, router: 10.2.0.1, range: 10.3.0.1-10.3.0.2}]}",
     "range:", "a range outside of its subnet", "10.2.0.0/16"),
])
def test_each_problem_of_the_block_has_its_place(dhcp: str, word: str, summary: str, detail: str,
                                                  tmp_path: Path) -> None:
    fleet = text(dhcp)
    found = [one for one in problems(tmp_path, fleet, "dnsmasq") if one.summary == summary]
    assert len(found) == 1
    assert detail in found[0].detail
    assert found[0].severity == "error"
    assert found[0].remedy
    assert found[0].mark is not None
    assert (found[0].mark.line, found[0].mark.column) == (4, column(fleet, word))


@pytest.mark.parametrize(("address", "summary", "detail"), [
    ("10.0.9.9", "a reservation outside of every subnet", "10.0.0.0/24"),
    ("10.0.0.0", "a reservation of no machine's address", "broadcast"),
    ("10.0.0.255", "a reservation of no machine's address", "broadcast"),
    ("10.0.0.100", "a reservation inside of the range", "10.0.0.100-10.0.0.109"),
    ("10.0.0.109", "a reservation inside of the range", "10.0.0.100-10.0.0.109"),
    ("10.0.0.1", "a reservation of an address that is taken", "the router"),
    ("10.0.0.2", "a reservation of an address that is taken", "the boot server"),
    ("10.0.0.53", "a reservation of an address that is taken", "a DNS server"),
])
def test_each_problem_of_a_reservation_has_its_host(address: str, summary: str, detail: str, tmp_path: Path) -> None:
    found = problems(tmp_path, text(DHCP, HOST, f"boot_address: {address}"), "kea")
    assert [one.summary for one in found] == [summary]
    assert detail in found[0].detail
    assert (str(found[0].address), str(found[0].mark)) == ("host.h1", f"{tmp_path}/fleet.yaml:12:3")


@pytest.mark.parametrize(("first", "second", "summary"), [
    ("boot_address: 10.0.0.11", "boot_address: 10.0.0.11", "two host resources with one boot_address"),
    ("", "mac: '52-54-00-00-00-00'", "two host resources with one mac"),
    ("", "boot_address: 10.0.0.256", "not an IPv4 address"),
])
def test_what_the_fleet_language_refuses_by_itself(first: str, second: str, summary: str, tmp_path: Path) -> None:
    fleet = text(DHCP, first, second)
    if "mac" in second:
        fleet = fleet.replace("mac: '52:54:00:00:00:01', ", "")
    found = problems(tmp_path, fleet)
    assert [one.summary for one in found] == [summary]
    assert found[0].mark is not None
    assert found[0].mark.line == 12


@pytest.mark.parametrize(("boot", "summary"), [
    ("loaders: loaders", "machines cannot be sent to this address"),
    ("listen: 127.0.0.1", "machines cannot be sent to this address"),
    ("listen: 10.0.0.2, ports: {http: 0}", "DHCP needs a fixed HTTP port"),
    ("listen: 10.0.0.2, loaders: nowhere", "the folder of boot loaders does not exist"),
    ("listen: 10.9.0.2", ""),  # reached by the router
    ("listen: ['fd00::2', 10.0.0.2]", ""),
    ("listen: ['fd00::2']", "machines cannot be sent to this address"),
])
def test_what_machines_are_sent_to(boot: str, summary: str, tmp_path: Path) -> None:
    found = [one.summary for one in problems(tmp_path, text(boot=boot)) if one.severity == "error"]
    assert found == ([summary] if summary else [])


def test_firmware_asks_one_tftp_port_only(tmp_path: Path) -> None:
    found = problems(tmp_path, text(boot="listen: 10.0.0.2, ports: {tftp: 6969}"))
    assert [(one.severity, one.summary) for one in found] == [("warning", "firmware asks TFTP at port 69 only")]


def test_a_twin_without_fixed_ports_is_told(tmp_path: Path) -> None:
    fleet = text().replace('server: vc.lab.example, user: u, password: \'${secret("env:P")}\'', "server: twin")
    assert [one.summary for one in problems(tmp_path, fleet)] == [
        "with the twin, boot files are served at any free port"]


def test_hosts_that_rely_on_a_range(tmp_path: Path) -> None:
    small = "{subnet: 10.0.0.0/24, range: 10.0.0.100-10.0.0.100}"
    path = place(tmp_path, text(small, "image: '${image.esx8}'", "image: '${image.esx8}'"))
    with pytest.raises(FleetError, match=r"not enough addresses for all hosts: host\.h0 and 1 more") as caught:
        render(path, "kea")
    assert caught.value.diagnostics[0].remedy
    path.write_text(text("{subnet: 10.0.0.0/24}", "image: '${image.esx8}'"))
    with pytest.raises(FleetError, match="0 addresses in ranges"):
        render(path, "dnsmasq")
    assert "dhcp-host=52:54:00:00:00:00,set:fleet-mboot\n" in render(path, "dnsmasq-proxy")


def test_no_host_has_a_mac(tmp_path: Path) -> None:
    path = place(tmp_path, text().partition("host:")[0])
    with pytest.raises(FleetError, match="there is no machine for DHCP"):
        render(path, "dnsmasq")


def test_an_image_that_nothing_starts_is_a_warning(tmp_path: Path) -> None:
    fleet = text(DHCP, "boot_address: 10.0.0.11, image: '${image.rescue}'", boot="listen: 10.0.0.2")
    found = problems(tmp_path, fleet)
    assert [(one.severity, one.summary) for one in found] == [
        ("warning", "an image that only machines with iPXE in their firmware can boot")]
    assert "undionly.kpxe, pxelinux.0, snponly.efi" in found[0].remedy
    assert str(found[0].mark) == f"{tmp_path}/fleet.yaml:7:3"


def test_validate_says_it_all_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                      monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("P", "x")
    path = place(tmp_path, text("{subnet: 10.0.0.0/24, router: 10.0.1.1, lease: 1s}", "boot_address: 10.0.0.255"))
    assert main(["validate", str(path), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert {one["summary"] for one in found["diagnostics"]} == {
        "a router outside of its subnet", "out of range", "a reservation of no machine's address"}
    assert all(one["line"] in (4, 11) for one in found["diagnostics"])
    path.write_text(text())
    assert main(["validate", str(path)]) == 0
    path.write_text(text("{subnet: 10.0.0.0/24}", "image: '${image.esx8}'"))  # which server is not known yet
    assert main(["validate", str(path)]) == 0
    assert "not enough addresses for all hosts" in capsys.readouterr().err
    assert main(["validate", str(path), "--strict"]) == 1
    path.write_text(text("{subnet: 10.0.0.0/24, server: dnsmasq-proxy}", "image: '${image.esx8}'"))
    assert main(["validate", str(path), "--strict"]) == 0
