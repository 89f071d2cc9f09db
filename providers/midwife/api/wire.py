"""Values of the API: requests, replies, and errors in both directions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from planner.model import Denied, Diagnostic, FleetError, Locked, Stale

HEADER = "Fleet-Lock"
"""The token of the fleet's lock, in every call that changes something."""

SERVER_NAME = "fleet-midwife"
"""The name in the server's certificate, whatever its address is called."""

PREFIX = "/v1/fleets/"
MAX_BODY = 1 << 20
"""Bytes of a body where the route says nothing else."""

CODES: Mapping[str, int] = {
    "bad_request": 400,
    "denied": 403,  # this identity may not do it: another fleet, revoked, not enrolled, expired
    "not_found": 404,
    "method": 405,
    "timeout": 408,  # the body came too slowly
    "locked": 409,  # somebody else holds the fleet's lock
    "fenced": 409,  # the caller's token is not that of the lock any more; `detail` says who holds it
    "stale": 409,  # what the caller has seen is not what is there now
    "conflict": 409,  # the same name with another content: another body for a record, a MAC of another fleet
    "length": 411,
    "too_large": 413,
    "offset": 416,  # an upload goes on elsewhere: `have` says from which byte
    "wrong": 422,  # well-formed, and not true: bytes that are not of that digest
    "failed": 500,
    "internal": 500,  # a defect
    "stopping": 503,
    "full": 507,
}
_OF_ERROR: tuple[tuple[type[FleetError], str], ...] = ((Locked, "locked"), (Stale, "stale"), (Denied, "denied"))
_ERROR_OF: Mapping[str, type[FleetError]] = {"locked": Locked, "fenced": Locked, "stale": Stale, "denied": Denied}


class ApiError(Exception):
    """What a caller is told. `data` are further keys of the body, which belong to the code."""

    def __init__(self, code: str, error: str, detail: str = "", remedy: str = "", **data: Any) -> None:
        super().__init__(f"{error}: {detail}" if detail else error)
        self.code, self.error, self.detail, self.remedy, self.data = code, error, detail, remedy, data

    @property
    def status(self) -> int:
        return CODES[self.code]

    @property
    def body(self) -> dict[str, Any]:
        return {"error": self.error, "detail": self.detail, "remedy": self.remedy, "code": self.code, **self.data}


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose certificate it is. `serial` is its number in hex."""

    fleet: str
    serial: str


@dataclass(frozen=True, slots=True)
class Request:
    """One call. `headers` are found in any case; `body` is empty where the route streams."""

    caller: Caller
    fleet: str
    params: Mapping[str, str]  # of the path, by the names in the route
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    client: str  # the caller's address
    stream: Callable[[], AsyncIterator[bytes]]  # the body in pieces, for routes that stream

    @property
    def token(self) -> str:
        """Of the fleet's lock; "" where the caller sent none."""
        return self.headers.get(HEADER, "")

    def json(self) -> dict[str, Any]:
        """The body as an object; {} where there is none. Raises ApiError."""
        import msgspec

        if not self.body:
            return {}
        try:
            found = msgspec.json.decode(self.body)
        except (msgspec.DecodeError, RecursionError) as error:
            raise ApiError("bad_request", "the body is not JSON", str(error)) from error
        if not isinstance(found, dict):
            raise ApiError("bad_request", "the body is not a JSON object")
        return found

    def number(self, name: str, default: int, maximum: int) -> int:
        """A whole number of the query, at most `maximum`. Raises ApiError."""
        text = self.query.get(name, "")
        if text and not (text.isascii() and text.isdigit() and len(text) < 19):
            raise ApiError("bad_request", f"`{name}` is no number", text[:40])
        return min(int(text), maximum) if text else default


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered: `data` as JSON, or `raw` bytes where set. HEAD sends neither."""

    data: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200
    raw: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Route:
    """One row of the table. `path` follows `/v1/fleets/NAME/`: words, `{name}` for one segment, `{name:.+}` for
    several. `handle` blocks, and runs in a thread; `answer` is a coroutine instead, for waits and streams.

    `locked`: the caller must hold the fleet's lock. `body`: bytes at most. `seconds`: until the body must be there.
    """

    method: str
    path: str
    handle: Callable[[Request], Reply] | None = None
    answer: Callable[[Request], Awaitable[Reply]] | None = None
    locked: bool = False
    body: int = MAX_BODY
    seconds: float = 30.0
    streams: bool = False


def of_fleet_error(error: FleetError) -> ApiError:
    """A FleetError of this process as what the caller is told."""
    first = error.diagnostics[0] if error.diagnostics else Diagnostic("error", str(error))
    code = next((code for kind, code in _OF_ERROR if isinstance(error, kind)), "failed")
    more: dict[str, Any] = {}
    if len(error.diagnostics) > 1:
        more["diagnostics"] = [{"severity": d.severity, "error": d.summary, "detail": d.detail, "remedy": d.remedy}
                               for d in error.diagnostics]
    return ApiError(code, first.summary, first.detail, first.remedy, **more)


def to_fleet_error(body: Mapping[str, Any], address: str) -> FleetError:
    """The other way round, on the caller's side. `address`: of the midwife, shown with it."""
    kind = _ERROR_OF.get(str(body.get("code")), FleetError)
    rows = body.get("diagnostics")
    found = [_diagnostic(row) for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []
    if not found:
        found = [_diagnostic(body)]
    first = found[0]
    detail = f"{first.detail} (midwife {address})" if first.detail else f"midwife {address}"
    return kind(Diagnostic(first.severity, first.summary, detail, remedy=first.remedy), *found[1:])


def _diagnostic(row: Mapping[str, Any]) -> Diagnostic:
    return Diagnostic("warning" if row.get("severity") == "warning" else "error",
                      str(row.get("error") or "the midwife refused the call"), str(row.get("detail") or ""),
                      remedy=str(row.get("remedy") or ""))
