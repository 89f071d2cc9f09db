"""A review as Markdown, for change-control tickets and comments on pull requests."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence

from planner.model import Action
from planner.review.fold import Group
from planner.review.paint import clean
from planner.review.rolls import COLUMNS, RULE, cells, clusters, heading, ways_back
from planner.review.values import Line
from planner.review.view import WORDS, ChangeView, Review, StepView
from planner.review.words import (
    ASSUMED,
    drift_rows,
    effect,
    has_assumed,
    header,
    is_assumed,
    loss_lines,
    lost_line,
    marks,
    nothing,
    range_text,
    restores,
    same,
    stays_lines,
    summary,
    unmanaged_counts,
)

_SPECIAL = re.compile(r"[\\`*\[\]<>|~&]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")


_HTML = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}


def escape(text: str) -> str:
    """Plain text that Markdown and HTML leave as it is, on one line."""
    return _SPECIAL.sub(lambda found: _HTML.get(found[0], f"\\{found[0]}"), _one_line(text))


def code(text: str) -> str:
    """Text in code type, safe in a table cell and against backticks."""
    flat = _one_line(text)
    if not flat:
        return ""
    if "`" not in flat and "|" not in flat:
        return f"`{flat}`"
    return f"<code>{html.escape(flat, quote=False).replace('|', '&#124;').replace('`', '&#96;')}</code>"


def _one_line(text: str) -> str:
    return " ".join(clean(text).split("\n"))


def render(review: Review) -> str:
    """The whole review, the summary first."""
    blocks = (
        _head(review), _warnings(review), _drift(review), _changes(review), _rolls(review), _steps(review),
        _back_out(review),
        _rest(review),
    )
    return "\n\n".join("\n".join(lines) for lines in map(list, blocks) if lines) + "\n"


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(headers)} |"
    yield f"|{' --- |' * len(headers)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _head(review: Review) -> Iterator[str]:
    yield f"## Plan for fleet {escape(review.plan.fleet)}"
    yield ""
    yield f"**{escape(nothing(review) or summary(review))}**"
    yield ""
    yield from _table(("", ""), [(escape(name), code(value)) for name, value in header(review.plan)])


def _warnings(review: Review) -> Iterator[str]:
    for found in review.plan.diagnostics:
        where = f"{code(str(found.address))}: " if found.address else ""
        detail = f": {escape(found.detail)}" if found.detail else ""
        mark = f" ({code(str(found.mark))})" if found.mark else ""
        remedy = f" — {escape(found.remedy)}" if found.remedy else ""
        yield f"> **{found.severity.capitalize()}** {where}{escape(found.summary)}{detail}{mark}{remedy}"
        yield ">"


def _drift(review: Review) -> Iterator[str]:
    rows = [(code(a), escape(b), code(c), code(d), escape(e)) for a, b, c, d, e in drift_rows(review.plan.drift)]
    if rows:
        yield "### Drift"
        yield "What live has and state does not expect; others changed it, not this plan."
        yield ""
        yield from _table(("object", "attribute", "expected", "found", "then"), rows)


# --- changes ----------------------------------------------------------------------------------------------


def _changes(review: Review) -> Iterator[str]:
    if not review.changes and not review.reborn:
        return
    yield "### Changes"
    if has_assumed(review):
        yield f"*assumed*: {escape(ASSUMED)}."
    for host in review.reborn:
        yield ""
        yield f"- {code(host)} {restores(review, host)}"
    for group in review.changes:
        yield ""
        yield f"**{escape(group.title)}**"
        yield ""
        rows = [row for view in group.items for row in _change(view)]
        yield from _table(("", "object", "attribute", "before", "after"), rows)
        yield from _alike(group, "change", [code(m.title) for m in group.members])


def _change(view: ChangeView) -> Iterator[tuple[str, ...]]:
    action = view.change.action
    notes = f" ({escape('; '.join(view.notes))})" if view.notes else ""
    first = (f"**{WORDS[action]}**" if action in (Action.DELETE, Action.REPLACE) else WORDS[action],
             f"{code(view.name or str(view.change.address))}{notes}")
    if not view.lines:
        yield (*first, "", "", "")
    for line in view.lines:
        yield (*first, escape(line.path), _before(line, view), code(line.after or ""))
        first = ("", "")


def _before(line: Line, view: ChangeView) -> str:
    assumed = " *assumed*" if is_assumed(line, view) else ""
    return f"{code(line.before or '')}{assumed}"


def _alike(group: Group[ChangeView] | Group[StepView], noun: str, names: Sequence[str]) -> Iterator[str]:
    if not group.alike:
        return
    yield ""
    yield f"{same(group, noun)}:"
    yield ""
    rows = [(name, *map(code, row)) for name, row in zip(names, group.rows, strict=True)]
    yield from _table(("host", *map(escape, group.columns)), rows)


# --- images -----------------------------------------------------------------------------------------------


def _rolls(review: Review) -> Iterator[str]:
    if not review.plan.rolls:
        return
    yield "### Rolling image update"
    yield f"{escape(RULE.capitalize())}."
    for cluster, rolls in clusters(review.plan.rolls).items():
        yield ""
        yield f"**{escape(heading(cluster, rolls))}**"
        yield ""
        yield from _table(COLUMNS, [(n, code(host), code(image), code(old), code(new), escape(vms)) for
                                    n, host, image, old, new, vms in
                                    (cells(i, r, details=True) for i, r in enumerate(rolls, 1))])


# --- steps ------------------------------------------------------------------------------------------------


def _steps(review: Review) -> Iterator[str]:
    if review.steps:
        yield "### Steps"
        yield "On each host in this order; hosts run in parallel."
        yield from _step_groups(review.steps, "step")


def _step_groups(groups: Sequence[Group[StepView]], noun: str) -> Iterator[str]:
    for group in groups:
        yield ""
        yield f"<details{' open' if noun == 'step' else ''}><summary>{html.escape(group.title)}: " \
              f"{range_text(group, noun)}{_tally(group)}</summary>"
        yield ""
        before: StepView | None = None
        rows = []
        for view in group.items:
            rows.append(_step(view, before))
            before = view
        yield from _table(("#", "step", "on", "call", "what, and what to know"), rows)
        members = [f"{code(m.title)} {range_text(m, noun)}" for m in group.members]
        yield from _alike(group, "step", members)
        yield ""
        yield "</details>"


def _tally(group: Group[StepView]) -> str:
    bad = sum(bool(v.step.irreversible) for v in group.items)
    return f", {bad} irreversible" if bad else ""


def _step(view: StepView, before: StepView | None) -> tuple[str, ...]:
    notes = [code(effect(view))] if effect(view) else []
    notes += [f"**{escape(mark)}**" if urgent else escape(mark) for urgent, mark in marks(view, before)]
    return str(view.number), escape(view.step.operation), code(view.name), code(view.call), "<br>".join(notes)


# --- the end ----------------------------------------------------------------------------------------------


def _back_out(review: Review) -> Iterator[str]:
    if not review.plan.steps:
        return
    yield "### Back-out"
    yield "What `fleet rollback` does after all of it, with the numbers of the steps undone." if review.back_out else \
        "No step of this plan can be undone."
    yield from _step_groups(review.back_out, "undo")
    yield ""
    for line in stays_lines(review):
        yield f"- **stays** {escape(line)}"
    for line in loss_lines(review):
        yield f"- **lost for good** {escape(line)}"
    for line in ways_back(review.plan.rolls):
        yield f"- **restarts again** {escape(line)}"
    if review.lost:
        yield f"- **not restored** {escape(lost_line(review))}"
    yield f"- reboots: {escape(', '.join(review.reboots)) or 'none'}"


def _rest(review: Review) -> Iterator[str]:
    counted = unmanaged_counts(review.plan.unmanaged)
    if counted:
        yield f"Unmanaged (nothing touches it): {escape(counted)}."
        yield ""
    words = {True: "passed", False: "**FAILED**", None: "known after apply"}
    rows = [(escape(c.name), words[c.passed], escape(c.message) if c.passed is not True else "")
            for c in review.plan.checks]
    if rows:
        yield "### Checks"
        yield ""
        yield from _table(("check", "result", ""), rows)
