"""`make demo`: what it prints ends well, two may run at once, and nothing is left behind."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def start(folder: Path, log: Path) -> subprocess.Popen[bytes]:
    """The demo, with a temporary folder of its own; its root need not be this one's user."""
    folder.mkdir()
    with log.open("wb") as stream:
        return subprocess.Popen([ROOT / ".demo/run.sh"], cwd=folder, env={**os.environ, "TMPDIR": str(folder)},
                                stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT)


@pytest.mark.slow
def test_two_demos_at_once(tmp_path: Path) -> None:
    here = sorted(p.name for p in (ROOT / "fleets").rglob("*"))
    demos = [(start(tmp_path / name, tmp_path / f"{name}.log"), tmp_path / f"{name}.log") for name in "ab"]
    for demo, log in demos:
        code = demo.wait(240)
        text = log.read_text()
        assert code == 0, text
        assert text.endswith("== The demo is done.\n")
        assert text.count("Nothing to change: vCenter is as the fleet says.") == 3
        assert "rolled back, verified equal to before" in text
        assert "warning" not in text
        assert "\x1b" not in text
    assert [list((tmp_path / name).iterdir()) for name in "ab"] == [[], []]
    assert sorted(p.name for p in (ROOT / "fleets").rglob("*")) == here
