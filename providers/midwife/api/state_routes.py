"""State, lock, journals and history of a fleet, for a runner on another machine.

| call | body → answer |
|---|---|
| GET state | → the document; 204 where there is none |
| PUT state?seen=SERIAL | the document → {serial}. "stale" where another serial is there than the one seen |
| POST lock | {token, purpose, reason, who, host, pid} → {seconds}. The runner makes the token up, so it may ask twice |
| POST lock/renew | → {seconds} |
| GET lock | → {holder}: "" where nobody holds it |
| DELETE lock | → {}. With `?force=1`, which needs no token: {said} |
| GET runs | → {runs: [RunInfo …]}, oldest first |
| POST runs/RUN | the plan → {records: 0} |
| POST runs/RUN/open, runs/RUN/salvage | → {records}: it goes on; torn (or damaged) ends are cut off |
| POST runs/RUN/records?from=N | sealed lines (format of a journal), record N first → {records}, durable |
| GET runs/RUN/records, runs/RUN/plan | → the journal's bytes; the plan's |
| GET history | → {serials}; with `?serial=N` that document, 204 where it is not kept |
| GET verify | → {diagnostics: [{severity, summary, detail, remedy, address} …]} |

A lease is good for `seconds` after the last call that carried its token. Lapsed, it goes on with the next one, unless
another has the lock by then: that is "fenced". Bytes may be compressed: upwards as PACKED and gzip (a plan is gzip by
itself), downwards by Content-Encoding where accepted.
The same records again are no error, others under the same numbers are a "conflict".

The stores themselves come from the state room, by entry point (group `fleet.shelves`): see `Shelf` and `Room`.
"""

from __future__ import annotations

import gzip
import io
import time
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol, TypeVar

from planner.model import Diagnostic, FleetError
from planner.ports import RunInfo
from providers.midwife.api.wire import CODES, ApiError, Reply, Request, Route, of_fleet_error

MAX_DOCUMENT = 256 << 20
"""Bytes of a state, a plan or a batch of records."""

UPLOAD_SECONDS = 600.0
COMPRESS = 16 << 10
"""Bytes of an answer from which it is compressed."""

PACKED = b"fleet-gzip\n"
"""What a body begins with that is compressed for the way only: gzip follows."""

GZIP = b"\x1f\x8b"

T = TypeVar("T")


class Room(Protocol):
    """One fleet's state and its lease. What needs a token raises a FleetError whose `code` is "fenced"."""

    def take(self, token: str, note: Mapping[str, Any]) -> float: ...
    def check(self, token: str) -> float: ...
    def release(self, token: str) -> None: ...
    def unlock(self) -> str: ...
    def holder(self) -> str: ...
    def put(self, token: str, data: bytes, seen: int | None) -> int: ...
    def start(self, token: str, run: str, plan: bytes) -> int: ...
    def reopen(self, token: str, run: str, *, salvage: bool = False) -> int: ...
    def extend(self, token: str, run: str, first: int, data: bytes) -> int: ...
    def document(self) -> bytes | None: ...
    def kept_document(self, serial: int) -> bytes | None: ...
    def serials(self) -> Sequence[int]: ...
    def runs(self) -> Sequence[RunInfo]: ...
    def lines(self, run: str) -> bytes: ...
    def plan(self, run: str) -> bytes: ...
    def verify(self) -> Iterable[Diagnostic]: ...


class Shelf(Protocol):
    """The states of all fleets below a folder."""

    def room(self, fleet: str) -> Room: ...
    def start(self) -> None: ...
    def close(self) -> None: ...


def open_shelf(folder: Path, now: Callable[[], float]) -> Shelf:
    """Touches no file. Raises FleetError where fleet is not installed in full."""
    from importlib.metadata import entry_points

    points = list(entry_points(group="fleet.shelves", name="local"))
    if not points:
        raise FleetError(Diagnostic("error", "the state store of midwives is not installed",
                                    remedy="install fleet again: its entry points are missing"))
    shelf: Shelf = points[0].load()(folder, now)
    return shelf


class StateRoutes:
    """The states of all fleets below `folder`. `now`: seconds that never go back, for leases.

    Constructing does no I/O. `start` takes up the leases that an earlier process left, `close` leaves them good.
    """

    def __init__(self, folder: Path, now: Callable[[], float] = time.monotonic, shelf: Shelf | None = None) -> None:
        self._shelf = shelf or open_shelf(folder, now)

    def start(self) -> None:
        self._shelf.start()

    def close(self) -> None:
        self._shelf.close()

    def guard(self, request: Request) -> None:
        """Whether the caller holds the lock of its fleet; a sign of life. Raises ApiError (code "fenced")."""
        self._told(lambda room: room.check(request.token), request)

    def routes(self) -> Sequence[Route]:
        large: dict[str, Any] = {"body": MAX_DOCUMENT, "seconds": UPLOAD_SECONDS}
        run = "runs/{run}"
        return (
            self._route("GET", "state", _get_state), self._route("PUT", "state", _put_state, **large),
            self._route("POST", "lock", _lock), self._route("GET", "lock", _holder),
            self._route("DELETE", "lock", _unlock), self._route("POST", "lock/renew", _renew),
            self._route("GET", "runs", _runs), self._route("POST", run, _start, **large),
            self._route("POST", f"{run}/open", _open), self._route("POST", f"{run}/salvage", _salvage),
            self._route("POST", f"{run}/records", _extend, **large), self._route("GET", f"{run}/records", _records),
            self._route("GET", f"{run}/plan", _plan), self._route("GET", "history", _history),
            self._route("GET", "verify", _verify),
        )

    def _route(self, method: str, path: str, work: Callable[[Room, Request], Reply], **more: Any) -> Route:
        def handle(request: Request) -> Reply:
            return self._told(lambda room: work(room, request), request)

        return Route(method, path, handle, **more)

    def _told(self, work: Callable[[Room], T], request: Request) -> T:
        """Errors keep their own code where they have one."""
        try:
            return work(self._shelf.room(request.fleet))
        except FleetError as error:
            told = of_fleet_error(error)
            code = getattr(error, "code", told.code)
            told.code = code if code in CODES else told.code
            raise told from error


# --- state and history ------------------------------------------------------------------------------------


def _get_state(room: Room, request: Request) -> Reply:
    return _document(room.document(), request)


def _put_state(room: Room, request: Request) -> Reply:
    seen = request.number("seen", -1, 1 << 62)
    return Reply({"serial": room.put(request.token, _unpacked(request.body), seen if seen >= 0 else None)})


def _history(room: Room, request: Request) -> Reply:
    serial = request.number("serial", -1, 1 << 62)
    if serial >= 0:
        return _document(room.kept_document(serial), request)
    return Reply({"serials": list(room.serials())})


def _verify(room: Room, _request: Request) -> Reply:
    return Reply({"diagnostics": [
        {"severity": d.severity, "summary": d.summary, "detail": d.detail, "remedy": d.remedy,
         "address": str(d.address) if d.address else ""} for d in room.verify()]})


# --- lock -------------------------------------------------------------------------------------------------


def _lock(room: Room, request: Request) -> Reply:
    note = request.json()
    return Reply({"seconds": room.take(str(note.get("token", "")), note)})


def _renew(room: Room, request: Request) -> Reply:
    return Reply({"seconds": room.check(request.token)})


def _holder(room: Room, _request: Request) -> Reply:
    return Reply({"holder": room.holder()})


def _unlock(room: Room, request: Request) -> Reply:
    if request.query.get("force"):
        return Reply({"said": room.unlock()})
    room.release(request.token)
    return Reply()


# --- runs -------------------------------------------------------------------------------------------------


def _runs(room: Room, _request: Request) -> Reply:
    return Reply({"runs": [asdict(info) for info in room.runs()]})


def _start(room: Room, request: Request) -> Reply:
    return Reply({"records": room.start(request.token, request.params["run"], _unpacked(request.body))})


def _open(room: Room, request: Request) -> Reply:
    return Reply({"records": room.reopen(request.token, request.params["run"])})


def _salvage(room: Room, request: Request) -> Reply:
    return Reply({"records": room.reopen(request.token, request.params["run"], salvage=True)})


def _extend(room: Room, request: Request) -> Reply:
    first = request.number("from", -1, 1 << 62)
    if first < 0:
        raise ApiError("bad_request", "`from` is missing", "the number of the first record")
    return Reply({"records": room.extend(request.token, request.params["run"], first, _unpacked(request.body))})


def _records(room: Room, request: Request) -> Reply:
    return _document(room.lines(request.params["run"]), request)


def _plan(room: Room, request: Request) -> Reply:
    return _document(room.plan(request.params["run"]), request)


# --- bytes ------------------------------------------------------------------------------------------------


def _document(data: bytes | None, request: Request) -> Reply:
    if data is None:
        return Reply(status=204, raw=b"")
    if len(data) < COMPRESS or "gzip" not in request.headers.get("Accept-Encoding", "") or data.startswith(GZIP):
        return Reply(raw=data)
    return Reply(raw=gzip.compress(data, compresslevel=1, mtime=0), headers={"Content-Encoding": "gzip"})


def _unpacked(data: bytes) -> bytes:
    """A body; one in gzip is read to at most MAX_DOCUMENT. Plans are gzip by themselves: those stay as they are."""
    if not data.startswith(PACKED):
        return data
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data[len(PACKED):])) as stream:
            found = stream.read(MAX_DOCUMENT + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ApiError("bad_request", "the body cannot be decompressed", str(error)) from error
    if len(found) > MAX_DOCUMENT:
        raise ApiError("too_large", "the body is too large", f"at most {MAX_DOCUMENT} bytes, decompressed")
    return found

