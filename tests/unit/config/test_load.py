"""Whole fleets: the contract's example, variables, known values, digests, what hangs on resources."""

from __future__ import annotations

from pathlib import Path

import pytest

from planner.config import load_fleet
from planner.model import Address, FleetError, Lifecycle, SecretRef, Unknown
from tests.benchmarks import bench_config
from tests.support.config_catalog import BLOCKS, catalog
from tests.unit.config.conftest import Load, errors

CONTRACT = """\
fleet:
  name: lab
  requires: ">=0.1"
variable:
  ntp_servers: {type: list(string), default: [10.0.0.1, 10.0.0.2]}
  vcenter_password: {type: string, sensitive: true, default: '${secret("env:VC_PASSWORD")}'}
locals:
  domain: lab.example
provider:
  vsphere: {server: vc.lab.example, user: root, password: '${var.vcenter_password}', ca_file: ca.pem}
  boot: {listen: 127.0.0.1}
image:
  esxi8: {source: images/ESXi-8.0U3.iso}
datacenter:
  dc0: {}
cluster:
  prod: {datacenter: '${datacenter.dc0}', drs: {enabled: true, automation: fullyAutomated}, ha: {enabled: true}}
profile:
  compute:
    image: ${image.esxi8}
    cluster: ${cluster.prod}
    root_password: '${secret("env:ESX_ROOT_PASSWORD")}'
    dns: {servers: [10.0.0.53], domain: '${local.domain}'}
    ntp: {servers: '${var.ntp_servers}'}
    syslog: {targets: ["udp://10.0.0.9:514"]}
    vswitch:
      vSwitch0: {uplinks: [vmnic0], mtu: 1500}
      vSwitch1: {uplinks: [vmnic1], mtu: 9000}
    portgroup:
      vMotion: {vswitch: vSwitch1, vlan: 20}
    nfs:
      images: {server: nas1.lab.example, path: /export/images, version: 3, access: readOnly}
    service:
      TSM-SSH: {policy: "off", running: false}
    option:
      UserVars.SuppressShellWarning: 1
host:
  esx:
    for_each: {esx01: {n: 11}, esx02: {n: 12}, esx03: {n: 13}}
    profile: compute
    name: '${each.key}.${local.domain}'
    mac: '52:54:00:00:00:${each.value.n}'
    vmkernel:
      vmk1: {portgroup: vMotion, ip: '10.0.20.${each.value.n}', netmask: 255.255.255.0, mtu: 9000, services: [vmotion]}
output:
  clusters: {value: '${cluster.prod.name}'}
"""

def at(text: str) -> Address:
    return Address.parse(text)


def test_the_contracts_example(load: Load, tmp_path: Path) -> None:
    fleet = load(CONTRACT)
    assert fleet.name == "lab"
    assert len(fleet.resources) == 2 + 3 * 11
    host = fleet.resources[at('host.esx["esx02"]')]
    assert host.attributes == {
        "image": "esxi8", "cluster": "cluster.prod", "root_password": SecretRef("env:ESX_ROOT_PASSWORD"),
        "name": "esx02.lab.example", "mac": "52:54:00:00:00:12"}
    assert host.references == (at("cluster.prod"),)
    assert fleet.resources[at('host.esx["esx01"].vmkernel.vmk1')].attributes == {
        "portgroup": "vMotion", "ip": "10.0.20.11", "netmask": "255.255.255.0", "mtu": 9000, "services": ["vmotion"]}
    assert fleet.resources[at('host.esx["esx01"].ntp')].attributes == {
        "servers": ["10.0.0.1", "10.0.0.2"], "policy": "on", "running": True}
    assert fleet.resources[at('host.esx["esx01"].nfs.images')].attributes["version"] == "3"
    assert fleet.resources[at('host.esx["esx01"].option["UserVars.SuppressShellWarning"]')].attributes == {"value": 1}
    assert fleet.providers["vsphere"] == {
        "server": "vc.lab.example", "user": "root", "password": SecretRef("env:VC_PASSWORD"),
        "ca_file": str(tmp_path / "ca.pem")}
    assert fleet.images["esxi8"].source == str(tmp_path / "images/ESXi-8.0U3.iso")
    assert fleet.outputs["clusters"].value == "prod"
    assert fleet.warnings == ()
    mark = fleet.resources[at('host.esx["esx01"].portgroup.vMotion')].mark
    assert mark is not None
    assert (mark.line, mark.column) == (30, 7)


def test_resources_come_in_the_order_of_the_file_even_when_asked_for_early(load: Load) -> None:
    fleet = load("datacenter:\n  b: {name: '${datacenter.a.name}x'}\n  a: {name: one}\n")
    assert [str(a) for a in fleet.resources] == ["datacenter.b", "datacenter.a"]
    assert fleet.resources[at("datacenter.b")].references == (at("datacenter.a"),)


# --- variables --------------------------------------------------------------------------------------------

TYPED = """\
variable:
  s: {type: string, default: x}
  n: {type: number, default: 1}
  l: {type: list(string), default: []}
  b: {type: bool, default: false}
  m: {type: map(int), default: {}}
  a: {default: 1}
output: {o: {value: ['${var.s}', '${var.n}', '${var.l}', '${var.b}', '${var.m}', '${var.a}']}}
"""


def test_variables_from_the_command_line_and_files(load: Load, tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text("s: file\nn: 2\nl: [a]\n")
    (tmp_path / "two.yaml").write_text("n: 3\na: {k: [1]}\n")
    fleet = load(TYPED, var_files=[tmp_path / "one.yaml", str(tmp_path / "two.yaml")],
                 variables={"s": "0755", "b": "true", "m": "{x: 5}"})
    assert fleet.outputs["o"].value == ["0755", 3, ["a"], True, {"x": 5}, {"k": [1]}]


@pytest.mark.parametrize(("variables", "summary"), [
    ({"l": "10.0.0.1"}, "wrong type"), ({"n": "x"}, "wrong type"), ({"b": "yes"}, "wrong type"),
    ({"l": "a"}, "wrong type"),
    ({"l": "[a"}, "YAML syntax error"),
    ({"m": "{x: y}"}, "wrong type"), ({"z": "1"}, "undeclared variable"),
])
def test_wrong_values_on_the_command_line(load: Load, variables: dict[str, str], summary: str) -> None:
    with pytest.raises(FleetError) as caught:
        load(TYPED, variables=variables)
    assert errors(caught)[0] == summary
    if summary == "wrong type":
        assert f"--var {next(iter(variables))}=" in caught.value.diagnostics[0].remedy


def test_a_sensitive_variable_takes_references_only_and_never_shows_a_literal(load: Load, tmp_path: Path,
                                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    text = "variable: {p: {sensitive: true}}\nprovider: {vsphere: {server: twin, password: '${var.p}'}}\n"
    assert load(text, variables={"p": "env:PW"}).providers["vsphere"]["password"] == SecretRef("env:PW")
    monkeypatch.chdir(tmp_path)
    pw = SecretRef(f"file:{tmp_path}/pw")
    assert load(text, variables={"p": "file:pw"}).providers["vsphere"]["password"] == pw
    (tmp_path / "v.yaml").write_text("p: '${secret(\"file:pw\")}'\n")
    assert load(text, var_files=[tmp_path / "v.yaml"]).providers["vsphere"]["password"] == pw
    with pytest.raises(FleetError) as caught:
        load(text, variables={"p": "hunter2"})
    assert errors(caught) == ["a sensitive variable must hold a reference to a secret"]
    assert "hunter2" not in str(caught.value.diagnostics)


def test_secret_files_are_relative_to_the_declaring_file(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "fleet.yaml").write_text("fleet: {name: t}\ninclude: sub/p.yaml\n")
    (tmp_path / "sub" / "p.yaml").write_text(
        "provider: {vsphere: {server: twin, password: '${secret(\"file:pw.txt\")}'}}\n")
    fleet = load_fleet(tmp_path / "fleet.yaml", catalog(), BLOCKS)
    assert fleet.providers["vsphere"]["password"] == SecretRef(f"file:{tmp_path}/sub/pw.txt")


# --- unknown and known ------------------------------------------------------------------------------------

COMPUTED = """\
datacenter: {dc0: {}}
cluster: {p: {datacenter: '${datacenter.dc0}'}}
host: {a: {name: a.lab.example, mac: 52:54:00:00:00:01, cluster: '${cluster.p}', dns: {domain: 'x${host.a.uuid}'}}}
check: {c: {assert: '${cluster.p.moref == "domain-c8"}', message: no}}
output:
  id: {value: 'id ${cluster.p.moref}'}
  drs: {value: '${cluster.p.drs}'}
  list: {value: ['${cluster.p.moref}', 1]}
"""


def test_computed_values_are_unknown_and_spread(load: Load) -> None:
    fleet = load(COMPUTED)
    assert isinstance(fleet.outputs["id"].value, Unknown)
    assert isinstance(fleet.outputs["drs"].value, Unknown)
    assert isinstance(fleet.outputs["list"].value, list)
    assert isinstance(fleet.outputs["list"].value[0], Unknown)
    assert fleet.checks[0].passed is None
    assert isinstance(fleet.resources[at("host.a.dns")].attributes["domain"], Unknown)


def test_known_values_from_state_make_them_known_and_leave_the_digest(load: Load) -> None:
    known = {at("cluster.p"): {"moref": "domain-c8"}, at("host.a"): {"uuid": "4c4c"}}
    fleet = load(COMPUTED, known=known)
    assert fleet.outputs["id"].value == "id domain-c8"
    assert fleet.checks[0].passed is True
    assert fleet.resources[at("host.a.dns")].attributes["domain"] == "x4c4c"
    assert fleet.digest == load(COMPUTED).digest


# --- digest -----------------------------------------------------------------------------------------------


HEAD = """\
fleet: {name: t}
locals: {m: 9000}
image: {i: {source: x}}
provider: {vsphere: {server: twin, seed: s}}
"""
HOST = """\
host:
  a:
    name: a.b
    mac: 52:54:00:00:00:01
    root_password: ${secret("file:pw")}
    vswitch: {v: {mtu: 9000, uplinks: [x]}}
"""


@pytest.mark.parametrize("text", [
    HEAD + HOST, HEAD + HOST.replace("9000", "'${local.m}'"),
    HEAD + HOST.replace("9000", "'${4500 * 2}'") + "# comment\n",
    HEAD + HOST.replace("mtu: 9000, uplinks: [x]", "uplinks: [x, x], mtu: 9000"),
    HEAD.replace("locals: {m: 9000}\n", "") + HOST,
])
def test_the_digest_ignores_how_and_where_it_is_written(tmp_path: Path, text: str) -> None:
    digests = set()
    for number, one in enumerate((HEAD + HOST, text, HOST + HEAD)):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "fleet.yaml").write_text(one)
        digests.add(load_fleet(folder / "fleet.yaml", catalog(), BLOCKS).digest)
    assert len(digests) == 1


def test_the_digest_ignores_the_order_of_blocks(load: Load) -> None:
    assert load("datacenter: {a: {}, b: {}}\n").digest == load("datacenter: {b: {}, a: {}}\n").digest


@pytest.mark.parametrize(("old", "new"), [
    ("mtu: 9000}\n", "mtu: 8999}\n"), ("name: lab\n", "name: lab2\n"), ("env:ESX_ROOT_PASSWORD", "env:OTHER"),
    ("listen: 127.0.0.1", "listen: 127.0.0.2"), ("images/ESXi-8.0U3.iso", "images/other.iso"),
    ("value: '${cluster.prod.name}'", "value: '${datacenter.dc0.name}'"), ("esx03: {n: 13}", "esx04: {n: 13}"),
    ("  dc0: {}\n", "  dc0: {lifecycle: {prevent_destroy: true}}\n"),
    ("    profile: compute\n", "    profile: compute\n    exclusive: true\n"),
    ("    profile: compute\n", "    profile: compute\n    depends_on: [datacenter.dc0]\n"),
    ("output:\n", "removed: [{from: datacenter.x}]\noutput:\n"),
    ("output:\n", "moved: [{from: datacenter.x, to: datacenter.dc0}]\noutput:\n"),
    ("output:\n", "check: {c: {assert: '${true}'}}\noutput:\n"),
])
def test_the_digest_follows_every_change_of_meaning(load: Load, old: str, new: str) -> None:
    assert old in CONTRACT
    assert load(CONTRACT).digest != load(CONTRACT.replace(old, new)).digest


@pytest.mark.parametrize(("text", "old", "new"), [
    ("variable: {v: {default: a}}\n" + COMPUTED.replace("'x$", "'${var.v}$"), "default: a", "default: b"),
    ("locals: {v: a}\n" + COMPUTED.replace("'x$", "'${local.v}$"), "v: a", "v: b"),
    (COMPUTED.replace("'id $", "'ID $"), "'ID $", "'id $"),
    ("variable: {v: {default: a}}\noutput: {o: {value: '${var.v}'}}\n", "default: a", "default: b"),
    ("variable: {v: {default: a}}\ncheck: {o: {assert: '${var.v == \"a\"}'}}\n", "default: a", "default: b"),
    ("host: {a: {for_each: {x: a}, name: x.b, mac: 52:54:00:00:00:01,"
     " dns: {domain: '${each.value}${host.a[\"x\"].uuid}'}}}\n", "x: a}", "x: b}"),
])
def test_the_digest_follows_inputs_of_computed_values(load: Load, text: str, old: str, new: str) -> None:
    assert old in text
    assert load(text).digest != load(text.replace(old, new)).digest


# --- meta -------------------------------------------------------------------------------------------------


def test_lifecycle_depends_on_and_exclusive(load: Load) -> None:
    fleet = load("""\
datacenter:
  a: {lifecycle: {prevent_destroy: true, ignore_changes: [name]}}
  many: {for_each: [x, y]}
host:
  h:
    name: h.lab.example
    mac: 52:54:00:00:00:01
    exclusive: true
    depends_on: ['${datacenter.a}', datacenter.many, 'datacenter.many["x"]']
    vswitch:
      v: {lifecycle: {prevent_destroy: true}, depends_on: host.h.dns}
    dns: {servers: []}
""")
    assert fleet.resources[at("datacenter.a")].lifecycle == Lifecycle(True, ("name",))
    host = fleet.resources[at("host.h")]
    assert host.exclusive
    assert host.references == (at("datacenter.a"), at('datacenter.many["x"]'), at('datacenter.many["y"]'))
    child = fleet.resources[at("host.h.vswitch.v")]
    assert child.lifecycle.prevent_destroy
    assert child.references == (at("host.h.dns"),)


def test_moved_and_removed(load: Load) -> None:
    fleet = load("datacenter: {new: {}}\nmoved: {from: datacenter.old, to: datacenter.new}\n"
                 "removed: [{from: 'host.a[\"k\"]', destroy: true}, {from: host.b}]\n")
    assert fleet.moved == ((at("datacenter.old"), at("datacenter.new")),)
    assert fleet.removed == {at('host.a["k"]'): True, at("host.b"): False}


def test_a_renamed_for_each_block_moves_every_instance(load: Load) -> None:
    fleet = load("datacenter: {new: {for_each: [a, b]}}\nmoved: {from: datacenter.old, to: datacenter.new}\n")
    assert fleet.moved == ((at('datacenter.old["a"]'), at('datacenter.new["a"]')),
                           (at('datacenter.old["b"]'), at('datacenter.new["b"]')))


def test_known_references_of_state_may_lead_outside_of_the_fleet(load: Load) -> None:
    fleet = load("cluster: {a: {folder: '${folder.f}'}}\nfolder: {f: {}}\n"
                 "output: {o: {value: '${cluster.a.datacenter}'}, p: {value: '${folder.f.datacenter}'}}\n",
                 known={at("cluster.a"): {"datacenter": "path:dc0/host"},
                        at("folder.f"): {"datacenter": "datacenter.x"}})
    assert fleet.outputs["o"].value == "path:dc0/host"
    assert fleet.outputs["p"].value == "datacenter.x"


def test_the_benchmarks_fleets_load(tmp_path: Path) -> None:
    assert len(bench_config.load(bench_config.write_hosts(tmp_path / "a.yaml", 3)).resources) == 2 + 3 * 11
    assert len(bench_config.load(bench_config.write_each(tmp_path / "b.yaml", 3)).resources) == 2 + 3 * 11


def test_a_profile_may_differ_by_instance_and_children_by_expression(load: Load) -> None:
    fleet = load("""\
locals:
  groups: {A: {vswitch: vSwitch0, vlan: 1}, B: {vswitch: vSwitch0}}
profile:
  small: {option: {Mem: 1}}
  large: {profile: small, option: {Mem: 2, Cpu: '${each.key}'}}
host:
  h:
    for_each: {a: {p: small, n: 1}, b: {p: large, n: 2}}
    profile: ${each.value.p}
    name: ${each.key}.lab.example
    mac: 52:54:00:00:00:0${each.value.n}
    portgroup: ${local.groups}
""")
    values = {str(a): r.attributes for a, r in fleet.resources.items() if a.child_type}
    assert values['host.h["a"].option.Mem'] == {"value": 1}
    assert values['host.h["b"].option.Mem'] == {"value": 2}
    assert values['host.h["b"].option.Cpu'] == {"value": "b"}
    assert 'host.h["a"].option.Cpu' not in values
    assert values['host.h["a"].portgroup.A'] == {"vswitch": "vSwitch0", "vlan": 1}


def test_references_through_locals_and_other_resources(load: Load) -> None:
    fleet = load("""\
datacenter: {dc0: {}, dc1: {}}
locals: {home: '${datacenter.dc1}', label: '${datacenter.dc0.name}!'}
cluster:
  a: {datacenter: '${local.home}', name: '${local.label}'}
  b: {datacenter: '${cluster.a.datacenter}', name: '${cluster.a.datacenter.name}'}
  c: {for_each: '${["x"] if datacenter.dc0.name == "dc0" else []}', datacenter: '${datacenter.dc0}'}
""")
    a, b = fleet.resources[at("cluster.a")], fleet.resources[at("cluster.b")]
    assert a.attributes == {"datacenter": "datacenter.dc1", "name": "dc0!"}
    assert set(a.references) == {at("datacenter.dc0"), at("datacenter.dc1")}
    assert b.attributes == {"datacenter": "datacenter.dc1", "name": "dc1"}
    assert at("cluster.a") in b.references
    assert at("datacenter.dc0") in fleet.resources[at('cluster.c["x"]')].references


def test_errors_carry_the_resource_they_are_about(load: Load) -> None:
    with pytest.raises(FleetError) as caught:
        load("host: {h: {for_each: [a], name: x, mac: 52:54:00:00:00:01, vswitch: {v: {mtu: 1}}}}\n")
    assert [str(d.address) for d in caught.value.diagnostics] == ['host.h["a"]', 'host.h["a"].vswitch.v']


def test_errors_in_locals_and_variables_are_nobody_elses(load: Load) -> None:
    with pytest.raises(FleetError) as caught:
        load("locals: {n: '${var.none}'}\nvariable: {v: {type: int, default: x}}\n"
             "host: {h: {name: h.b, mac: 52:54:00:00:00:01, vswitch: {v: {mtu: '${local.n}', ports: '${var.v}'}}}}\n")
    assert [(d.summary, d.address) for d in caught.value.diagnostics if d.summary != "a required key is missing"] == [
        ("undeclared variable", None), ("wrong type", None)]


def test_unordered_lists_are_sorted_and_ordered_ones_are_not(load: Load) -> None:
    fleet = load("host: {h: {name: h.b, mac: 52:54:00:00:00:01, vswitch: {v: {uplinks: [vmnic3, vmnic1, vmnic1]}},"
                 " dns: {servers: [10.0.0.2, 10.0.0.1]}}}\n")
    assert fleet.resources[at("host.h.vswitch.v")].attributes["uplinks"] == ["vmnic1", "vmnic3"]
    assert fleet.resources[at("host.h.dns")].attributes["servers"] == ["10.0.0.2", "10.0.0.1"]


def test_the_collector_is_left_as_it_was(load: Load) -> None:
    import gc

    assert gc.isenabled()
    load("datacenter: {a: {}}\n")
    assert gc.isenabled()
    gc.disable()
    try:
        load("datacenter: {a: {}}\n")
        assert not gc.isenabled()
    finally:
        gc.enable()
