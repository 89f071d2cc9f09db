"""Making, reading and showing plans, for all commands that do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from planner.cli.terminal import Usage, answer_json, emit, emit_text, paint
from planner.cli.version import tool
from planner.cli.who import host, timestamp, user
from planner.cli.wiring import LIVE, Bench, image_builds, image_digests
from planner.model import Address, Attrs, Diagnostic, FleetError, Live, Plan, StateResource

if TYPE_CHECKING:
    from planner.catalog import Catalog
    from planner.plan import PlanInputs, PlanOptions
    from planner.ports import LiveSession


def addresses(texts: Sequence[str] | None, flag: str) -> tuple[Address, ...]:
    """Addresses from the command line. Raises Usage (64)."""
    found = []
    for text in texts or ():
        try:
            found.append(Address.parse(text))
        except ValueError as error:
            raise Usage(Diagnostic("error", f"{flag} takes an address", str(error))) from error
    return tuple(found)


def make_plan(place: Bench, options: PlanOptions) -> Plan:
    """Read live (unless `--no-refresh`) and plan. Raises FleetError."""
    from planner.cli.failures import said_again
    from planner.cli.newborns import newborns
    from planner.plan import PlanInputs, build_plan

    fleet, recorded = place.fleet, _recorded(place)
    live = place.sessions.live.snapshot(fleet, recorded) if options.refresh else None
    births = newborns(place, recorded, live) if live is not None else {}
    block = fleet.providers.get(LIVE, {})
    inputs = PlanInputs(
        place.catalog, fleet, place.state, live, image_digests(place.site, fleet),
        place.sessions.live.power if live is not None else _power_offline(place), options,
        {"coexist": bool(block.get("coexist", False)), "agentless": fleet.providers.get("boot", {}).get("agentless")},
        tool=tool(), by=f"{user()}@{host()}", now=timestamp(), births=births, files=_files(place),
        cautions=_cautions(place, live),
        image_builds=image_builds(place.site, fleet))
    plan = with_evacuations(place.sessions.live, inputs, build_plan(inputs))
    return replace(plan, diagnostics=(*plan.diagnostics, *said_again(place.store, plan)))


def with_evacuations(session: LiveSession, inputs: PlanInputs, plan: Plan) -> Plan:
    """The plan, with what it means for VMs where hosts get another image: only then is that read. Raises FleetError."""
    from planner.plan import build_plan

    look = getattr(session, "evacuations", None)  # optional: see planner.ports.LiveSession
    if not plan.rolls or inputs.live is None or look is None:
        return plan
    live = replace(inputs.live, evacuations=look([roll.address for roll in plan.rolls]))
    return build_plan(replace(inputs, live=live))


def _cautions(place: Bench, live: Live | None) -> tuple[Diagnostic, ...]:
    """What providers have to say about the fleet and what live shows of it."""
    if live is None:
        return ()
    looks = (getattr(p, "cautions", None) for p in place.site.providers.values())  # optional: planner.ports.Provider
    return tuple(found for look in looks if look is not None for found in look(place.fleet, live))


def _files(place: Bench) -> dict[str, str]:
    """Text of files that provider blocks name, for restores on another machine."""
    found: dict[str, str] = {}
    for name, provider in place.site.providers.items():
        carried = getattr(provider, "carried", None)  # optional: see planner.ports.Provider
        block = place.fleet.providers.get(name)
        if carried is not None and block is not None:
            found.update({f"{name}.{key}": text for key, text in carried(block).items()})
    return found


def _power_offline(place: Bench) -> Callable[[Attrs], str]:
    """How machines are started, as far as it shows without a server: a plan must not differ for want of a reading."""
    from planner.diff import manual

    look = getattr(place.site.providers[LIVE], "power", None)  # optional: see planner.ports.Provider
    return manual if look is None else look(place.fleet)


def _recorded(place: Bench) -> Mapping[Address, StateResource]:
    from planner.plan import apply_moved

    return apply_moved(place.state.resources if place.state else {}, place.fleet.moved)


@dataclass(frozen=True, slots=True)
class Style:
    """How a plan is printed."""

    json: bool = False
    markdown: bool = False
    html: str = ""
    details: bool = False

    def check(self) -> None:
        """Raises Usage (64) for contradictions, FleetError (1) for what a later version does."""
        if self.html:
            from planner.cli.terminal import Unsupported

            raise Unsupported(Diagnostic("error", "--html is not supported in this version",
                                         remedy="--markdown and --json are"))
        if self.json and self.markdown:
            raise Usage(Diagnostic("error", "--json and --markdown exclude each other", remedy="choose one"))


def show_plan(plan: Plan, catalog: Catalog, style: Style, *, lines: bool = False) -> None:
    """Print a plan's review to stdout. `lines`: JSON on one line."""
    from planner.plan import back_out
    from planner.review.view import review

    view = review(plan, catalog, back_out(plan), details=style.details)
    if style.json:
        from planner.review.data import document

        answer_json(document(view), lines=lines)
    elif style.markdown:
        from planner.review.markdown import render

        emit(render(view).rstrip("\n"))
    else:
        from planner.review.text import render as text

        emit_text(text(view, paint()))


def write_plan(plan: Plan, path: str) -> None:
    """Save a plan file: temporary file and rename, so that a full disk leaves no half of one."""
    from planner.plan import encode_plan

    target = Path(path)
    part = target.with_name(f".{target.name}.part")
    try:
        part.write_bytes(encode_plan(plan))
        part.replace(target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise FleetError(Diagnostic("error", "the plan file cannot be written", f"{path}: {error.strerror or error}",
                                    remedy="name a file in a folder that exists and has room")) from error


def read_file(path: str) -> bytes:
    """A file's bytes. Raises FleetError."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise FleetError(Diagnostic("error", "the file cannot be read", f"{path}: {error.strerror or error}",
                                    remedy="check the path")) from error


def saved_plan(path: str) -> Plan | None:
    """The plan in a file; None where the path is a folder, or a file that is no plan (by content)."""
    from planner.plan import decode_plan, is_plan

    if not Path(path).is_file():
        return None
    data = read_file(path)
    return decode_plan(data) if is_plan(data) else None
