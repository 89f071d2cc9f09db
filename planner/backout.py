"""How a plan would be undone: the reverse steps, as a reviewer reads them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from planner.model import Address, Attrs, Plan, Roll, Step


def back_out(plan: Plan) -> tuple[Step, ...]:
    """The reverse steps, in the order in which a rollback runs them; what has no inverse is left out.

    On a host that got another image nothing is undone: it is sent back the way it came, and gets what it had before.
    """
    rolls = {r.address: r for r in plan.rolls}
    rolled = frozenset(rolls)
    own: dict[Address, list[Step]] = {a: [] for a in rolls}
    for step in plan.steps:
        if step.address in own:
            own[step.address].append(step)
    reverse: list[Step] = []
    for step in reversed(plan.steps):
        if step.address.root in rolls:
            reverse += _roll_back(own[step.address.root], rolls.pop(step.address.root))
        elif step.address.root in rolled:
            continue
        elif step.inverse is not None:
            reverse.append(Step(step.id, step.address, step.inverse.operation, step.inverse.before, step.inverse.after,
                                when=step.when, disruptive=step.inverse.disruptive, kind=step.kind))
    return tuple(reverse)


def _roll_back(own: Sequence[Step], roll: Roll) -> Iterable[Step]:
    """The host's own steps once more, with the images changed over; those that need no reboot, where nobody knows what
    it ran before."""
    names = {roll.after: roll.before, roll.before: roll.after} if roll.before else {}
    names |= {roll.builds[1]: roll.builds[0], roll.builds[0]: roll.builds[1]} if all(roll.builds) else {}
    reboots = [i for i, s in enumerate(own) if s.kind in ("boot", "manual", "wait") or s.irreversible]
    for index, step in enumerate(own):
        if roll.before or not (reboots and reboots[0] <= index <= reboots[-1]):
            before, after = step.before, step.after
            if step.inverse is not None and step.inverse.operation == step.operation:
                before, after = after, before
            yield Step(step.id, step.address, step.operation, _renamed(before, names), _renamed(after, names),
                       when=step.when, disruptive=step.disruptive, kind=step.kind)


def _renamed(attributes: Attrs | None, names: Mapping[str, str]) -> Attrs | None:
    return None if attributes is None else {
        k: names.get(v, v) if isinstance(v, str) and v else v for k, v in attributes.items()}
