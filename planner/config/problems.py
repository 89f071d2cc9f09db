"""All that is wrong with a fleet, collected: a command reports everything at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from planner.config.nodes import Sources
from planner.model import Address, Diagnostic, FleetError, Mark


class Problems:
    """Collects diagnostics; the same one (a profile's, seen by 1,000 hosts) only once."""

    __slots__ = ("_order", "_seen", "found", "sources", "subject")

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self.found: list[Diagnostic] = []
        self.subject: Address | None = None  # the resource that is being read
        self._order: list[int] = []
        self._seen: set[tuple[str, str, int | str]] = set()

    def error(self, summary: str, detail: str = "", at: int | Mark = 0, remedy: str = "",
              address: Address | None = None) -> None:
        """`summary` never carries user values. `at`: a packed place, a Mark, or 0 for "nowhere"."""
        self._add("error", summary, detail, at, remedy, address)

    def warning(self, summary: str, detail: str = "", at: int | Mark = 0, remedy: str = "",
                address: Address | None = None) -> None:
        self._add("warning", summary, detail, at, remedy, address)

    def _add(self, severity: str, summary: str, detail: str, at: int | Mark, remedy: str,
             address: Address | None) -> None:
        key = (summary, detail, at if isinstance(at, int) else str(at))
        if key in self._seen:
            return
        self._seen.add(key)
        mark = at if isinstance(at, Mark) else self.sources.mark(at) if at else None
        self.found.append(Diagnostic("error" if severity == "error" else "warning", summary, detail, mark,
                                     address or self.subject, remedy))
        self._order.append(at if isinstance(at, int) else self.sources.packed(at))

    def put(self, diagnostic: Diagnostic) -> None:
        """Add a diagnostic that is about no place in a file."""
        self.found.append(diagnostic)
        self._order.append(0)

    def ordered(self) -> list[Diagnostic]:
        """In the order of the files."""
        ranked = sorted(range(len(self.found)), key=lambda i: (self._order[i], i))
        return [self.found[i] for i in ranked]

    @property
    def failed(self) -> bool:
        return any(d.severity == "error" for d in self.found)

    def raise_if_any(self) -> None:
        """Raises FleetError that carries every error and warning."""
        if self.failed:
            raise FleetError(*self.ordered())

    def warnings(self) -> tuple[Diagnostic, ...]:
        return tuple(d for d in self.ordered() if d.severity == "warning")


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that a misspelt one was meant to be, or ""."""
    names = list(known)
    lower = {n.lower(): n for n in reversed(names)}
    if name.lower() in lower:
        return lower[name.lower()]
    if len(names) > 200:  # difflib is slow: among many names only alike ones are worth comparing
        names = [n for n in names if n[:1] == name[:1] and abs(len(n) - len(name)) < 3][:200]
    found = difflib.get_close_matches(name[:100], names, 1, 0.6)
    return found[0] if found else ""


def suggest(name: str, known: Iterable[str], what: str = "use one of") -> str:
    """A remedy: the nearest known name, or the list of them where that is short."""
    names = list(known)
    near = nearest(name, names)
    if near:
        return f"did you mean {near!r}?"
    if names and len(names) <= 12:
        return f"{what}: {listed(sorted(names))}"
    return ""


def path_text(steps: Sequence[object], most: int = 12) -> str:
    """A path of references for a sentence; of a long one only both ends."""
    shown = [str(s) for s in steps] if len(steps) <= most else \
        [*map(str, steps[:most // 2]), f"… {len(steps) - most} more …", *map(str, steps[-most // 2:])]
    return " → ".join(shown)


def listed(names: Sequence[str], most: int = 12) -> str:
    """Names for a sentence."""
    shown = ", ".join(names[:most])
    return f"{shown}, … ({len(names)} in all)" if len(names) > most else shown
