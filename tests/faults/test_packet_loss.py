"""A network that loses one packet in a hundred: transfers end, and every byte is right."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.tools import need, own_network

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("kind", "size", "clients", "window"), [
    ("tftp", 1_000_000, 4, 1), ("tftp", 2_000_000, 4, 4), ("http", 20_000_000, 4, 1)])
def test_transfers_end_and_bytes_are_equal(kind: str, size: int, clients: int, window: int) -> None:
    need("ip", "nft")
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
    done = subprocess.run([*own_network(), sys.executable, "-m", "tests.support.lossy", kind, str(size), str(clients),
                           str(window)], cwd=ROOT, env={**os.environ, "PATH": path}, capture_output=True, text=True,
                          timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["dropped"] > 0
    assert (found["done"], found["equal"], found["failed"]) == (clients, True, [])
