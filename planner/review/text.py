"""A review as text for a terminal or a CI log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from planner.model import Action, Diagnostic
from planner.review.fold import Group
from planner.review.paint import Paint, clean
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

SIGNS = {Action.CREATE: "+", Action.UPDATE: "~", Action.REPLACE: "-/+", Action.DELETE: "-", Action.FORGET: "x",
         Action.NOOP: "="}

NAME_WIDTH = 18


def render(review: Review, colours: Paint | None = None) -> str:
    """The whole review. Plain unless `colours` is on."""
    paint = colours or Paint()
    blocks = (
        _header(review, paint), warning_lines(review, paint), _drift(review, paint), _changes(review, paint),
        _rolls(review, paint), step_lines(review, paint), _back_out(review, paint), _unmanaged(review, paint),
        _checks(review, paint), _summary(review, paint),
    )
    return "\n\n".join("\n".join(lines) for lines in map(list, blocks) if lines)


def table(rows: Sequence[Sequence[str]], indent: str, headers: Sequence[str] = ()) -> list[str]:
    """Rows in columns. Cells may hold several lines."""
    from tabulate import tabulate

    text = tabulate(rows, headers=list(headers), tablefmt="plain", disable_numparse=True, preserve_whitespace=True)
    return [f"{indent}{line}".rstrip() for line in text.splitlines()]


def _header(review: Review, paint: Paint) -> Iterator[str]:
    yield paint.bold(f"Plan for fleet {clean(review.plan.fleet)}")
    yield from table([(paint.dim(name), clean(value)) for name, value in header(review.plan)], "  ")


def warning_lines(review: Review, paint: Paint) -> Iterator[str]:
    """What a plan says about itself."""
    for found in review.plan.diagnostics:
        word = paint.alarm("ERROR") if found.severity == "error" else paint.yellow("WARNING")
        yield f"{word} {_diagnostic(found)}"
        if found.remedy:
            yield f"        do: {clean(found.remedy)}"


def _diagnostic(found: Diagnostic) -> str:
    where = f"{found.address}: " if found.address else ""
    detail = f": {found.detail}" if found.detail else ""
    mark = f" ({found.mark})" if found.mark else ""
    return clean(f"{where}{found.summary}{detail}{mark}")


def _drift(review: Review, paint: Paint) -> Iterator[str]:
    rows = drift_rows(review.plan.drift)
    if not rows:
        return
    yield paint.bold("Drift") + paint.dim("  what live has and state does not expect; others changed it, not this plan")
    yield from table(rows, "  ", ("object", "attribute", "expected", "found", "then"))


# --- changes ----------------------------------------------------------------------------------------------


def _changes(review: Review, paint: Paint) -> Iterator[str]:
    if not review.changes and not review.reborn:
        return
    yield paint.bold("Changes") + paint.dim(
        "  + create  ~ change  - delete  -/+ replace  = keep  x forget (leaves state only)")
    if has_assumed(review):
        yield paint.dim(f"         (assumed): {ASSUMED}")
    for host in review.reborn:
        yield f"  {paint.yellow('↻')} {paint.bold(clean(host))} {restores(review, host)}" \
              f" {paint.dim('(list: --verbose)')}"
    for group in review.changes:
        if group.items[0].name:
            yield f"    {paint.bold(clean(group.title))}"
        for view in group.items:
            yield from _change(view, paint)
        if group.alike:
            yield f"    {same(group, 'change')}{_where(group)}"
            yield from _members(group, paint, [clean(m.title) for m in group.members])


def _change(view: ChangeView, paint: Paint) -> Iterator[str]:
    action = view.change.action
    kind = SIGNS[action][-1]
    sign = _coloured(kind, f"{SIGNS[action]:>3}", paint)
    root = not view.name
    name = paint.bold(clean(str(view.change.address))) if root else clean(view.name)
    notes = f"  {paint.dim('(' + clean('; '.join(view.notes)) + ')')}" if view.notes else ""
    word = f" {WORDS[action]}" if action in (Action.DELETE, Action.REPLACE) else ""
    indent = "" if root else "  "
    yield f"{indent}{sign} {name}{_coloured(kind, word, paint)}{notes}"
    yield from table([_attribute(line, view, paint) for line in view.lines], f"{indent}        ")


def _attribute(line: Line, view: ChangeView, paint: Paint) -> tuple[str, str, str]:
    value = {"+": line.after, "-": line.before}.get(line.sign) or f"{line.before} → {line.after}"
    assumed = paint.dim(" (assumed)") if is_assumed(line, view) else ""
    return _coloured(line.sign, line.sign, paint), line.path, f"{value}{assumed}"


def _coloured(sign: str, text: str, paint: Paint) -> str:
    return {"+": paint.green, "-": paint.red, "~": paint.yellow, "x": paint.cyan}.get(sign, paint.dim)(text)


def _where(group: Group[ChangeView] | Group[StepView]) -> str:
    return ", with these values" if group.columns else ""


def _members(group: Group[ChangeView] | Group[StepView], paint: Paint, names: Sequence[str]) -> Iterator[str]:
    rows = [(name, *row) for name, row in zip(names, group.rows, strict=True)]
    if not group.columns:
        rows = rows[1:]
    yield from table(rows, "      ", [paint.dim(h) for h in ("", *group.columns)] if group.columns else ())


# --- images -----------------------------------------------------------------------------------------------


def _rolls(review: Review, paint: Paint) -> Iterator[str]:
    if not review.plan.rolls:
        return
    yield paint.bold("Rolling image update") + paint.dim(f"  {RULE}")
    for cluster, rolls in clusters(review.plan.rolls).items():
        yield f"  {paint.bold(clean(heading(cluster, rolls)))}"
        rows = [tuple(map(clean, cells(n, r, details=review.details))) for n, r in enumerate(rolls, 1)]
        yield from table(rows, "    ", [paint.dim(h) for h in COLUMNS])


# --- steps ------------------------------------------------------------------------------------------------


def step_lines(review: Review, paint: Paint) -> Iterator[str]:
    """The steps, by host."""
    if not review.steps:
        return
    yield paint.bold("Steps") + paint.dim("  on each host in this order; hosts run in parallel")
    yield from _step_groups(review.steps, paint, "step")


def _step_groups(groups: Sequence[Group[StepView]], paint: Paint, noun: str) -> Iterator[str]:
    for group in groups:
        yield f"  {paint.bold(clean(group.title))}  {paint.dim(range_text(group, noun))}"
        rows = _rows([(f"{v.number:>6}", v.step.operation, clean(v.name), v.call, effect(v)) for v in group.items])
        before: StepView | None = None
        for view, row in zip(group.items, rows, strict=True):
            yield row
            for urgent, mark in marks(view, before):
                yield " " * 14 + (paint.alarm(clean(mark)) if urgent else paint.cyan(clean(mark)))
            before = view
        if group.alike:
            yield f"    {same(group, 'step')}{_where(group)}"
            yield from _members(group, paint, [f"{clean(m.title)}  {range_text(m, noun)}" for m in group.members])


def _rows(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """One line a step, in columns. A long name pushes its own line to the right, not everybody's."""
    widths = [max((len(row[i]) for row in rows if i != 2 or len(row[i]) <= NAME_WIDTH), default=0)
              for i in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


# --- the end ----------------------------------------------------------------------------------------------


def _back_out(review: Review, paint: Paint) -> Iterator[str]:
    if not review.plan.steps:
        return
    yield paint.bold("Back-out") + paint.dim(
        "  what `fleet rollback` does after all of it, with the numbers of the steps undone")
    yield from back_out_lines(review, paint)


def back_out_lines(review: Review, paint: Paint) -> Iterator[str]:
    """The reverse steps, then what stays and what reboots."""
    if not review.back_out:
        yield "  there is no step that can be undone"
    yield from _step_groups(review.back_out, paint, "undo")
    for line in stays_lines(review):
        yield f"  {paint.alarm('stays')}: {clean(line)}"
    for line in loss_lines(review):
        yield f"  {paint.alarm('lost for good')}: {clean(line)}"
    for line in ways_back(review.plan.rolls):
        yield f"  {paint.alarm('restarts again')}: {clean(line)}"
    if review.lost:
        yield f"  {paint.alarm('not restored')}: {clean(lost_line(review))}"
    yield f"  reboots: {clean(', '.join(review.reboots)) or 'none'}"


def _unmanaged(review: Review, paint: Paint) -> Iterator[str]:
    counted = unmanaged_counts(review.plan.unmanaged)
    if counted:
        yield paint.bold("Unmanaged") + paint.dim("  live has it, nobody declared it, nothing touches it") + \
            f": {clean(counted)} {paint.dim('(list: fleet drift)')}"


def _checks(review: Review, paint: Paint) -> Iterable[str]:
    words = {True: paint.green("passed"), False: paint.alarm("FAILED"), None: paint.yellow("known after apply")}
    rows = [(clean(c.name), words[c.passed], clean(c.message) if c.passed is not True else "")
            for c in review.plan.checks]
    return [paint.bold("Checks"), *table(rows, "  ")] if rows else []


def _summary(review: Review, paint: Paint) -> Iterator[str]:
    quiet = nothing(review)
    if quiet:
        yield paint.green(quiet)
    else:
        yield paint.bold(summary(review))
