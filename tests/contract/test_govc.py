"""govc, VMware's own command line, as a client of `fleet twin serve`: what it reads and does, over HTTPS.

Nobody here wrote it: it asks for what a real vCenter has, in the order and with the arguments that Go programs use.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.govc.client import Govc, build, served

pytestmark = [pytest.mark.govc, pytest.mark.timeout(900)]  # the first one waits for the build

SEED = """\
datacenters: [dc0]
clusters:
  dc0/prod: {drs: {enabled: true, automation: fullyAutomated}, ha: {enabled: true}}
hosts:
  esx01.lab.example:
    mac: 52:54:00:00:00:11
    cluster: dc0/prod
    config:
      vswitch: {vSwitch1: {uplinks: [vmnic1], mtu: 9000}}
      portgroup: {vMotion: {vswitch: vSwitch1, vlan: 20}}
      vmkernel: {vmk1: {portgroup: vMotion, ip: 10.0.20.11, netmask: 255.255.255.0, mtu: 9000, services: [vmotion]}}
      nfs: {images: {server: nas1, path: /export, version: "3", access: readOnly}}
      ntp: {servers: [10.0.0.1], policy: "on", running: true}
  esx02.lab.example: {mac: 52:54:00:00:00:12, cluster: dc0/prod}
datastores:
  dc0/san1: {hosts: [esx01.lab.example]}
vms:
  web1: {host: esx01.lab.example, datastores: [images], networks: [VM Network], power: "on"}
"""
ESX01, ESX02 = (f"/dc0/host/prod/esx0{n}.lab.example" for n in (1, 2))


@pytest.fixture(scope="module")
def govc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Govc]:
    binary = build()
    with served(binary, tmp_path_factory.mktemp("govc"), SEED) as client:
        yield client


# --- reading --------------------------------------------------------------------------------------------------


def test_about(govc: Govc) -> None:
    about = govc.json("about")["about"]
    assert (about["apiType"], about["apiVersion"], about["productLineId"]) == ("VirtualCenter", "8.0.3.0", "vpx")


def test_a_wrong_password_and_an_unknown_certificate_are_refused(govc: Govc, tmp_path: Path) -> None:
    wrong = Govc(govc.binary, {**govc.env, "GOVC_PASSWORD": "wrong"})
    assert "incorrect user name or password" in wrong.run("about", "-l", code=1).lower()
    untrusted = Govc(govc.binary, {k: v for k, v in govc.env.items() if k != "GOVC_TLS_CA_CERTS"})
    assert "certificate" in untrusted.run("about", code=1)


def test_inventory(govc: Govc) -> None:
    assert govc.run("ls", "/dc0").split() == ["/dc0/vm", "/dc0/host", "/dc0/datastore", "/dc0/network"]
    assert set(govc.run("find", "/", "-type", "h").split()) == {ESX01, ESX02}
    assert govc.run("find", "/", "-type", "c").split() == ["/dc0/host/prod"]
    facts = govc.facts("datacenter.info", "dc0")
    assert [facts[k] for k in ("Hosts", "Clusters", "Virtual Machines", "Datastores")] == ["2", "1", "1", "2"]
    assert govc.facts("folder.info", "/dc0/host")["Children"] == "1"
    tree = govc.run("tree", "/")
    assert all(name in tree for name in ("dc0", "prod", "esx02.lab.example", "san1", "vMotion"))


def test_a_host(govc: Govc) -> None:
    facts = govc.facts("host.info", "-host", ESX01)
    assert facts["State"] == "connected"
    summary = govc.json("collect", ESX01, "summary")[0]["val"]
    assert re.fullmatch(r"[0-9a-f-]{36}", summary["hardware"]["uuid"])
    assert summary["config"]["product"]["version"] == "8.0.3"
    nics = govc.json("collect", ESX01, "config.network.pnic")[0]["val"]["_value"]
    assert (nics[0]["device"], nics[0]["mac"]) == ("vmnic0", "52:54:00:00:00:11")


def test_a_hosts_standard_network(govc: Govc) -> None:
    switches = {s["name"]: s for s in govc.json("host.vswitch.info", "-host", ESX01)["vswitch"]}
    assert switches["vSwitch1"]["mtu"] == 9000
    assert switches["vSwitch1"]["pnic"] == ["key-vim.host.PhysicalNic-vmnic1"]
    groups = {g["spec"]["name"]: g["spec"] for g in govc.json("host.portgroup.info", "-host", ESX01)["portgroup"]}
    assert (groups["vMotion"]["vswitchName"], groups["vMotion"]["vlanId"]) == ("vSwitch1", 20)
    text = govc.run("host.vnic.info", "-host", ESX01)
    vmk1 = text[text.index("vmk1"):]
    assert re.search(r"IP address:\s+10\.0\.20\.11\b", vmk1)
    assert re.search(r"Enabled services:\s+vmotion\b", vmk1)


def test_a_hosts_services_and_time(govc: Govc) -> None:
    rows = {line.split()[0]: line.split()[1:3] for line in govc.run("host.service.ls", "-host", ESX01).splitlines()}
    assert rows["ntpd"] == ["on", "Running"]
    assert govc.facts("host.date.info", "-host", ESX01)["NTP servers"] == "10.0.0.1"


def test_a_hosts_storage(govc: Govc) -> None:
    facts = govc.facts("datastore.info", "images")
    assert (facts["Type"], facts["Remote"]) == ("NFS", "nas1:/export")
    system = govc.run("collect", "-s", ESX01, "configManager.storageSystem").strip()
    luns = govc.json("collect", system, "storageDeviceInfo.scsiLun")[0]["val"]["_value"]
    assert "disk" in {lun["lunType"] for lun in luns}
    govc.run("host.storage.info", "-host", ESX01, "-rescan", "-refresh", "-rescan-vmfs")


def test_what_is_vcenters(govc: Govc) -> None:
    options = govc.facts("option.ls")
    assert options["config.vpxd.network.rollback"] == "true"
    assert {"Admin", "ReadOnly", "NoAccess"} <= {line.split()[0] for line in govc.run("role.ls").splitlines()}
    assert "System.View" in govc.run("role.ls", "ReadOnly")
    assert "eval" in govc.run("license.ls")
    assert "govc" in govc.run("session.ls")


# --- changing -------------------------------------------------------------------------------------------------


def test_containers(govc: Govc) -> None:
    govc.run("datacenter.create", "dc9")
    govc.run("folder.create", "/dc9/host/racks")
    govc.run("cluster.create", "-folder", "/dc9/host/racks", "edge")
    govc.run("cluster.change", "-drs-enabled", "-drs-mode", "manual", "-ha-enabled", "/dc9/host/racks/edge")
    config = govc.json("collect", "/dc9/host/racks/edge", "configurationEx")[0]["val"]
    assert (config["drsConfig"]["enabled"], config["drsConfig"]["defaultVmBehavior"]) == (True, "manual")
    assert config["dasConfig"]["enabled"] is True
    govc.run("object.rename", "/dc9/host/racks/edge", "core")
    assert govc.run("ls", "/dc9/host/racks").strip() == "/dc9/host/racks/core"
    for path in ("/dc9/host/racks/core", "/dc9/host/racks", "/dc9"):
        govc.run("object.destroy", path)
    assert govc.run("ls", "/").split() == ["/dc0"]


def test_a_name_that_is_taken_is_a_named_fault(govc: Govc) -> None:
    assert "already exists" in govc.run("datacenter.create", "dc0", code=1)


def test_standard_network_there_and_back(govc: Govc) -> None:
    host = ("-host", ESX02)
    govc.run("host.vswitch.add", *host, "-nic", "vmnic2", "-mtu", "9000", "vSwitch7")
    govc.run("host.portgroup.add", *host, "-vswitch", "vSwitch7", "-vlan", "7", "seven")
    govc.run("host.portgroup.change", *host, "-vlan-id", "8", "seven")
    groups = {g["spec"]["name"]: g["spec"] for g in govc.json("host.portgroup.info", *host)["portgroup"]}
    assert groups["seven"]["vlanId"] == 8
    govc.run("host.portgroup.remove", *host, "seven")
    govc.run("host.vswitch.remove", *host, "vSwitch7")
    assert "vSwitch7" not in govc.run("host.vswitch.info", *host)
    assert "vSwitch7" in govc.run("host.vswitch.remove", *host, "vSwitch7", code=1)


def test_tags_of_an_adapter(govc: Govc) -> None:
    """govc selects all that it is given, and has no command that deselects."""
    govc.run("host.vnic.service", "-host", ESX01, "-enable", "vSphereProvisioning", "vmk1")
    text = govc.run("host.vnic.info", "-host", ESX01)
    assert "vSphereProvisioning" in text[text.index("vmk1"):]


def test_services_options_and_time(govc: Govc) -> None:
    host = ("-host", ESX02)
    govc.run("host.service", *host, "start", "TSM-SSH")
    govc.run("host.service", *host, "enable", "TSM-SSH")
    assert re.search(r"^TSM-SSH +on +Running", govc.run("host.service.ls", *host), re.MULTILINE)
    govc.run("host.service", *host, "stop", "TSM-SSH")
    assert re.search(r"^TSM-SSH +on +Stopped", govc.run("host.service.ls", *host), re.MULTILINE)
    govc.run("host.option.set", *host, "UserVars.SuppressShellWarning", "1")
    assert govc.facts("host.option.ls", *host, "UserVars.SuppressShellWarning") == {
        "UserVars.SuppressShellWarning": "1"}
    assert "No.Such" in govc.run("host.option.set", *host, "No.Such", "1", code=1)
    govc.run("host.date.change", *host, "-server", "10.0.0.9")
    assert govc.facts("host.date.info", *host)["NTP servers"] == "10.0.0.9"


def test_an_nfs_datastore(govc: Govc) -> None:
    mount = ("datastore.create", "-type", "nfs", "-name", "iso", "-remote-host", "nas2", "-remote-path", "/iso",
             "-mode", "readOnly", ESX02)
    govc.run(*mount)
    assert govc.facts("datastore.info", "iso")["Remote"] == "nas2:/iso"
    assert "already has a datastore iso" in govc.run(*mount, code=1)
    govc.run("datastore.remove", "-ds", "iso", ESX02)
    assert "not found" in govc.run("datastore.info", "iso", code=1)


def test_maintenance_mode_waits_for_machines_that_cannot_move(govc: Govc) -> None:
    assert "web1" in govc.run("host.maintenance.enter", "-timeout", "1", ESX01, code=1)
    govc.run("host.maintenance.enter", ESX02)
    assert govc.run("collect", "-s", ESX02, "runtime.inMaintenanceMode").strip() == "true"
    govc.run("host.maintenance.exit", ESX02)
    assert govc.run("collect", "-s", ESX02, "runtime.inMaintenanceMode").strip() == "false"


def test_a_host_leaves_vcenter_and_returns_to_it(govc: Govc) -> None:
    govc.run("host.disconnect", ESX02)
    assert govc.run("collect", "-s", ESX02, "runtime.connectionState").strip() == "disconnected"
    assert govc.facts("host.info", "-host", ESX02)["State"] == "disconnected"
    govc.run("host.reconnect", ESX02)
    assert govc.run("collect", "-s", ESX02, "runtime.connectionState").strip() == "connected"


def test_a_distributed_switch(govc: Govc) -> None:
    govc.run("dvs.create", "-folder", "/dc0/network", "-mtu", "9000", "-num-uplinks", "2", "dvs1")
    govc.run("dvs.portgroup.add", "-dvs", "dvs1", "-type", "earlyBinding", "-nports", "8", "-vlan", "30", "storage")
    govc.run("dvs.add", "-dvs", "dvs1", "-pnic", "vmnic3", ESX02)
    assert govc.run("collect", "-s", "/dc0/network/dvs1", "config.maxMtu").strip() == "9000"
    (member,) = govc.json("collect", "/dc0/network/dvs1", "config.host")[0]["val"]["_value"]
    assert member["config"]["backing"]["pnicSpec"][0]["pnicDevice"] == "vmnic3"
    govc.run("dvs.portgroup.change", "-vlan", "31", "storage")
    group = govc.json("collect", "/dc0/network/storage", "config.defaultPortConfig")[0]["val"]
    assert group["vlan"]["vlanId"] == 31
    assert "already exists" in govc.run("dvs.create", "-folder", "/dc0/network", "dvs1", code=1)
    govc.run("object.destroy", "/dc0/network/storage")


def test_roles_permissions_and_custom_attributes(govc: Govc) -> None:
    govc.run("role.create", "backup", "Datastore.Browse", "Host.Config.Network")
    assert "Host.Config.Network" in govc.run("role.ls", "backup")
    govc.run("permissions.set", "-principal", "LAB\\ops", "-role", "backup", "/dc0")
    assert govc.run("permissions.ls", "/dc0").splitlines()[1].split() == ["backup", "/dc0", "LAB\\ops", "Yes"]
    govc.run("permissions.remove", "-principal", "LAB\\ops", "/dc0")
    govc.run("role.remove", "backup")
    govc.run("fields.add", "rack")
    govc.run("fields.set", "rack", "r1", ESX01)
    assert govc.run("fields.info", "-n", "rack", ESX01).split()[-1] == "r1"
    govc.run("fields.rm", "rack")
    assert "rack" not in govc.run("fields.ls")


def test_groups_and_rules_of_a_cluster(govc: Govc) -> None:
    cluster = ("-cluster", "/dc0/host/prod")
    govc.run("cluster.group.create", *cluster, "-name", "left", "-host", "esx01.lab.example")
    govc.run("cluster.group.create", *cluster, "-name", "web", "-vm", "web1")
    govc.run("cluster.rule.create", *cluster, "-name", "home", "-enable", "-vm-host", "-vm-group", "web",
             "-host-affine-group", "left")
    assert set(govc.run("cluster.group.ls", *cluster).split()) == {"left", "web"}
    assert govc.run("cluster.rule.ls", *cluster).split() == ["home"]
    govc.run("cluster.rule.remove", *cluster, "-name", "home")
    govc.run("cluster.group.remove", *cluster, "-name", "web")
    assert govc.run("cluster.group.ls", *cluster).split() == ["left"]


def test_users_of_a_host(govc: Govc) -> None:
    create = ("host.account.create", "-host", ESX02, "-id", "op")
    assert "Weak password" in govc.run(*create, "-password", "weak", code=1)
    govc.run(*create, "-password", "Abc.12345!")
    govc.run("host.account.update", "-host", ESX02, "-id", "op", "-password", "Def.67890!")
    govc.run("host.account.remove", "-host", ESX02, "-id", "op")
    assert "op" in govc.run("host.account.remove", "-host", ESX02, "-id", "op", code=1)


def test_a_host_of_a_cluster_with_ha_starts_nothing_by_itself(govc: Govc) -> None:
    assert "vSphere HA" in govc.run("host.autostart.configure", "-host", ESX01, "-enabled=true", code=1)


def test_what_is_not_simulated_is_named(govc: Govc) -> None:
    assert "does not simulate" in govc.run("datastore.mkdir", "-ds", "san1", "folder", code=1)
