"""Clusters: HA, DRS, DPM, EVC and swap placement, each set, read back and undone."""

from __future__ import annotations

from typing import Any

import pytest
from pyVmomi import vim

from planner.model import StepFailed
from providers.vsphere.types.cluster import CLUSTER, settings, touches_vms
from tests.unit.vsphere.kit import Bench, at, open_bench

PROD = "cluster.prod"
ADMISSION = {"policy": "slots", "host_failures": 1, "cpu": 0, "memory": 0, "slot_cpu": 0, "slot_memory": 0,
             "hosts": [], "performance_loss": 100}


@pytest.fixture
def bench() -> Bench:
    made = open_bench()
    made.containers()
    return made


def live(bench: Bench) -> dict[str, Any]:
    found = bench.observe(PROD, "cluster.update")
    assert found is not None
    return dict(found)


def there_and_back(bench: Bench, wanted: dict[str, Any]) -> dict[str, Any]:
    """Set it; what it was before is restored exactly. Gives what live shows in between."""
    from planner.snapshot import restrict, same

    start, dump = live(bench), bench.house.dump()
    before = {k: restrict(v, start[k]) for k, v in wanted.items()}
    made = bench.made(lambda: bench.run(PROD, "cluster.update", before, wanted))
    assert made == ["ClusterComputeResource.ReconfigureComputeResource_Task"]
    between = live(bench)
    assert same(wanted, between)
    assert bench.house.dump() != dump
    bench.run(PROD, "cluster.update", wanted, before)
    assert live(bench) == start
    assert bench.house.dump() == dump
    return between


@pytest.mark.parametrize("wanted", [
    {"drs": {"enabled": True, "automation": "partiallyAutomated", "migration_threshold": 5, "vm_overrides": False,
             "scalable_shares": True, "predictive": True, "advanced": {"TryBalanceVmsPerHost": "1"}}},
    {"drs": {"migration_threshold": 1}},
    {"ha": {"enabled": True, "host_monitoring": False, "restart_priority": "high", "isolation_response": "shutdown"}},
    {"ha": {"vm_monitoring": "vmsAndApplications", "vm_failure_interval": 60, "vm_minimum_uptime": 240,
            "vm_maximum_failures": 5, "vm_failure_window": 3600}},
    {"ha": {"storage_protection": True, "pdl_response": "restartAggressive", "apd_response": "restartConservative",
            "apd_delay": 140, "apd_cleared": "reset"}},
    {"ha": {"heartbeat_policy": "allFeasibleDs", "advanced": {"das.isolationaddress0": "10.0.0.1"}}},
    {"ha": {"admission": {**ADMISSION, "host_failures": 2, "slot_cpu": 500, "slot_memory": 1024}}},
    {"ha": {"admission": {**ADMISSION, "policy": "percentage", "cpu": 25, "memory": 30, "performance_loss": 50}}},
    {"ha": {"admission": {**ADMISSION, "policy": "percentage", "host_failures": 2}}},
    {"dpm": {"enabled": True, "automation": "manual", "threshold": 5, "advanced": {"MinPoweredOnCpuCapacity": "9"}}},
    {"vm_swap_placement": "hostLocal"},
], ids=["drs", "drs-threshold", "ha", "ha-vms", "ha-storage", "ha-heartbeats", "ha-slots", "ha-percent", "ha-computed",
        "dpm", "swap"])
def test_there_and_back(bench: Bench, wanted: dict[str, Any]) -> None:
    there_and_back(bench, wanted)


def test_what_is_not_named_stays(bench: Bench) -> None:
    bench.run(PROD, "cluster.update", {}, {"ha": {"isolation_response": "powerOff", "vm_maximum_failures": 7,
                                                  "advanced": {"das.a": "1"}}})
    bench.run(PROD, "cluster.update", {}, {"ha": {"vm_failure_interval": 45, "advanced": {"das.b": "2"}}})
    found = live(bench)["ha"]
    assert (found["isolation_response"], found["vm_maximum_failures"], found["vm_failure_interval"]) == (
        "powerOff", 7, 45)
    assert found["advanced"] == {"das.a": "1", "das.b": "2"}


def test_thresholds_are_the_clients_and_the_api_has_them_the_other_way_round(bench: Bench) -> None:
    bench.run(PROD, "cluster.update", {}, {"drs": {"migration_threshold": 5}, "dpm": {"threshold": 1}})
    parts = bench.house.cluster("dc0/prod")
    assert (parts.drs["vmotionRate"], parts.parts.dpm["hostPowerActionRate"]) == (1, 5)


def test_hosts_that_stand_by() -> None:
    bench = open_bench()
    bench.joined()
    wanted = {"ha": {"admission": {**ADMISSION, "policy": "hosts", "hosts": ["esx.lab.example"]}}}
    assert there_and_back(bench, wanted)["ha"]["admission"]["hosts"] == ["esx.lab.example"]
    wrong: dict[str, Any] = {"ha": {"admission": {**ADMISSION, "policy": "hosts", "hosts": ["esx9.lab.example"]}}}
    with pytest.raises(StepFailed, match="esx9"):
        bench.run(PROD, "cluster.update", {}, wrong)
    with pytest.raises(StepFailed, match="new cluster"):
        bench.run("cluster.x", "cluster.create", None, {"name": "x", "datacenter": "datacenter.dc0", **wrong})


def test_created_with_everything() -> None:
    bench = open_bench()
    bench.run("datacenter.dc0", "datacenter.create", None, {"name": "dc0"})
    wanted: dict[str, Any] = {
        "name": "prod", "datacenter": "datacenter.dc0", "drs": {"enabled": True, "migration_threshold": 2},
        "ha": {"enabled": True, "vm_maximum_failures": 1}, "dpm": {"enabled": False}, "vm_swap_placement": "hostLocal"}
    bench.run(PROD, "cluster.create", None, wanted)
    found = live(bench)
    assert (found["drs"]["migration_threshold"], found["ha"]["vm_maximum_failures"], found["vm_swap_placement"]) == (
        2, 1, "hostLocal")
    bench.run(PROD, "cluster.destroy", found, None)
    made = {k: v for k, v in found.items() if k in CLUSTER.fields}
    bench.run(PROD, "cluster.create", None, made)
    assert live(bench) == found


def test_evc_on_another_mode_and_off(bench: Bench) -> None:
    def call(operation: str, before: str, wanted: str) -> list[str]:
        return bench.made(lambda: bench.run(PROD, operation, {"evc": before}, {"evc": wanted}))

    assert live(bench)["evc"] == "off"
    assert call("cluster.enable_evc", "off", "intel-broadwell") == ["ClusterEVCManager.ConfigureEvcMode_Task"]
    assert call("cluster.change_evc", "intel-broadwell", "intel-haswell") == ["ClusterEVCManager.ConfigureEvcMode_Task"]
    assert live(bench)["evc"] == "intel-haswell"
    assert call("cluster.disable_evc", "intel-haswell", "off") == ["ClusterEVCManager.DisableEvcMode_Task"]
    assert live(bench)["evc"] == "off"


def test_evc_names_the_hosts_that_cannot(bench: Bench) -> None:
    bench.house.add_connected_host("dc0/prod", "52:54:00:00:00:77", "old.lab.example")
    bench.house.box("52:54:00:00:00:77").evc = "intel-haswell"
    with pytest.raises(StepFailed, match="EVC mode intel-skylake") as failed:
        bench.run(PROD, "cluster.enable_evc", {"evc": "off"}, {"evc": "intel-skylake"})
    assert "old.lab.example (EVCModeUnsupportedByHosts" in str(failed.value)
    with pytest.raises(StepFailed, match="EVCModeIllegalByVendor"):
        bench.run(PROD, "cluster.enable_evc", {"evc": "off"}, {"evc": "intel-nonsense"})
    assert live(bench)["evc"] == "off"


@pytest.mark.parametrize(("attributes", "words"), [
    ({"ha": {"admission": {**ADMISSION, "policy": "percentage", "cpu": 20}}}, "set both of cpu and memory"),
    ({"ha": {"admission": {**ADMISSION, "cpu": 20}}}, "belongs to `policy: percentage`"),
    ({"ha": {"admission": {**ADMISSION, "policy": "hosts"}}}, "needs `hosts`"),
    ({"ha": {"admission": {**ADMISSION, "slot_cpu": 20}}}, "slot_cpu and slot_memory"),
    ({"dpm": {"enabled": True}, "drs": {"enabled": False}}, "needs `drs.enabled`"),
])
def test_rules_across_fields(attributes: dict[str, Any], words: str) -> None:
    assert CLUSTER.validate is not None
    [found] = CLUSTER.validate({"datacenter": "datacenter.dc0", **attributes})
    assert words in found


def test_a_cluster_of_a_server_that_says_little() -> None:
    found = settings({"configurationEx": vim.cluster.ConfigInfoEx(
        drsConfig=vim.cluster.DrsConfigInfo(), dasConfig=vim.cluster.DasConfigInfo(failoverLevel=2))})
    assert found["ha"]["admission"] == {**ADMISSION, "host_failures": 2}
    assert "evc" not in found  # unknown: no summary
    assert found["dpm"] == {"enabled": False, "automation": "automated", "threshold": 3, "advanced": {}}


@pytest.mark.parametrize(("before", "wanted", "words"), [
    ({"ha": {"host_monitoring": True}}, {"ha": {"host_monitoring": False}}, "does not notice"),
    ({"dpm": {"enabled": False}}, {"dpm": {"enabled": True}}, "powers hosts off"),
    ({"dpm": {"enabled": False}}, {"dpm": {"enabled": True, "automation": "manual"}}, ""),
])
def test_what_a_reviewer_is_told(before: dict[str, Any], wanted: dict[str, Any], words: str) -> None:
    assert (words in touches_vms(before, wanted)) if words else not touches_vms(before, wanted)


def test_another_address_is_no_cluster(bench: Bench) -> None:
    assert bench.session.observe(CLUSTER.operations[1], bench.call("cluster.none", "cluster.update")) is None
    assert at(PROD).type == "cluster"
