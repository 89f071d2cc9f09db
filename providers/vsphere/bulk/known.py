"""What was read before, by the bytes that it was read from: a host that did not change is not parsed again.

Hosts of one make are alike: most of their properties are the same bytes on a thousand hosts, and are built once. Short
pieces are compared whole, long ones by SHA-256: a changed byte is another piece. It lives and dies with its stub; there
is no cache on disk, because keeping XML there would save no parsing, and keeping objects would mean trusting a file.
"""

from __future__ import annotations

import threading
from hashlib import sha256
from typing import Any

LIMIT = 24 << 20
"""Source bytes of a generation; there are two, and what none of them was asked for goes."""
_WHOLE = 96

Key = bytes | tuple[bytes, bytes]


def key_of(piece: bytes, kind: bytes = b"") -> Key:
    """`kind`: the array type that an item is in; the same bytes may mean another type elsewhere."""
    name = piece if len(piece) <= _WHOLE else sha256(piece).digest()
    return (kind, name) if kind else name


class Known:
    """Pieces → values, bounded. Thread-safe. The values are shared: nobody may change what was read."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._young: dict[Key, Any] = {}
        self._old: dict[Key, Any] = {}
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: Key) -> Any:
        """The value; None where it is not known."""
        found = self._young.get(key)
        if found is None:
            found = self._old.get(key)
            if found is not None:
                self._young[key] = found
        return found

    def put(self, key: Key, value: Any, cost: int) -> None:
        """`cost`: bytes of XML that this value holds and no other known one does."""
        self._young[key] = value
        self._bytes += cost + _WHOLE
        if self._bytes > self._limit:
            with self._lock:
                if self._bytes > self._limit:
                    self._old, self._young, self._bytes = self._young, {}, 0
