"""A plan that gives three hosts of one cluster, and one of another, another image: compiled from values."""

from __future__ import annotations

from typing import Any

from planner.model import (
    Address,
    Evacuation,
    Fleet,
    Live,
    LiveHost,
    LiveObject,
    Plan,
    Resource,
    SecretRef,
    State,
    StateResource,
)
from planner.plan import PlanInputs, build_plan
from tests.support.lab import CATALOG

OLD, NEW = "0123456789abcdef" * 4, "fedcba9876543210" * 4
WHERE = {"esx01": "prod", "esx02": "prod", "esx03": "prod", "esx04": "edge"}
VMS = {
    "esx01": Evacuation(tuple(f"app{n:02}" for n in range(1, 12))),
    "esx02": Evacuation(("db1", "web1"), ("db1 (no other host has its datastores)",)),
    "esx04": Evacuation(("mail",), by_hand=("mail",)),
}


def rolling() -> Plan:
    resources: dict[Address, Resource] = {}
    objects: dict[Address, LiveObject] = {}
    hosts: dict[Address, LiveHost] = {}
    state: dict[Address, StateResource] = {}
    for label in ("prod", "edge"):
        cluster = Address("cluster", label)
        resources[cluster] = Resource(cluster, {"name": label})
        objects[cluster] = LiveObject(cluster, {"name": label}, f"domain-{label}")
        state[cluster] = StateResource(cluster, "created", {"name": label})
    for number, (name, label) in enumerate(WHERE.items(), 1):
        host, option = Address("host", "esx", name), "UserVars.SuppressShellWarning"
        about: dict[str, Any] = {"name": f"{name}.lab.example", "mac": f"52:54:00:00:00:1{number}",
                                 "cluster": f"cluster.{label}"}
        body = {**about, "image": "esxi9", "root_password": SecretRef("env:ROOT")}
        known = name != "esx04"  # that one was adopted once: nobody knows what it booted
        facts = {"uuid": f"u-{number}", "boot_time": "2026-01-01T00:00:00Z", **({"image": OLD, "staged": OLD} if known
                                                                               else {})}
        resources[host] = Resource(host, body, (Address("cluster", label),))
        resources[host.under("option", option)] = Resource(host.under("option", option), {"value": 1})
        objects[host] = LiveObject(host, about, f"host-{number}")
        objects[host.under("option", option)] = LiveObject(host.under("option", option), {"value": 1})
        hosts[host] = LiveHost(host, f"host-{number}", "connected", f"u-{number}", str(about["mac"]),
                               "2026-01-01T00:00:00Z", "24022510")
        state[host] = StateResource(host, "created", {**body, "image": "esxi8"}, f"host-{number}", facts)
        state[host.under("option", option)] = StateResource(host.under("option", option), "created", {"value": 1})
    evacuations = {Address("host", "esx", name): found for name, found in VMS.items()}
    return build_plan(PlanInputs(
        CATALOG, Fleet("lab", "lab.yaml", "/", resources), State("9f1c", 4, "lab", "vc", state),
        Live("vc", objects, hosts, evacuations=evacuations), {"esxi8": OLD, "esxi9": NEW}, lambda _declared: "twin",
        image_builds={"esxi8": "24022510", "esxi9": "24585291"}, tool="fleet 0.1.0", by="alice@ws1",
        now="2026-11-22T15:00:00Z"))
