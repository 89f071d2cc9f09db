"""Firewall, power, kernel modules, clock, swap, vSAN, autostart, logs: one call each, exact inverses, refusals."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partialmethod
from pathlib import Path
from typing import Any

import pytest
from pyVmomi import vim

from planner.cli.wiring import installed
from planner.config import load_fleet
from planner.model import Action, Attrs, Change, Diagnostic, FleetError, StepFailed, Unknown
from providers.twin.house import House
from providers.twin.model import Vm
from providers.vsphere.types import autostart, firewall, module, option, power_policy, ptp, swap, syslog, vsan
from tests.unit.vsphere.kit import HOST, OPERATIONS, Bench, at, open_bench

ON = f"{HOST}."
NFS: dict[str, Any] = {"server": "nas.lab.example", "path": "/export/a", "version": "3", "access": "readWrite"}


def vm(name: str, **more: Any) -> dict[str, Any]:
    return {"vm": name, "start": True, "in_order": True, "start_delay": -1, "stop_delay": -1,
            "stop_action": "default", "wait_for_heartbeat": "default", **more}


CHANGES: list[tuple[str, str, Attrs, Attrs]] = [
    ("firewall.sshClient", "firewall.open", {"enabled": False}, {"enabled": True}),
    ("firewall.webAccess", "firewall.close", {"enabled": True}, {"enabled": False}),
    ("firewall.sshServer", "firewall.allowed", {"allowed": ["all"]},
     {"allowed": ["10.0.0.9", "10.1.0.0/16", "2001:db8::/32"]}),
    ("power_policy", "power_policy.set", {"policy": "dynamic"}, {"policy": "static"}),
    ("module.lpfc", "module.options", {"options": ""}, {"options": "lpfc_lun_queue_depth=64"}),
    ("ptp", "ptp.follow", {"protocol": "ntp"}, {"protocol": "ptp"}),
    ("ptp", "ptp.configure", {"domain": 0, "ports": [], "fallback": False},
     {"domain": 7, "ports": [{"device": "vmk0", "ip": "", "netmask": ""}], "fallback": True}),
    ("ptp", "ptp.policy", {"policy": "off"}, {"policy": "on"}),
    ("ptp", "ptp.start", {"running": False}, {"running": True}),
    ("ntp", "ntp.follow", {"protocol": "ntp"}, {"protocol": "ptp"}),
    ("syslog", "syslog.options", {"rotate": 8, "unique": False, "log_dir": "[] /scratch/log", "level": "error"},
     {"rotate": 20, "unique": True, "log_dir": "[a] /logs", "level": "info"}),
    ("syslog", "syslog.allowed", {"allowed": ["all"]}, {"allowed": ["10.0.0.9"]}),
    ("swap", "swap.datastore", {"datastore": ""}, {"datastore": "a"}),
    ("swap", "swap.system", {"system": ["host_local"], "system_datastore": ""},
     {"system": ["datastore", "host_cache"], "system_datastore": "a"}),
    ("swap", "swap.system", {"system": ["host_local"]}, {"system": []}),
    ("vsan", "vsan.enable", {"enabled": False}, {"enabled": True}),
    ("vsan", "vsan.enable", {"enabled": False, "cluster": ""},
     {"enabled": True, "cluster": "5281f817-da25-63b1-f53a-57a4a4c49434"}),
    ("autostart", "autostart.defaults", {"enabled": False, "start_delay": 120, "stop_action": "power_off"},
     {"enabled": True, "start_delay": 5, "stop_action": "shut_down"}),
    ("autostart", "autostart.vms", {"vms": [vm("two"), vm("one", start_delay=60)]},
     {"vms": [vm("one", stop_action="suspend"), vm("three", wait_for_heartbeat="yes"), vm("two", in_order=False)]}),
]


@pytest.fixture(scope="module", params=["objects", "xml"])
def here(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """A host with a datastore and three VMs, two of which start in an order. By objects, and through real XML."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "xml":
            for door in ("stub", "door"):
                patch.setattr(House, door, partialmethod(getattr(House, door), codec=True))
        bench = open_bench()
        bench.joined()
        bench.run(ON + "nfs.a", "nfs.mount", None, NFS)
        inventory = bench.house.inventory
        host = inventory.host_of("52:54:00:00:00:11")
        for name in ("one", "two", "three"):
            inventory.put(Vm(inventory.new_id("vm-"), name, inventory.datacenter_of(host).vm, host.id))
        bench.run(ON + "autostart", "autostart.vms", {"vms": []}, {"vms": [vm("two"), vm("one", start_delay=60)]})
        yield bench


def shows(found: Attrs | None, expected: Attrs) -> bool:
    return found is not None and all(found[k] == v for k, v in expected.items())


@pytest.mark.parametrize(("name", "operation", "before", "after"), CHANGES, ids=[f"{c[1]}" for c in CHANGES])
def test_one_call_forward_and_one_back_to_the_same(here: Bench, name: str, operation: str, before: Attrs,
                                                   after: Attrs) -> None:
    inverse, dump = OPERATIONS[OPERATIONS[operation].inverse], here.house.dump()
    assert shows(here.observe(ON + name, operation), before)
    assert here.made(lambda: here.run(ON + name, operation, before, after)) == [OPERATIONS[operation].call]
    assert shows(here.observe(ON + name, operation), after)
    assert here.house.dump() != dump
    assert here.made(lambda: here.run(ON + name, inverse.name, after, before)) == [inverse.call]
    assert here.house.dump() == dump


@pytest.mark.parametrize(("name", "operation", "after", "words"), [
    ("power_policy", "power_policy.set", {"policy": "silent"}, "no such power policy: silent"),
    ("module.nonsense", "module.options", {"options": "a=1"}, "NotFound"),
    ("firewall.nonsense", "firewall.open", {"enabled": True}, "NotFound"),
    ("firewall.nfsClient", "firewall.allowed", {"allowed": ["10.0.0.9"]}, "PlatformConfigFault.*cannot be edited"),
    ("firewall.ntpClient", "firewall.open", {"enabled": True}, "opened and closed by the host itself"),
    ("swap", "swap.datastore", {"datastore": "nowhere"}, "no such datastore: nowhere"),
    ("swap", "swap.system", {"system": ["datastore"], "system_datastore": "nowhere"}, "InvalidArgument"),
    ("swap", "swap.system", {"system": ["datastore"]}, "no datastore"),
    ("ptp", "ptp.configure", {"ports": [{"device": "vmk9", "ip": "", "netmask": ""}]}, "no VMkernel adapter vmk9"),
    ("ptp", "ptp.configure", {"ports": [{"device": "0000:5e:00.1", "ip": "10.0.0.5", "netmask": "255.0.0.0"}]},
     "no PCI device 0000:5e:00.1"),
    ("vsan", "vsan.enable", {"enabled": True, "cluster": "mine"}, "InvalidArgument"),
    ("autostart", "autostart.vms", {"vms": [vm("four")]}, "no such virtual machine: four"),
    ("syslog", "syslog.options", {"rotate": "many"}, "wrong type"),
])
def test_what_the_host_refuses_is_said(here: Bench, name: str, operation: str, after: Attrs, words: str) -> None:
    dump = here.house.dump()
    with pytest.raises(StepFailed) as caught:
        here.run(ON + name, operation, {}, after)
    assert re.search(words, f"{caught.value.summary}: {caught.value.detail}"), caught.value
    assert here.house.dump() == dump


def test_two_vms_of_one_name_are_told_apart_by_nobody(here: Bench) -> None:
    inventory = here.house.inventory
    host = inventory.host_of("52:54:00:00:00:11")
    twin = Vm(inventory.new_id("vm-"), "three", inventory.datacenter_of(host).vm, host.id)
    inventory.put(twin)
    with pytest.raises(StepFailed, match="several virtual machines of one name"):
        here.run(ON + "autostart", "autostart.vms", {}, {"vms": [vm("three")]})
    inventory.remove(twin)


def test_a_module_that_cannot_be_asked_for_is_unread_and_not_gone() -> None:
    bench = open_bench({ON + "module.lpfc": {"options": ""}, ON + "module.nonsense": {"options": ""}})
    bench.joined()
    live = bench.snapshot()
    assert live.objects[at(ON + "module.lpfc")].attributes == {"options": ""}
    assert at(ON + "module.nonsense") not in live.objects
    assert not live.unread
    bench.house.faults.add(kind="fault", method="*.QueryConfiguredModuleOptionString", fault="vmodl.fault.SystemError",
                           times=0)
    live = bench.snapshot()
    assert at(ON + "module.lpfc") not in live.objects
    assert "SystemError" in live.unread[at(ON + "module.lpfc")]
    assert at(HOST) in live.objects  # the rest of the host was read


def test_who_declares_no_module_asks_nothing(here: Bench) -> None:
    here.house.faults.add(kind="fault", method="*.QueryConfiguredModuleOptionString", fault="vmodl.fault.SystemError",
                          times=0)
    assert not here.snapshot().unread
    here.house.faults.clear()


# --- reading --------------------------------------------------------------------------------------------------------


def read(rtype: Any, props: dict[str, Any], *wanted: str) -> dict[str, Any]:
    return dict(rtype.read(props, frozenset(wanted)))


def ruleset(**more: Any) -> Any:
    return vim.host.Ruleset(key="sshServer", label="SSH", required=False, enabled=True, **more)


def test_a_rule_sets_addresses() -> None:
    some = vim.host.Ruleset.IpList(allIp=False, ipAddress=["10.0.0.9"], ipNetwork=[
        vim.host.Ruleset.IpNetwork(network="10.0.0.0", prefixLength=8)])
    for given, allowed in ((None, ["all"]), (vim.host.Ruleset.IpList(allIp=True), ["all"]),
                           (some, ["10.0.0.0/8", "10.0.0.9"])):
        found = read(firewall.FIREWALL, {firewall.PATH: [ruleset(allowedHosts=given)]}, "sshServer")
        assert found == {"sshServer": {"enabled": True, "allowed": allowed, "fixed": []}}
    found = read(firewall.FIREWALL, {firewall.PATH: [ruleset(userControllable=False, ipListUserConfigurable=True)]},
                 "sshServer")
    assert found["sshServer"]["fixed"] == ["enabled"]
    assert read(firewall.FIREWALL, {}, "sshServer") == {}


@pytest.mark.parametrize("rtype", [power_policy.POWER_POLICY, ptp.PTP, vsan.VSAN, autostart.AUTOSTART, syslog.SYSLOG])
def test_a_host_without_it_has_none(rtype: Any) -> None:
    assert read(rtype, {}, rtype.name) == {}


def test_a_host_without_ptp_has_none() -> None:
    """Before 7.0.3 HostDateTimeInfo has no ptpConfig, and says nothing of the protocol."""
    daemon = vim.host.Service(key="ptpd", label="PTP", required=False, uninstallable=False, running=False, policy="off")
    zone = vim.host.DateTimeSystem.TimeZone(key="UTC", name="UTC", description="UTC", gmtOffset=0)
    info = vim.host.DateTimeInfo(timeZone=zone)
    props = {ptp.INFO: info, "config.service.service": [daemon]}
    assert read(ptp.PTP, props, "ptp") == {}
    ip, port = vim.host.IpConfig(dhcp=False, ipAddress="10.0.0.5", subnetMask="255.0.0.0"), vim.host.PtpConfig.PtpPort
    info.ptpConfig = vim.host.PtpConfig(domain=3, port=[
        port(index=0, deviceType="pciPassthruNic", device="0000:5e:00.1", ipConfig=ip), port(index=1)])
    assert read(ptp.PTP, props, "ptp") == {"ptp": {
        "protocol": "ntp", "domain": 3, "fallback": True, "policy": "off", "running": False, "slots": 2,
        "ports": [{"device": "0000:5e:00.1", "ip": "10.0.0.5", "netmask": "255.0.0.0"}]}}


def test_autostart_of_a_host_as_recorded() -> None:
    """ESXi 8.0.3 leaves `enabled` out, and writes PowerOff."""
    config = vim.host.AutoStartManager.Config(defaults=vim.host.AutoStartManager.SystemDefaults(
        startDelay=60, stopDelay=120, waitForHeartbeat=True, stopAction="PowerOff"))
    props = {autostart.PATH: config, autostart.NAMES: {"vm-1": "b", "vm-2": "a"}}
    found = read(autostart.AUTOSTART, props, "autostart")
    assert found == {"autostart": {"enabled": False, "start_delay": 60, "stop_delay": 120, "wait_for_heartbeat": True,
                                   "stop_action": "power_off", "vms": [], "on_host": ["a", "b"]}}


def test_entries_of_vms_that_are_gone_are_none() -> None:
    info = [vim.host.AutoStartManager.AutoPowerInfo(
        key=vim.VirtualMachine(f"vm-{n}"), startOrder=order, startDelay=-1, waitForHeartbeat="no",
        startAction="PowerOn", stopDelay=5, stopAction="GuestShutdown")
        for n, order in ((1, -1), (2, 2), (3, 1), (4, 3))]
    config = vim.host.AutoStartManager.Config(powerInfo=info)
    found = read(autostart.AUTOSTART, {autostart.PATH: config, autostart.NAMES: {
        "vm-1": "x", "vm-2": "b", "vm-3": "a"}}, "autostart")["autostart"]["vms"]
    assert [(each["vm"], each["in_order"], each["stop_action"]) for each in found] == [
        ("a", True, "shut_down"), ("b", True, "shut_down"), ("x", False, "shut_down")]


def test_system_swap_in_its_order() -> None:
    kinds = vim.host.SystemSwapConfiguration
    options = [kinds.HostLocalSwapOption(key=2), kinds.DatastoreOption(key=1, datastore="a")]
    assert read(swap.SWAP, {swap.SYSTEM: options, swap.ASKED: "b"}, "swap") == {"swap": {
        "datastore": "b", "system": ["datastore", "host_local"], "system_datastore": "a"}}
    assert read(swap.SWAP, {swap.SYSTEM: [kinds.DisabledOption(key=0)]}, "swap")["swap"]["system"] == []
    assert read(swap.SWAP, {}, "swap") == {"swap": {"datastore": ""}}


# --- rules ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rtype", "attributes", "words"), [
    (firewall.FIREWALL, {"allowed": []}, "let nobody through"),
    (firewall.FIREWALL, {"allowed": ["10.0.0.1", "all"]}, "stands alone"),
    (firewall.FIREWALL, {"allowed": ["10.0.0.5/24"]}, "write 10.0.0.0/24"),
    (firewall.FIREWALL, {"allowed": ["10.0.0.5/32"]}, "write 10.0.0.5"),
    (firewall.FIREWALL, {"allowed": ["2001:DB8::0"]}, "as 2001:db8::"),
    (firewall.FIREWALL, {"allowed": ["nas1"]}, "no address and no network"),
    (syslog.SYSLOG, {"allowed": ["10.0.0.300"]}, "no address and no network"),
    (module.MODULE, {"options": "a=1  b=2"}, "name=value"),
    (module.MODULE, {"options": "fast"}, "name=value"),
    (ptp.PTP, {"ports": [{"device": "eth0", "ip": "", "netmask": ""}]}, "neither a VMkernel adapter"),
    (ptp.PTP, {"ports": [{"device": "vmk1", "ip": "10.0.0.1", "netmask": "255.0.0.0"}]}, "remove `ip`"),
    (ptp.PTP, {"ports": [{"device": "0000:5e:00.1", "ip": "10.0.0.1", "netmask": ""}]}, "belong together"),
    (swap.SWAP, {"system": ["datastore"]}, "goes with"),
    (swap.SWAP, {"system": [], "system_datastore": "a"}, "goes with"),
    (vsan.VSAN, {"enabled": False, "cluster": "x"}, "with `enabled: true` only"),
    (autostart.AUTOSTART, {"vms": [vm("a"), vm("a")]}, "2 times"),
    (autostart.AUTOSTART, {"vms": [vm("b", in_order=False), vm("a")]}, "come last"),
    (autostart.AUTOSTART, {"vms": [vm("a", start=False, stop_action="none")]}, "leave it out"),
])
def test_what_validate_refuses(rtype: Any, attributes: Attrs, words: str) -> None:
    (sentence,) = rtype.validate(attributes)
    assert words in sentence


@pytest.mark.parametrize(("rtype", "attributes"), [
    (firewall.FIREWALL, {"allowed": ["all"]}), (firewall.FIREWALL, {"allowed": ["10.0.0.5", "10.0.0.0/24", "::1"]}),
    (firewall.FIREWALL, {"enabled": True}), (firewall.FIREWALL, {"allowed": Unknown()}),
    (module.MODULE, {"options": ""}), (module.MODULE, {"options": "a=1 b=2,3"}),
    (ptp.PTP, {"ports": [{"device": "vmk1", "ip": "", "netmask": ""}]}),
    (swap.SWAP, {"system": ["datastore", "host_local"], "system_datastore": "a"}), (swap.SWAP, {"datastore": "a"}),
    (vsan.VSAN, {"enabled": True, "cluster": "x"}), (autostart.AUTOSTART, {"vms": [vm("a"), vm("b", in_order=False)]}),
])
def test_what_validate_accepts(rtype: Any, attributes: Attrs) -> None:
    assert list(rtype.validate(attributes)) == []


def checked(rtype: Any, name: str, before: Attrs, after: Attrs, live: Attrs) -> list[Diagnostic]:
    address = at(f"{HOST}.{rtype.name}" + ("" if rtype.singleton else f'["{name}"]'))
    return list(rtype.check([Change(address, Action.UPDATE, before, after)], {address.name: live}))


@pytest.mark.parametrize(("rtype", "name", "before", "after", "live", "expected"), [
    (firewall.FIREWALL, "ntpClient", {"enabled": False}, {"enabled": True}, {"fixed": ["enabled"]}, "error"),
    (firewall.FIREWALL, "ntpClient", {"allowed": ["all"]}, {"allowed": ["::1"]}, {"fixed": ["enabled"]}, ""),
    (firewall.FIREWALL, "vSphereClient", {"allowed": ["all"]}, {"allowed": ["10.0.0.9"]}, {}, "warning"),
    (firewall.FIREWALL, "vSphereClient", {"allowed": ["10.0.0.9"]}, {"allowed": ["all"]}, {}, ""),
    (power_policy.POWER_POLICY, "", {"policy": "dynamic"}, {"policy": "low"}, {"available": ["static"]}, "error"),
    (power_policy.POWER_POLICY, "", {"policy": "dynamic"}, {"policy": "static"}, {"available": ["static"]}, ""),
    (module.MODULE, "lpfc", {"options": ""}, {"options": "a=1"}, {"options": ""}, "warning"),
    (ptp.PTP, "", {"ports": []}, {"ports": [{}, {}]}, {"slots": 1}, "error"),
    (vsan.VSAN, "", {"cluster": "a"}, {"enabled": True, "cluster": "b"}, {"enabled": True, "cluster": "a"}, "error"),
    (syslog.SYSLOG, "", {"unique": None}, {"unique": True}, {"targets": []}, "error"),
    (autostart.AUTOSTART, "", {"vms": []}, {"vms": [vm("a")]}, {"on_host": ["b"]}, "error"),
    (autostart.AUTOSTART, "", {"vms": []}, {"vms": [vm("a")]}, {"on_host": ["a", "a"]}, "error"),
    (autostart.AUTOSTART, "", {"vms": []}, {"vms": [vm("a")]}, {"on_host": ["a"]}, ""),
    (option.OPTION, "k", {"value": 1}, {"value": 9}, {"value": 1, "takes": {"minimum": 0, "maximum": 1}}, "error"),
    (option.OPTION, "k", {"value": "a"}, {"value": "c"}, {"value": "a", "takes": {"choices": ["a", "b"]}}, "error"),
    (option.OPTION, "k", {"value": "a"}, {"value": "b"}, {"value": "a", "takes": {"readonly": True}}, "error"),
    (option.OPTION, "k", {"value": 0}, {"value": 1}, {"value": 0, "takes": {"minimum": 0, "maximum": 1}}, ""),
])
def test_what_plan_says(rtype: Any, name: str, before: Attrs, after: Attrs, live: Attrs, expected: str) -> None:
    found = checked(rtype, name, before, after, live)
    assert [d.severity for d in found] == ([expected] if expected else [])
    assert all(d.remedy and d.detail for d in found)


def test_autostart_and_ha_exclude_each_other() -> None:
    change = Change(at(f"{HOST}.autostart"), Action.UPDATE, {"enabled": False}, {"enabled": True})
    (found,) = autostart.around(change, {"cluster": {"name": "prod", "ha": {"enabled": True}}})
    assert (found.severity, "prod" in found.detail) == ("error", True)
    assert not list(autostart.around(change, {"cluster": {"name": "prod", "ha": {"enabled": False}}}))
    assert not list(autostart.around(change, {"cluster": {}}))


def test_definitions_of_options() -> None:
    kind = vim.option
    assert option.limits(kind.BoolOption(valueIsReadonly=True, supported=True, defaultValue=True)) == {"readonly": True}
    assert option.limits(kind.IntOption(min=1, max=3, defaultValue=2)) == {"minimum": 1, "maximum": 3}
    assert option.limits(kind.ChoiceOption(choiceInfo=[vim.ElementDescription(
        key=k, label=k, summary=k) for k in "ab"], defaultIndex=0)) == {"choices": ["a", "b"]}
    assert option.limits(kind.StringOption(defaultValue="")) == {}


# --- one owner --------------------------------------------------------------------------------------------------------

SITE = """\
fleet: {{name: t}}
datacenter: {{dc0: {{}}}}
cluster: {{prod: {{datacenter: '${{datacenter.dc0}}'}}}}
host:
  a:
    name: a.lab.example
    mac: 52:54:00:00:00:01
    cluster: ${{cluster.prod}}
    {}
"""


def loaded(tmp_path: Path, body: str) -> list[str]:
    """What loading a fleet with that on its host complains of."""
    path = tmp_path / "fleet.yaml"
    path.write_text(SITE.format(body.replace("\n", "\n    ")))
    site = installed()
    try:
        load_fleet(path, site.catalog, site.blocks)
    except FleetError as error:
        return [f"{d.summary}: {d.detail}; {d.remedy}" for d in error.diagnostics]
    return []


@pytest.mark.parametrize(("body", "words"), [
    ("ntp: {servers: [10.0.0.1]}\nptp: {domain: 1}", "host.a.ptp manages what host.a.ntp declares too; remove ntp"),
    ("ptp: {domain: 1}\nservice: {ptpd: {running: true}}", "remove service.ptpd, or `ptp:`"),
    ("syslog: {targets: []}\nfirewall: {syslog: {allowed: all}}", "remove firewall.syslog, or `syslog:`"),
    ("syslog: {rotate: 9}\noption: {Syslog.global.defaultRotate: 8}",
     "remove option.Syslog.global.defaultRotate, or `syslog.rotate:`"),
])
def test_two_declarations_of_one_fact(tmp_path: Path, body: str, words: str) -> None:
    (found,) = loaded(tmp_path, body)
    assert found.startswith("one fact with two owners")
    assert words in found


@pytest.mark.parametrize("body", [
    "syslog: {targets: []}\noption: {Syslog.global.defaultRotate: 8}",  # who says nothing of it does not own it
    "power_policy: static\nmodule: {lpfc: a=1}\nfirewall: {sshServer: {allowed: all}}\nvsan: {}",
    "firewall: {sshServer: {enabled: true, allowed: [10.0.0.0/8, 10.9.0.1]}}\nswap: {datastore: fast}",
    "ptp: {ports: [{device: vmk2}], fallback: false}\nautostart: {vms: [{vm: dc01, start_delay: 60}, {vm: web1}]}",
])
def test_what_a_fleet_may_say(tmp_path: Path, body: str) -> None:
    assert loaded(tmp_path, body) == []
