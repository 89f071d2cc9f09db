"""An answer of RetrievePropertiesEx as it streams in: one object is in memory at a time, not the whole answer."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from providers.vsphere.bulk.context import BadAnswer, Context, context_of
from providers.vsphere.bulk.known import Known
from providers.vsphere.bulk.pieces import Pieces
from providers.vsphere.bulk.whole import RESULT, by_pyvmomi

Read = Callable[[int], bytes]
"""As a file's read: up to that many bytes; b"" at the end."""

CHUNK = 1 << 20
LARGEST = 64 << 20
"""Bytes of one object, and of all that is no object."""
_OPEN = re.compile(rb"<objects[ >]")
_CLOSE = b"</objects>"
_BLANK = b" \t\r\n"


class Reader:
    """Reads answers for one stub; remembers what it read. Thread-safe."""

    def __init__(self, stub: Any, known: Known | None = None, *, largest: int = LARGEST, chunk: int = CHUNK) -> None:
        self._stub = stub
        self._known = known or Known()
        self._pieces: dict[tuple[str, bytes], Pieces] = {}
        self._largest, self._chunk = largest, chunk

    def retrieved(self, read: Read) -> Any:
        """The RetrieveResult, None, or the fault that an answer carries. Raises BadAnswer."""
        buffer = _Buffer(read, self._largest, self._chunk)
        start = buffer.seek(_OPEN)
        if start is None:
            return by_pyvmomi(buffer.rest(), self._stub)
        head = buffer.take(start)
        context = context_of(head)
        contents: list[Any] = []
        if context.usual:
            pieces = self._for(context)
            while (piece := buffer.element()) is not None:
                contents.extend(pieces.contents(piece))
        result = by_pyvmomi(head + buffer.rest(), self._stub)
        if isinstance(result, RESULT):
            result.objects[:0] = contents
        elif contents:
            raise BadAnswer("it is an answer and a fault at once")
        return result

    def _for(self, context: Context) -> Pieces:
        """What was read in another namespace context, or another API version, is not known in this one."""
        key = (str(self._stub.version), context.element)
        found = self._pieces.get(key)
        if found is None:
            if self._pieces:
                self._known, self._pieces = Known(), {}
            found = self._pieces[key] = Pieces(context, self._stub, self._known)
        return found


class _Buffer:
    """What has arrived and was not taken yet."""

    def __init__(self, read: Read, largest: int, chunk: int) -> None:
        self._read, self._largest, self._chunk = read, largest, chunk
        self._bytes = b""
        self._at = 0
        self._ended = False

    def _more(self) -> bool:
        """Read on; False at the end. Raises BadAnswer where too much has gathered."""
        if self._ended:
            return False
        chunk = self._read(self._chunk)
        if not chunk:
            self._ended = True
            return False
        self._bytes = self._bytes[self._at:] + chunk
        self._at = 0
        if len(self._bytes) > self._largest + self._chunk:
            raise BadAnswer(f"one piece of it is larger than {self._largest >> 20} MB")
        return True

    def seek(self, pattern: re.Pattern[bytes]) -> int | None:
        """How far away the pattern is; None where it does not come."""
        while True:
            found = pattern.search(self._bytes, self._at)
            if found is not None:
                return found.start() - self._at
            if not self._more():
                return None

    def take(self, count: int) -> bytes:
        start, self._at = self._at, self._at + count
        return self._bytes[start:self._at]

    def rest(self) -> bytes:
        """Everything up to the end."""
        while self._more():
            pass
        return self.take(len(self._bytes) - self._at)

    def element(self) -> bytes | None:
        """The next `<objects>…</objects>`; None where something else follows, or where markup that is no element is
        in it, so that its end is not certain."""
        while len(self._bytes) - self._at < 64 and self._more():
            pass
        while self._bytes[self._at:self._at + 1] in (b" ", b"\t", b"\r", b"\n") and self._at < len(self._bytes):
            self._at += 1
        if _OPEN.match(self._bytes, self._at) is None:
            return None
        scanned = 0
        while (end := self._bytes.find(_CLOSE, self._at + scanned)) < 0:
            scanned = max(0, len(self._bytes) - self._at - len(_CLOSE))
            if not self._more():
                return None
        piece = self._bytes[self._at:end + len(_CLOSE)]
        if any(sign in piece and b"<" + sign in piece for sign in (b"!", b"?")):
            return None
        self._at += len(piece)
        return piece
