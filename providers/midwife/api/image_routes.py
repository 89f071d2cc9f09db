"""Images that a runner brings.

| call | body | answer |
|---|---|---|
| HEAD images/DIGEST | | 200: it is stored; 404: it is not |
| POST images/DIGEST | `files`: {name: {sha256, size}}, `loader`, `version` | `complete`; `have`: {name: bytes here} |
| PUT images/DIGEST/NAME | bytes, `Content-Range: bytes FIRST-LAST/SIZE` | `have`: bytes of it; or 416 with that |
| POST images/DIGEST/finish | | {}: all is there, verified, and can be staged |

DIGEST is the SHA-256 over the lines `sha256  name` of all files, sorted by name. What came before a cut is kept for a
week. No lock is needed: nothing boots an image before it is staged.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from providers.boot.pieces import ImageProblem
from providers.midwife.api.wire import ApiError, Reply, Request, Route

if TYPE_CHECKING:
    from providers.midwife.service.midwife import Midwife

MAX_PIECE = 1 << 30
MANIFEST_BYTES = 4 << 20
_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/\d{1,18}\Z")

T = TypeVar("T")


def routes(midwife: Midwife) -> Sequence[Route]:
    calls = ImageCalls(midwife)
    return (Route("HEAD", "images/{digest}", calls.look), Route("POST", "images/{digest}", calls.announce,
                                                                body=MANIFEST_BYTES),
            Route("POST", "images/{digest}/finish", calls.finish),
            Route("PUT", "images/{digest}/{name:.+}", answer=calls.receive, body=MAX_PIECE, streams=True))


class ImageCalls:
    """Bytes are written as they come."""

    def __init__(self, midwife: Midwife) -> None:
        self._uploads, self._midwife = midwife.uploads, midwife

    def look(self, request: Request) -> Reply:
        return Reply(status=200 if self._complete(request) else 404)

    def announce(self, request: Request) -> Reply:
        digest = request.params["digest"]
        have = _problems(lambda: self._uploads.announce(request.fleet, digest, request.json()))
        return Reply({"complete": self._complete(request), "have": have})

    def finish(self, request: Request) -> Reply:
        _problems(lambda: self._uploads.finish(request.fleet, request.params["digest"]))
        return Reply()

    async def receive(self, request: Request) -> Reply:
        found = _RANGE.match(request.headers.get("Content-Range", ""))
        length = request.headers.get("Content-Length", "")
        if found is None:
            raise ApiError("bad_request", "an upload needs Content-Range: bytes FIRST-LAST/SIZE")
        start, end = int(found.group(1)), int(found.group(2)) + 1
        if end <= start or length != str(end - start):
            raise ApiError("bad_request", "Content-Range and Content-Length do not fit together")
        have = await self._uploads.receive(request.fleet, request.params["digest"], request.params["name"], start, end,
                                           request.stream())
        return Reply({"have": have})

    def _complete(self, request: Request) -> bool:
        return _problems(lambda: self._uploads.complete(request.params["digest"]))


def _problems(work: Callable[[], T]) -> T:
    try:
        return work()
    except ImageProblem as problem:
        raise ApiError("full" if "space" in problem.summary else "failed", problem.summary, problem.detail,
                       problem.remedy) from problem
