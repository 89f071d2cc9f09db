"""Progress of a run: bars per host on a terminal, plain lines in CI and pipes, JSON lines with `--json`."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from planner.catalog import GUARDS
from planner.cli.terminal import answer_json, is_terminal, note, paint
from planner.cli.who import timestamp
from planner.model import Address, Step
from planner.ports import Event, Listener
from planner.review.paint import clean

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

ENDED = ("done", "failed", "skipped", "stopped", "undone")
MAX_BARS = 20
"""More hosts than this get no bar of their own until they are at work."""


@contextmanager
def progress(steps: Sequence[Step], *, as_json: bool = False) -> Iterator[Listener]:
    """A listener for the engine; it may be called from any thread. `steps`: those that are to come."""
    if as_json:
        yield _locked(_json_line)
    elif is_terminal(sys.stderr):
        with _bars(steps) as listener:
            yield listener
    else:
        yield _locked(PlainLines(len(steps), note))


def _locked(listener: Listener) -> Listener:
    lock = threading.Lock()

    def one_at_a_time(event: Event) -> None:
        with lock:
            listener(event)

    return one_at_a_time


def _json_line(event: Event) -> None:
    answer_json({"kind": event.kind, "time": timestamp(), "step": event.step, "address": event.address,
                 "operation": event.operation, "message": event.message}, lines=True)


# --- plain lines ------------------------------------------------------------------------------------------


class PlainLines:
    """One line per step that ended, and per new reason of a wait."""

    def __init__(self, total: int, say: Callable[[str], None]) -> None:
        self.total, self.say = total, say
        self.ended = 0
        self.began: dict[str, float] = {}
        self.reasons: dict[str, str] = {}

    def __call__(self, event: Event) -> None:
        name = f"{clean(event.address)} {event.operation}"
        if event.kind == "start":
            self.say(f"run {event.message}: {self.total} steps")
        elif event.kind in ("begin", "undoing"):
            self.began[event.step] = time.monotonic()
        elif event.kind == "waiting" and self.reasons.get(event.step) != event.message:
            self.reasons[event.step] = event.message
            self.say(f"  {'':>{self._width * 2 + 1}} waiting  {name}: {clean(event.message)}")
        elif event.kind == "readback":
            self.say(f"  {'':>{self._width * 2 + 1}} read back {name} {clean(event.message)}".rstrip())
        elif event.kind in ENDED:
            self.ended += 1
            self.say(f"  {self.ended:>{self._width}}/{self.total} {event.kind:<8} {name}{self._tail(event)}")

    @property
    def _width(self) -> int:
        return len(str(self.total))

    def _tail(self, event: Event) -> str:
        if event.message:  # of a skipped step it is its guard
            return f": {clean(GUARDS.get(event.message, event.message))}"
        began = self.began.get(event.step)
        seconds = time.monotonic() - began if began is not None else 0.0
        return f" ({seconds:.1f} s)" if seconds >= 0.1 else ""


# --- bars -------------------------------------------------------------------------------------------------


class Bars:
    """A bar per host (and one for the rest), made when the host has its first step; failures are printed above."""

    def __init__(self, display: Progress, steps: Sequence[Step]) -> None:
        self.display = display
        self.lock = threading.Lock()
        self.totals: dict[str, int] = {}
        for step in steps:
            title = _title(step.address)
            self.totals[title] = self.totals.get(title, 0) + 1
        self.bars: dict[str, TaskID] = {}
        self.ended: dict[str, int] = {}
        self.overall = display.add_task("all", total=len(steps), what="")
        if len(self.totals) <= MAX_BARS:
            for title in self.totals:
                self._bar(title)

    def _bar(self, title: str) -> TaskID:
        if title not in self.bars:
            self.bars[title] = self.display.add_task(_markup(title), total=self.totals.get(title, 1), what="")
        return self.bars[title]

    def __call__(self, event: Event) -> None:
        if not event.address:
            return
        title = _title(Address.parse(event.address))
        with self.lock:
            bar = self._bar(title)
            if event.kind == "waiting":
                self.display.update(bar, what=_markup(f"{event.operation}: {event.message}"))
            elif event.kind in ("begin", "undoing"):
                self.display.update(bar, what=_markup(_what(event)))
            elif event.kind in ENDED:
                self._end(title, bar, event)

    def _end(self, title: str, bar: TaskID, event: Event) -> None:
        if event.kind == "failed":
            self.display.update(bar, what="[bold red]failed[/]")
            self.display.console.print(
                f"[bold red]failed[/] {_markup(event.address)} {event.operation}: {_markup(event.message)}",
                highlight=False)
            return
        if event.kind == "stopped":
            self.display.update(bar, what=_markup(f"stopped: {event.message}"))
            return
        self.ended[title] = self.ended.get(title, 0) + 1
        self.display.update(bar, advance=1, what="")
        self.display.update(self.overall, advance=1)
        if self.ended[title] >= self.totals.get(title, 1) and len(self.totals) > MAX_BARS:
            self.display.update(bar, visible=False)


def _title(address: Address) -> str:
    return str(address.root) if address.root.type == "host" else "vCenter"


def _what(event: Event) -> str:
    address = Address.parse(event.address)
    return f"{event.operation} {address.child}".strip()


def _markup(text: str) -> str:
    from rich.markup import escape

    return escape(clean(text))


@contextmanager
def _bars(steps: Sequence[Step]) -> Iterator[Listener]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.table import Column

    console = Console(stderr=True, no_color=not paint(sys.stderr).on)
    width = min(32, max((len(_title(step.address)) for step in steps), default=0))
    columns: tuple[Any, ...] = (
        TextColumn("{task.description}", table_column=Column(no_wrap=True, min_width=width)),
        BarColumn(bar_width=20), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("{task.fields[what]}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)))
    with Progress(*columns, console=console, expand=True) as display:
        yield Bars(display, steps)
