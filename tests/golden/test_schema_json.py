"""fleets/schema.json is what `fleet schema` prints, and it agrees with the examples beside it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from planner.cli.main import main

FLEETS = Path(__file__).parents[2] / "fleets"


def test_the_schema_for_editors_is_current(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    written = (FLEETS / "schema.json").read_text()
    assert capsys.readouterr().out == written, "renew it: fleet schema > fleets/schema.json"
    assert json.loads(written)["properties"].keys() >= {"fleet", "provider", "cluster", "host", "profile"}


@pytest.mark.parametrize("path", ["lab.yaml", "site"])
def test_the_examples_are_valid(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(FLEETS / path)]) == 0
    assert "is valid" in capsys.readouterr().out
