"""The works of the speed table with their targets, and the state's own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.benchmarks import (
    bench_births,
    bench_images,
    bench_live,
    bench_night,
    bench_serving,
    bench_state,
    hosts,
    objects,
    terraform,
)
from tests.benchmarks.measure import Growth, Work

ROOT = Path(__file__).parents[2]


def objects_command(work: str) -> Callable[[Path, int], Sequence[str]]:
    """A process of the module `objects`, started in the folder that it works on."""
    start = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tests.benchmarks.objects import main; main()"
    return lambda folder, size: [sys.executable, "-c", start, work, str(folder), str(size)]


def fleet(*arguments: str) -> Callable[[Path, int], Sequence[str]]:
    """The real command line, by the console script that users run."""
    return lambda _folder, _size: [str(Path(sys.executable).with_name("fleet")), *arguments]


WORKS = (
    Work("plan-blocks", "no-op plan, 10,000 objects of 10 attributes", 10_000, 2.0, objects_command("plan"),
         objects.write_blocks, memory=300, growth=Growth(1_000, 10_000), peer=terraform.noop_plan),
    Work("plan-for-each", "no-op plan, 1,000 objects by for_each", 1_000, 0.3, objects_command("plan"),
         objects.write_for_each, growth=Growth(1_000, 10_000), peer=terraform.for_each_plan),
    Work("apply", "apply bookkeeping, 1,000 instant steps", 1_000, 0.5, objects_command("apply"),
         growth=Growth(1_000, 8_000), peer=terraform.apply_bookkeeping),
    Work("validate", "validate 10,000 hosts (210,000 lines)", 10_000, 3.0, fleet("validate", "fleet.yaml"),
         hosts.write_blocks, memory=400),
    Work("plan-twin", "plan of 1,000 twin hosts, nothing to change", 1_000, 4.0,
         fleet("plan", "fleet.yaml", "--detailed-exitcode"), hosts.write_applied, memory=400),
    Work("plan-twin-no-refresh", "the same with --no-refresh", 1_000, 2.0,
         fleet("plan", "fleet.yaml", "--detailed-exitcode", "--no-refresh"), hosts.write_applied),
    Work("validate-for-each", "validate 1,000 hosts by for_each", 1_000, 1.0, fleet("validate", "fleet.yaml"),
         hosts.write_for_each),
    Work("help", "fleet --help", 1, 0.3, fleet("--help")),
    *bench_state.WORKS,
    *bench_births.WORKS,
    *bench_live.WORKS,
    *bench_night.WORKS,
    *bench_images.WORKS,
    *bench_serving.WORKS,
)
