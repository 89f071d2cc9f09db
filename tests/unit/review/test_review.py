"""What a review must never get wrong: nothing lost by folding, no secret, no terminal driven by a name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.model import Action, Address, Attrs, Change, SecretRef, Step, Unknown
from planner.plan import back_out
from planner.review import markdown, text
from planner.review.data import document
from planner.review.fold import MAX_COLUMNS, Group, fold
from planner.review.paint import clean, fit
from planner.review.values import changed, count, differences, duration
from planner.review.values import text as value_text
from planner.review.view import review
from planner.review.words import effect, marks, summary
from tests.unit.review import plans


def test_every_step_is_shown_once_and_in_plan_order_per_host() -> None:
    plan = plans.new_fleet()
    view = review(plan, plans.catalog(), back_out(plan))
    shown = list(view.every_step())
    assert sorted(s.step.id for s in shown) == sorted(s.id for s in plan.steps)
    assert {s.step.id: s.number for s in shown} == {s.id: n for n, s in enumerate(plan.steps, 1)}
    for group in view.steps:
        for member in group.members:
            assert [s.number for s in member.items] == sorted(s.number for s in member.items)


def test_folding_keeps_every_value_of_every_host() -> None:
    plan = plans.new_fleet()
    folded = text.render(review(plan, plans.catalog(), back_out(plan)))
    for number, key in enumerate(plans.ESX, 11):
        for value in (f"{key}.lab.example", f"52:54:00:00:00:{number}", f"10.0.20.{number}"):
            assert value in folded


def test_a_host_with_a_step_more_is_not_folded() -> None:
    view = review(plans.new_fleet(), plans.catalog())
    assert [len(group.members) for group in view.steps] == [1, 1, 2, 1]  # vCenter, esx01, esx02 + esx04, esx03


def test_a_guard_or_a_mark_on_one_host_only_is_not_folded() -> None:
    plan = plans.new_fleet()
    marks_of_one: tuple[dict[str, Any], ...] = (
        {"when": "not-connected"}, {"irreversible": "gone"}, {"disruptive": "all"}, {"assumed": True})
    for marked in marks_of_one:
        steps = tuple(replace(s, **marked) if s.id == "s0025" else s for s in plan.steps)
        view = review(replace(plan, steps=steps), plans.catalog())
        assert [len(group.members) for group in view.steps] == [1, 1, 1, 1, 1]


def test_details_fold_nothing_and_list_restored_objects() -> None:
    view = review(plans.new_fleet(), plans.catalog(), details=True)
    assert not any(group.alike for group in view.steps)
    assert not any(group.alike for group in view.changes)
    assert "vswitch.vSwitch1" in text.render(review(plans.day(), plans.catalog(), details=True)).split("Steps")[0]


def test_many_different_values_are_not_squeezed_into_a_table() -> None:
    groups = [Group(name, (name,)) for name in "ab"]
    wide = {"a": {str(n): "1" for n in range(MAX_COLUMNS + 1)}, "b": {str(n): "2" for n in range(MAX_COLUMNS + 1)}}
    assert len(fold(groups, lambda _g: 0, lambda g: wide[g.title])) == 2
    assert len(fold(groups, lambda _g: 0, lambda g: {"0": g.title})) == 1


@pytest.mark.parametrize("render", [text.render, markdown.render])
def test_no_secret_and_no_variable_value(render: object) -> None:
    assert callable(render)
    found = render(review(plans.day(), plans.catalog(), back_out(plans.day())))
    assert "s3cret" not in found
    assert "secret(env:NEW)" in found


def test_irreversible_and_disruptive_steps_are_named() -> None:
    plan = plans.day()
    found = text.render(review(plan, plans.catalog(), back_out(plan)))
    for step in plan.steps:
        if step.irreversible:
            assert f"IRREVERSIBLE: {step.irreversible}" in found
            assert f"stays: {step.operation}" in found
        if step.disruptive:
            assert f"DISRUPTIVE: {step.disruptive}" in found


def test_what_is_lost_although_its_object_comes_back_is_named() -> None:
    """A host that is removed and added again has its configuration, and neither statistics nor alarms."""
    catalog = plans.catalog()
    lossy = replace(catalog.operations["host.remove"], loses="its statistics")
    known = replace(catalog, operations={**catalog.operations, "host.remove": lossy})
    steps = plans.Steps()
    steps.add(plans.ESX["esx01"], "host.remove", {"name": "x"}, None, undo="host.add")
    plan = replace(plans.nothing(), steps=tuple(steps.steps))
    view = review(plan, known, back_out(plan))
    for rendered in (text.render(view), markdown.render(view).replace("**", "")):
        assert "LOST FOR GOOD: its statistics" in rendered
        assert "lost for good" in rendered.split("Back-out")[1]
        assert "host.remove (step 1): its statistics" in rendered.replace("\\", "")
    assert document(view)["steps"][0]["loses"] == "its statistics"
    assert "LOST" not in text.render(review(plan, catalog, back_out(plan)))


BOOT, WAIT = ("power.boot", "boot"), ("birth.wait", "wait")


@pytest.mark.parametrize(("made", "said"), [
    ((BOOT, WAIT), "does not answer: will be booted and reconnected; restores 1 object as last applied"),
    ((WAIT,), "was born again: will be reconnected; restores 1 object as last applied"),
    ((), "was reborn: restores 1 object as last applied"),
])
def test_a_host_that_does_not_answer_is_not_called_reborn(made: tuple[tuple[str, Any], ...], said: str) -> None:
    root = plans.ESX["esx02"]
    changes = (Change(root, Action.NOOP, {}, {}, reborn=True),
               Change(root.under("vswitch", "vSwitch1"), Action.CREATE, None, {"mtu": 1500}, reborn=True))
    steps = tuple(Step(f"s{n}", root, operation, None, None, kind=kind) for n, (operation, kind) in enumerate(made))
    view = review(replace(plans.nothing(), changes=changes, steps=steps), plans.catalog())
    for rendered in (text.render(view), markdown.render(view)):
        assert said in rendered
        assert ("reborn" in rendered) is not bool(made)


def test_updates_are_listed_in_the_order_of_the_schema() -> None:
    before: Attrs = {"uplinks": ["a"], "mtu": 1500, "nested": {"z": 1, "b": 1}}
    after: Attrs = {"uplinks": ["b"], "mtu": 9000, "nested": {"z": 2, "b": 2}}
    assert [line.path for line in changed(before, after)] == ["uplinks", "mtu", "nested.b", "nested.z"]


def test_summary_counts() -> None:
    assert summary(review(plans.day(), plans.catalog())) == (
        "Plan: 2 to change, 1 to replace, 1 to delete, 1 to forget, 1 to restore. 5 steps on 3 hosts, 2 irreversible,"
        " 1 disruptive, 1 only if needed.")


def test_vcenter_before_and_after_the_hosts() -> None:
    steps = plans.Steps()
    steps.add(Address("cluster", "a"), "cluster.create", None, {"name": "a"})
    steps.add(plans.ESX["esx01"], "host.remove", {"name": "x"}, None)
    steps.add(Address("cluster", "b"), "cluster.delete", {"name": "b"}, None)
    view = review(replace(plans.nothing(), steps=tuple(steps.steps)), plans.catalog())
    assert [g.title for g in view.steps] == ["vCenter", 'host.esx["esx01"]', "vCenter (2)"]


def test_an_operation_that_this_version_does_not_know_is_still_shown() -> None:
    step = Step("s0001", Address("cluster", "a"), "cluster.dance", None, {"name": "a"})
    view = review(replace(plans.nothing(), steps=(step,)), plans.catalog())
    assert "cluster.dance" in text.render(view)


def test_a_guard_is_put_in_words() -> None:
    view = review(plans.day(), plans.catalog())
    guarded = next(v for v in view.every_step() if v.step.when)
    assert (False, "only if vCenter does not have the host connected") in marks(guarded, None)


def test_a_creation_is_cut_short_in_steps_and_a_change_never() -> None:
    long = {f"attribute{n}": "x" * 20 for n in range(9)}
    address = Address("cluster", "a")
    steps = (Step("s0001", address, "cluster.create", None, long), Step("s0002", address, "cluster.update", {
        k: "y" for k in long}, long))
    created, updated = review(replace(plans.nothing(), steps=steps), plans.catalog()).steps[0].items
    assert effect(created).endswith("…")
    assert effect(updated).count("→") == 9


def test_assumed_unless_unknown() -> None:
    change = Change(plans.ESX["esx01"].under("dns"), Action.UPDATE, {"servers": []}, {"servers": ["a"]}, assumed=True)
    found = text.render(review(replace(plans.nothing(), changes=(change,)), plans.catalog()))
    assert '[] → ["a"] (assumed)' in found


def test_changed_reads_maps_lists_secrets_and_unknowns() -> None:
    before: Attrs = {"a": {"b": 1, "c": [1]}, "s": SecretRef("env:A"), "u": Unknown("x"), "v": Unknown("x"), "same": 1}
    after: Attrs = {"a": {"b": 2, "c": [1, 2]}, "s": SecretRef("env:B"), "u": 5, "v": Unknown("y"), "same": 1}
    assert [str(line) for line in changed(before, after)] == [
        "a.b 1 → 2", "a.c [1] → [1, 2]", "s secret(env:A) → secret(env:B)", "u (x) → 5"]


def test_differences_sees_a_change_of_type() -> None:
    assert [str(line) for line in differences({"a": 1, "b": True}, {"a": "1", "b": 1})] == ['a 1 → "1"', "b true → 1"]


@given(st.text())
def test_nothing_drives_a_terminal(name: str) -> None:
    assert all(c.isprintable() or c == "\n" for c in clean(name))
    assert value_text(name).isprintable()


@given(st.text(min_size=1))
def test_markdown_cells_stay_one_cell(name: str) -> None:
    for found in (markdown.code(name), markdown.escape(name)):
        assert "\n" not in found
        assert "|" not in found.replace("\\|", "")
        assert "<script" not in found or found.startswith("`")


@pytest.mark.parametrize(("seconds", "words"), [(1.5, "1.5 s"), (90, "90 s"), (1200, "20 min"), (7200, "2 h")])
def test_duration(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_count() -> None:
    assert [count(n, "step") for n in (0, 1, 2)] == ["0 steps", "1 step", "2 steps"]


@pytest.mark.parametrize(("line", "width", "found"), [
    ("short", 10, "short"),
    ("Plan: 3 to change. 3 steps", 20, "Plan: 3 to change. 3\n    steps"),
    ("     1  vlan.update  vlan 20 → 30", 31, f"     1  vlan.update  vlan 20 →\n{' ' * 10}30"),
    ("  name  " + "x" * 50, 30, "  name\n      " + "x" * 50),
    ("\x1b[1mbold words here\x1b[0m and more", 16, "\x1b[1mbold words here\x1b[0m\n    and more"),
    ("\x1b[1mnarrow\x1b[0m", 6, "\x1b[1mnarrow\x1b[0m")])
def test_lines_break_between_words(line: str, width: int, found: str) -> None:
    assert fit(line, width) == found
