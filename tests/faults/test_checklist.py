"""The list of promises in `tests/faults/__init__.py` names tests (and cases) that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import tests.faults

ROOT = Path(__file__).parents[2]
LINE = re.compile(r"(tests/\S+\.py)::(\w+)(?: \[([\w-]+)\])?$", re.MULTILINE)


def test_every_promise_has_its_test() -> None:
    lines = LINE.findall(tests.faults.__doc__ or "")
    assert len(lines) == (tests.faults.__doc__ or "").count("::")
    missing = []
    for file, name, case in lines:
        path = ROOT / file
        found = {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}
        if name not in found or (case and not (ROOT / f"tests/cases/config/{case}.yaml").exists()):
            missing.append(f"{file}::{name} [{case}]")
    assert missing == []
