"""What a resumed run does again although it was done: boots and births that no longer hold."""

from __future__ import annotations

from collections.abc import Sequence

from planner.execute.perform import patiently
from planner.execute.run import Run
from planner.model import Address, Rebooted, Silent, Step, StepFailed

BOOTS = ("boot", "manual")


def boot_again(run: Run, steps: Sequence[Step]) -> None:
    """Hosts not born yet are staged and booted again: ports changed, and a machine in mid-boot is off.

    The same for hosts that were born, and have booted or fallen silent before vCenter had them: what was done at their
    own door is gone with that boot. Such steps get a record of the kind `void`.
    """
    chains: dict[Address, list[Step]] = {}
    for step in steps:
        if not step.address.child_type:
            chains.setdefault(step.address, []).append(step)
    for chain in chains.values():
        born = any(s.kind == "wait" and run.status.get(s.id) == "done" for s in chain)
        if born and not _birth_is_void(run, chain):
            continue
        for step in chain:
            if step.kind in BOOTS and run.status.get(step.id) in ("done", "skipped"):
                run.status[step.id] = "doubt"


def _birth_is_void(run: Run, chain: Sequence[Step]) -> bool:
    """Look at the door of a host that vCenter does not have yet, and write down what does not hold any more."""
    role = {s.id: run.engine.catalog.operations[s.operation].birth for s in chain}
    taken = [s for s in chain if role[s.id] == "taken"]
    doors = [s for s in chain if role[s.id] == "door"]
    if not doors or not taken or any(run.status.get(s.id) in ("done", "skipped", "doubt") for s in taken):
        return False
    try:
        patiently(run, lambda: run.observe(doors[0]))
    except (Rebooted, Silent) as gone:
        for step in chain:
            if (step.kind == "wait" or step in doors) and run.status.get(step.id) in ("done", "doubt"):
                run.note("void", step, error=str(gone))
        return True
    except StepFailed:
        return False  # what is wrong there is no boot: the step itself will say it
    return False
