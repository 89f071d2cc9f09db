"""Clusters, groups and rules as a fleet file writes them: what is valid, and what is said about what is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from planner.config import load_fleet
from planner.model import Address, FleetError
from tests.support.lab import CATALOG

HEAD = """
fleet: {name: t}
datacenter: {dc0: {}}
cluster:
  prod: {datacenter: '${datacenter.dc0}', %s}
  other: {datacenter: '${datacenter.dc0}'}
host:
  esx:
    for_each: [a, b]
    name: '${each.key}.lab.example'
    cluster: '${cluster.prod}'
  far: {name: far.lab.example, cluster: '${cluster.other}'}
"""
GROUPS = """
host_group:
  even: {cluster: '${cluster.prod}', hosts: ['${host.esx["a"]}', '${host.esx["b"]}']}
vm_group:
  web: {cluster: '${cluster.prod}', vms: [web2, web1]}
drs_rule:
  home: {cluster: '${cluster.prod}', kind: on, vm_group: '${vm_group.web}', host_group: '${host_group.even}'}
  spread: {name: Web apart, cluster: '${cluster.prod}', kind: apart, vms: [web1, web2]}
"""
WHOLE = """drs: {enabled: true, migration_threshold: 4, advanced: {TryBalanceVmsPerHost: "1"}}, evc: intel-broadwell,
    ha: {enabled: true, admission: {policy: percentage, host_failures: 2}, isolation_response: shutdown},
    dpm: {enabled: true, threshold: 2}, vm_swap_placement: hostLocal"""


def said(tmp_path: Path, text: str) -> list[str]:
    """What loading says; nothing where the fleet is valid."""
    path = tmp_path / "t.yaml"
    path.write_text(text, encoding="utf-8")
    try:
        load_fleet(path, CATALOG, {})
    except FleetError as error:
        return [f"{d.summary}: {d.detail}" for d in error.diagnostics]
    return []


def test_everything_at_once(tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    path.write_text(HEAD % WHOLE + GROUPS, encoding="utf-8")
    fleet = load_fleet(path, CATALOG, {})
    group = fleet.resources[Address.parse("host_group.even")]
    assert group.attributes["hosts"] == ['host.esx["a"]', 'host.esx["b"]']
    assert Address.parse('host.esx["a"]') in group.references
    admission = fleet.resources[Address.parse("cluster.prod")].attributes["ha"]["admission"]  # type: ignore[index, call-overload]
    assert admission == {"policy": "percentage", "host_failures": 2, "cpu": 0, "memory": 0, "slot_cpu": 0,
                         "slot_memory": 0, "hosts": [], "performance_loss": 100}


@pytest.mark.parametrize(("body", "more", "words"), [
    ("ha: {admission: {policy: slots, cpu: 20}}", "", "belongs to `policy: percentage`"),
    ("ha: {admission: {cpu: 20}}", "", "a required key is missing"),
    ("drs: {migration_threshold: 6}", "", "migration_threshold"),
    ("vm_swap_placement: withVm", "", "vm_swap_placement"),
    ("dpm: {enabled: true}, drs: {enabled: false}", "", "`dpm.enabled` needs `drs.enabled`"),
    ("evc: off", "host_group: {x: {cluster: '${cluster.prod}', hosts: ['${host.far}']}}",
     "hosts names something of another cluster"),
    ("evc: off", GROUPS.replace("web: {cluster: '${cluster.prod}'", "web: {cluster: '${cluster.other}'"),
     "vm_group names something of another cluster"),
    ("evc: off", "drs_rule: {x: {cluster: '${cluster.prod}', kind: apart, vms: [one]}}", "at least two"),
    ("evc: off", "host_group: {x: {cluster: '${cluster.prod}', hosts: [esx1]}}", "hosts"),
])
def test_what_is_wrong_is_said(tmp_path: Path, body: str, more: str, words: str) -> None:
    assert any(words in each for each in said(tmp_path, HEAD % body + more)), said(tmp_path, HEAD % body + more)
