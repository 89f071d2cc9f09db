"""The README names what exists: its two commands, every resource type, and only commands that are there."""

from __future__ import annotations

import re
from pathlib import Path

from planner.cli.commands import COMMANDS, plugins
from planner.cli.wiring import installed

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_the_two_commands_are_targets_of_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"^make ([a-z]+)$", README, re.MULTILINE)) == {"demo", "test"} <= targets


def test_every_resource_type_is_in_the_table_of_what_is_supported() -> None:
    named = set(re.findall(r"`(\w+)`", README.split("## What is supported")[1].split("| checked against")[0]))
    assert set(installed().catalog.types) - named == set()


def test_every_command_that_the_tour_uses_exists() -> None:
    used = set(re.findall(r"`fleet (\w+)|^\$ fleet (\w+)", README, re.MULTILINE))
    names = {first or second for first, second in used}
    assert len(names) > 5
    assert names <= {*COMMANDS, *plugins()}


def test_linked_files_exist() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
