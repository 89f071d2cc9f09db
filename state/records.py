"""How a journal's bytes are read: lines, checksums, the chain, and what a torn tail is.

A line is one JSON object, `{"n":N,"time":…, …record…,"prev":HEX,"sum":HEX}`. `sum` is SHA-256 over the line's bytes
before `,"sum"`; `prev` is the `sum` of the line before, and of the first line the SHA-256 of the plan file: the
chain starts at what was approved.

A torn tail (a crash in the middle of a write) is a last line without its end: the record was never acknowledged,
so it is left out. Everything else that does not fit is damage and is never guessed at.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import msgspec

from planner.ports import Record
from state.lock import now

_SUM = b',"sum":"'
_TAIL = len(_SUM) + 64 + len(b'"}')
_CLOSED = re.compile(rb',"sum":"[0-9a-f]{64}"}')

_decode = msgspec.json.Decoder(Record).decode
_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Scan:
    """What a journal holds. `end`: bytes up to the last good record. `torn`: bytes after it that are a torn tail."""

    records: list[Record] = field(default_factory=list)
    end: int = 0
    last: str = ""  # `sum` of the last good record; "" where there is none
    torn: bytes = b""
    closed: bool = True  # the last record has its newline
    damage: str = ""  # what is wrong with record number len(records)

    @property
    def number(self) -> int:
        return len(self.records)


def seal(payload: bytes, number: int, time: str, prev: str) -> tuple[bytes, str]:
    """One line and its checksum. `payload` is a record's JSON object, not empty."""
    body = b'{"n":%d,"time":"%s",%s,"prev":"%s"' % (number, time.encode(), payload[1:-1], prev.encode())
    digest = hashlib.sha256(body).hexdigest()
    return b'%s,"sum":"%s"}\n' % (body, digest.encode()), digest


def seal_all(payloads: Sequence[bytes], number: int, prev: str) -> tuple[list[bytes], str]:
    """The lines of records that are written at once, now, and the last one's checksum."""
    lines, time = [], now()
    for data in payloads:
        line, prev = seal(data, number, time, prev)
        lines.append(line)
        number += 1
    return lines, prev


def payload(record: Record) -> bytes:
    """A record's JSON object, without the four keys that the journal owns. Raises ValueError without a `kind`."""
    if not record.get("kind"):
        raise ValueError("a journal record needs a `kind`")
    own = {"n", "time", "prev", "sum"}
    return _encode(record if own.isdisjoint(record) else {k: v for k, v in record.items() if k not in own})


def checked(line: bytes, number: int, prev: str | None) -> tuple[Record | None, str]:
    """The record of one line (without newline), or None and what is wrong with it."""
    body, tail = line[:-_TAIL], line[-_TAIL:]
    if not body or tail[: len(_SUM)] != _SUM or hashlib.sha256(body).hexdigest().encode() != tail[len(_SUM) : -2]:
        return None, "it was changed: its checksum does not match"
    try:
        record: Record = _decode(line)
    except msgspec.DecodeError as error:
        return None, f"it is no JSON object ({error})"
    found = record.get("n")
    if found != number:
        if isinstance(found, int) and found > number:
            return None, f"it is missing or out of place (record {found} stands there)"
        return None, f"it is out of place (record {found} stands there)"
    if prev is not None and record.get("prev") != prev:
        return None, "it does not follow the record before it: one of the two was replaced"
    return record, ""


def _lines(data: bytes) -> Iterator[tuple[int, bytes, bool]]:
    """(end offset, line, has its newline)."""
    at = 0
    while at < len(data):
        stop = data.find(b"\n", at)
        if stop < 0:
            yield len(data), data[at:], False
            return
        yield stop + 1, data[at:stop], True
        at = stop + 1


def scan(data: bytes) -> Scan:
    """Read a whole journal. Stops at the first damage."""
    found = Scan()
    prev: str | None = None  # the first record's prev is the plan's digest: compared by whoever has the plan
    for end, line, closed in _lines(data):
        record, why = checked(line, found.number, prev)
        if record is None:
            if closed or _junk(line):
                found.damage = why
            else:
                found.torn = line
            return found
        found.records.append(record)
        found.end, found.closed = end, closed
        found.last = prev = record["sum"]
    return found


def _junk(line: bytes) -> bool:
    """A last line without newline that holds a whole record and more was not torn: its newline was changed."""
    match = _CLOSED.search(line)
    return match is not None
