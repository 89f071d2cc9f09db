"""Desired, state and live → changes, on the toy catalogue."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from planner.compare import differences
from planner.diff import DiffInputs, compute
from planner.model import NO_LIFECYCLE, Action, Address, Change, Lifecycle, Live, LiveObject, StateResource, Unknown
from tests.support.toy import INSTANCE, toy_catalog, toy_fleet

X = Address.parse("box.x")


def _diff(desired: dict[str, Any] | None, live: dict[str, Any] | None, *, state: dict[str, Any] | None = None,
          origin: Any = "created", lifecycle: Lifecycle = NO_LIFECYCLE, **more: Any) -> Change | None:
    wanted = toy_fleet({"box.x": desired} if desired is not None else {}).resources
    wanted = {a: replace(r, lifecycle=lifecycle) for a, r in wanted.items()}
    found = Live(INSTANCE, {X: LiveObject(X, live)} if live is not None else {}, {})
    recorded = {X: StateResource(X, origin, state)} if state is not None else {}
    return compute(DiffInputs(toy_catalog(), wanted, recorded, found, **more)).changes.get(X)


def _action(change: Change | None) -> tuple[str, bool] | None:
    return None if change is None else (change.action.value, change.adopted)


FULL = {"site": "", "size": 1, "color": "red", "tags": []}


@pytest.mark.parametrize(("desired", "live", "state", "expected"), [
    ({"size": 1}, FULL, {"size": 1}, None),
    ({"size": 2}, FULL, {"size": 1}, ("update", False)),
    ({"size": 2}, None, None, ("create", False)),
    ({"size": 2}, None, {"size": 2}, ("create", False)),
    ({"size": 1}, FULL, None, ("no-op", True)),
    ({"size": 2}, FULL, None, ("update", True)),
    ({"site": "site.a"}, FULL, {"site": ""}, ("replace", False)),
    (None, FULL, {"size": 1}, ("delete", False)),
    (None, None, {"size": 1}, ("forget", False)),
    (None, None, None, None),
    ({"size": 1, "color": "red"}, FULL, {"size": 1}, ("no-op", False)),
    ({"size": Unknown("later")}, FULL, {"size": 1}, ("update", False)),
])
def test_actions(desired: Any, live: Any, state: Any, expected: Any) -> None:
    assert _action(_diff(desired, live, state=state)) == expected


def test_an_adopted_object_is_only_forgotten() -> None:
    change = _diff(None, FULL, state={"size": 1}, origin="adopted")
    assert change is not None
    assert change.action is Action.FORGET


def test_removed_without_destroy_is_only_forgotten() -> None:
    change = _diff(None, FULL, state={"size": 1}, keep=frozenset({X}))
    assert change is not None
    assert change.action is Action.FORGET


def test_ignored_attributes_are_left_alone_once_the_object_exists() -> None:
    ignoring = Lifecycle(ignore_changes=("size",))
    change = _diff({"size": 3}, FULL, state={"size": 1}, lifecycle=ignoring)
    assert change is None or change.action is Action.NOOP
    created = _diff({"size": 3}, None, lifecycle=ignoring)
    assert created is not None
    assert created.after == {"size": 3, "color": "red"}


def test_unset_attributes_are_left_as_they_are_and_created_with_defaults() -> None:
    change = _diff({"size": 2}, {**FULL, "color": "blue"}, state={"size": 1})
    assert change is not None
    assert (change.before, change.after) == ({"size": 1}, {"size": 2})
    created = _diff({}, None)
    assert created is not None
    assert created.after == {"size": 1, "color": "red"}


def test_attributes_come_in_the_order_of_the_schema_however_the_file_has_them() -> None:
    order = [k for k in toy_catalog().types["box"].fields if k in ("size", "color")]
    for desired in ({"size": 2, "color": "blue"}, {"color": "blue", "size": 2}):
        for live in (None, FULL):
            change = _diff(desired, live)
            assert change is not None
            assert [k for k in change.after or {} if k in desired] == order


def test_replace_on_request() -> None:
    change = _diff({"size": 1}, FULL, state={"size": 1}, replaces=frozenset({X}))
    assert change is not None
    assert change.action is Action.REPLACE


def test_differences_are_nested_and_lists_are_whole() -> None:
    found = differences({"drs": {"on": True, "level": 1}, "tags": ["a"], "same": 1},
                        {"drs": {"on": False, "level": 1}, "tags": ["a", "b"], "same": 1})
    assert found == [("drs.on", True, False), ("tags", ["a"], ["a", "b"])]
    assert differences(None, {"a": 1}) == [("a", None, 1)]
    assert differences({"a": 1}, None) == [("a", 1, None)]
