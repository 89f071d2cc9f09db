"""What live never shows (a password): its changes are steps, compared with what was recorded."""

from __future__ import annotations

from typing import Any

import pytest

from planner.catalog import Operation, ResourceType
from planner.compare import changed_attributes, written
from planner.model import Attrs, SecretRef, Unknown
from planner.schema import secret, string

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
