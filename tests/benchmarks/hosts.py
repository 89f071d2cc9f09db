"""Fleets of many hosts for the command line's benchmarks, checked or already applied."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.benchmarks import bench_config

IMAGE = Path(__file__).parents[2] / "fleets" / "images" / "demo"


def write_blocks(folder: Path, size: int) -> None:
    """`size` host blocks of 21 lines each."""
    shutil.copytree(IMAGE, folder / "images" / "demo")
    bench_config.write_hosts(folder / "fleet.yaml", size)


def write_for_each(folder: Path, size: int) -> None:
    """`size` hosts by one block with `for_each` and a profile."""
    shutil.copytree(IMAGE, folder / "images" / "demo")
    bench_config.write_each(folder / "fleet.yaml", size)


def write_applied(folder: Path, size: int) -> None:
    """The same after an apply on the twin: every host born, configured and in state."""
    write_for_each(folder, size)
    command: list[str | Path] = [Path(sys.executable).with_name("fleet"), "apply", "fleet.yaml", "--auto-approve"]
    done = subprocess.run(command, cwd=folder, env={**os.environ, "ESX_ROOT_PASSWORD": "Benchmark-1!"},
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"preparing {size} hosts failed ({done.returncode}):\n{done.stdout[-2000:]}\n{done.stderr}")
