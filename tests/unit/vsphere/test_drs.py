"""DRS groups and rules: made, changed, removed and restored; what they refuse, and how plans order them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from planner.model import Attrs, StepFailed
from providers.vsphere.types.drs_rule import DRS_RULE, pins
from tests.unit.vsphere.kit import HOST, Bench, at, open_bench

CLUSTER = "cluster.prod"
GROUPS: Mapping[str, Attrs] = {
    "host_group.even": {"cluster": CLUSTER, "hosts": [HOST]},
    "vm_group.web": {"name": "Web servers", "cluster": CLUSTER, "vms": ["web1", "web2"]},
    "drs_rule.spread": {"cluster": CLUSTER, "kind": "apart", "vms": ["web1", "web2"], "enabled": True,
                        "mandatory": False},
    "drs_rule.home": {"cluster": CLUSTER, "kind": "on", "vm_group": "vm_group.web", "host_group": "host_group.even",
                      "enabled": True, "mandatory": True},
}


def machines(bench: Bench, *names: str) -> None:
    """VMs on the one host."""
    from providers.twin.model import Vm

    house = bench.house
    host = house.inventory.host_of("52:54:00:00:00:11")
    with house.change():
        for name in names:
            vms = house.inventory.datacenter_of(host).vm
            house.inventory.put(Vm(house.inventory.new_id("vm-"), name, vms, host.id, uuid=house.derived_uuid(name)))


@pytest.fixture
def bench() -> Bench:
    made = open_bench(GROUPS)
    made.joined()
    machines(made, "web1", "web2", "db1")
    return made


def full(text: str) -> dict[str, Any]:
    return {"name": at(text).name, **GROUPS[text]}


def make(bench: Bench, *texts: str) -> None:
    for text in texts:
        bench.run(text, f"{at(text).type}.add", None, full(text))


def look(bench: Bench, text: str) -> Attrs | None:
    return bench.observe(text, f"{at(text).type}.update")


@pytest.mark.parametrize("text", GROUPS)
def test_added_removed_and_added_again(bench: Bench, text: str) -> None:
    make(bench, *[t for t in GROUPS if at(t).type != "drs_rule" and text == "drs_rule.home"])
    dump = bench.house.dump()
    assert look(bench, text) is None
    kind = at(text).type
    made = bench.made(lambda: make(bench, text))
    assert made == ["ClusterComputeResource.ReconfigureComputeResource_Task"]
    assert look(bench, text) == full(text)
    snapshot = bench.snapshot()
    assert snapshot.objects[at(text)].attributes == full(text)
    between = bench.house.dump()
    bench.run(text, f"{kind}.remove", full(text), None)
    assert bench.house.dump() == dump
    bench.run(text, f"{kind}.add", None, full(text))
    assert bench.house.dump() == between


@pytest.mark.parametrize(("text", "wanted"), [
    ("host_group.even", {"hosts": []}),
    ("vm_group.web", {"vms": ["db1", "web1"]}),
    ("drs_rule.spread", {"vms": ["db1", "web1", "web2"], "enabled": False}),
    ("drs_rule.home", {"mandatory": False}),
    ("drs_rule.home", {"vm_group": "vm_group.other"}),
])
def test_changed_and_back(bench: Bench, text: str, wanted: Attrs) -> None:
    make(bench, *GROUPS)
    bench.run("vm_group.other", "vm_group.add", None, {"name": "other", "cluster": CLUSTER, "vms": ["db1"]},
              declared={"cluster": CLUSTER})
    dump, kind = bench.house.dump(), at(text).type
    before = {k: full(text)[k] for k in wanted}
    bench.run(text, f"{kind}.update", before, wanted)
    assert look(bench, text) == {**full(text), **wanted}
    bench.run(text, f"{kind}.update", wanted, before)
    assert bench.house.dump() == dump


def test_a_group_that_nobody_declared_shows_by_its_name(bench: Bench) -> None:
    make(bench, *GROUPS)
    parts = bench.house.cluster("dc0/prod").parts
    parts.groups["theirs"] = parts.groups["Web servers"]
    parts.rules["home"].vm_group = "theirs"
    theirs: Attrs = {"vm_group": "path:theirs"}
    assert look(bench, "drs_rule.home") == {**full("drs_rule.home"), **theirs}
    bench.run("drs_rule.home", "drs_rule.update", theirs, {"vm_group": "vm_group.web"})
    bench.run("drs_rule.home", "drs_rule.update", {"vm_group": "vm_group.web"}, theirs)
    assert bench.house.cluster("dc0/prod").parts.rules["home"].vm_group == "theirs"


def test_a_host_that_nobody_declared_is_named_and_restored(bench: Bench) -> None:
    make(bench, "host_group.even")
    bench.house.add_connected_host("dc0/prod", "52:54:00:00:00:77", "esx9.lab.example")
    both: Attrs = {"hosts": [HOST, "path:esx9.lab.example"]}
    bench.run("host_group.even", "host_group.update", {"hosts": [HOST]}, both)
    assert look(bench, "host_group.even") == {**full("host_group.even"), **both}


@pytest.mark.parametrize(("text", "wanted", "words"), [
    ("vm_group.web", {"vms": ["web1", "gone1", "gone2"]}, "gone1, gone2"),
    ("drs_rule.spread", {"vms": ["web1", "gone1"]}, "gone1"),
    ("host_group.even", {"hosts": ["path:other.lab.example"]}, "other.lab.example"),
])
def test_members_that_are_not_there_are_named(bench: Bench, text: str, wanted: Attrs, words: str) -> None:
    calls = len(bench.house.calls)
    with pytest.raises(StepFailed, match=words):
        bench.run(text, f"{at(text).type}.add", None, {**full(text), **wanted})
    assert len(bench.house.calls) == calls


def test_two_machines_of_one_name(bench: Bench) -> None:
    from providers.twin.model import Vm

    house = bench.house
    folder = house.inventory.add_folder("f", house.inventory.docs[house.inventory.all(Vm)[0].parent])
    machines(bench, "twice")
    house.inventory.move(next(v for v in house.inventory.all(Vm) if v.name == "twice"), folder.id)
    machines(bench, "twice")
    with pytest.raises(StepFailed, match="several"):
        bench.run("vm_group.web", "vm_group.add", None, {**full("vm_group.web"), "vms": ["twice"]})


def test_what_is_gone_meanwhile(bench: Bench) -> None:
    with pytest.raises(StepFailed, match="does not exist"):
        bench.run("drs_rule.spread", "drs_rule.update", {"enabled": True}, {"enabled": False})
    with pytest.raises(StepFailed, match="InvalidArgument"):
        bench.run("host_group.even", "host_group.remove", full("host_group.even"), None)
    make(bench, "host_group.even", "vm_group.web", "drs_rule.home")
    with pytest.raises(StepFailed, match="used by the rule home"):
        bench.run("host_group.even", "host_group.remove", full("host_group.even"), None)


@pytest.mark.parametrize(("attributes", "words"), [
    ({"kind": "apart", "vms": ["a"]}, "at least two"),
    ({"kind": "together", "vms": ["a", "b"], "mandatory": True}, "`mandatory` is of rules"),
    ({"kind": "together", "vms": ["a", "b"], "vm_group": "vm_group.x"}, "not about groups"),
    ({"kind": "on", "vm_group": "vm_group.x"}, "needs `vm_group` and `host_group`"),
    ({"kind": "off", "vm_group": "vm_group.x", "host_group": "host_group.y", "vms": ["a"]}, "not `vms`"),
])
def test_rules_of_rules(attributes: Attrs, words: str) -> None:
    assert DRS_RULE.validate is not None
    assert any(words in found for found in DRS_RULE.validate(attributes))


def test_what_a_reviewer_is_told() -> None:
    assert "not by HA" in pins(None, {"mandatory": True, "enabled": True})
    assert pins({"mandatory": True}, {"enabled": False}) == ""
