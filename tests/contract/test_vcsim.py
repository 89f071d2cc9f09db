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
from planner.cli.wiring import Bench, Source, bench
from planner.model import Address, Attrs, FleetError, Live, SecretRef
from planner.ports import Call
from tests.contract.vcsim.peer import Vcsim, build, running

pytestmark = pytest.mark.vcsim

PASSWORD = "VCSIM_PASSWORD"
DC, CLUSTER, FOLDER = (Address.parse(text) for text in ("datacenter.dc0", "cluster.prod", "folder.edge"))


@pytest.fixture
def vcsim(monkeypatch: pytest.MonkeyPatch) -> Iterator[Vcsim]:
    """One datacenter DC0 with one cluster DC0_C0 of one host (all its hosts share two MACs)."""
    with running(build(), hosts=1) as peer:
        monkeypatch.setenv(PASSWORD, peer.password)
        monkeypatch.setenv("ESX_ROOT_PASSWORD", "unused-by-vcsim")
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


def test_containers_are_created_reconfigured_rolled_back_and_destroyed(empty: Vcsim) -> None:
    path = write(empty, CONTAINERS)
    assert fleet("plan", path, "--detailed-exitcode") == 2
    assert fleet("apply", path, "--auto-approve") == 0
    assert fleet("plan", path, "--detailed-exitcode") == 0

    write(empty, CONTAINERS.replace("fullyAutomated", "manual").replace("ha: {enabled: true}", "ha: {enabled: false}"))
    assert fleet("apply", path, "--auto-approve") == 0
    changed = live_of(path).objects[CLUSTER].attributes
    assert changed["drs"] == {"enabled": True, "automation": "manual"}
    assert isinstance(changed["ha"], dict)
    assert changed["ha"]["enabled"] is False
    assert fleet("plan", path, "--detailed-exitcode") == 0

    assert fleet("rollback", path, "--auto-approve") == 0
    assert live_of(path).objects[CLUSTER].attributes["drs"] == {"enabled": True, "automation": "fullyAutomated"}

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


def host_body(mac: str, more: str = "") -> str:
    return f"""{EXISTING}host:
  esx01:
    name: DC0_C0_H0
    mac: '{mac}'
    cluster: '${{cluster.prod}}'
    root_password: '${{secret("env:ESX_ROOT_PASSWORD")}}'
{more}"""


def mac_of(path: str) -> str:
    """The MAC of the only host, as vCenter shows it."""
    from pyVmomi import vim

    with bench(Source.of(path)) as place:
        session: Any = place.sessions.live
        root = session.root_folder()
        (found,) = session.read_all([root.childEntity[0].hostFolder.childEntity[0].host[0]], "config.network.pnic")
        nics: list[vim.host.PhysicalNic] = found[1]["config.network.pnic"]
        return str(nics[0].mac)


def test_an_advanced_option_is_set_and_rolled_back(vcsim: Vcsim) -> None:
    mac = mac_of(write(vcsim, EXISTING))
    option = Address.parse('host.esx01.option["Config.HostAgent.log.level"]')
    body = host_body(mac, "    option:\n      Config.HostAgent.log.level: {}\n")
    path = write(vcsim, body.replace("{}", "verbose"))
    before = live_of(path).objects[option].attributes["value"]
    assert before != "verbose"
    assert fleet("apply", path, "--auto-approve") == 0
    assert live_of(path).objects[option].attributes["value"] == "verbose"
    assert fleet("plan", path, "--detailed-exitcode") == 0
    assert fleet("rollback", path, "--auto-approve") == 0
    assert live_of(path).objects[option].attributes["value"] == before


def call(place: Bench, address: Address, facts: Attrs, after: Attrs) -> Call:
    def secret(reference: SecretRef) -> str:
        return "root-password"

    return Call(address, "host.add", None, after, facts, after, lambda _address: "", secret, threading.Event(),
                time.time() + 60)


def test_a_host_is_added_at_the_level_of_the_operation(vcsim: Vcsim) -> None:
    """vcsim invents the UUID, so a whole plan would take the host for another one."""
    path = write(vcsim, EXISTING)
    after: Attrs = {"name": "esx09.lab.example", "mac": "52:54:00:00:00:19", "cluster": str(CLUSTER),
                    "root_password": SecretRef("env:ESX_ROOT_PASSWORD")}
    with bench(Source.of(path)) as place:
        session: Any = place.sessions.live
        session.snapshot(place.fleet, {})
        operation = place.catalog.operations["host.add"]
        new = call(place, Address.parse("host.esx09"), {"certificate": vcsim.certificate}, after)
        facts = session.run(operation, new)
        assert facts["id"].startswith("host-")
        assert facts["uuid"]
    assert "DC0/DC0_C0/esx09.lab.example" in {str(each) for each in live_of(path).unmanaged}


def test_an_unknown_server_is_an_error_that_names_it(vcsim: Vcsim) -> None:
    path = write(vcsim, EXISTING, server="127.0.0.1:1")
    with pytest.raises(FleetError, match=r"127\.0\.0\.1:1"):
        live_of(path)
