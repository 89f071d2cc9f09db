"""fleets/COMPARISON.md has a row for every type of the catalogue, and none for types that there are not."""

from __future__ import annotations

import re
from pathlib import Path

from planner.cli.wiring import installed

PAGE = (Path(__file__).parents[2] / "fleets/COMPARISON.md").read_text()
LINES = PAGE.partition("## Per setting")[2].splitlines()
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in LINES if line.startswith("| ")][1:]


def test_every_type_has_a_row() -> None:
    named = {name for row in ROWS for name in re.findall(r"`([a-z_]+)`", row[1])}
    assert named == set(installed().catalog.types)


def test_rows_are_whole() -> None:
    assert len(ROWS) > 40
    for row in ROWS:
        assert len(row) == 6, row
        assert all(row), row
        nobody = row[2].startswith(("no", "data source"))  # then there is no order, and nothing to undo
        assert (row[3] == "-") is nobody, row
        assert (row[4] == "-") is nobody, row
