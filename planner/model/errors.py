"""Where something is wrong, what, and what to do: diagnostics, and the errors that carry them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from planner.model.address import Address


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a fleet file; line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """What is wrong, where, and what to do. `summary` never carries user values."""

    severity: Literal["error", "warning"]
    summary: str
    detail: str = ""
    mark: Mark | None = None
    address: Address | None = None
    remedy: str = ""


class FleetError(Exception):
    """Ends a command. `exit_code` is the contract's; `diagnostics` say what, where and what to do."""

    exit_code = 1

    def __init__(self, *diagnostics: Diagnostic | str) -> None:
        self.diagnostics = tuple(
            d if isinstance(d, Diagnostic) else Diagnostic("error", d) for d in diagnostics
        )
        super().__init__("; ".join(f"{d.summary}: {d.detail}" if d.detail else d.summary for d in self.diagnostics))


class Stale(FleetError):
    """Something the plan was made from has moved since."""

    exit_code = 5


class Locked(FleetError):
    """Another process holds the fleet's lock."""

    exit_code = 6


class Denied(FleetError):
    """A policy forbids it."""

    exit_code = 7


class Incomplete(FleetError):
    """Something was changed and is not complete."""

    exit_code = 3


class StepFailed(Exception):
    """One step did not succeed. Raised by providers; the executor turns it into a `failed` record.

    `in_doubt` says that the call may have taken effect (a lost reply): the executor then reads live back.
    `retry` says that the same call may succeed when repeated after a short wait (TaskInProgress).
    """

    def __init__(self, summary: str, detail: str = "", remedy: str = "", *, in_doubt: bool = False,
                 retry: bool = False) -> None:
        super().__init__(f"{summary}: {detail}" if detail else summary)
        self.summary, self.detail, self.remedy = summary, detail, remedy
        self.in_doubt, self.retry = in_doubt, retry


class ReadFailed(StepFailed):
    """Live could not be read. Never to be taken for "not found"."""


class Rebooted(ReadFailed):
    """The host has booted since: what was done at its own door is gone, and cannot be read any more."""


class Silent(ReadFailed):
    """Nobody answers at the host's own door: it is off, it boots, or the way to it is closed."""
