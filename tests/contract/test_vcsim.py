"""VMware's own simulator as a peer: log-in, bulk read, plan and apply of what it can do.

What it cannot do (host networking, real maintenance mode, stable UUIDs) is the twin's business.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from planner.cli.main import main
from planner.cli.wiring import Source, bench
from planner.model import Address, Attrs, FleetError, Live, SecretRef
from planner.ports import Call
from tests.contract.vcsim.peer import Vcsim, build, running

pytestmark = [pytest.mark.vcsim, pytest.mark.timeout(900)]  # the first one waits for the build

PASSWORD = "VCSIM_PASSWORD"
DC, CLUSTER, FOLDER = (Address.parse(text) for text in ("datacenter.dc0", "cluster.prod", "folder.edge"))


@pytest.fixture
def vcsim(monkeypatch: pytest.MonkeyPatch) -> Iterator[Vcsim]:
    """One datacenter DC0 with one empty cluster DC0_C0."""
    with running(build(), hosts=0) as peer:
        monkeypatch.setenv(PASSWORD, peer.password)
        monkeypatch.setenv("ESX_ROOT_PASSWORD", "vcsim takes any")
        yield peer


@pytest.fixture
def empty(monkeypatch: pytest.MonkeyPatch) -> Iterator[Vcsim]:
    """A vCenter with nothing in it."""
    with running(build(), datacenters=0) as peer:
        monkeypatch.setenv(PASSWORD, peer.password)
        yield peer


@pytest.fixture(autouse=True)
def _in_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(peer: Vcsim, body: str, **provider: str) -> str:
    """A fleet file on this peer; returns its path."""
    block = {"server": peer.server, "user": peer.user, "password": f'${{secret("env:{PASSWORD}")}}',
             "thumbprint": peer.thumbprint, **provider}
    lines = "".join(f"    {name}: {json.dumps(value)}\n" for name, value in block.items())
    Path("fleet.yaml").write_text(f"fleet: {{name: peer}}\nprovider:\n  vsphere:\n{lines}{body}")
    return "fleet.yaml"


def fleet(*arguments: str) -> int:
    return main([*arguments])


def live_of(path: str) -> Live:
    with bench(Source.of(path)) as place:
        return place.sessions.live.snapshot(place.fleet, {})


def shown(path: str, part: str, *names: str) -> list[Any]:
    """Values of one part (`drs`, `ha`) of the cluster, as live has them."""
    attributes: Any = live_of(path).objects[CLUSTER].attributes[part]
    return [attributes[name] for name in names]


CONTAINERS = """\
datacenter:
  dc0: {}
folder:
  edge: {datacenter: '${datacenter.dc0}', kind: host}
cluster:
  prod: {folder: '${folder.edge}', drs: {enabled: true, automation: fullyAutomated}, ha: {enabled: true}}
"""
EXISTING = """\
datacenter:
  dc0: {name: DC0}
cluster:
  prod: {name: DC0_C0, datacenter: '${datacenter.dc0}'}
"""


# --- log-in ---------------------------------------------------------------------------------------------------


def test_log_in_tells_which_vcenter_it_is(vcsim: Vcsim) -> None:
    live = live_of(write(vcsim, EXISTING))
    assert live.instance == vcsim.instance
    assert live.objects[DC].attributes["name"] == "DC0"


def test_a_wrong_password_is_one_clear_error(vcsim: Vcsim, monkeypatch: pytest.MonkeyPatch,
                                             capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv(PASSWORD, "wrong-one")
    assert fleet("plan", write(vcsim, EXISTING)) == 1
    shown = "".join(capsys.readouterr())
    assert "password" in shown
    assert "wrong-one" not in shown


def test_another_certificate_is_refused_before_the_password_is_sent(vcsim: Vcsim,
                                                                    capsys: pytest.CaptureFixture[str]) -> None:
    assert fleet("plan", write(vcsim, EXISTING, thumbprint="00:" * 31 + "00")) == 1
    shown = "".join(capsys.readouterr())
    assert vcsim.thumbprint in shown  # says what it saw, so that it can be compared and pinned


def test_a_self_signed_certificate_needs_a_pin(vcsim: Vcsim, capsys: pytest.CaptureFixture[str]) -> None:
    assert fleet("plan", write(vcsim, EXISTING, thumbprint="")) == 1
    assert "certificate" in "".join(capsys.readouterr())


# --- bulk read ------------------------------------------------------------------------------------------------


def test_one_reading_finds_containers_and_what_nobody_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    with running(build(), hosts=3, clusters=2, machines=1) as peer:
        monkeypatch.setenv(PASSWORD, peer.password)
        live = live_of(write(peer, EXISTING))
    assert set(live.objects) == {DC, CLUSTER}
    assert live.objects[CLUSTER].attributes["datacenter"] == str(DC)
    assert live.objects[CLUSTER].id
    unmanaged = {str(each) for each in live.unmanaged}
    assert "DC0/DC0_C1" in unmanaged
    assert {f"DC0/DC0_C0/DC0_C0_H{n}" for n in range(3)} <= unmanaged


# --- plan and apply -------------------------------------------------------------------------------------------


def test_containers_are_created_reconfigured_and_rolled_back(empty: Vcsim) -> None:
    path = write(empty, CONTAINERS)
    assert fleet("plan", path, "--detailed-exitcode") == 2
    assert fleet("apply", path, "--auto-approve") == 0
    # vcsim ignores the settings in CreateClusterEx (it takes them in ReconfigureComputeResource_Task): plan sees it.
    assert shown(path, "ha", "enabled", "admission_control") == [False, False]
    assert fleet("plan", path, "--detailed-exitcode") == 2
    assert fleet("apply", path, "--auto-approve") == 0
    assert fleet("plan", path, "--detailed-exitcode") == 0

    write(empty, CONTAINERS.replace("fullyAutomated", "manual").replace("ha: {enabled: true}", "ha: {enabled: false}"))
    assert fleet("apply", path, "--auto-approve") == 0
    assert shown(path, "drs", "enabled", "automation") == [True, "manual"]
    assert shown(path, "ha", "enabled") == [False]
    assert fleet("plan", path, "--detailed-exitcode") == 0

    assert fleet("rollback", path, "--auto-approve") == 0
    assert shown(path, "drs", "enabled", "automation") == [True, "fullyAutomated"]


def test_what_was_created_is_destroyed_where_the_peer_can(empty: Vcsim, capsys: pytest.CaptureFixture[str]) -> None:
    """vcsim cannot destroy a cluster: that is one named failure, and what is left is still known."""
    path = write(empty, CONTAINERS)
    assert fleet("apply", path, "--auto-approve") == 0
    assert fleet("destroy", path, "--auto-approve") == 1
    assert "does not implement: Destroy_Task" in "".join(capsys.readouterr())
    assert set(live_of(path).objects) == {DC, FOLDER, CLUSTER}


def test_folders_and_datacenters_are_created_and_destroyed(empty: Vcsim) -> None:
    path = write(empty, CONTAINERS[:CONTAINERS.index("cluster:")])
    assert fleet("apply", path, "--auto-approve") == 0
    assert set(live_of(path).objects) == {DC, FOLDER}
    assert fleet("destroy", path, "--auto-approve") == 0
    assert live_of(path).objects == {}


def test_a_cluster_is_renamed_in_place(vcsim: Vcsim) -> None:
    path = write(vcsim, EXISTING)
    assert fleet("apply", path, "--auto-approve") == 0
    before = live_of(path).objects[CLUSTER].id
    write(vcsim, EXISTING.replace("DC0_C0", "production"))
    assert fleet("apply", path, "--auto-approve") == 0
    write(vcsim, EXISTING.replace("DC0_C0", "production"))
    after = live_of(path).objects[CLUSTER]
    assert (after.attributes["name"], after.id) == ("production", before)


def test_what_exists_is_adopted_and_survives_destroy(vcsim: Vcsim) -> None:
    path = write(vcsim, EXISTING)
    assert fleet("apply", path, "--auto-approve") == 0
    assert fleet("destroy", path, "--auto-approve") == 0
    assert set(live_of(path).objects) == {DC, CLUSTER}


# --- hosts ----------------------------------------------------------------------------------------------------


NAME, HOST = "esx01.lab.example", Address.parse("host.esx01")


def add_host(path: str, peer: Vcsim) -> tuple[Attrs, str]:
    """Runs the operation host.add; returns its facts, and the MAC that vcsim gives to every host."""

    def secret(_reference: SecretRef) -> str:
        return "vcsim takes any"

    after: Attrs = {"name": NAME, "mac": "52:54:00:00:00:11", "cluster": str(CLUSTER),
                    "root_password": SecretRef("env:ESX_ROOT_PASSWORD")}
    with bench(Source.of(path)) as place:
        session: Any = place.sessions.live
        session.snapshot(place.fleet, {})
        facts = session.run(place.catalog.operations["host.add"], Call(
            HOST, "host.add", None, after, {"certificate": peer.certificate}, after, lambda _address: "", secret,
            threading.Event(), time.time() + 60))
        cluster = session.root_folder().childEntity[0].hostFolder.childEntity[0]
        return facts, str(cluster.host[0].config.network.pnic[0].mac)


def test_a_host_is_added_at_the_level_of_the_operation(vcsim: Vcsim) -> None:
    """Not by a whole plan: vcsim invents the UUID, so it would take the host for another one than was born."""
    path = write(vcsim, EXISTING)
    facts, _ = add_host(path, vcsim)
    assert str(facts["id"]).startswith("host-")
    assert facts["uuid"]
    assert f"DC0/DC0_C0/{NAME}" in {str(each) for each in live_of(path).unmanaged}


def test_an_advanced_option_of_an_adopted_host_is_set_and_rolled_back(vcsim: Vcsim) -> None:
    _, mac = add_host(write(vcsim, EXISTING), vcsim)
    option = HOST.under("option", "Config.HostAgent.log.level")
    path = write(vcsim, f"""{EXISTING}host:
  esx01:
    name: {NAME}
    mac: '{mac}'
    cluster: '${{cluster.prod}}'
    root_password: '${{secret("env:ESX_ROOT_PASSWORD")}}'
    option: {{{option.child}: verbose}}
""")
    found = live_of(path)
    assert found.hosts[HOST].connection == "connected"
    before = found.objects[option].attributes["value"]
    assert before not in (None, "verbose")
    assert fleet("apply", path, "--auto-approve") == 0
    assert live_of(path).objects[option].attributes["value"] == "verbose"
    assert fleet("plan", path, "--detailed-exitcode") == 0
    assert fleet("rollback", path, "--auto-approve") == 0
    assert live_of(path).objects[option].attributes["value"] == before


def test_a_server_that_does_not_answer_is_named(vcsim: Vcsim) -> None:
    path = write(vcsim, EXISTING, server="127.0.0.1:1")
    with pytest.raises(FleetError, match=r"127\.0\.0\.1:1"):
        live_of(path)


# --- distributed switches -------------------------------------------------------------------------------------


SWITCHES = """\
datacenter:
  dc0: {}
distributed_switch:
  prod: {datacenter: '${datacenter.dc0}', mtu: 9000, uplinks: [up1, up2], description: lab}
distributed_portgroup:
  vm: {switch: '${distributed_switch.prod}', vlan: 20, ports: 8}
  trunk: {switch: '${distributed_switch.prod}', vlan: "10,100-200"}
"""
SWITCH, GROUP = Address.parse("distributed_switch.prod"), Address.parse("distributed_portgroup.vm")


def test_a_distributed_switch_and_its_port_groups_are_created_renamed_and_destroyed(
        empty: Vcsim, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(empty, SWITCHES)
    assert fleet("apply", path, "--auto-approve") == 0
    found = live_of(path).objects
    assert {k: found[SWITCH].attributes[k] for k in ("datacenter", "mtu", "uplinks", "description")} == {
        "datacenter": str(DC), "mtu": 9000, "uplinks": ["up1", "up2"], "description": "lab"}
    assert found[GROUP].attributes["vlan"] == 20
    assert found[GROUP].attributes["switch"] == str(SWITCH)
    assert found[Address.parse("distributed_portgroup.trunk")].attributes["vlan"] == "10,100-200"
    assert fleet("plan", path, "--detailed-exitcode") == 0
    # vcsim does not say which port group holds the uplinks: it shows as one that nobody declared
    assert [str(each).rstrip("0123456789") for each in live_of(path).unmanaged] == ["dc0/prod-DVUplinks-"]

    write(empty, SWITCHES.replace("vm: {switch", "vm: {name: machines, switch"))
    assert fleet("apply", path, "--auto-approve") == 0
    assert live_of(path).objects[GROUP].attributes["name"] == "machines"

    # vcsim destroys a switch without its group of uplinks, which then keeps the datacenter: that is one named failure
    assert fleet("destroy", path, "--auto-approve") == 3
    assert "dc0 holds prod-DVUplinks" in "".join(capsys.readouterr())
    assert set(live_of(path).objects) == {DC}


def test_a_host_joins_a_distributed_switch_and_leaves_it_at_the_level_of_operations(vcsim: Vcsim) -> None:
    """vcsim keeps members only: no proxy switch, no NICs, no version of the configuration."""
    add_host(write(vcsim, EXISTING), vcsim)
    path = write(vcsim, EXISTING + SWITCHES[SWITCHES.index("distributed_switch:"):])
    assert fleet("apply", path, "--auto-approve") == 0
    body: Attrs = {"name": NAME, "cluster": str(CLUSTER)}
    with bench(Source.of(path)) as place:
        session: Any = place.sessions.live
        session.snapshot(place.fleet, {})

        def run(name: str, before: Attrs | None, after: Attrs | None) -> int:
            session.run(place.catalog.operations[name], Call(
                HOST.under("dvs", "prod"), name, before, after, {}, body, lambda _address: "",
                lambda _reference: "", threading.Event(), time.time() + 60))
            switch = session.entity(str(SWITCH), None)
            return len(switch.summary.hostMember)

        assert run("dvs.join", None, {"switch": str(SWITCH)}) == 1
        assert run("dvs.leave", {"switch": str(SWITCH)}, None) == 0


# --- what is vCenter's ----------------------------------------------------------------------------------------

LAWS = """\
role:
  ops: {name: operators, privileges: [Host.Config.Network, Datastore.Browse]}
host_group:
  left: {cluster: '${cluster.prod}', hosts: []}
vm_group:
  web: {cluster: '${cluster.prod}', vms: []}
drs_rule:
  home: {cluster: '${cluster.prod}', kind: 'on', vm_group: '${vm_group.web}', host_group: '${host_group.left}'}
"""


def test_roles_groups_and_rules_are_made_changed_and_rolled_back(vcsim: Vcsim) -> None:
    """vcsim forgets which object a permission is on, and says of no custom attribute what its values are."""
    path = write(vcsim, EXISTING)
    assert fleet("apply", path, "--auto-approve") == 0
    before = live_of(path).objects
    write(vcsim, EXISTING + LAWS)
    assert fleet("apply", path, "--auto-approve") == 0
    assert fleet("plan", path, "--detailed-exitcode") == 0
    made = {a.type: o.attributes for a, o in live_of(path).objects.items()}
    assert set(made["role"]["privileges"]) == {"Host.Config.Network", "Datastore.Browse"}  # type: ignore[arg-type]
    assert made["drs_rule"]["host_group"] == "host_group.left"

    write(vcsim, EXISTING + LAWS.replace("kind: 'on'", "kind: 'off', enabled: false").replace(", Datastore.Browse", ""))
    assert fleet("apply", path, "--auto-approve") == 0
    changed = {a.type: o.attributes for a, o in live_of(path).objects.items()}
    assert (changed["drs_rule"]["kind"], changed["drs_rule"]["enabled"]) == ("off", False)
    assert changed["role"]["privileges"] == ["Host.Config.Network"]

    for _ in range(2):
        assert fleet("rollback", path, "--auto-approve") == 0
    write(vcsim, EXISTING)
    assert live_of(path).objects.keys() == before.keys()
    write(vcsim, EXISTING + LAWS)
    assert not {"role", "drs_rule", "host_group", "vm_group"} & {a.type for a in live_of(path).objects}


EXERCISED = frozenset({"datacenter", "folder", "cluster", "host", "option", "distributed_switch",
                       "distributed_portgroup", "dvs", "role", "host_group", "vm_group", "drs_rule"})
"""Types whose operations or readings the tests above make on the simulator."""


def test_a_type_is_said_to_be_tested_against_vcsim_where_it_is() -> None:
    from tests.support.lab import CATALOG

    assert {name for name, rtype in CATALOG.types.items() if "vcsim" in rtype.tested} == EXERCISED
