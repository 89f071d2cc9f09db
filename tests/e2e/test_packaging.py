"""The wheel as somebody without a checkout gets it: built, installed in a fresh environment, used in a new folder."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("planner", "providers", "state")


def run(*command: str | Path, cwd: Path, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that no build/ folder stays behind; without isolation, so without a network."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    tracked = ["pyproject.toml", "README.md", "LICENSE", *ROOMS]
    run("cp", "-R", *(ROOT / name for name in tracked), source, cwd=ROOT)
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, cwd=source)
    (built,) = out.glob("fleet-*.whl")
    return built


@pytest.mark.slow
def test_the_wheel_holds_every_module_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    modules = {str(path.relative_to(ROOT)) for room in ROOMS for path in (ROOT / room).rglob("*.py")}
    assert modules <= names
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == set(ROOMS)
    assert any(name.endswith("licenses/LICENSE") for name in names)


def imported(path: Path) -> set[str]:
    """Top-level names of what a module imports, lazily too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_import_is_of_a_declared_dependency() -> None:
    """The fresh environment below borrows this one's packages, so a dependency of `dev` alone would work there."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {canonical(re.split(r"[^\w.-]", text)[0]) for text in project["dependencies"]}
    names = set().union(*(imported(path) for room in ROOMS for path in (ROOT / room).rglob("*.py")))
    distributions = packages_distributions()
    foreign = names - set(sys.stdlib_module_names) - set(ROOMS)
    missing = {n for n in foreign if not declared & {canonical(d) for d in distributions.get(n, [])}}
    assert missing == set()


@pytest.mark.slow
def test_init_plan_apply_in_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    venv, work = tmp_path / "venv", tmp_path / "work"
    work.mkdir()
    run(sys.executable, "-m", "venv", "--without-pip", venv, cwd=tmp_path)
    python = venv / "bin/python"
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=work).strip())
    # The dependencies are this environment's (no network here); fleet itself comes from the wheel only.
    run(sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", "--no-index", wheel, cwd=work)
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    fleet = venv / "bin/fleet"
    where = run(python, "-c", "import planner, providers, state; print(planner.__file__)", cwd=work)
    assert Path(where.strip()).is_relative_to(site)

    env = {"PATH": os.environ["PATH"], "ESX_ROOT_PASSWORD": "Packaging-1!", "HOME": "/nonexistent"}
    run(fleet, "init", cwd=work, env=env)
    (written,) = work.glob("*.yaml")
    run(fleet, "validate", written.name, cwd=work, env=env)
    run(fleet, "plan", written.name, cwd=work, env=env)
    run(fleet, "apply", written.name, "--auto-approve", cwd=work, env=env)
    run(fleet, "plan", written.name, "--detailed-exitcode", cwd=work, env=env)
