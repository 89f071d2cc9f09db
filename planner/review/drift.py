"""What live has that state does not expect, as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from planner.model import Diagnostic, Drift
from planner.review.paint import Paint, clean
from planner.review.text import table
from planner.review.values import count
from planner.review.words import drift_rows


@dataclass(frozen=True, slots=True)
class DriftView:
    """`reborn` and `unmanaged` alone are no drift."""

    fleet: str
    instance: str
    drift: tuple[Drift, ...]
    reborn: tuple[str, ...]  # hosts that lost their configuration in a reboot
    unread: Mapping[str, str]  # address → why it could not be read
    unmanaged: tuple[str, ...]
    diagnostics: tuple[Diagnostic, ...] = ()


def render(view: DriftView, colours: Paint | None = None) -> str:
    """The whole listing, the summary last."""
    paint = colours or Paint()
    blocks = [list(block) for block in (_drift(view, paint), _hosts(view, paint), _unmanaged(view, paint))]
    unread = f" {count(len(view.unread), 'object')} could not be read." if view.unread else ""
    if view.drift:
        total = f"Drift: {count(len(view.drift), 'attribute or object', 'attributes or objects')}.{unread}"
    elif view.unread:
        total = f"No drift in what could be read.{unread}"
    else:
        total = "No drift: everything managed is as state expects."
    blocks.append([paint.yellow(total) if view.drift or view.unread else paint.green(total)])
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _drift(view: DriftView, paint: Paint) -> Iterator[str]:
    rows = drift_rows(view.drift)
    if rows:
        yield paint.bold(f"Drift in fleet {clean(view.fleet)}")
        yield from table(rows, "  ", ("object", "attribute", "expected", "found", "a plan would"))


def _hosts(view: DriftView, paint: Paint) -> Iterator[str]:
    for host in view.reborn:
        yield f"{paint.yellow('reborn')}  {clean(host)}: lost its configuration in a reboot; `fleet apply` restores it"
    for address, why in view.unread.items():
        yield f"{paint.yellow('unread')}  {clean(address)}: {clean(why)}; nothing is known of it"


def _unmanaged(view: DriftView, paint: Paint) -> Iterator[str]:
    if view.unmanaged:
        yield paint.bold("Unmanaged") + paint.dim("  live has it, nobody declared it, nothing touches it")
        yield from (f"  {clean(name)}" for name in view.unmanaged)
