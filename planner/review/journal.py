"""A run's journal as a reader of an audit wants it: who, why, and what became of each step."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from planner.model import Plan, encode
from planner.review.markdown import code, escape
from planner.review.paint import Paint, clean
from planner.review.text import table
from planner.review.values import count

WORDS: Mapping[str, str] = {
    "begin": "in doubt", "done": "done", "skipped": "not needed", "failed": "FAILED", "undone": "undone",
    "undoing": "undo in doubt", "stopped": "stopped",
    "void": "void since", "": "not started",
}


@dataclass(frozen=True, slots=True)
class StepRun:
    """What became of one step. `outcome` is the kind of its last telling record; "" where it never started."""

    id: str
    address: str = ""
    operation: str = ""
    outcome: str = ""
    started: str = ""
    ended: str = ""
    message: str = ""
    repeats: int = 0  # read-backs: the call was in doubt, or was repeated

    @property
    def word(self) -> str:
        return WORDS.get(self.outcome, self.outcome)


@dataclass(frozen=True, slots=True)
class Session:
    """One command that worked on the run: apply, resume or rollback."""

    what: str
    time: str
    who: str
    host: str
    reason: str
    job: str


@dataclass(frozen=True, slots=True)
class JournalView:
    """One run. `outcome` is "" while it is open."""

    run: str
    fleet: str
    sessions: tuple[Session, ...]
    plan: str  # digest
    steps: tuple[StepRun, ...]
    outcome: str
    ended: str
    records: int

    @property
    def counts(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for step in self.steps:
            found[step.word] = found.get(step.word, 0) + 1
        return found


def journal_view(run: str, records: Sequence[Mapping[str, Any]], plan: Plan | None = None) -> JournalView:
    """Fold a journal's records. With its plan, steps that never started are listed too."""
    head: Mapping[str, Any] = next((r for r in records if r.get("kind") == "head"), {})
    steps = {s.id: StepRun(s.id, str(s.address), s.operation) for s in plan.steps} if plan else {}
    for record in records:
        number = str(record.get("step") or "")
        if number:
            steps[number] = _folded(steps.get(number, StepRun(number)), record)
    last = records[-1] if records else {}
    ended = last.get("kind") == "end"
    return JournalView(
        run=str(head.get("run") or run), fleet=str(head.get("fleet", "")), plan=str(head.get("plan", "")),
        sessions=tuple(_session(r) for r in records if r.get("kind") in ("head", "resume", "rollback")),
        steps=tuple(steps.values()), outcome=str(last.get("outcome", "")) if ended else "",
        ended=str(last.get("time", "")) if ended else "", records=len(records))


def _session(record: Mapping[str, Any]) -> Session:
    what = str(record.get("mode", "apply")) if record["kind"] == "head" else str(record["kind"])
    who, host, reason, job = (str(record.get(key, "") or "") for key in ("who", "host", "reason", "job"))
    return Session(what, str(record.get("time", "")), who, host, reason, job)


def _folded(step: StepRun, record: Mapping[str, Any]) -> StepRun:
    kind, time = str(record.get("kind", "")), str(record.get("time", ""))
    if kind == "begin":
        return replace(step, outcome=kind, started=step.started or time, message="",
                       address=str(record.get("address") or step.address),
                       operation=str(record.get("operation") or step.operation))
    if kind == "readback":
        return replace(step, repeats=step.repeats + 1)
    if kind == "failed":
        remedy = f" — {record['remedy']}" if record.get("remedy") else ""
        return replace(step, outcome=kind, ended=time, message=f"{record.get('error', '')}{remedy}")
    if kind == "void":
        return replace(step, outcome=kind, ended=time, message=str(record.get("error", "")))
    if kind == "stopped":
        return replace(step, outcome=kind, ended=time, message=str(record.get("reason", "")))
    if kind == "skipped":
        return replace(step, outcome=kind, ended=time, message=f"guard: {record.get('guard', '')}")
    if kind == "undoing":
        return replace(step, outcome=kind, message=f"by {record.get('operation', '')}")
    if kind in ("done", "undone"):
        return replace(step, outcome=kind, ended=time, message=step.message if kind == "undone" else "")
    return step


# --- renderers --------------------------------------------------------------------------------------------


def outcome_text(view: JournalView) -> str:
    """How the run ended, and what that means for the next command."""
    if view.outcome == "":
        return "open: it was interrupted; `fleet resume` or `fleet rollback` ends it"
    if view.outcome == "incomplete":
        return "incomplete: `fleet resume` or `fleet rollback` ends it"
    return view.outcome


def _facts(view: JournalView) -> Iterator[tuple[str, str]]:
    yield "fleet", view.fleet
    for one in view.sessions:
        where = f"{one.who}@{one.host}" if one.host and "@" not in one.who else one.who
        yield one.what, f"{one.time} by {where}"
        if one.reason:
            yield "  reason", one.reason
        if one.job:
            yield "  job", one.job
    yield "plan", f"sha256 {view.plan[:16]}…" if view.plan else ""
    yield "outcome", outcome_text(view)
    if view.ended:
        yield "ended", view.ended


def summary(view: JournalView) -> str:
    return f"{count(len(view.steps), 'step')}: " + (
        ", ".join(f"{number} {word}" for word, number in view.counts.items()) or "none")


def render(view: JournalView, colours: Paint | None = None) -> str:
    """The run as text: its head, then one line per step."""
    paint = colours or Paint()
    lines = [paint.bold(f"Run {clean(view.run)}")]
    lines += table([(paint.dim(name), clean(value)) for name, value in _facts(view) if value], "  ")
    rows = [(s.id, _word(s, paint), s.operation, clean(s.address), _took(s), clean(s.message)) for s in view.steps]
    if rows:
        lines += ["", *table(rows, "  ")]
    return "\n".join([*lines, "", paint.bold(summary(view))])


def _word(step: StepRun, paint: Paint) -> str:
    colour = {"done": paint.green, "failed": paint.alarm, "begin": paint.alarm, "undoing": paint.alarm,
              "undone": paint.yellow, "stopped": paint.yellow, "void": paint.yellow}.get(step.outcome, paint.dim)
    return colour(step.word)


def _took(step: StepRun) -> str:
    from datetime import datetime

    repeats = f", {count(step.repeats, 'read-back')}" if step.repeats else ""
    if not step.started or not step.ended:
        return (step.started or step.ended) + repeats
    try:
        seconds = (datetime.fromisoformat(step.ended) - datetime.fromisoformat(step.started)).total_seconds()
    except ValueError:
        return step.started + repeats
    return f"{step.started} +{seconds:.1f} s{repeats}"


def render_markdown(view: JournalView) -> str:
    lines = [f"## Run {escape(view.run)}", "", f"**{escape(summary(view))}**", "", "|  |  |", "| --- | --- |"]
    lines += [f"| {escape(name.strip())} | {code(value)} |" for name, value in _facts(view) if value]
    lines += ["", f"<details open><summary>{html.escape(count(len(view.steps), 'step'))}</summary>", "",
              "| # | outcome | step | on | when | message |", "|" + " --- |" * 6]
    lines += [f"| {s.id} | {'**' + s.word + '**' if s.word.isupper() else s.word} | {escape(s.operation)} | "
              f"{code(s.address)} | {_took(s)} | {escape(s.message)} |" for s in view.steps]
    return "\n".join([*lines, "", "</details>", ""])


def document(view: JournalView, records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The run as JSON data, its records included."""
    plain = [{name: getattr(one, name) for name in Session.__slots__} for one in view.sessions]
    steps = [{name: getattr(one, name) for name in StepRun.__slots__} for one in view.steps]
    return {
        "format": 1, "kind": "fleet.run", "run": view.run, "fleet": view.fleet, "plan": view.plan,
        "outcome": view.outcome, "open": view.outcome in ("", "incomplete"), "ended": view.ended, "sessions": plain,
        "steps": steps, "summary": view.counts, "records": encode(list(records)),
    }
