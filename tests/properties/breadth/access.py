"""Strategies of who may do what: on hosts, and in vCenter."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from planner.model import SecretRef
from tests.properties.breadth.existing import Labelled, single, some

FIRST, ROOT = SecretRef("env:FIRST"), SecretRef("env:ROOT")
SECRETS = st.sampled_from([FIRST, ROOT])
PRIVILEGES = ("Host.Config.Network", "Host.Config.Storage", "VirtualMachine.Interact.PowerOn")
ENTITIES = st.sampled_from(["cluster.prod", "datacenter.dc0", 'host.esx["esx01"]'])


def roles() -> Labelled:
    privileges = st.sets(st.sampled_from(PRIVILEGES)).map(sorted)
    return st.fixed_dictionaries({}, optional={
        label: some({"privileges": privileges}, name=st.sampled_from([label, f"{label} of it"]))
        for label in ("ops", "audit")})


def permissions() -> Labelled:
    """Each its own principal: two permissions of one on one entity would be one."""
    def body(label: str, entities: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, Any]]:
        return st.fixed_dictionaries({
            "principal": st.just(f"LAB\\{label}"), "group": st.just(label == "day"), "propagate": st.booleans(),
            "role": st.sampled_from(["ReadOnly", "NoAccess", "role.ops", "role.audit"]), "entity": entities})

    return st.fixed_dictionaries({"night": body("night", st.just("root"))}, optional={"day": body("day", ENTITIES)})


def attributes() -> Labelled:
    """One that everything can have, and one that is for some objects only."""
    return st.fixed_dictionaries({"owner": some({}, name=st.sampled_from(["owner", "owner of it"]))}, optional={
        "room": some({}, name=st.sampled_from(["room", "room of it"]), **{"for": st.sampled_from(["host", "vm"])})})


def values() -> Labelled:
    bodies = {name: st.fixed_dictionaries({
        "entity": st.just(entity), "attribute": st.just("custom_attribute.owner"),
        "value": st.sampled_from(["team a", "team b"])})
        for name, entity in (("one", 'host.esx["esx01"]'), ("all", "cluster.prod"))}
    return st.fixed_dictionaries(bodies)


def snmp_agents() -> Labelled:
    agent = some({"communities": st.sampled_from([[FIRST], [ROOT], [FIRST, ROOT]])}, enabled=st.booleans(),
                 port=st.sampled_from([161, 1161]),
                 targets=st.sampled_from([[], ["10.0.0.9:162"], ["10.0.0.9:162", "nms.lab.example:1162"]]))
    return single(agent)


def strategies() -> dict[str, Labelled]:
    users = some({"password": SECRETS}, description=st.sampled_from(["", "backup"]),
                 role=st.sampled_from(["admin", "read_only", "no_access", "none"]))
    return {
        "role": roles(),
        "permission": permissions(),
        "custom_attribute": attributes(),
        "custom_value": values(),
        "license": single(st.fixed_dictionaries({"key": st.just(SecretRef("env:KEY"))},
                                                optional={"ends": st.just("11111")})),
        "certificate": single(st.just({"status": "good"})),
        "snmp": snmp_agents(),
        "active_directory": single(st.fixed_dictionaries({
            "domain": st.sampled_from(["lab.example", "x.example"]), "user": st.just("joiner"),
            "password": SECRETS})),
        "nfs_user": single(st.fixed_dictionaries({"user": st.sampled_from(["fleet", "other"]), "password": SECRETS})),
        "users": st.fixed_dictionaries({"backup": users}, optional={"probe": users}),
        "lockdown": single(some({"mode": st.sampled_from(["disabled", "normal", "strict"])},
                                exceptions=st.sampled_from([[], ["backup"]]))),
    }
