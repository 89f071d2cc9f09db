"""A restore at night that is killed, at a call or as a process: the next one finishes it, and takes what came since."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from providers.vsphere.session import VsphereSession
from tests.support.lab import Killed
from tests.support.nights import PASSWORD, Night, night
from tests.support.process import SECONDS

ONE, TWO = "52:54:00:00:00:11", "52:54:00:00:00:12"
FEW = (0, 2, 5)
CALLS = [pytest.param(n, marks=() if n in FEW else pytest.mark.slow) for n in range(12)]


@pytest.fixture
def here() -> Iterator[Night]:
    with night() as found:
        yield found


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", CALLS)
def test_killed_at_a_call(here: Night, monkeypatch: pytest.MonkeyPatch, number: int, when: str) -> None:
    """Of two hosts' restore. The next one finishes that run first, and then restores who was born meanwhile."""
    here.power_cut(ONE)
    count, original = itertools.count(), VsphereSession.run

    def run(session: VsphereSession, operation: Any, call: Any) -> Any:
        mine = next(count) == number
        if mine and when == "before":
            raise Killed
        found = original(session, operation, call)
        if mine:
            raise Killed
        return found

    with monkeypatch.context() as patch:
        patch.setattr(VsphereSession, "run", run)
        with pytest.raises(Killed):
            here.restore()
    assert here.history()[-1]["outcome"] == "open"
    here.power_cut(TWO)
    outcome = here.restore()
    assert outcome.done == (TWO,)
    assert ONE in outcome.known
    assert [(r["by"].split("@")[0], r["outcome"]) for r in here.history()[1:]] == [("midwife", "applied")] * 2
    here.as_applied()


SCRIPT = """
import sys
from tests.support.nights import Night
from tests.support.process import Site
from pathlib import Path
print(Night(Site(Path(sys.argv[1]), "lab", {"ESX_ROOT_PASSWORD": sys.argv[2]})).restore())
"""


@pytest.mark.parametrize("records", [3, 20, *(pytest.param(n, marks=pytest.mark.slow) for n in (9, 14))])
def test_a_process_that_is_killed(here: Night, records: int) -> None:
    here.power_cut(ONE, TWO)
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(here.site.folder), PASSWORD],
                               cwd=Path(__file__).parents[2])
    before, end = here.site.count(), time.monotonic() + SECONDS
    while here.site.count() - before < records and process.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait(SECONDS) == -signal.SIGKILL
    outcome = here.restore()
    assert (set(outcome.known) | set(outcome.done), outcome.failed) == ({ONE, TWO}, {})
    here.as_applied()
