"""`fleet births PATH`: who was born when, from where, with which image; and who asked that nobody declares.

Reads this fleet's own inbox and access log, or asks the site's midwife (`provider.boot.midwife`); writes nothing.
Commands find the fleet through `planner.ports.Workshop` in typer's `obj`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

if TYPE_CHECKING:
    from providers.midwife.restores import Held
    from providers.midwife.view import Happening, Unclaimed

    Listed: TypeAlias = tuple[Sequence[Happening], Sequence[Unclaimed], Sequence[Held]]

app = typer.Typer(add_completion=False)

PATIENCE = 10.0
"""Seconds that a midwife may not answer."""

@app.command("births")
def births(
    context: typer.Context,
    path: Annotated[str, typer.Argument(metavar="PATH", show_default=False,
                                        help="A fleet file, or a folder of them.")],
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=100_000,
                                       help="The newest N births and refusals.")] = 50,
    mac: Annotated[str, typer.Option("--mac", metavar="MAC", show_default=False, help="Of this MAC only.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="The answer as JSON.")] = False,
) -> int:
    """List births, newest last, and MACs that nobody declares."""
    wanted = _mac(mac)
    with _workshop(context).open(path) as opened:
        remote = bool(opened.fleet.providers.get("boot", {}).get("midwife"))
        found, strangers, held = (_remote if remote else _local)(opened, limit, wanted)
        fleet = opened.fleet.name
    if as_json:
        typer.echo(json.dumps({"format": 1, "kind": "fleet.births", "fleet": fleet,
                               "births": [asdict(each) for each in found],
                               "unclaimed": [asdict(each) for each in strangers],
                               "held": [asdict(each) for each in held]}, indent=2))
    else:
        parts = [_births(found), _unclaimed(strangers), _held(held)]
        typer.echo("\n\n".join(filter(None, parts)) or "Nobody was born yet.")
    return 0


def _local(opened: Any, limit: int, mac: str) -> Listed:
    """What was taken in by the applies of this fleet. Without a midwife nobody restores anything."""
    from providers.midwife.footprints import Footprints
    from providers.midwife.inbox import Inbox
    from providers.midwife.view import FleetBirths, image_names

    inbox = Inbox(opened.folder / "midwife")
    try:
        footprints = Footprints(opened.folder / "boot" / "access.jsonl")
        view = FleetBirths(opened.fleet, inbox, footprints, image_names(opened.fleet))
        return view.happenings(limit, mac), [u for u in view.unclaimed() if mac in ("", u.mac)], ()
    finally:
        inbox.close()


def _remote(opened: Any, limit: int, mac: str) -> Listed:
    """What the site's midwife took in, as far as this fleet may see it. It knows images by their digests only."""
    import msgspec

    from providers.midwife.restores import Held
    from providers.midwife.view import Happening, Unclaimed, image_names

    query = {"limit": limit, **({"mac": mac} if mac else {})}
    answer = opened.session("boot").client.call("GET", "births", query=query, patience=PATIENCE).json()
    names = image_names(opened.fleet)
    found = msgspec.convert(answer["births"], list[Happening])
    return ([replace(each, image=names.get(each.digest, each.image)) for each in found],
            msgspec.convert(answer["unclaimed"], list[Unclaimed]),
            msgspec.convert(answer.get("held", ()), list[Held]))


def _births(found: Sequence[Happening]) -> str:
    rows = [(_clock(h.time), h.host or "(unclaimed)", h.mac or "-", h.source or "-", h.image or "-", h.how or "-",
             "accepted" if h.accepted else f"refused: {h.reason}") for h in found]
    return _table(("born", "host", "MAC", "from", "image", "how", "result"), rows)


def _unclaimed(found: Sequence[Unclaimed]) -> str:
    rows = [(_clock(u.last), u.mac, u.source or "-", u.what, str(u.times)) for u in found]
    return "Unclaimed: nobody declares these, and they get nothing.\n" + _table(
        ("last seen", "MAC", "from", "what", "times"), rows) if rows else ""


def _held(found: Sequence[Held]) -> str:
    rows = [(h.host or "-", h.mac, _clock(h.since) or "-", h.why) for h in found]
    return "Not restored: these were born, and stay as they are.\n" + _table(
        ("host", "MAC", "in quarantine since", "why"), rows) if rows else ""


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    from tabulate import tabulate

    from providers.midwife.message import shown

    if not rows:
        return ""
    cells = [[shown(cell) for cell in row] for row in rows]
    return tabulate(cells, headers=list(headers), tablefmt="simple", disable_numparse=True)


def _clock(iso: str) -> str:
    """To the second, UTC."""
    return iso[:19].replace("T", " ") + ("Z" if iso else "")


def _mac(text: str) -> str:
    from providers.midwife.message import BadMessage, normal_mac

    if not text:
        return ""
    try:
        return normal_mac(text)
    except BadMessage as error:
        raise typer.BadParameter("--mac takes a MAC address: 52:54:00:00:00:11") from error


def _workshop(context: typer.Context) -> Any:
    if context.obj is None:
        from planner.model import FleetError

        raise FleetError("`fleet births` runs as a command of fleet only")
    return context.obj
