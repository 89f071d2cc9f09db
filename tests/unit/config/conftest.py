"""What the tests of the fleet language share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from planner.config import load_fleet
from planner.model import Fleet, FleetError
from tests.support.config_catalog import BLOCKS, catalog

Load = Callable[..., Fleet]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Write a fleet's text and load it."""
    def call(text: str, **options: object) -> Fleet:
        path = tmp_path / "fleet.yaml"
        path.write_text(text if text.startswith("fleet:") else f"fleet: {{name: t}}\n{text}")
        return load_fleet(path, catalog(), BLOCKS, **options)  # type: ignore[arg-type]
    return call


def errors(caught: pytest.ExceptionInfo[FleetError]) -> list[str]:
    return [d.summary for d in caught.value.diagnostics]
