"""The sentences of a review, shared by its text and its Markdown."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from planner.model import Address, Drift, Plan, Step, contains_unknown
from planner.review.fold import Group
from planner.review.values import KNOWN_AFTER_APPLY, UNKNOWN_NOW, Line, count, text
from planner.review.view import ChangeView, Review, StepView

EFFECT_WIDTH = 64
MANY = 12
ASSUMED = "a newborn host's value; apply reads the true one after birth, and stops that host where it contradicts"
_DIGEST = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")


def header(plan: Plan) -> list[tuple[str, str]]:
    """What a plan is bound to, and where it comes from."""
    rows = [
        ("vCenter", plan.instance or "(none yet)"),
        ("state", f"lineage {plan.lineage}, serial {plan.serial}" if plan.lineage else "none yet"),
        ("made", f"{plan.created} by {plan.by} with {plan.tool}"),
        ("from", plan.source),
        ("config", f"sha256 {plan.config_digest[:16]}…" if plan.config_digest else ""),
        *((f"image {name}", f"sha256 {found[:16]}…") for name, found in sorted(plan.image_digests.items())),
        ("options", _options(plan.options)),
    ]
    if not plan.refreshed:
        rows.append(("refresh", "NO: made from state alone; it can be read, not applied"))
    return [(name, value) for name, value in rows if value]


def _options(options: Any) -> str:
    """Only what was asked for; variables by name, since a value may be a secret."""
    flags = {"targets": "--target", "excludes": "--exclude", "replaces": "--replace", "var_files": "--var-file",
             "variables": "--var"}
    parts = [f"{flag} {item}" for name, flag in flags.items() for item in options.get(name, ())]
    return ", ".join([*parts, *(["--destroy"] if options.get("destroy") else [])])


def drift_rows(drift: Sequence[Drift]) -> list[tuple[str, str, str, str, str]]:
    rows = []
    for one in drift:
        then = "no step: already as desired" if one.resolved else "see changes"
        if not one.attribute:
            rows.append((str(one.address), "", "exists", "gone", then))
        else:
            rows.append((str(one.address), one.attribute, text(one.expected), text(one.found), then))
    return rows


def effect(view: StepView) -> str:
    """What the step changes, in one line: in full for an update, its beginning for a creation (changes list all)."""
    step = view.step
    if step.after is None and step.before is not None:
        return "(removes it)"
    parts = [_DIGEST.sub(r"\1…", _assumed(line.sign, str(line), step)) for line in view.effect]
    if not parts and step.after:  # nothing that can be told apart: the same again, or a value that only apply knows
        parts = [_DIGEST.sub(r"\1…", f"{name} {text(value)}{'' if contains_unknown(value) else ' (again)'}")
                 for name, value in step.after.items()]
    joined = ", ".join(parts)
    if step.before is not None or len(joined) <= EFFECT_WIDTH:
        return joined
    shown = ""
    for part in parts:
        if len(shown) + len(part) > EFFECT_WIDTH:
            break
        shown += f"{part}, "
    return f"{shown}…"


def _assumed(sign: str, line: str, step: Step) -> str:
    known = UNKNOWN_NOW not in line and KNOWN_AFTER_APPLY not in line
    return f"{line} (assumed)" if step.assumed and sign == "~" and known else line


def marks(view: StepView, before: StepView | None) -> list[tuple[bool, str]]:
    """What a reviewer must know of a step; True marks what must not be overlooked."""
    step = view.step
    found: list[tuple[bool, str]] = []
    if step.irreversible:
        found.append((True, f"IRREVERSIBLE: {step.irreversible}"))
    if view.loses:
        found.append((True, f"LOST FOR GOOD: {view.loses}"))
    if step.disruptive:
        found.append((True, f"DISRUPTIVE: {step.disruptive}"))
    if step.kind == "manual":
        found.append((True, "BY HAND: a person must do this while apply waits"))
    if view.guard:
        found.append((False, view.guard))
    if view.limit:
        found.append((False, f"waits up to {view.limit}"))
    if view.after and (before is None or view.after != before.after):
        found.append((False, f"after step {', '.join(map(str, view.after))}"))
    return found


def range_text(group: Group[StepView], noun: str) -> str:
    """`steps 4-20`; of a back-out, whose numbers say nothing, how many."""
    numbers = sorted(view.number for view in group.items)
    if noun != "step":
        return f"undoes {count(len(numbers), 'step')}"
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    parts = [str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs]
    return f"{'step' if len(numbers) == 1 else 'steps'} {', '.join(parts)}"


def same(group: Group[ChangeView] | Group[StepView], noun: str) -> str:
    """`The same 12 steps on 2 more hosts`."""
    number = len(group.items)
    what = f"The same {noun}" if number == 1 else f"The same {count(number, noun)}"
    return f"{what} on {count(len(group.alike), 'more host')}"


def stays_lines(review: Review) -> list[str]:
    """What no back-out undoes, with the numbers of the steps that do it."""
    return [f"{operation} ({_numbers(numbers)}): {why}" for (operation, why), numbers in review.stays.items()]


def loss_lines(review: Review) -> list[str]:
    """What is lost although its object comes back, with the numbers of the steps that lose it."""
    return [f"{operation} ({_numbers(numbers)}): {what}" for (operation, what), numbers in review.losses.items()]


def restores(review: Review, host: str) -> str:
    """What a host that lost its configuration gets: the words after its name."""
    why = f"{review.silent[host]};" if host in review.silent else "was reborn:"
    return f"{why} restores {count(review.reborn[host], 'object')} as last applied"


def lost_line(review: Review) -> str:
    """What a rollback cannot bring back, and what does; "" where there is nothing."""
    return f"configuration of {', '.join(review.lost)} (a boot discards it): the plan after a rollback restores it" \
        if review.lost else ""


def _numbers(numbers: Sequence[int]) -> str:
    if len(numbers) > MANY:
        return f"{len(numbers)} steps, marked above"
    return f"{'step' if len(numbers) == 1 else 'steps'} {', '.join(map(str, numbers))}"


def is_assumed(line: Line, view: ChangeView) -> bool:
    """Whether the value before is an assumption, and not simply unknown."""
    return view.change.assumed and line.sign != "+" and not str(line.before).startswith("(")


def has_assumed(review: Review) -> bool:
    return any(c.assumed for c in review.plan.changes) or any(s.assumed for s in review.plan.steps)


def unmanaged_counts(unmanaged: Sequence[str]) -> str:
    """`7 portgroup, 3 vmkernel, 2 in the inventory`."""
    kinds: Counter[str] = Counter()
    for name in unmanaged:
        try:
            kinds[Address.parse(name).rtype] += 1
        except ValueError:
            kinds["elsewhere in the inventory"] += 1
    return ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items()))


def nothing(review: Review) -> str:
    """The sentence for a plan without anything to do; "" where there is something."""
    if not review.plan.empty:
        return ""
    failed = sum(c.passed is False for c in review.plan.checks)
    blocked = sum(c.reason.startswith("blocked") for c in review.plan.changes)
    if blocked:
        return f"Nothing can be done now: {count(blocked, 'host')} blocked, see the warnings above."
    tail = f" But {count(failed, 'check')} failed." if failed else ""
    options = review.plan.options
    source = "vCenter" if review.plan.refreshed else "state"
    selected = options.get("targets") or options.get("excludes")
    if options.get("destroy"):
        said = f"{source} has nothing {'of what was selected' if selected else 'that this fleet manages'}"
    elif selected:
        said = f"what was selected is in {source} as the fleet says"
    else:
        said = f"{source} is as the fleet says"
    unread = "" if review.plan.refreshed else " (live was not read)"
    moved = sum(c.reason.startswith("moved from") for c in review.plan.changes)
    if moved:
        tail += f" `fleet apply` records {count(moved, 'moved address', 'moved addresses')}."
    return f"Nothing to change: {said}{unread}.{tail}"


def summary(review: Review) -> str:
    """`Plan: 3 to create, 2 to change. 45 steps on 3 hosts, 9 irreversible.`"""
    counts = review.counts
    verbs = (("create", "create"), ("change", "update"), ("replace", "replace"), ("delete", "delete"),
             ("forget", "forget"), ("adopt", "adopt"), ("restore", "restore"))
    objects = [f"{counts[key]} to {verb}" for verb, key in verbs if counts[key]]
    if review.plan.rolls:
        objects.append(f"{count(counts['roll'], 'host')} to get another image ({count(counts['vms_to_move'], 'VM')} to "
                       "move)")
    steps = [count(counts["steps"], "step") + (f" on {count(counts['hosts'], 'host')}" if counts["hosts"] else "")]
    for key, words in (("irreversible", "irreversible"), ("disruptive", "disruptive"),
                       ("manual", "by hand"), ("guarded", "only if needed")):
        if counts[key]:
            steps.append(f"{counts[key]} {words}")
    return f"Plan: {', '.join(objects) or 'no object changes'}. {', '.join(steps)}."
