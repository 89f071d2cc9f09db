"""Range requests (RFC 9110, section 14): which part of a file a request asks for."""

from __future__ import annotations

import re

_RANGES = re.compile(r"bytes[ \t]*=[ \t]*(?:(\d{1,18})-(\d{1,18})?|-(\d{1,18}))[ \t]*\Z", re.ASCII | re.IGNORECASE)


class Unsatisfiable(Exception):
    """The range begins behind the end of the file: 416."""


def part(header: str | None, size: int) -> tuple[int, int] | None:
    """[start, end) of a single range; None for no range, several of them, and what is no range at all.

    A server may answer any of those with the whole file. Raises Unsatisfiable.
    """
    found = _RANGES.match(header.strip()) if header else None
    if found is None:
        return None
    first, last, suffix = found.groups()
    if suffix is not None:
        length = int(suffix)
        if length == 0 or size == 0:
            raise Unsatisfiable
        return max(0, size - length), size
    start = int(first)
    if last is not None and int(last) < start:
        return None  # malformed: ignored
    if start >= size:
        raise Unsatisfiable
    return start, size if last is None else min(int(last) + 1, size)
