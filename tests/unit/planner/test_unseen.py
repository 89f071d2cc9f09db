"""What live never shows (a password): its changes are steps, compared with what was recorded."""

from __future__ import annotations

from typing import Any

import pytest

from planner.catalog import Catalog, Operation, ResourceType
from planner.compare import as_recorded, changed_attributes, written
from planner.model import Address, Attrs, Live, LiveObject, SecretRef, StateResource, Unknown
from planner.schema import secret, string
from planner.snapshot import find_drift, mismatch

OLD, NEW = SecretRef("env:OLD"), SecretRef("env:NEW")


def run(_session: Any, _call: Any) -> Attrs | None:
    return None


TYPE = ResourceType(
    name="thing", doc="", order=1, setting=True, fields={"word": secret(""), "size": string(""), "first": secret("")},
    operations=(Operation("thing.set", "X.Y", "update", "", run, ("word", "size"), inverse="thing.set"),))


def test_only_what_an_update_writes_counts() -> None:
    assert [written(TYPE, name) for name in ("word", "size", "first")] == [True, True, False]


@pytest.mark.parametrize(("found", "recorded", "expected"), [
    ({"size": "1"}, {"word": NEW, "size": "1"}, []),
    ({"size": "1"}, {"word": OLD, "size": "1"}, ["word"]),
    ({"size": "1"}, None, ["word"]),  # adopted: nobody knows which password holds
    ({"size": "2"}, {"word": NEW}, ["size"]),
    ({"size": "1", "word": None}, {"word": NEW}, ["word"]),  # live says that it has none
    ({"size": "1", "word": Unknown("")}, {"word": NEW}, ["word"]),  # a newborn's
    ({"size": "1", "word": SecretRef("kept:digest")}, {"word": NEW}, []),  # live's own reference, to undo by
], ids=["same", "changed", "adopted", "other", "none", "newborn", "kept"])
def test_unseen_is_compared_with_what_was_recorded(found: Attrs, recorded: Attrs | None, expected: list[str]) -> None:
    wanted: dict[str, Any] = {"word": NEW, "size": "1", "first": NEW}
    assert changed_attributes(TYPE, wanted, found, (), recorded) == expected
    assert "word" not in changed_attributes(TYPE, wanted, found, ("word",), recorded)


def test_what_live_hides_is_taken_as_recorded() -> None:
    hidden = Unknown("lockdown")
    assert as_recorded({"size": hidden, "word": "x"}, {"size": "1"}) == {"size": "1", "word": "x"}
    assert as_recorded({"size": hidden}, None) == {"size": hidden}
    assert mismatch({"size": "1"}, {"size": hidden}) == ""
    assert mismatch({"size": "1"}, {"size": "2"}) == "size is '2', expected '1'"
    address = Address.parse("host.a.thing.b")
    state = {address: StateResource(address, "created", {"size": "1"})}
    for shown, drifted in ((hidden, 0), ("2", 1)):
        live = Live("", {address: LiveObject(address, {"size": shown})}, {})
        assert len(find_drift(Catalog({"thing": TYPE}, {}), state, live, {}, frozenset())) == drifted
