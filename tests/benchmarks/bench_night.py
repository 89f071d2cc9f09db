"""A power cut: `python -m tests.benchmarks.bench_night FOLDER SIZE`, measured from outside.

SIZE hosts of the twin lost their power and were born again; one process restores them all, as the midwife does: the
restorer, its run, its journal. It fails where one is not restored, or where more hosts are at work at once than they
may be.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from planner.cli.workshop import CliWorkshop
from planner.ports import Event
from providers.midwife.restore import Limits, Restorer
from providers.midwife.restores import Restores
from tests.benchmarks import hosts
from tests.benchmarks.measure import Work
from tests.support.nights import Night, environment, nursery
from tests.support.process import Site

ROOT = Path(__file__).parents[2]
HOSTS = 8
SECONDS = 600.0
FLEET = "big"


class Watch:
    """A listener: how many hosts were at work at once, at most."""

    def __init__(self) -> None:
        self.busy: set[str] = set()
        self.most = 0
        self.ended = 0

    def __call__(self, _fleet: str, event: Event) -> None:
        host = event.address.split(".vswitch")[0]
        if event.kind == "begin" and event.operation == "door.enter_maintenance":
            self.busy.add(host)
            self.most = max(self.most, len(self.busy))
        elif event.kind == "done" and event.operation == "host.exit_maintenance":
            self.busy.discard(host)
            self.ended += 1
        assert event.kind != "failed", event


def prepare(folder: Path, size: int) -> None:
    hosts.write_applied(folder, size)
    Night(Site(folder, FLEET)).power_cut()


def night(folder: Path, size: int) -> None:
    watch, said = Watch(), list[str]()
    with environment({"ESX_ROOT_PASSWORD": "Benchmark-1!"}), nursery(Night(Site(folder, FLEET))) as births:
        restorer = Restorer(births, CliWorkshop(), Restores(folder / "midwife"), said.append,
                            Limits(quiet=0.2, longest=1.0, hosts=HOSTS), listener=watch)
        restorer.start()
        end = time.monotonic() + SECONDS
        while not any(f"restored {size} of {size}" in line for line in said):
            assert time.monotonic() < end, said
            assert not any("could not" in line or "wait:" in line for line in said), said
            time.sleep(0.05)
        restorer.stop()
    assert (watch.ended, watch.busy) == (size, set())
    assert 1 < watch.most <= HOSTS, watch.most


def command(folder: Path, size: int) -> Sequence[str]:
    start = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tests.benchmarks.bench_night import main; main()"
    return [sys.executable, "-c", start, str(folder), str(size)]


WORKS = (
    Work("night", "a hundred rebirths at once restored on the twin", 100, 20.0, command, prepare, memory=300,
         repeats=2),
)


def main() -> None:
    night(Path(sys.argv[1]), int(sys.argv[2]))


if __name__ == "__main__":
    main()
