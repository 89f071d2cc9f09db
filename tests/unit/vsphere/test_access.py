"""Access to hosts and to vCenter: operations against the twin, back to exactly what was; what is refused, and how."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partialmethod
from typing import Any

import pytest

from planner.model import Action, Attrs, Change, ReadFailed, SecretRef, StateResource, StepFailed
from providers.twin.house import House
from providers.vsphere.types import users
from providers.vsphere.types.active_directory import ACTIVE_DIRECTORY
from providers.vsphere.types.certificate import CERTIFICATE
from providers.vsphere.types.custom_attribute import CUSTOM_VALUE
from providers.vsphere.types.license import LICENSE, digest
from providers.vsphere.types.lockdown import LOCKDOWN
from providers.vsphere.types.role import ROLE
from providers.vsphere.types.snmp import SNMP
from tests.unit.vsphere.kit import HOST, OPERATIONS, PASSWORD, Bench, at, make_fleet, open_bench

ON = f"{HOST}."
WORD, OTHER = SecretRef("env:WORD"), SecretRef("env:OTHER")
KEY = "AAAAA-BBBBB-CCCCC-DDDDD-11111"
EVALUATION: dict[str, Any] = {"key": digest("00000-00000-00000-00000-00000"), "ends": "00000"}
USER: dict[str, Any] = {"password": WORD, "description": "backup"}
ROOTS: dict[str, Attrs] = {
    "role.ops": {"name": "ops", "privileges": ["Host.Config.Network"]},
    "permission.ops": {"entity": HOST, "principal": "ops@lab.example", "group": True, "role": "role.ops",
                       "propagate": True},
    "custom_attribute.owner": {"name": "owner", "for": "host"},
    "custom_value.owner": {"entity": HOST, "attribute": "custom_attribute.owner", "value": "team a"},
}
CHANGES: list[tuple[str, str, Attrs | None, Attrs | None]] = [
    ("role.ops", "role.add", None, ROOTS["role.ops"]),
    ("role.ops", "role.update", {"name": "ops"}, {"name": "operators"}),
    ("role.ops", "role.update", {"privileges": ["Host.Config.Network"]}, {"privileges": []}),
    ("permission.ops", "permission.set", None, ROOTS["permission.ops"]),
    ("permission.ops", "permission.update", {"role": "role.ops"}, {"role": "ReadOnly"}),
    ("permission.ops", "permission.update", {"propagate": True}, {"propagate": False}),
    ("custom_attribute.owner", "custom_attribute.add", None, ROOTS["custom_attribute.owner"]),
    ("custom_attribute.owner", "custom_attribute.rename", {"name": "owner"}, {"name": "keeper"}),
    ("custom_value.owner", "custom_value.set", None, ROOTS["custom_value.owner"]),
    ("custom_value.owner", "custom_value.update", {"value": "team a"}, {"value": "team b"}),
    (ON + "users.backup", "users.create", None, USER),
    (ON + "users.backup", "users.update", {"description": "backup"}, {"description": "restore"}),
    (ON + "users.backup", "users.role", {"role": "none"}, {"role": "read_only"}),
    (ON + "lockdown", "lockdown.except", {"exceptions": []}, {"exceptions": ["backup"]}),
    (ON + "lockdown", "lockdown.mode", {"mode": "disabled"}, {"mode": "normal"}),
    (ON + "lockdown", "lockdown.mode", {"mode": "disabled"}, {"mode": "strict"}),
    (ON + "active_directory", "active_directory.join", None,
     {"domain": "lab.example", "ou": "hosts/esx", "user": "joiner", "password": WORD}),
    (ON + "snmp", "snmp.communities", {"communities": []}, {"communities": [WORD]}),
    (ON + "snmp", "snmp.configure", {"enabled": False, "port": 161}, {"enabled": True, "port": 1161}),
    (ON + "snmp", "snmp.configure", {"targets": []}, {"targets": ["10.0.0.9:162", "nms.lab.example:162"]}),
    (ON + "license", "license.assign", EVALUATION, {"key": SecretRef("env:KEY"), "ends": "11111"}),
]
STANDING = {"permission.set": ["role.add"], "permission.update": ["role.add", "permission.set"],
            "role.update": ["role.add"], "custom_attribute.rename": ["custom_attribute.add"],
            "custom_value.set": ["custom_attribute.add"], "custom_value.update": ["custom_attribute.add",
                                                                                "custom_value.set"],
            "users.update": ["users.create"], "users.role": ["users.create"], "lockdown.except": ["users.create"],
            "snmp.configure": ["snmp.communities"]}
"""Operation → those that have to have been made before."""


def secret(reference: SecretRef) -> str:
    return {"env:KEY": KEY}.get(reference.reference, PASSWORD)


@pytest.fixture(scope="module", params=["objects", "xml"])
def joined(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """In-process answers as objects, and every call through real XML both ways."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "xml":
            for door in ("stub", "door"):
                patch.setattr(House, door, partialmethod(getattr(House, door), codec=True))
        bench = open_bench(ROOTS)
        bench.resolve = secret
        bench.joined()
        bench.snapshot()
        yield bench


def shows(found: Attrs | None, expected: Attrs | None) -> bool:
    """Whether what was observed holds what was expected, secrets that live does not show aside."""
    if expected is None or found is None:
        return expected is None and found is None
    return all(found[k] == v for k, v in expected.items() if k in found)


def first(name: str) -> tuple[str, str, Attrs | None, Attrs | None]:
    return next(each for each in CHANGES if each[1] == name)


@pytest.mark.parametrize(("address", "name", "before", "after"), CHANGES, ids=[f"{c[1]}-{i}" for i, c in enumerate(
    CHANGES)])
def test_one_call_forward_and_one_back_to_the_same(joined: Bench, address: str, name: str, before: Attrs | None,
                                                   after: Attrs | None) -> None:
    for each in STANDING.get(name, ()):
        joined.run(*first(each))
    operation = OPERATIONS[name]
    inverse = OPERATIONS[operation.inverse]
    dump = joined.house.dump()
    assert shows(joined.observe(address, name, before, after), before)
    assert joined.made(lambda: joined.run(address, name, before, after)) == [operation.call]
    found = joined.observe(address, name, before, after)
    assert shows(found, {k: v for k, v in (after or {}).items() if k != "key"})
    assert joined.house.dump() != dump
    assert joined.made(lambda: joined.run(address, inverse.name, after, before)) == [inverse.call]
    assert joined.house.dump() == dump
    for each in reversed(STANDING.get(name, ())):
        other, _, was, now = first(each)
        joined.run(other, OPERATIONS[each].inverse, now, was)


def test_nothing_secret_is_in_what_is_read_or_kept(joined: Bench) -> None:
    for name in ("users.create", "snmp.communities", "license.assign"):
        joined.run(*first(name))
    try:
        shown = str([joined.observe(first(n)[0], n, None, None) for n in ("users.role", "snmp.configure",
                                                                          "license.assign")])
        kept = str(joined.house.dump()) + str(joined.house.inventory.docs)
        assert PASSWORD not in shown + kept
        assert KEY not in shown + kept
    finally:
        for name in ("license.assign", "snmp.communities", "users.create"):
            other, _, was, now = first(name)
            joined.run(other, OPERATIONS[name].inverse, now, was)


# --- users and lockdown -------------------------------------------------------------------------------------


def test_lockdown_hides_the_roles_of_all_but_the_exceptions(joined: Bench) -> None:
    """Hidden is not gone: the user is there, and what its role is nobody can say now."""
    for name in ("backup", "spare"):
        joined.run(ON + f"users.{name}", "users.create", None, USER)
        joined.run(ON + f"users.{name}", "users.role", {"role": "none"}, {"role": "admin"})
    joined.run(ON + "lockdown", "lockdown.except", {"exceptions": []}, {"exceptions": ["backup"]})
    joined.run(ON + "lockdown", "lockdown.mode", {"mode": "disabled"}, {"mode": "strict"})
    try:
        roles = [(joined.observe(ON + f"users.{n}", "users.role") or {})["role"] for n in ("backup", "spare")]
        assert roles == ["admin", users.HIDDEN]
        assert joined.observe(ON + "users.nobody2", "users.role") is None
        with pytest.raises(StepFailed, match="lockdown mode protects") as locked:
            joined.run(ON + "users.spare", "users.role", {"role": "admin"}, {"role": "none"})
        assert "lockdown.exceptions" in locked.value.remedy
    finally:
        joined.run(ON + "lockdown", "lockdown.mode", {"mode": "strict"}, {"mode": "disabled"})
        for name in ("spare", "backup"):
            assert (joined.observe(ON + f"users.{name}", "users.role") or {})["role"] == "admin"
            joined.run(ON + f"users.{name}", "users.remove", USER, None)
        joined.run(ON + "lockdown", "lockdown.unexcept", {"exceptions": ["backup"]}, {"exceptions": []})
    assert joined.observe(ON + "lockdown", "lockdown.mode") == {"mode": "disabled", "exceptions": []}


def test_of_a_host_without_its_directory_users_are_unread(joined: Bench) -> None:
    joined.house.faults.add(kind="fault", method="UserDirectory.RetrieveUserGroups", fault="vmodl.fault.SystemError")
    with pytest.raises(ReadFailed, match="SystemError"):
        joined.observe(ON + "users.backup", "users.role")


def test_a_fault_while_reading_leaves_that_type_unread_and_nothing_deleted() -> None:
    bench = open_bench({ON + "users.backup": USER})
    bench.joined()
    state = {at(ON + "users.backup"): StateResource(at(ON + "users.backup"), "created", USER)}
    bench.house.faults.add(kind="fault", method="UserDirectory.RetrieveUserGroups", fault="vmodl.fault.SystemError")
    live = bench.snapshot(state)
    assert list(live.unread) == [at(ON + "users.backup")]
    assert live.objects[at(ON + "lockdown")].attributes == {"mode": "disabled", "exceptions": []}


def test_users_are_read_as_they_are_and_the_systems_are_nobodys() -> None:
    from pyVmomi import vim

    entry, person = vim.host.HostAccessManager.AccessEntry, vim.UserSearchResult
    props = {users.USERS: [person(principal=n, fullName="x", group=False) for n in ("root", "dcui", "a", "b", "c")],
             users.ENTRIES: [entry(principal="a", group=False, accessMode="accessOther"),
                             entry(principal="b", group=True, accessMode="accessAdmin")], users.EXCEPTIONS: None}
    found = users.read(props, frozenset({"a"}))
    assert {name: each["role"] for name, each in found.items()} == {"a": "other", "b": "none", "c": "none"}
    locked = users.read({**props, users.EXCEPTIONS: ["b"]}, frozenset({"a"}))
    assert {name: each["role"] for name, each in locked.items()} == {"a": "other", "b": "none", "c": users.HIDDEN}
    assert users.read({}, frozenset({"a"})) == {}


def test_the_hosts_own_users_are_nobodys_to_declare() -> None:
    changes = [Change(at(ON + f"users.{n}"), Action.UPDATE, {}, {}) for n in ("root", "backup")]
    assert [str(d.address) for d in users.check(changes, {})] == [ON + "users.root"]


LOCKED: dict[str, Any] = {"mode": "normal", "exceptions": ["a", "b"]}


@pytest.mark.parametrize(("lockdown", "lock", "name", "action", "before", "after", "wrong"), [
    (LOCKED, None, "c", Action.CREATE, None, {"role": "admin"}, True),
    (LOCKED, None, "c", Action.CREATE, None, {"role": "none"}, False),
    (LOCKED, None, "a", Action.CREATE, None, {"role": "admin"}, False),
    (LOCKED, None, "c", Action.UPDATE, {"role": "admin"}, {"role": "none"}, True),
    (LOCKED, None, "c", Action.UPDATE, {"role": "admin"}, {"description": "x"}, False),
    (LOCKED, None, "c", Action.DELETE, {"role": "admin"}, None, True),
    (LOCKED, None, "c", Action.FORGET, {"role": "admin"}, None, False),
    (LOCKED, {"exceptions": ["b"]}, "a", Action.DELETE, {"role": "admin"}, None, True),  # it leaves them first
    (LOCKED, {"exceptions": ["a", "b", "c"]}, "c", Action.CREATE, None, {"role": "admin"}, True),  # enters them last
    (LOCKED, {"mode": "disabled"}, "c", Action.DELETE, {"role": "admin"}, None, False),
    ({"mode": "disabled", "exceptions": []}, {"mode": "strict"}, "c", Action.CREATE, None, {"role": "admin"}, False),
])
def test_lockdown_in_force_is_seen_when_users_are_planned(
        lockdown: Attrs, lock: Attrs | None, name: str, action: Action, before: Attrs | None, after: Attrs | None,
        wrong: bool) -> None:
    changes = [Change(at(ON + f"users.{name}"), action, before, after)]
    if lock is not None:
        changes.append(Change(at(ON + "lockdown"), Action.UPDATE, lockdown, lock))
    assert bool(list(users.rules({("lockdown", "lockdown"): lockdown}, changes))) is wrong


def test_what_undoing_cannot_bring_back_says_so() -> None:
    why = users.forgotten
    assert why({"password": None}, {"password": WORD}) == "the user's password before is not known"
    assert why({"password": OTHER}, {"password": WORD}) == ""
    assert why({"description": "a"}, {"description": "b"}) == ""
    assert "combination" in why({"role": "other"}, {"role": "none"})
    irreversible: Any = OPERATIONS["snmp.communities"].irreversible
    assert irreversible({"communities": None}, {"communities": [WORD]})
    assert not irreversible({"communities": [OTHER]}, {"communities": [WORD]})
    assert not irreversible({"communities": []}, {"communities": [WORD]})


@pytest.mark.parametrize(("name", "before", "after", "words"), [
    ("users.create", None, {"password": WORD}, "AlreadyExists"),
    ("users.update", {"description": ""}, {"description": "x"}, "UserNotFound"),
    ("lockdown.except", {"exceptions": []}, {"exceptions": ["nobody2"]}, "UserNotFound"),
    ("active_directory.join", None, {"domain": "lab.example", "user": "", "password": WORD}, "InvalidLogin"),
    ("snmp.configure", {"targets": []}, {"targets": ["a:1"]}, "needs a community"),
    ("license.assign", EVALUATION, {"key": WORD, "ends": "11111"}, "does not end as declared"),
    ("license.assign", EVALUATION, {"key": digest("gone")}, "does not have the earlier"),
])
def test_what_a_server_refuses_is_said(joined: Bench, name: str, before: Attrs | None, after: Attrs,
                                       words: str) -> None:
    count = len(joined.house.calls)
    address = {"users.create": ON + "users.root", "users.update": ON + "users.nobody2"}.get(name, first(name)[0])
    with pytest.raises(StepFailed, match=words) as failed:
        joined.run(address, name, before, after)
    assert PASSWORD not in str(failed.value)
    assert len(joined.house.calls) == count


def test_a_password_that_is_too_weak_is_refused(joined: Bench) -> None:
    joined.resolve = lambda _reference: "weak"
    try:
        with pytest.raises(StepFailed, match="Weak password"):
            joined.run(ON + "users.backup", "users.create", None, USER)
    finally:
        joined.resolve = secret


# --- licences and certificates ------------------------------------------------------------------------------


def test_an_earlier_licence_is_found_by_its_digest() -> None:
    bench = open_bench()
    bench.resolve = secret
    bench.joined()
    bench.run(*first("license.assign"))
    old = bench.observe(ON + "license", "license.assign")
    assert old is not None
    assert old["ends"] == "11111"
    bench.resolve = lambda _reference: "AAAAA-BBBBB-CCCCC-DDDDD-22222"
    bench.run(ON + "license", "license.assign", old, {"key": OTHER, "ends": "22222"})
    bench.run(ON + "license", "license.assign", {"key": OTHER, "ends": "22222"}, old)
    assert bench.observe(ON + "license", "license.assign") == old


def test_whether_a_licence_was_assigned_is_told_by_its_reference() -> None:
    bench = open_bench()
    bench.resolve = secret
    bench.joined()
    _, name, before, wanted = first("license.assign")
    assert (bench.observe(ON + "license", name, before, wanted) or {})["key"] == EVALUATION["key"]
    bench.run(ON + "license", name, before, wanted)
    assert bench.observe(ON + "license", name, before, wanted) == wanted


def test_a_certificate_is_renewed_for_good() -> None:
    bench = open_bench()
    bench.joined()
    found = bench.observe(ON + "certificate", "certificate.refresh")
    assert found is not None
    assert (found["issuer"], found["status"]) == (f"CN={bench.fleet.resources[at(HOST)].attributes['name']}", "good")
    made = bench.made(lambda: bench.run(ON + "certificate", "certificate.refresh", found, {"status": "good"}))
    assert made == ["CertificateManager.CertMgrRefreshCertificates_Task"]
    again = bench.observe(ON + "certificate", "certificate.refresh")
    assert again is not None
    assert str(again["issuer"]).endswith("O=vcenter.twin,ST=California,C=US,DC=local,DC=vsphere,CN=CA")
    assert bench.house.calls[-1].host == bench.fleet.resources[at(HOST)].attributes["name"]


# --- vCenter ------------------------------------------------------------------------------------------------


def test_roots_are_found_by_what_is_recorded_then_by_what_is_declared() -> None:
    bench = open_bench({"role.ops": {"name": "operators", "privileges": []}})
    bench.containers()
    bench.run("role.ops", "role.add", None, {"name": "ops", "privileges": ["Host.Config.Network"]})
    state = {at("role.ops"): StateResource(at("role.ops"), "created", {"name": "ops", "privileges": []})}
    assert bench.snapshot(state).objects[at("role.ops")].attributes["name"] == "ops"
    bench.run("role.ops", "role.update", {"name": "ops"}, {"name": "operators"})
    found = bench.snapshot(state).objects[at("role.ops")].attributes
    assert (found["name"], found["privileges"]) == ("operators", ["Host.Config.Network"])


def test_a_permission_is_known_in_any_spelling_and_on_everything() -> None:
    bench = open_bench({"permission.all": {"principal": "LAB.EXAMPLE\\Ops", "group": False, "role": "NoAccess",
                                           "entity": "root", "propagate": True}})
    bench.containers()
    declared: dict[str, Any] = dict(bench.fleet.resources[at("permission.all")].attributes)
    assert at("permission.all") not in bench.snapshot().objects
    bench.run("permission.all", "permission.set", None, {**declared, "principal": "ops@lab.example"})
    assert bench.snapshot().objects[at("permission.all")].attributes == declared
    bench.run("permission.all", "permission.remove", declared, None)
    assert at("permission.all") not in bench.snapshot().objects


@pytest.mark.parametrize(("address", "name", "before", "after", "words"), [
    ("role.gone", "role.update", {"name": "gone"}, {"name": "x"}, "no such role"),
    ("role.admin", "role.update", {"name": "Admin"}, {"name": "x"}, "belongs to vCenter"),
    ("permission.ops", "permission.set", None, {"principal": "a", "role": "nobody's", "entity": "cluster.prod"},
     "no such role"),
    ("custom_value.owner", "custom_value.set", None, {"entity": "cluster.prod", "attribute": "none", "value": "x"},
     "no such custom attribute"),
    ("custom_attribute.gone", "custom_attribute.remove", {"name": "gone"}, None, "no such custom attribute"),
])
def test_what_is_not_there_is_said(joined: Bench, address: str, name: str, before: Attrs | None, after: Attrs | None,
                                   words: str) -> None:
    with pytest.raises(StepFailed, match=words):
        joined.run(address, name, before, after)


def test_a_role_that_is_used_stays() -> None:
    bench = open_bench(ROOTS)
    bench.joined()
    bench.snapshot()
    for name in ("role.add", "permission.set"):
        bench.run(*first(name))
    with pytest.raises(StepFailed, match="RemoveFailed"):
        bench.run("role.ops", "role.remove", ROOTS["role.ops"], None)
    assert make_fleet(ROOTS).resources.keys() <= bench.snapshot().objects.keys() | {
        at("custom_attribute.owner"), at("custom_value.owner")}


@pytest.mark.parametrize(("rtype", "attributes", "words"), [
    (LOCKDOWN, {"exceptions": ["dcui"]}, "never shuts out dcui"),
    (ACTIVE_DIRECTORY, {"domain": "LAB.example"}, "lower case"),
    (ACTIVE_DIRECTORY, {"domain": "lab.example", "cam_server": "proxy"}, "Authentication Proxy"),
    (SNMP, {"targets": ["nms"]}, "HOST:PORT"),
    (SNMP, {"enabled": True, "communities": []}, "at least one"),
    (LICENSE, {"ends": "abc"}, "last five"),
    (CERTIFICATE, {"pem": "x"}, "outside CA"),
    (CERTIFICATE, {}, "issuer"),
    (ROLE, {"privileges": ["System.View"]}, "every role has"),
    (ROLE, {"name": "Admin"}, "role of vCenter itself"),
    (CUSTOM_VALUE, {"value": ""}, "no value"),
])
def test_what_cannot_be_is_refused_at_validate(rtype: Any, attributes: Attrs, words: str) -> None:
    assert any(words in each for each in rtype.validate(attributes))
