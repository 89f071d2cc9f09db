"""`fleet image`: the store of boot images.

    fleet image add NAME SOURCE [--sha256 H]
    fleet image list [--json]
    fleet image verify [NAME]

Progress goes to stderr, the answer to stdout.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from providers.boot.store import Named, Store

app = typer.Typer(add_completion=False, no_args_is_help=True,
                  help="Boot images: add them to the store, list and verify what it holds.")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")
_SHA256 = re.compile(r"[0-9A-Fa-f]{64}\Z")

STORE = typer.Option("--store", metavar="FOLDER", show_default=False,
                     help="The image store; .fleet/images where not given, as fleets have it without "
                          "provider.boot.images.")
JSON = typer.Option("--json", help="The answer as JSON.")


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", show_default=False,
                                        help="What it will be called; a name that is taken moves to this image.")],
    source: Annotated[str, typer.Argument(metavar="SOURCE", show_default=False,
                                          help="An installer ISO, a folder of boot files, or a URL of an ISO.")],
    sha256: Annotated[str, typer.Option("--sha256", metavar="H", show_default=False,
                                        help="The ISO's SHA-256 (of a folder: the digest of its content).")] = "",
    store: Annotated[str, STORE] = "",
    as_json: Annotated[bool, JSON] = False,
) -> int:
    """Copy the boot files of an ISO, a folder or a URL into the store."""
    if not _NAME.match(name):
        raise typer.BadParameter("NAME has letters, digits, '.', '_' and '-', and begins with a letter or digit")
    if sha256 and not _SHA256.match(sha256):
        raise typer.BadParameter("--sha256 takes 64 hexadecimal digits")
    from providers.boot.adding import add_image

    place = _store(store)
    entry, before = add_image(place, name, source, sha256.lower())
    if as_json:
        typer.echo(json.dumps({"kind": "image", **_data(place, name, entry)}, indent=2))
        return 0
    if before is not None and before.digest != entry.digest:
        typer.echo(f"{name} was {before.digest[:12]} until now, which stays in the store", err=True)
    typer.echo(f"{name}: {entry.digest}")
    return 0


@app.command("list")
def list_images(store: Annotated[str, STORE] = "", as_json: Annotated[bool, JSON] = False) -> int:
    """What the store holds. Images that fleets extracted by themselves have no name."""
    place = _store(store)
    rows = _rows(place)
    if as_json:
        typer.echo(json.dumps({"kind": "images", "store": str(place.folder),
                               "images": [_data(place, name, entry) for name, entry in rows]}, indent=2))
        return 0
    if not rows:
        typer.echo(f"no images in {place.folder}; `fleet image add NAME SOURCE` adds one", err=True)
        return 0
    from tabulate import tabulate

    cells = []
    for name, entry in rows:
        data = _data(place, name, entry)
        size = f"{data['size'] / (1 << 20):.1f} MiB" if data["size"] is not None else "missing"
        cells.append((name or "-", entry.digest[:12], entry.loader, entry.version or "-", size, entry.source or "-"))
    typer.echo(tabulate(cells, headers=("name", "digest", "loader", "version", "size", "source"), tablefmt="simple",
                        disable_numparse=True))
    return 0


@app.command("verify")
def verify(
    name: Annotated[str, typer.Argument(metavar="[NAME]", show_default=False,
                                        help="An image's name, or the beginning of its digest; all, where not given.")
                    ] = "",
    store: Annotated[str, STORE] = "",
    as_json: Annotated[bool, JSON] = False,
) -> int:
    """Hash every file of the store again, and name each that is missing or differs."""
    place = _store(store)
    rows = _chosen(place, name)
    damages = {digest: place.damages(digest) for digest in dict.fromkeys(entry.digest for _, entry in rows)}
    bad = any(damages.values())
    if as_json:
        typer.echo(json.dumps({"kind": "image-verification", "valid": not bad, "exit_code": int(bad), "images": [
            {**_data(place, label, entry), "damages": damages[entry.digest]} for label, entry in rows]}, indent=2))
        return int(bad)
    for label, entry in rows:
        found = damages[entry.digest]
        typer.echo(f"{label or '-'} {entry.digest[:12]}: {'damaged' if found else 'sound'}")
        for line in found:
            typer.echo(f"    {line}")
    if bad:
        typer.echo("add a damaged image again from its source, and it is replaced", err=True)
    return int(bad)


def _store(folder: str) -> Store:
    from pathlib import Path

    from providers.boot.store import DEFAULT, Store

    return Store(Path(folder or DEFAULT).absolute())


def _rows(store: Store) -> list[tuple[str, Named]]:
    """Names first, then what has none ("")."""
    from providers.boot.adding import errors_told
    from providers.boot.store import Named

    with errors_told("", store):
        rows = sorted(store.names().items())
        named = {entry.digest for _, entry in rows}
        for digest in store.digests():
            found = store.find(digest) if digest not in named else None
            if found is not None:
                rows.append(("", Named(digest, "", "", found.loader, found.version, "")))
    return rows


def _chosen(store: Store, name: str) -> list[tuple[str, Named]]:
    rows = _rows(store)
    if not name:
        return rows
    chosen = [row for row in rows if row[0] == name] or [
        row for row in rows if len(name) >= 6 and row[1].digest.startswith(name.lower())]
    if not chosen:
        from planner.model import Diagnostic, FleetError

        raise FleetError(Diagnostic("error", "the store has no such image", f"{name}: not in {store.folder}",
                                    remedy="`fleet image list` shows what it holds"))
    return chosen


def _data(store: Store, name: str, entry: Named) -> dict[str, Any]:
    from dataclasses import asdict

    from providers.boot.adding import errors_told

    with errors_told(name, store):
        found = store.find(entry.digest)
    return {"name": name or None, **asdict(entry), "folder": str(store.folder / entry.digest),
            "files": len(found.files) if found is not None else None, "size": found.size if found is not None else None}
