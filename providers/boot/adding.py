"""What `fleet image add` does: a source of any kind becomes a stored image with a name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from planner.model import Diagnostic, FleetError, Image
from providers.boot.fetch import address
from providers.boot.images import Images, is_url, open_regular
from providers.boot.pieces import ImageProblem, Piece
from providers.boot.sources import Sources
from providers.boot.store import Named, Store, Stored, disk_errors, now


def add_image(store: Store, name: str, source: str, sha256: str) -> tuple[Named, Named | None]:
    """The new entry of the index, and what the name meant before. Raises FleetError."""
    images = Images(store)
    if not is_url(source) and os.path.isdir(source):
        stored, found, shown = _folder(images, name, source, sha256), "", str(Path(source).absolute())
    else:
        with errors_told(name, store):
            sources = Sources(store, images.say)
            if is_url(source):
                shown = address(source).shown
                stored, found = sources.stage_url(source, sha256, afresh=True)
            elif os.path.lexists(source):
                stored = sources.stage_iso(Path(source), sha256, afresh=True)
                found, shown = sha256, str(Path(source).absolute())
            else:
                raise ImageProblem("an image does not exist", source, "name an ISO, a folder or a URL")
    with errors_told(name, store):
        entry = Named(stored.digest, shown, found, stored.loader, stored.version, now())
        return entry, store.set_name(name, entry)


def _folder(images: Images, name: str, source: str, sha256: str) -> Stored:
    """Copy the servable files of a folder; those that are links within it become files."""
    manifest = images.manifest(Image(name, source, sha256))
    with errors_told(name, images.store), ExitStack() as opened:
        pieces = {}
        for file, found in manifest.files.items():
            handle = opened.enter_context(open_regular(found.path))
            pieces[file] = Piece(str(found.path), ((0, found.size),), handle.fileno())
        return images.store.add(pieces, loader=manifest.loader, version=manifest.cfg.build)


@contextmanager
def errors_told(name: str, store: Store) -> Iterator[None]:
    """ImageProblem and errors of the disk as FleetError."""
    try:
        with disk_errors(store.folder):
            yield
    except ImageProblem as problem:
        where = f"image {name}: " if name else ""
        raise FleetError(Diagnostic("error", problem.summary, f"{where}{problem.detail}", remedy=problem.remedy)) \
            from problem
