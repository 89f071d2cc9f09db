"""Workloads on objects without vSphere: what the planner itself costs. The measured process is this module's.

Usage: python -m tests.benchmarks.objects plan|apply FOLDER SIZE
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from planner.catalog import Catalog, Operation, ResourceType
from planner.model import Address, Attrs, State, StateResource
from planner.ports import Call
from planner.schema import string

ATTRIBUTES = tuple(f"a{k}" for k in range(10))


def catalog() -> Catalog:
    """One type with ten attributes; nothing ever runs its operations."""

    def run(_session: Any, call: Call) -> Attrs | None:
        raise AssertionError(f"a plan with nothing to change ran {call.operation}")

    operations = (
        Operation("object.create", "Create", "create", "make it", run, ATTRIBUTES, "object.delete"),
        Operation("object.update", "Update", "update", "change it", run, ATTRIBUTES, "object.update"),
        Operation("object.delete", "Delete", "delete", "remove it", run, ATTRIBUTES, "object.create"),
    )
    fields = {name: string(f"attribute {name}") for name in ATTRIBUTES}
    return Catalog.of([ResourceType("object", "a thing with ten attributes", fields, operations, order=1)])


def _values(n: int) -> dict[str, str]:
    return {name: f"value {n}.{name}" for name in ATTRIBUTES}


def write_blocks(folder: Path, size: int) -> None:
    """A fleet of `size` blocks and the state that says the same."""
    lines = ["fleet: {name: bench}", "object:"]
    for n in range(size):
        lines.append(f"  o{n}:")
        lines += [f"    {name}: {value}" for name, value in _values(n).items()]
    _write(folder, lines, {Address("object", f"o{n}"): _values(n) for n in range(size)})


def write_for_each(folder: Path, size: int) -> None:
    """The same by one block with `for_each`."""
    lines = ["fleet: {name: bench}", "object:", "  o:", "    for_each:"]
    lines += [f"      k{n}: {n}" for n in range(size)]
    lines += [f"    {name}: 'value ${{each.value}}.{name}'" for name in ATTRIBUTES]
    _write(folder, lines, {Address("object", "o", f"k{n}"): _values(n) for n in range(size)})


def _write(folder: Path, lines: list[str], resources: dict[Address, dict[str, str]]) -> None:
    from state.local import open_store

    (folder / "fleet.yaml").write_text("\n".join(lines) + "\n")
    recorded = {a: StateResource(a, "created", values) for a, values in resources.items()}
    store = open_store(folder / ".fleet" / "bench", "bench", {})
    with store.lock("benchmark"):
        store.write(State("bench-lineage", 1, "bench", "bench-instance", recorded))


def plan(folder: Path, size: int) -> None:
    """Load, evaluate, read state, plan, render: what `fleet plan --no-refresh` does, with this catalogue."""
    from planner.config import load_fleet
    from planner.plan import PlanInputs, back_out, build_plan
    from planner.review.text import render
    from planner.review.view import review
    from state.local import open_store

    known = catalog()
    fleet = load_fleet(str(folder / "fleet.yaml"), known, {})
    state = open_store(folder / ".fleet" / "bench", "bench", {}).read()
    made = build_plan(PlanInputs(known, fleet, state, None))
    print(render(review(made, known, back_out(made))))
    if not made.empty or state is None or not len(fleet.resources) == len(state.resources) == size:
        raise SystemExit(f"{len(fleet.resources)} objects, {len(made.changes)} changes, {len(made.steps)} steps")


def apply(folder: Path, size: int) -> None:
    """`size` instant steps through journal, checkpoints and state, each durable."""
    from planner.execute.engine import apply as run
    from state.local import open_store
    from tests.support.toy import World, toy_engine, toy_fleet, toy_plan

    fleet, world = toy_fleet({f"box.b{n}": {"size": n} for n in range(size)}), World()
    store = open_store(folder / ".fleet" / "toy", "toy", {})
    outcome = run(toy_engine(fleet, world, store, parallelism=10), toy_plan(fleet, world, store.read()))
    state = store.read()
    if outcome.exit_code or len(world.calls) != size or state is None or len(state.resources) != size:
        raise SystemExit(f"{outcome.message}: {len(world.calls)} calls of {size}")


def main() -> None:
    from planner.cli.main import collect_seldom

    collect_seldom()  # as every process of the command line does
    {"plan": plan, "apply": apply}[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))


if __name__ == "__main__":
    main()
