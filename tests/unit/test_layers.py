"""The arrows between the rooms run one way (shared rule: architecture, "Rooms"). Read off the source by `ast`."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("planner", "providers", "state", "tests")
OPEN_TO_ALL = ("planner.model", "planner.ports", "planner.schema", "planner.catalog")
FORBIDDEN = {
    "planner": ("providers", "state", "tests"),
    "providers": ("state", "tests"),
    "state": ("providers", "tests"),
}
HEAVY = ("pyVmomi", "deepdiff", "aiohttp", "cryptography", "tftpy")


def imports(source: str) -> Iterator[tuple[int, str]]:
    """Every (line, dotted name) that a module imports, lazily too, and by `import_module("…")`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import"
            yield node.lineno, node.module or ""
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("import_module", "__import__"):
                yield node.lineno, str(node.args[0].value)


def within(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


def ours(name: str) -> bool:
    return within(name, *ROOMS)


def reaches_inside(name: str) -> bool:
    """Whether a name of `planner` lies behind the four modules that are open to the other rooms.

    `planner.model.Address` is inside an open module; the bare package holds nothing.
    """
    return within(name, "planner") and name != "planner" and not within(name, *OPEN_TO_ALL)


def violations(room: str, source: str) -> list[str]:
    found = []
    for line, name in imports(source):
        if within(name, *FORBIDDEN[room]):
            found.append(f"line {line}: {room} must not import {name}")
        if room != "planner" and reaches_inside(name):
            found.append(f"line {line}: {room} may import only {', '.join(OPEN_TO_ALL)}, not {name}")
    return found


def modules(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


@pytest.mark.parametrize("room", FORBIDDEN)
def test_the_arrows_run_one_way(room: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}: {problem}"
        for path in modules(room)
        for problem in violations(room, path.read_text())
    ]
    assert modules(room)
    assert wrong == []


@pytest.mark.parametrize(("room", "source", "count"), [
    ("planner", "import providers.vsphere", 1),
    ("planner", "def f():\n    from state import local", 2),
    ("planner", "importlib.import_module('providers.twin')", 1),
    ("planner", "from planner.execute import engine", 0),
    ("providers", "from planner.execute.engine import apply", 2),
    ("providers", "from planner import diff", 1),
    ("providers", "from planner import model\nfrom planner.ports import Call", 0),
    ("providers", "import state.local", 1),
    ("state", "from providers.twin import house", 2),
    ("state", "from planner.model import State", 0),
])
def test_the_rule_can_fail(room: str, source: str, count: int) -> None:
    assert len(violations(room, source)) == count


def test_the_model_imports_nothing_of_ours_but_itself() -> None:
    named = {name for path in (ROOT / "planner/model").glob("*.py") for _, name in imports(path.read_text())}
    assert "planner.model.values.Attrs" in named
    assert [name for name in named if ours(name) and not within(name, "planner.model")] == []


@pytest.mark.parametrize("path", ["planner/schema.py", "planner/catalog.py", "planner/ports.py"])
def test_the_agreed_interface_knows_only_itself(path: str) -> None:
    named = {name for _, name in imports((ROOT / path).read_text()) if ours(name)}
    assert [name for name in named if not within(name, *OPEN_TO_ALL)] == []


def test_no_other_top_level_folder() -> None:
    made = {"build", "dist", "__pycache__"}
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and path.suffix != ".egg-info"}
    assert {name for name in folders - made if not name.startswith(".")} == {*ROOMS, "fleets"}


def loaded_by(*arguments: str) -> set[str]:
    """Names of the modules that are loaded when `fleet ARGUMENTS` ends."""
    script = (
        "import sys, atexit\n"
        "atexit.register(lambda: print('\\nMODULES', *sys.modules))\n"
        "from planner.cli.main import main\n"
        f"sys.argv = ['fleet', *{list(arguments)!r}]\n"
        "sys.exit(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return set(done.stdout.rpartition("MODULES")[2].split())


def test_help_loads_no_provider_and_nothing_heavy() -> None:
    loaded = loaded_by("--help")
    assert "planner.cli.main" in loaded
    assert sorted(name for name in loaded if within(name, "providers", "state", *HEAVY)) == []


def test_validate_loads_neither_pyvmomi_nor_deepdiff() -> None:
    loaded = loaded_by("validate", "fleets/lab.yaml")
    assert "providers.vsphere" in loaded
    assert sorted(name for name in loaded if within(name, *HEAVY)) == []
