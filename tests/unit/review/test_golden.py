"""Reviews as a person reads them, kept in tests/golden/. Rewrite them with FLEET_GOLDEN=write, then read the diff."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from planner.plan import back_out, decode_plan, encode_plan
from planner.review import data, drift, journal, markdown, text
from planner.review.paint import Paint
from planner.review.view import review
from tests.support.lab import CATALOG
from tests.unit.review import journals, plans
from tests.unit.review.rolling import rolling

GOLDEN = Path(__file__).parents[2] / "golden" / "review"
PLANS = {"nothing": plans.nothing, "new_fleet": plans.new_fleet, "day": plans.day, "offline": plans.offline}


def compare(name: str, found: str) -> None:
    path = GOLDEN / name
    if os.environ.get("FLEET_GOLDEN") == "write":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(found)
    assert found == path.read_text()


@pytest.mark.parametrize("name", PLANS)
@pytest.mark.parametrize("details", [False, True], ids=["", "details"])
def test_text(name: str, details: bool) -> None:
    plan = PLANS[name]()
    found = text.render(review(plan, plans.catalog(), back_out(plan), details=details))
    compare(f"{name}{'.details' if details else ''}.txt", found + "\n")


@pytest.mark.parametrize("name", PLANS)
def test_markdown(name: str) -> None:
    plan = PLANS[name]()
    compare(f"{name}.md", markdown.render(review(plan, plans.catalog(), back_out(plan))))


@pytest.mark.parametrize("name", PLANS)
def test_json_is_the_plan_and_what_a_program_would_look_up(name: str) -> None:
    plan = PLANS[name]()
    found = json.dumps(data.document(review(plan, plans.catalog(), back_out(plan))), indent=1, ensure_ascii=False)
    compare(f"{name}.json", found + "\n")
    assert decode_plan(found.encode()) == decode_plan(encode_plan(plan))


@pytest.mark.parametrize("details", [False, True], ids=["", "details"])
def test_a_rolling_image_update(details: bool) -> None:
    plan = rolling()
    view = review(plan, CATALOG, back_out(plan), details=details)
    compare(f"rolling{'.details' if details else ''}.txt", text.render(view) + "\n")
    if not details:
        compare("rolling.md", markdown.render(view))
        found = data.document(view)
        picked = {k: found[k] for k in ("rolls", "summary", "reboots", "not_restored", "stays", "diagnostics")}
        compare("rolling.json", json.dumps(picked, indent=1, ensure_ascii=False) + "\n")
        assert decode_plan(json.dumps(found).encode()) == decode_plan(encode_plan(plan)) == plan


def test_colours() -> None:
    plan = plans.day()
    compare("day.ansi", text.render(review(plan, plans.catalog(), back_out(plan)), Paint(True)) + "\n")


def test_drift() -> None:
    plan = plans.day()
    view = drift.DriftView(plan.fleet, plan.instance, plan.drift, ('host.esx["esx02"]',),
                           {'host.esx["esx04"]': "notResponding"}, plan.unmanaged)
    compare("drift.txt", drift.render(view) + "\n")


@pytest.mark.parametrize("name", ["stopped", "rolled_back"])
def test_journal(name: str) -> None:
    records = getattr(journals, name)()
    view = journal.journal_view("20261122T150000Z-abc123", records, plans.day())
    compare(f"run_{name}.txt", journal.render(view) + "\n")
    compare(f"run_{name}.md", journal.render_markdown(view))
