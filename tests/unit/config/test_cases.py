"""Case files: a fleet, with everything that is to be said about it in the comments at its top.

    # error LINE:COLUMN SUMMARY | DETAIL | REMEDY      (`FILE` in them is the file itself; details are cut at 150)
    # warning …
    # check fails: NAME | MESSAGE
    # valid                                            nothing at all
"""

from __future__ import annotations

from pathlib import Path

import pytest

from planner.config import load_fleet
from planner.model import Diagnostic, FleetError
from tests.support.config_catalog import BLOCKS, catalog

FOLDER = Path(__file__).parents[2] / "cases" / "config"
CASES = sorted(FOLDER.glob("*.yaml"))


def spoken(path: Path) -> list[str]:
    """What loading a fleet says, as lines of a case file."""
    said: list[str] = []
    diagnostics: tuple[Diagnostic, ...]
    try:
        fleet = load_fleet(path, catalog(), BLOCKS)
    except FleetError as error:
        diagnostics = error.diagnostics
    else:
        diagnostics = fleet.warnings
        said += [f"# check fails: {c.name} | {c.message}" for c in fleet.checks if c.passed is False]
    for found in diagnostics:
        place = f"{found.mark.line}:{found.mark.column}" if found.mark else "-"
        detail = found.detail.replace(str(path), "FILE").replace("\n", " ")[:150]
        said.append(f"# {found.severity} {place} {found.summary} | {detail} | {found.remedy}".rstrip(" |"))
    return said or ["# valid"]


def expected(path: Path) -> list[str]:
    """The comments at the top of a case file."""
    lines: list[str] = []
    for line in path.read_text().splitlines():
        if not line.startswith(("# error ", "# warning ", "# check fails: ", "# valid")):
            break
        lines.append(line)
    return lines


def test_there_are_cases() -> None:
    assert len(CASES) > 80
    assert all(expected(path) for path in CASES)


@pytest.mark.parametrize("path", CASES, ids=lambda p: p.stem)
def test_case(path: Path) -> None:
    assert spoken(path) == expected(path)


@pytest.mark.parametrize("path", CASES, ids=lambda p: p.stem)
def test_summaries_carry_no_user_values_and_secrets_appear_nowhere(path: Path) -> None:
    try:
        load_fleet(path, catalog(), BLOCKS)
    except FleetError as error:
        for found in error.diagnostics:
            assert "'" not in found.summary, "a quoted value in a summary"
            assert "hunter2" not in f"{found.summary}{found.detail}{found.remedy}"
