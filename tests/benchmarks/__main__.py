"""`python -m tests.benchmarks [NAME…]`: measure, print the table, fail above 1.5 times a target.

FLEET_BENCH_PEERS=1 measures Terraform beside it, where it is on PATH. That takes minutes, and cannot fail.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.measure import TOLERANCE, Bench, Failed, Growth, Work, times_the_limit
from tests.benchmarks.works import WORKS


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `ratio`: how many times the target."""

    work: str
    measure: str
    target: str
    ours: str
    ratio: float
    peer: str = ""

    @property
    def verdict(self) -> str:
        return "ok" if self.ratio <= 1 else "above target" if self.ratio <= TOLERANCE else "FAILED"


def rows_of(bench: Bench, work: Work, peers: bool) -> list[Row]:
    cost = bench.cheapest(work, work.size)
    beside = work.peer(bench.folder / f"peer-{work.name}", work.size) if peers and work.peer is not None else None
    rows = [Row(work.title, "CPU", f"{work.cpu:g} s", f"{cost.cpu:.2f} s", cost.cpu / work.cpu,
                peer=f"{beside.cpu:.1f} s" if beside else "")]
    if work.memory is not None:
        rows.append(Row(work.title, "memory", f"{work.memory:g} MB", f"{cost.memory:.0f} MB",
                        cost.memory / work.memory, peer=f"{beside.memory:.0f} MB" if beside else ""))
    rows += [Row(work.title, r.measure, f"{r.target:g} {r.unit}", f"{r.value:.0f} {r.unit}", r.value / r.target)
             for r in bench.readings[work.name]]
    if work.growth is not None:
        rows.append(_growth_row(bench, work, work.growth))
    return rows


def _growth_row(bench: Bench, work: Work, growth: Growth) -> Row:
    found = bench.growth(work, growth)
    sizes = f"growth {growth.small} to {growth.large}"
    return Row(work.title, sizes, f"n^{growth.limit:g}", f"n^{found:.2f}", times_the_limit(growth, found))


def table(rows: Sequence[Row]) -> str:
    from tabulate import tabulate

    cells = [(r.work, r.measure, r.target, r.ours, f"{r.ratio:.2f}", r.verdict, r.peer) for r in rows]
    headers = ("work", "measure", "target", "ours", "times target", "", "Terraform")
    return tabulate(cells, headers=headers, tablefmt="simple", disable_numparse=True)


def main(names: Sequence[str]) -> int:
    known = {work.name: work for work in WORKS}
    if unknown := [name for name in names if name not in known]:
        print(f"unknown benchmark {unknown[0]}; known: {', '.join(known)}")
        return 64
    peers = os.environ.get("FLEET_BENCH_PEERS") == "1" and shutil.which("terraform") is not None
    rows: list[Row] = []
    failed = False
    with tempfile.TemporaryDirectory(prefix="fleet-bench-") as folder:
        bench = Bench(Path(folder))
        for work in [known[name] for name in names] or WORKS:
            print(f"measuring: {work.title}", file=sys.stderr, flush=True)
            try:
                rows += rows_of(bench, work, peers)
            except Failed as error:
                print(f"{work.title}: {error}")
                failed = True
    print(table(rows))
    return 1 if report(rows) or failed else 0


def report(rows: Sequence[Row]) -> bool:
    """Say again, as the last words, which rows failed; whether any did."""
    failed = [row for row in rows if row.verdict == "FAILED"]
    for row in failed:
        print(f"FAILED: {row.work}: {row.measure} {row.ours}, target {row.target}, {row.ratio:.2f} times")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
