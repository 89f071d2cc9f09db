"""Running the engine for apply, resume, rollback and destroy: approval, signals, progress, and how it ended."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any

from planner.cli.options import OnFailureChoice
from planner.cli.terminal import Usage, answer_json, emit, note, paint
from planner.cli.wiring import Bench, known_values, load, outputs
from planner.model import Address, Attrs, Diagnostic, FleetError, Incomplete, State, Step
from planner.ports import Event

if TYPE_CHECKING:
    from planner.execute.engine import Engine, Outcome
    from planner.execute.walk import Stop
    from planner.ports import Listener, StateStore


class Declined(FleetError):
    """A person did not say yes."""


@dataclass(frozen=True, slots=True)
class Conduct:
    """How a run is to be conducted."""

    auto_approve: bool = False
    reason: str = ""
    parallelism: int = 10
    on_failure: OnFailureChoice = OnFailureChoice.stop
    json: bool = False

    def check(self) -> None:
        """Before any work: somebody must be able to say yes. Raises Usage (64)."""
        if self.auto_approve:
            return
        if self.json:
            raise Usage(Diagnostic("error", "--json needs --auto-approve", "there is no prompt in JSON output"))
        if not sys.stdin.isatty():
            raise Usage(Diagnostic(
                "error", "nobody can approve: stdin is not a terminal",
                remedy="review the plan (`fleet plan --out FILE`), then run it with --auto-approve"))


def approve(conduct: Conduct, question: str) -> None:
    """Ask for "yes" on the terminal. Raises Declined (1)."""
    if conduct.auto_approve:
        return
    sys.stderr.write(f"\n{paint(sys.stderr).bold(question)}\nOnly 'yes' is taken for an approval: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip() != "yes":
        raise Declined(Diagnostic("error", "not approved; nothing was changed"))


def refuse_locked(store: StateStore) -> None:
    """An open run may be one that is at work: say whose it is, before advice is given about it. Raises Locked (6)."""
    with store.lock("look"):
        return


# --- signals ----------------------------------------------------------------------------------------------


@contextmanager
def stop_signals(stop: Stop) -> Iterator[None]:
    """First Ctrl-C (or SIGTERM): running steps end, waits are broken off, none starts. Second: calls are left, too.

    Third: gone. After the run a signal changes nothing any more: how the run ended is what the command has to say.
    `main` restores the handlers.
    """
    count, over = 0, False

    def handle(_signal: int, _frame: FrameType | None) -> None:
        nonlocal count
        count += 1
        if count > 2:
            os._exit(3)
        if over:
            _say("\nThe run is over; closing.\n")
            return
        stop.soft.set()
        if count == 1:
            _say("\nStopping: running steps end, waits are broken off, none starts. Once more stops hard.\n")
        else:
            stop.hard.set()
            _say("\nStopping hard: calls in flight are left, and read back by `fleet resume` or `fleet rollback`.\n")

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)
    try:
        yield
    finally:
        count, over = 0, True


def _say(text: str) -> None:
    """From a signal handler: no buffered stream, whose lock the interrupted code may hold."""
    try:
        os.write(2, text.encode())
    except OSError:
        return


# --- the run ----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Job:
    """One run to be. `steps` are the plan's, `left` those that progress counts."""

    place: Bench
    steps: Sequence[Step]
    left: Sequence[Step]
    conduct: Conduct
    backward: bool = False

    def run(self, start: Callable[[Engine], Outcome]) -> int:
        """Open the sessions that the steps need, run, print how it ended. Returns the exit code."""
        from planner.cli.progress import progress
        from planner.execute.walk import Stop

        stop, seen = Stop(leaves=True), Seen()
        with progress(self.left, as_json=self.conduct.json) as listener, stop_signals(stop):
            seen.listener = listener
            try:
                outcome = start(self.engine(stop, seen))
            except Exception as error:
                if not seen.steps:
                    raise
                raise _incomplete(error, self.place) from error
        report(outcome, as_json=self.conduct.json)
        if outcome.unfinished:  # threads hang in calls that were left: the interpreter would wait for them
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            os._exit(outcome.exit_code)
        return outcome.exit_code

    def engine(self, stop: Stop, listener: Listener) -> Engine:
        """The engine with the sessions that are needed, opened."""
        from planner.cli.who import ci_job, host, run_id, user
        from planner.execute.engine import Engine, Who

        place = self.place
        sessions = place.sessions.every() if self.backward else place.sessions.needed(self.steps)

        def evaluated(state: State) -> dict[str, Any]:
            return outputs(place, state)

        def declared(state: State) -> Mapping[Address, Attrs]:
            fleet = load(place.site, place.source, known_values(state))
            if fleet.digest != place.fleet.digest:
                raise FleetError("the fleet's files changed while the run went on")
            return {address: resource.attributes for address, resource in fleet.resources.items()}

        return Engine(
            catalog=place.catalog, fleet=place.fleet, sessions=sessions, live=place.sessions.live, store=place.store,
            secret=place.secrets, clock=place.sessions.clock, who=Who(user(), host(), self.conduct.reason, ci_job()),
            listener=listener, stop=stop, parallelism=self.conduct.parallelism, outputs=evaluated,
            resolve=declared, new_id=run_id)


class Seen:
    """A listener that remembers whether any step was begun: from then on "nothing was changed" would be a lie."""

    def __init__(self) -> None:
        self.listener: Listener = lambda _event: None
        self.steps = False

    def __call__(self, event: Event) -> None:
        self.steps = self.steps or bool(event.step)
        self.listener(event)


def _incomplete(error: Exception, place: Bench) -> Incomplete:
    """What broke a run off that had begun, as exit code 3."""
    found = error.diagnostics if isinstance(error, FleetError) else (
        Diagnostic("error", f"unexpected {type(error).__name__}", str(error)[:500]),)
    path = place.source.path
    return Incomplete(*found, Diagnostic(
        "error", "the run was broken off part-way", remedy=f"`fleet resume {path}` finishes it, `fleet rollback {path}`"
        " undoes it"))


def report(outcome: Outcome, *, as_json: bool) -> None:
    """How a run ended: failures first, then one sentence."""
    if as_json:
        answer_json({
            "kind": "outcome", "exit_code": outcome.exit_code, "run": outcome.run, "message": outcome.message,
            "failures": [{"step": s.id, "address": str(s.address), "operation": s.operation, "error": error,
                          "remedy": remedy} for s, error, remedy in outcome.failures],
            "unfinished": list(outcome.unfinished),
        }, lines=True)
        return
    from planner.review.paint import clean

    colours = paint(sys.stderr)
    for step, error, remedy in outcome.failures:
        note(f"{colours.alarm('FAILED')} {clean(str(step.address))} {step.operation}: {clean(error)}")
        if remedy:
            note(f"       do: {clean(remedy)}")
    good = outcome.exit_code == 0
    run = f"Run {outcome.run}: " if outcome.run else ""
    text = f"{run}{outcome.message}."
    emit(paint().green(text) if good else paint().alarm(text))
