"""Bringing a remote midwife the images that it does not have: in pieces, resumed after a cut, shown as it goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import BinaryIO

from planner.model import Diagnostic, FleetError, Image
from providers.boot.images import Images, Manifest, open_regular
from providers.midwife.remote.client import Answer, Client

PIECE = 1 << 20
"""What a cut may cost, and what a slow link must carry within one call."""
PATIENCE = 300.0
FINISH_SECONDS = 600.0
SAY_SECONDS = 5.0


def upload(client: Client, images: Iterable[Image], known: Images, wanted: Collection[str],
           say: Callable[[str], None]) -> None:
    """Every image of `wanted` (digests) that is declared, and that the midwife lacks. Raises FleetError."""
    missing = {digest for digest in wanted if digest
               and client.call("HEAD", f"images/{digest}", accept=(404,)).status == 404}
    for image in images:
        if not missing:
            return
        found = known.outline(image)
        if found is not None and found.digest in missing:
            missing.discard(found.digest)
            send(client, image.name, known.manifest(image), say)
    if missing:
        raise FleetError(Diagnostic(
            "error", "the planned image is neither here nor at the midwife",
            f"no declared image has the content {', '.join(sorted(d[:12] for d in missing))}… any more",
            remedy="restore the image's files, or plan again"))


def send(client: Client, name: str, manifest: Manifest, say: Callable[[str], None]) -> None:
    """One image. Raises FleetError: no space there, a file that changes meanwhile, nobody answers."""
    rows = {n: {"sha256": f.sha256, "size": f.size} for n, f in manifest.files.items()}
    answer = client.call("POST", f"images/{manifest.digest}", {
        "files": rows, "loader": manifest.loader, "version": manifest.cfg.build}, patience=PATIENCE).json()
    if answer.get("complete"):
        return
    have: Mapping[str, int] = answer["have"]
    told = _Progress(name, sum(f.size for f in manifest.files.values()), sum(have.values()), say)
    for file_name, file in manifest.files.items():
        if have.get(file_name, 0) < file.size:
            try:
                with open_regular(file.path) as opened:
                    _send_file(client, manifest.digest, file_name, file.size, opened, have.get(file_name, 0), told)
            except (OSError, ValueError) as error:
                raise FleetError(Diagnostic("error", "an image cannot be read", f"{file.path}: {error}",
                                            remedy="restore it, and run that again")) from error
    client.call("POST", f"images/{manifest.digest}/finish", seconds=FINISH_SECONDS, patience=PATIENCE)
    told.done()


def _send_file(client: Client, digest: str, name: str, size: int, file: BinaryIO, at: int, told: _Progress) -> None:
    """From byte `at` on; where the midwife has more or less of it by now, from there."""
    while at < size:
        file.seek(at)
        data = file.read(min(PIECE, size - at))
        if not data:
            raise OSError("it has become shorter")
        answer = client.call("PUT", f"images/{digest}/{name}", body=data, headers={
            "Content-Range": f"bytes {at}-{at + len(data) - 1}/{size}", "Content-Type": "application/octet-stream"},
            patience=PATIENCE, accept=(416,))
        have = _have(answer)
        told.moved(have - at)
        at = have


def _have(answer: Answer) -> int:
    have = answer.json().get("have")
    if not isinstance(have, int):
        raise FleetError("the midwife does not say how much of a file it has")
    return have


class _Progress:
    """A line now and then."""

    def __init__(self, name: str, size: int, have: int, say: Callable[[str], None]) -> None:
        self._name, self._size, self._have, self._say = name, size, have, say
        self._next = time.monotonic() + SAY_SECONDS
        say(f"image {name}: uploading {max(0, size - have) / (1 << 20):.1f} MiB to the midwife"
            + (f", {have / (1 << 20):.1f} MiB are there already" if have else ""))

    def moved(self, count: int) -> None:
        self._have += count
        if time.monotonic() > self._next:
            self._next = time.monotonic() + SAY_SECONDS
            self._say(f"image {self._name}: {self._have * 100 // max(1, self._size)} % of it is at the midwife")

    def done(self) -> None:
        self._say(f"image {self._name}: it is at the midwife")
