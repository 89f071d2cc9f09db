"""State and journal by themselves: `python -m tests.benchmarks.bench_state WORK FOLDER SIZE`, measured from outside.

`state`: write, read and write again a state of SIZE objects. `journal`: SIZE steps, two durable records each, read
back. `projection`: the same records projected onto state.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from planner.model import Address, Attrs, State, StateResource
from state.local import LocalStore
from tests.benchmarks.measure import Growth, Work

ROOT = Path(__file__).parents[2]


def _attributes(number: int) -> dict[str, Any]:
    return {"name": f"esx{number}.lab.example", "mac": f"52:54:00:{number:06x}", "cluster": "cluster.prod",
            "servers": ["10.0.0.1", "10.0.0.2"], "mtu": 1500 + number % 2, **{f"a{k}": f"value {k}" for k in range(5)}}


def large_state(size: int) -> State:
    addresses = [Address("host", "esx", f"esx{n:05}") for n in range(size)]
    resources = {a: StateResource(a, "created", _attributes(n), f"host-{n}", {"uuid": f"u{n}", "boot_time": "t0"})
                 for n, a in enumerate(addresses)}
    return State("lin", 1, "bench", "vc", resources)


def state_work(folder: Path, size: int) -> None:
    """A run's checkpoints: start, one change, end; then a reader; then the next serial."""
    store, state = LocalStore(folder / ".fleet" / "bench", "bench"), large_state(size)
    store.write(replace(state, complete=False))
    first = next(iter(state.resources.values()))
    changed = {**state.resources, first.address: replace(first, id="other")}
    store.write(replace(state, resources=changed))
    assert LocalStore(store.folder, "bench").read() == replace(state, resources=changed)
    store.write(replace(state, serial=2))


def _records(size: int) -> Sequence[dict[str, Any]]:
    found: list[dict[str, Any]] = [{"kind": "head", "run": "r1", "lineage": "lin", "serial": 0}]
    for number in range(size):
        after: Attrs = {"vlan": number, "vswitch": "vSwitch1"}
        step = f"s{number:04}"
        found.append({"kind": "begin", "step": step, "operation": "portgroup.add", "address": f"host.esx.x{number}",
                      "before": None, "after": after, "live": None,
                      "inverse": {"operation": "portgroup.remove", "before": after, "after": None}})
        found.append({"kind": "done", "step": step, "facts": {"id": f"pg-{number}"}})
    return found


def journal_work(folder: Path, size: int) -> None:
    store = LocalStore(folder / ".fleet" / "bench", "bench")
    journal = store.begin("r1", b"plan")
    records = _records(size)
    for record in records:
        journal.append(record)
    assert len(store.records("r1")) == len(records)
    journal.append({"kind": "end", "outcome": "applied"})
    journal.close()
    assert store.runs()[0].records == 2 * size + 2


def projection_work(_folder: Path, size: int) -> None:
    from planner.catalog import Catalog, ResourceType
    from planner.execute.projector import Projector
    from planner.model import Action, Change, Inverse, Plan, Step
    from planner.schema import integer, string

    group = ResourceType("portgroup", "", {"vlan": integer(""), "vswitch": string("")}, (), 1, parent="host")
    host = Address("host", "esx")
    steps, changes = [], []
    for number in range(size):
        after: Attrs = {"vlan": number, "vswitch": "vSwitch1"}
        address = host.under("portgroup", f"pg{number}")
        changes.append(Change(address, Action.CREATE, None, after))
        steps.append(Step(f"s{number:04}", address, "portgroup.add", None, after,
                          inverse=Inverse("portgroup.remove", after, None)))
    plan = Plan("bench", "", "", 0, "vc", "", {}, {}, (), tuple(changes), tuple(steps))
    projector = Projector(None, plan, Catalog({"portgroup": group}, {}), "r1", "lin")
    for record in _records(size):
        projector.apply(record)
    assert len(projector.state().resources) == size


_WORKS: dict[str, Callable[[Path, int], None]] = {
    "state": state_work, "journal": journal_work, "projection": projection_work,
}


def main(arguments: Sequence[str]) -> None:
    from planner.cli.main import collect_seldom

    collect_seldom()  # as every process of the command line does
    work, folder, size = arguments
    _WORKS[work](Path(folder), int(size))


def _command(work: str) -> Callable[[Path, int], Sequence[str]]:
    start = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tests.benchmarks import bench_state as b; "
    return lambda folder, size: [sys.executable, "-c", f"{start}b.main(sys.argv[1:])", work, str(folder), str(size)]


WORKS = (
    Work("state", "state of 10,000 objects: 3 checkpoints, 1 read", 10_000, 1.0, _command("state"), memory=200),
    Work("journal", "journal of 1,000 steps, 2 durable records each", 1_000, 0.5, _command("journal"),
         growth=Growth(1_000, 8_000)),
    Work("projection", "projection of 10,000 steps onto state", 10_000, 0.5, _command("projection"),
         growth=Growth(5_000, 40_000)),
)

if __name__ == "__main__":
    main(sys.argv[1:])
