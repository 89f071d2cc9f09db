"""Strategies of clusters whole, of groups and rules. The property tests' site has no VMs: its VM groups are empty."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.properties.breadth.existing import Labelled, some

ONE = 'host.esx["esx01"]'
LEVEL = st.integers(1, 5)
_POLICY: dict[str, Any] = {"host_failures": 1, "cpu": 0, "memory": 0, "slot_cpu": 0, "slot_memory": 0, "hosts": [],
                           "performance_loss": 100}


def admissions() -> st.SearchStrategy[dict[str, Any]]:
    return st.sampled_from([
        {**_POLICY, "policy": "slots"}, {**_POLICY, "policy": "slots", "host_failures": 2},
        {**_POLICY, "policy": "slots", "slot_cpu": 500, "slot_memory": 1024},
        {**_POLICY, "policy": "percentage", "cpu": 25, "memory": 30, "performance_loss": 50},
        {**_POLICY, "policy": "percentage", "host_failures": 2},
    ])


def clusters() -> Labelled:
    text = st.sampled_from(["1", "10.0.0.1"])
    drs = some({"enabled": st.booleans()}, automation=st.sampled_from(["manual", "fullyAutomated"]),
               migration_threshold=LEVEL, vm_overrides=st.booleans(), scalable_shares=st.booleans(),
               predictive=st.booleans(), advanced=some({}, TryBalanceVmsPerHost=text))
    ha = some({"enabled": st.booleans()}, admission_control=st.booleans(), admission=admissions(),
              host_monitoring=st.booleans(), restart_priority=st.sampled_from(["disabled", "medium", "highest"]),
              isolation_response=st.sampled_from(["none", "powerOff", "shutdown"]),
              vm_monitoring=st.sampled_from(["disabled", "vms", "vmsAndApplications"]),
              vm_failure_interval=st.sampled_from([30, 60]), storage_protection=st.booleans(),
              apd_response=st.sampled_from(["disabled", "restartAggressive"]),
              heartbeat_policy=st.sampled_from(["allFeasibleDs", "userSelectedDs"]),
              advanced=some({}, **{"das.isolationaddress0": text, "das.isolationaddress1": text}))
    dpm = some({"enabled": st.just(False)}, automation=st.sampled_from(["manual", "automated"]), threshold=LEVEL)
    body = some({}, drs=drs, ha=ha, dpm=dpm, vm_swap_placement=st.sampled_from(["vmDirectory", "hostLocal"]),
                evc=st.sampled_from(["off", "intel-broadwell", "intel-skylake"]))
    return st.fixed_dictionaries({"prod": body}, optional={"edge": body})


def groups() -> Labelled:
    """Of the cluster that every host of the site is in."""
    group = some({"cluster": st.just("cluster.prod"), "hosts": st.sampled_from([[], [ONE]])},
                 name=st.sampled_from(["Even hosts", "even"]))
    return st.fixed_dictionaries({}, optional={"even": group})


def vm_groups() -> Labelled:
    group = some({"cluster": st.just("cluster.prod"), "vms": st.just([])}, name=st.sampled_from(["Web", "web"]))
    return st.fixed_dictionaries({}, optional={"web": group})


def rules() -> Labelled:
    rule = some({"cluster": st.just("cluster.prod"), "kind": st.sampled_from(["on", "off"]),
                 "vm_group": st.just("vm_group.web"), "host_group": st.just("host_group.even"),
                 "mandatory": st.booleans(), "enabled": st.booleans()})
    return st.fixed_dictionaries({}, optional={"home": rule})


def strategies() -> dict[str, Labelled]:
    folder = st.sampled_from([{"datacenter": "datacenter.dc0", "kind": k} for k in ("host", "vm", "network")])
    nested = st.just({"parent": "folder.racks"})
    return {"cluster": clusters(), "host_group": groups(), "vm_group": vm_groups(), "drs_rule": rules(),
            "folder": st.fixed_dictionaries({"racks": folder}, optional={"core": nested})}
