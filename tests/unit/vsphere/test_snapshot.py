"""One reading of a twin: addresses, what is unmanaged, what is unread, and hosts that change their MoRef."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from planner.model import Attrs, FleetError, ReadFailed, StateResource, Step
from providers.vsphere.live import unreadable
from providers.vsphere.paths import paths_for
from providers.vsphere.types.syslog import SYSLOG
from tests.unit.vsphere.kit import HOST, MAC, NAME, Bench, at, open_bench

CHILDREN: Mapping[str, Attrs] = {
    f"{HOST}.dns": {"servers": ["10.0.0.53"]}, f"{HOST}.ntp": {"servers": []}, f"{HOST}.syslog": {"targets": []},
    f"{HOST}.vswitch.vSwitch0": {"mtu": 1500}, f"{HOST}.portgroup.absent": {"vswitch": "vSwitch0"},
    f'{HOST}.service["TSM-SSH"]': {"running": False}, f'{HOST}.service["no-such"]': {"running": False},
    f'{HOST}.option["UserVars.SuppressShellWarning"]': {"value": 0}, f'{HOST}.option["No.Such"]': {"value": 0},
}


@pytest.fixture
def bench() -> Bench:
    made = open_bench(CHILDREN)
    made.joined()
    return made


def recorded(bench: Bench) -> dict[Any, StateResource]:
    return {at(HOST): StateResource(at(HOST), "created", {"name": NAME, "mac": MAC}, bench.ids[at(HOST)],
                                    {"uuid": bench.facts["uuid"]})}

INHERITED: dict[str, Any] = {
    "security": dict.fromkeys(("promiscuous", "mac_changes", "forged_transmits"), "inherit"),
    "shaping": dict.fromkeys(("enabled", "average", "peak", "burst"), "inherit"),
    "teaming": {"policy": "inherit", "active": ["inherit"], "standby": ["inherit"], "notify": "inherit",
                "failback": "inherit", "check_beacon": "inherit"}}


def test_everything_that_is_declared_or_can_be_created(bench: Bench) -> None:
    live = bench.snapshot()
    assert live.instance == bench.house.instance
    assert {str(a): dict(o.attributes) for a, o in live.objects.items() if a.type != "cluster"} == {
        "datacenter.dc0": {"name": "dc0"},
        HOST: {"name": NAME, "mac": MAC, "cluster": "cluster.prod"},
        f"{HOST}.dns": {"dhcp": True, "servers": [], "domain": "", "hostname": "esx", "search": []},
        f"{HOST}.ntp": {"protocol": "ntp", "servers": [], "policy": "off", "running": False},
        f"{HOST}.syslog": dict(SYSLOG.baseline["syslog"]),
        f"{HOST}.vswitch.vSwitch0": {
            "uplinks": ["vmnic0"], "mtu": 1500, "ports": 128, "discovery": "listen", "beacon": 1,
            "security": {"promiscuous": False, "mac_changes": False, "forged_transmits": False},
            "shaping": {"enabled": False, "average": 0, "peak": 0, "burst": 0},
            "teaming": {"policy": "loadbalance_srcid", "active": ["vmnic0"], "standby": [], "notify": True,
                        "failback": True, "check_beacon": False}},
        f'{HOST}.portgroup["Management Network"]': {"vswitch": "vSwitch0", "vlan": 0, **INHERITED},
        f'{HOST}.portgroup["VM Network"]': {"vswitch": "vSwitch0", "vlan": 0, **INHERITED},
        f"{HOST}.vmkernel.vmk0": {"portgroup": "Management Network", "dhcp": True, "ip": bench.facts["ip"],
                                  "netmask": "255.128.0.0", "mtu": 1500, "services": ["management"], "gateway": "",
                                  "stack": "defaultTcpipStack", "ipv6": {
                                      "dhcp": False, "autoconf": True, "addresses": [], "gateway": ""}},
        f'{HOST}.service["TSM-SSH"]': {"policy": "off", "running": False},
        f'{HOST}.option["UserVars.SuppressShellWarning"]': {"value": 0, "takes": {"minimum": 0, "maximum": 1}}}
    assert not live.unread
    assert not live.diagnostics


def test_a_newborn_host_is_as_the_catalogues_baseline_says(bench: Bench) -> None:
    """Twin and catalogue agree: what plan assumes of a newborn host is what apply finds."""
    from planner.snapshot import mismatch
    from providers.vsphere.types import TYPES

    live = bench.snapshot()
    for rtype in TYPES:
        for name, expected in rtype.baseline.items():
            address = at(HOST).under(rtype.name, "" if rtype.singleton else name)
            if address in live.objects:
                assert not mismatch(expected, live.objects[address].attributes), address
    made = {a.name for a in live.objects if a.child_type and not next(
        t for t in TYPES if t.name == a.child_type).setting}
    assert made == {n for t in TYPES if t.parent and not t.setting for n in t.baseline}


def test_the_hosts_status(bench: Bench) -> None:
    host = bench.snapshot().hosts[at(HOST)]
    assert (host.connection, host.in_maintenance, host.uuid) == ("connected", True, bench.facts["uuid"])
    assert (host.build, host.ip, host.boot_time) == ("24022510", bench.facts["ip"], bench.facts["boot_time"])
    assert (host.vms, host.problems) == ((), ())


def test_what_nobody_declared_is_listed(bench: Bench) -> None:
    bench.house.add_connected_host("dc0/other", "52:54:00:00:00:99", "stray.lab.example")
    unmanaged = {str(each) for each in bench.snapshot().unmanaged}
    assert unmanaged == {f'{HOST}.portgroup["Management Network"]', f'{HOST}.portgroup["VM Network"]',
                         f"{HOST}.vmkernel.vmk0", "dc0/other/stray.lab.example"}


def test_a_host_that_does_not_answer_is_unread_not_absent(bench: Bench) -> None:
    bench.house.power(MAC, "off")
    live = bench.snapshot()
    assert live.hosts[at(HOST)].connection == "notResponding"
    assert live.unread == {at(HOST): "it does not respond"}
    assert at(HOST) in live.objects
    assert not [a for a in live.objects if a.child_type]


def test_a_configuration_that_cannot_be_read_is_unread_not_absent() -> None:
    from pyVmomi import vim, vmodl

    from providers.vsphere.collector import Row

    host = vim.HostSystem("host-1")
    denied = vim.fault.NoPermission()
    assert "no configuration" in unreadable(Row(host, {"runtime.connectionState": "connected"}, {}))
    assert "NoPermission" in unreadable(Row(host, {"runtime.connectionState": "connected"},
                                            {"config.product": denied}))
    good = {"runtime.connectionState": "connected", "config.product": object()}
    assert "NoPermission" in unreadable(Row(host, good, {"config.network.vnic": denied}))
    unknown_key = vmodl.query.InvalidProperty(name='config.option["No.Such"]')
    assert unreadable(Row(host, good, {'config.option["No.Such"]': unknown_key})) == ""


def test_one_host_read_by_itself_is_what_it_is_in_the_whole(bench: Bench) -> None:
    whole, one = bench.snapshot(recorded(bench)), bench.snapshot(recorded(bench), frozenset({at(HOST)}))
    assert dict(one.objects) == {a: o for a, o in whole.objects.items() if a.type == "host"}
    assert dict(one.hosts) == dict(whole.hosts)


def test_one_host_is_read_without_reading_the_others(bench: Bench) -> None:
    bench.snapshot(recorded(bench))
    seen: list[str] = []
    raw = bench.session._link._raw

    def watch(mo: Any, info: Any, args: Any, *more: Any) -> Any:
        seen.append(info.wsdlName)
        return raw(mo, info, args, *more)

    bench.session._link._raw = watch
    bench.snapshot(recorded(bench), frozenset({at(HOST)}))
    assert seen == ["RetrievePropertiesEx"]


def test_a_new_moref_is_found_by_identity(bench: Bench) -> None:
    """Somebody removed the host and added it again."""
    state = recorded(bench)
    bench.snapshot(state)
    bench.run(HOST, "host.remove")
    bench.run(HOST, "host.add", None, {"name": NAME, "mac": MAC, "cluster": "cluster.prod"})
    assert bench.ids[at(HOST)] != state[at(HOST)].id
    bench.session.keep(at(HOST), bench.session._resolver.obj(at(HOST), state[at(HOST)].id))
    assert bench.snapshot(state, frozenset({at(HOST)})).hosts[at(HOST)].id == bench.ids[at(HOST)]
    assert bench.snapshot(state).hosts[at(HOST)].id == bench.ids[at(HOST)]


def test_a_host_that_is_gone_from_vcenter_is_absent(bench: Bench) -> None:
    bench.run(HOST, "host.remove")
    for only in (None, frozenset({at(HOST)})):
        live = bench.snapshot(recorded(bench), only)
        assert at(HOST) not in live.hosts
        assert at(HOST) not in live.objects


def test_a_server_that_cannot_index_arrays_is_asked_otherwise(bench: Bench) -> None:
    """Whole arrays for services and rule sets, and the OptionManager key by key."""
    from pyVmomi import vmodl

    expected = bench.snapshot()
    raw = bench.session._link._raw

    def strict(mo: Any, info: Any, args: Any, *more: Any) -> Any:
        if info.wsdlName == "RetrievePropertiesEx":
            for spec in args[0]:
                for path in (p for s in spec.propSet for p in s.pathSet if "[" in p):
                    raise vmodl.query.InvalidProperty(name=path)
        return raw(mo, info, args, *more)

    bench.session._link._raw = strict
    found = bench.snapshot().objects
    assert {a: {**o.attributes, "takes": None} for a, o in found.items()} == {
        a: {**o.attributes, "takes": None} for a, o in expected.objects.items()}  # what options take is not asked then


def test_only_what_is_needed_is_asked_for() -> None:
    asked = paths_for({"vswitch": (), "option": {"A.b"}, "ntp": {"ntp"}, "syslog": {"syslog"}}).asked(keyed=True)
    assert 'config.option["A.b"]' in asked
    assert 'config.option["Syslog.global.logHost"]' in asked
    assert 'config.firewall.ruleset["syslog"]' in asked
    assert 'config.service.service["ntpd"]' in asked
    assert not {"config", "config.option", "config.service.service", "config.network.vnic"} & set(asked)


def test_a_host_profile_or_coexist(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("Host Profile 'p' is attached",)
    for coexist, expected in ((False, words), (True, ())):
        made = open_bench(CHILDREN, coexist=coexist)
        made.joined()
        moid = made.ids[at(HOST)]
        monkeypatch.setattr("providers.vsphere.live.find_problems", lambda *_, moid=moid: ({moid: words}, []))
        assert made.snapshot().hosts[at(HOST)].problems == expected


def test_a_cluster_that_lifecycle_manager_owns_is_refused(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyVmomi import vim

    raw = bench.session._collector.many

    def many(objects: Any, *paths: str) -> Any:
        if "lifecycleManaged" not in paths:
            return raw(objects, *paths)
        rows = raw(objects, "name")
        for row in rows:
            assert isinstance(row.obj, vim.ClusterComputeResource)
            row.props["lifecycleManaged"] = row.props["name"] == "prod"
        return rows

    monkeypatch.setattr("providers.vsphere.collector.Collector.many", lambda _self, found, *paths: many(found, *paths))
    live = bench.snapshot()
    assert [(str(d.address), d.severity) for d in live.diagnostics] == [("cluster.prod", "error")]
    assert "Lifecycle Manager" in live.hosts[at(HOST)].problems[0]


def test_a_vcenter_that_cannot_be_read_ends_the_command(bench: Bench) -> None:
    bench.house.faults.refuse_next("vcenter", 1000)
    with pytest.raises(FleetError, match="vCenter"):
        bench.snapshot()
    with pytest.raises(ReadFailed):
        bench.snapshot(recorded(bench), frozenset({at(HOST)}))


# --- privileges -------------------------------------------------------------------------------------------------


def test_missing_privileges_are_all_named(bench: Bench) -> None:
    from providers.twin.core.sessions import Role
    from providers.vsphere.twin import credentials

    steps = [Step("s1", at(f"{HOST}.dns"), "dns.update", None, None), Step("s2", at(HOST), "host.exit_maintenance",
                                                                          None, None),
             Step("s3", at("cluster.later"), "cluster.create", None, None), Step("s4", at(HOST), "door.set_password",
                                                                                 None, None)]
    bench.session.prepare(steps)
    bench.house.world.sessions.accounts.set(*credentials(), Role.of("some", {"Host.Config.Network"}))
    bench.session._link._login(bench.session._link.content)
    with pytest.raises(FleetError) as caught:
        bench.session.prepare(steps)
    assert {d.summary.rpartition(" ")[2] for d in caught.value.diagnostics} == {
        "Host.Config.Maintenance", "Host.Inventory.CreateCluster"}


def test_reading_needs_the_read_only_role_alone(bench: Bench) -> None:
    from providers.twin.core.sessions import READ_ONLY
    from providers.vsphere.twin import credentials

    everything = bench.snapshot()
    bench.house.world.sessions.accounts.set(*credentials(), READ_ONLY)
    bench.session._link._login(bench.session._link.content)
    live = bench.snapshot()
    assert live.objects == everything.objects
    assert [(d.severity, "Profile.View" in d.detail) for d in live.diagnostics] == [("warning", True)]


def test_no_permission_at_a_call_names_the_privilege(bench: Bench) -> None:
    from planner.model import StepFailed
    from providers.twin.core.sessions import READ_ONLY
    from providers.vsphere.twin import credentials

    bench.house.world.sessions.accounts.set(*credentials(), READ_ONLY)
    bench.session._link._login(bench.session._link.content)
    with pytest.raises(StepFailed, match="NoPermission") as caught:
        bench.run(HOST, "host.exit_maintenance")
    assert "Host.Config.Maintenance" in caught.value.detail
