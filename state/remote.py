"""The state store of a fleet that a midwife keeps: `provider.boot: {midwife: URL, identity: …}`.

Documents and journals are made and read here, in the same format as on a local disk; the midwife keeps them (the calls:
providers/midwife/api/state_routes.py). Every call may be repeated. While the fleet is locked a cut link is waited out
for `patience`: whatever is to be written waits, so that nothing new is begun.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import secrets
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from planner.model import Address, Attrs, Diagnostic, FleetError, Locked, State
from planner.ports import Journal, Record, RunInfo, StateStore
from state.document import Encoder, load
from state.lock import who
from state.records import Scan
from state.remote_journal import RemoteJournal, Undecided, read, sound
from state.remote_lease import Lease, since_boot
from state.runs import run_name

PATIENCE = 900.0
GRACE = 10.0
"""How long the midwife may be silent while we hold no lock: a restart."""

SAY_SECONDS = 30.0
PACK = 64 << 10
"""Bytes from which a body is compressed for the way."""

PACKED = b"fleet-gzip\n"
_KEYS = frozenset({"backend", "midwife", "identity", "patience"})


class Answer(Protocol):
    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def body(self) -> bytes: ...
    def json(self) -> dict[str, Any]: ...


class Link(Protocol):
    """How the midwife is reached: the entry point `midwife` of the group `fleet.links`."""

    def call(self, method: str, path: str, data: Mapping[str, Any] | None = None, *, body: bytes | None = None,
             query: Mapping[str, object] | None = None, headers: Mapping[str, str] | None = None,
             patience: float = ...) -> Answer:
        """Repeats for `patience` seconds. Raises FleetError: `silent` where nobody answered."""

    def close(self) -> None: ...


def open_store(folder: Path, fleet_name: str, options: Attrs) -> StateStore:
    """The store at a midwife. `options`: midwife (URL), identity (the file's text), patience (seconds). `folder` is
    not used: nothing is kept here. Calls nobody. Raises FleetError."""
    unknown = sorted(set(options) - _KEYS)
    if unknown:
        raise FleetError(Diagnostic("error", "unknown option of a midwife's state", ", ".join(unknown),
                                    remedy=f"It knows: {', '.join(sorted(_KEYS))}."))
    patience = options.get("patience")
    return RemoteStore(str(options["midwife"]), fleet_name, str(options.get("identity") or ""),
                       float(patience) if isinstance(patience, (int, float)) else PATIENCE)


class RemoteStore:
    """planner.ports.StateStore at a midwife; plus `dump`, `parse`, `newest_kept`, `salvage` for the rare repair."""

    def __init__(self, url: str, fleet_name: str, identity: str, patience: float = PATIENCE,
                 link: Callable[..., Link] | None = None, now: Callable[[], float] = since_boot) -> None:
        """`link(url, fleet, identity, token, sleep)`. `say` may be set: what is told while the link is cut."""
        self.url, self.fleet = url, fleet_name
        self.say: Callable[[str], None] = lambda _line: None
        self._patience, self._now = patience, now
        self._encoder = Encoder()
        self._lease: Lease | None = None
        self._seen: int | None = None
        self._cut: tuple[float, float] | None = None  # since when the link is cut, and when that was said
        self._waits = threading.Lock()
        this = weakref.ref(self)  # the link must not keep us: connections are closed with the last reference to us

        def token() -> str:
            store = this()
            return "" if store is None else store.token()

        def wait(seconds: float) -> None:
            store = this()
            time.sleep(seconds) if store is None else store._wait(seconds)

        self._link: Link = (link or _installed_link())(url, fleet_name, identity, token, wait)
        weakref.finalize(self, self._link.close)

    def token(self) -> str:
        """Of the fleet's lock while we hold it; "" otherwise."""
        return self._lease.token if self._lease is not None else ""

    def close(self) -> None:
        self._link.close()

    # --- calls ---------------------------------------------------------------------------------------------

    def _call(self, method: str, path: str, *, patience: float | None = None, **more: Any) -> Answer:
        if patience is None:
            patience = GRACE if self._lease is None else 0.0 if self._lease.lost else self._patience
        answer = self._link.call(method, path, patience=patience, **more)
        with self._waits:
            cut, self._cut = self._cut, None
        if cut is not None and cut[1]:
            self.say(f"the midwife {self.url} answers again, after {self._now() - cut[0]:.0f} s")
        return answer

    def _wait(self, seconds: float) -> None:
        """Between two tries."""
        now = self._now()
        with self._waits:
            since, said = self._cut or (now, 0.0)
            speak = self._lease is not None and now - max(since, said) > (SAY_SECONDS if said else 1.0)
            self._cut = (since, now if speak else said)
        if speak:
            self.say(f"waiting for the midwife {self.url}: no answer for {now - since:.0f} s; nothing new is begun, "
                     f"and after {self._patience / 60:.0f} min the run stops")
        time.sleep(seconds)

    def _change(self, method: str, path: str, **more: Any) -> Answer:
        """A call that needs the lock, and is a sign of life. Raises Undecided where nothing may follow it."""
        lease = self._lease
        if lease is None:
            raise FleetError(Diagnostic("error", "the fleet is not locked", f"{method} {path}",
                                        remedy="this is a defect in fleet: states at a midwife change under its lock"))
        if lease.lost is not None:
            raise Undecided(*lease.lost.diagnostics)
        asked = self._now()
        try:
            answer = self._call(method, path, **more)
        except FleetError as error:
            raise self._given_up(lease, error) from error.__cause__
        lease.signed(asked)
        return answer

    def _given_up(self, lease: Lease, error: FleetError) -> FleetError:
        """A refusal as it is; where the lock is lost, or nobody knows what happened, the end of all changes."""
        if isinstance(error, Locked):
            lease.lose(error)
            return Undecided(*error.diagnostics)
        if not getattr(error, "silent", False):
            return error
        gone = Undecided(*error.diagnostics, Diagnostic(
            "error", "the link to the midwife was cut for too long", f"nobody answered for {self._patience:.0f} s",
            remedy="when it is back: fleet resume PATH, or fleet rollback PATH, from any machine with the fleet's "
                   "files and identity"))
        lease.lose(gone)
        return gone

    def _get(self, path: str, **query: object) -> bytes | None:
        """A document's bytes; None where there is none."""
        answer = self._call("GET", path, query=query or None, headers={"Accept-Encoding": "gzip"})
        if answer.status == 204:
            return None
        return gzip.decompress(answer.body) if answer.headers.get("content-encoding") == "gzip" else answer.body

    # --- state ---------------------------------------------------------------------------------------------

    def read(self) -> State | None:
        data = self._get("state")
        state = None if data is None else self.parse(data, f"state.json (midwife {self.url})")
        self._seen = 0 if state is None else state.serial
        return state

    def parse(self, data: bytes, source: str, *, edited: bool = False) -> State:
        """A state document's bytes. `edited` accepts one without `sum`. Raises FleetError on damage."""
        state = load(data, source, edited=edited, remedy="Rebuild it from the last run's journal: fleet state push "
                     "PATH --rebuild; or put it back from a backup. fleet state verify PATH lists all damage.")
        if state.fleet != self.fleet:
            raise FleetError(Diagnostic("error", "this state belongs to another fleet",
                                        f"{source}: it is the state of {state.fleet!r}, not of {self.fleet!r}",
                                        remedy="Nothing was changed."))
        return state

    def dump(self, state: State) -> bytes:
        """The state document."""
        return b"".join(Encoder().encode(state))

    def write(self, state: State) -> None:
        """Raises FleetError: another lineage, a serial that goes back, another writer, a disk error over there."""
        data = b"".join(self._encoder.encode(state))
        query = {} if self._seen is None else {"seen": self._seen}
        self._change("PUT", "state", body=_packed(data), query=query)
        self._seen = state.serial

    def history(self, serial: int | None = None) -> Sequence[State]:
        if serial is not None:
            found = self._kept(serial)
            return () if found is None else (found,)
        return tuple(state for number in self._serials() if (state := self._kept(number)) is not None)

    def _serials(self) -> list[int]:
        return [int(n) for n in self._call("GET", "history").json().get("serials", ())]

    def _kept(self, serial: int) -> State | None:
        data = self._get("history", serial=serial)
        return None if data is None else self.parse(data, f"serial {serial} (midwife {self.url})")

    def newest_kept(self) -> State | None:
        """The newest state of the history that can be read; None where there is none."""
        for serial in reversed(self._serials()):
            with contextlib.suppress(FleetError):
                return self._kept(serial)
        return None

    def verify(self) -> Iterable[Diagnostic]:
        for row in self._call("GET", "verify").json().get("diagnostics", ()):
            address = Address.parse(row["address"]) if row.get("address") else None
            yield Diagnostic(row["severity"], row["summary"], f"{row['detail']} (midwife {self.url})", None, address,
                             row["remedy"])

    # --- lock ----------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def lock(self, purpose: str, reason: str = "") -> Iterator[None]:
        lease = self._leased(purpose, reason)
        self._lease = lease
        lease.start()
        try:
            yield
        finally:
            lease.stop()
            try:
                with contextlib.suppress(FleetError):  # it lapses by itself
                    self._call("DELETE", "lock", patience=0.0 if lease.lost else GRACE)
            finally:
                self._lease = None

    def _leased(self, purpose: str, reason: str) -> Lease:
        """Raises Locked (who, since when, why), FleetError."""
        token, asked = secrets.token_urlsafe(24), self._now()
        answer = self._call("POST", "lock", patience=GRACE, data={
            "token": token, "purpose": purpose, "reason": reason, "who": who(), "host": socket.gethostname(),
            "pid": os.getpid()})

        def renew(patience: float) -> float:
            return float(self._call("POST", "lock/renew", patience=patience).json()["seconds"])

        return Lease(token, float(answer.json()["seconds"]), asked, renew, self._patience, self._now)

    def unlock(self) -> str:
        return str(self._call("DELETE", "lock", query={"force": 1}).json().get("said", ""))

    def holder(self) -> str:
        return str(self._call("GET", "lock").json().get("holder", ""))

    def held(self) -> None:
        """Returns while nobody else can have the lock. Raises FleetError."""
        lease = self._lease
        if lease is not None:
            try:
                lease.confirm()
            except FleetError as error:
                raise self._given_up(lease, error) from error.__cause__

    # --- runs ----------------------------------------------------------------------------------------------

    def _where(self, run: str) -> str:
        return f"run {run} at the midwife {self.url}"

    def begin(self, run: str, plan: bytes) -> Journal:
        self._change("POST", f"runs/{run_name(run)}", body=_packed(plan))
        return RemoteJournal(self, run, Scan(), hashlib.sha256(plan).hexdigest(), self._where(run))

    def journal(self, run: str) -> Journal:
        return self._reopened(run, "open")

    def salvage(self, run: str) -> Journal:
        """A damaged journal, for appending: cut to the records before the damage. Raises FleetError."""
        return self._reopened(run, "salvage")

    def _reopened(self, run: str, how: str) -> Journal:
        self._change("POST", f"runs/{run_name(run)}/{how}")
        found = sound(self.get_lines(run), run, self._where(run))
        start = found.records[0]["prev"] if found.records else hashlib.sha256(self.plan(run)).hexdigest()
        return RemoteJournal(self, run, found, start, self._where(run))

    def records(self, run: str) -> Sequence[Record]:
        return read(self.get_lines, run, self._where(run))

    def plan(self, run: str) -> bytes:
        return self._get(f"runs/{run_name(run)}/plan") or b""

    def runs(self) -> Sequence[RunInfo]:
        return [RunInfo(**row) for row in self._call("GET", "runs").json().get("runs", ())]

    def get_lines(self, run: str) -> bytes:
        """A journal's bytes. Raises FleetError."""
        return self._get(f"runs/{run_name(run)}/records") or b""

    def post_records(self, run: str, first: int, data: bytes) -> int:
        """Append sealed records; durable on return. Raises Undecided, FleetError."""
        answer = self._change("POST", f"runs/{run_name(run)}/records", query={"from": first}, body=_packed(data))
        return int(answer.json()["records"])


def _packed(data: bytes) -> bytes:
    return data if len(data) < PACK or data.startswith(b"\x1f\x8b") else PACKED + gzip.compress(data, 1, mtime=0)


def _installed_link() -> Callable[..., Link]:
    """Raises FleetError."""
    from importlib.metadata import entry_points

    points = list(entry_points(group="fleet.links", name="midwife"))
    if not points:
        raise FleetError(Diagnostic("error", "the way to a midwife is not installed",
                                    remedy="install fleet again: its entry points are missing"))
    found: Callable[..., Link] = points[0].load()
    return found
