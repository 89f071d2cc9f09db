"""fleets/REFERENCE.md is what `fleet reference` prints, and says of each type what the catalogue says."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest

from planner.catalog import Catalog
from planner.cli.main import main
from planner.cli.wiring import installed
from planner.config.reference import CHECKS, TWIN_ONLY, reference
from planner.config.reference_text import escape, markdown

FLEETS = Path(__file__).parents[2] / "fleets"


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return installed().catalog


@pytest.fixture(scope="module")
def data(catalog: Catalog) -> dict[str, Any]:
    return reference(catalog)


def test_the_reference_is_current(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reference"]) == 0
    written = (FLEETS / "REFERENCE.md").read_text()
    assert capsys.readouterr().out == written, "renew it: fleet reference > fleets/REFERENCE.md"


def test_one_type_and_json(capsys: pytest.CaptureFixture[str], data: dict[str, Any]) -> None:
    assert main(["reference", "vswitch"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("## vswitch\n")
    assert text.strip() in markdown(data)
    assert main(["reference", "vswitch", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == next(t for t in data["types"] if t["name"] == "vswitch")
    assert main(["reference", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == data
    assert main(["reference", "vswich"]) == 64


def test_every_type_operation_and_attribute_is_there(catalog: Catalog, data: dict[str, Any]) -> None:
    assert [t["name"] for t in data["types"]] == list(catalog.types)
    shown = {o["name"] for t in data["types"] for o in t["operations"]} | {o["name"] for o in data["acts"]}
    assert shown == set(catalog.operations)
    for entry in data["types"]:
        names = {row["name"] for row in entry["attributes"]}
        assert set(catalog.types[entry["name"]].fields) <= names, entry["name"]
        assert all(row["doc"] for row in entry["attributes"]), entry["name"]


def test_what_only_the_twin_plays_says_so(catalog: Catalog, data: dict[str, Any]) -> None:
    page = markdown(data)
    for entry in data["types"]:
        tested = catalog.types[entry["name"]].tested
        assert set(tested) <= {"twin", "vcsim", "recording"}, entry["name"]
        row = next(line for line in page.splitlines() if line.startswith(f"| [`{entry['name']}`]"))
        assert (TWIN_ONLY in row) is (tested == ("twin",)), row


def test_predicates_say_when_they_hold(catalog: Catalog) -> None:
    """A reviewer of the reference reads a predicate's docstring."""
    for operation in catalog.operations.values():
        for said in (operation.irreversible, operation.disruptive):
            assert isinstance(said, str) or inspect.getdoc(said), operation.name


def test_every_format_has_words() -> None:
    from planner.config.checks import RANGES, TEXT

    assert set(CHECKS) == (set(TEXT) | {"path"}) - set(RANGES)


def test_what_became_a_type_is_no_longer_refused(catalog: Catalog, data: dict[str, Any]) -> None:
    assert data["refused"]
    assert not set(data["refused"]) & set(catalog.types)


def test_a_cell_cannot_break_its_table() -> None:
    assert escape("a|b\n<c> `d`") == "a&#124;b &lt;c> `d`"
