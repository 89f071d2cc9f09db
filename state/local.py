"""The local state store: `.fleet/<name>/` with state.json, history/, runs/, lock and lineage.

    state.json            the newest checkpoint (document.py)
    lineage               the state's lineage, so that a state of another fleet is noticed
    history/SERIAL.json   the last state of every earlier serial (.json.gz where large)
    runs/RUN.jsonl        a run's journal (records.py); RUN.plan the plan that it runs
    lock                  flock, and who holds it (lock.py)
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from planner.model import Attrs, Diagnostic, FleetError, State
from planner.ports import Record, RunInfo, StateStore
from state.document import Encoder, load
from state.files import failure, make_folder, replace_file
from state.journal import FileJournal, missing, read
from state.lock import FileLock
from state.records import scan
from state.runs import run_infos, run_name
from state.verify import verify

_COMPRESS = 64 * 1024  # bytes of a state from which its history copy is compressed
_KEYS = frozenset({"backend", "path"})


def open_store(folder: Path, fleet_name: str, options: Attrs) -> StateStore:
    """The store in `folder` (`.fleet/<name>/`). Touches no file; folders are made when something is written.

    `options` is the fleet's `state:` block. Raises FleetError on a key that this back end does not know.
    """
    unknown = sorted(set(options) - _KEYS)
    if unknown:
        raise FleetError(Diagnostic("error", "unknown option of the local state back end", ", ".join(unknown),
                                    remedy=f"It knows: {', '.join(sorted(_KEYS))}."))
    return LocalStore(folder, fleet_name)


class LocalStore:
    """planner.ports.StateStore on local files; plus `dump`, `parse`, `salvage` for the rare repair.

    Writers hold `lock()`; readers need none, since every file is replaced as a whole or only appended to.
    """

    def __init__(self, folder: Path, fleet_name: str) -> None:
        self.folder = folder
        self.fleet = fleet_name
        self._encoder = Encoder()
        self._lock = FileLock(folder / "lock")
        self._seen: tuple[tuple[int, int, int], int] | None = None  # state.json's stat → serial

    @property
    def state_path(self) -> Path:
        return self.folder / "state.json"

    # --- state ---------------------------------------------------------------------------------------------

    def read(self) -> State | None:
        found = self._load()
        return None if found is None else found[0]

    def _load(self) -> tuple[State, bytes] | None:
        """State and its document."""
        path = self.state_path
        try:
            with path.open("rb") as stream:
                status = os.fstat(stream.fileno())
                data = stream.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise failure("the state file cannot be read", path, error) from error
        state = self.parse(data, str(path))
        self._check_lineage(state, str(path))
        self._seen = (_signature(status), state.serial)
        return state, data

    def parse(self, data: bytes, source: str, *, edited: bool = False) -> State:
        """A state document's bytes. `edited` accepts one without `sum`. Raises FleetError on damage."""
        state = load(data, source, remedy=self._remedy(), edited=edited)
        if state.fleet != self.fleet:
            raise FleetError(Diagnostic("error", "this state belongs to another fleet",
                                        f"{source}: it is the state of {state.fleet!r}, not of {self.fleet!r}",
                                        remedy="Put the right file back; nothing was changed."))
        return state

    def dump(self, state: State) -> bytes:
        """The state document."""
        return b"".join(Encoder().encode(state))

    def _remedy(self) -> str:
        kept = self._history_files()
        text = "Rebuild it from the last run's journal: fleet state push PATH --rebuild; or put it back from a backup"
        if kept:
            text += f"; or restore the newest kept state: fleet state push PATH {kept[max(kept)]}"
        return text + ". fleet state verify PATH lists all damage."

    def lineage(self) -> str:
        """The lineage that this folder was started with; "" before the first write."""
        try:
            return (self.folder / "lineage").read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as error:
            raise FleetError(Diagnostic("error", "the lineage cannot be read",
                                        f"{self.folder / 'lineage'}: {error}")) from error

    def _check_lineage(self, state: State, source: str) -> None:
        expected = self.lineage()
        if expected and state.lineage != expected:
            raise FleetError(Diagnostic("error", "this state is of another lineage",
                                        f"{source}: lineage {state.lineage}, here it is {expected}",
                                        remedy=self._remedy()))

    def write(self, state: State) -> None:
        """Raises FleetError: another lineage, a serial that goes back, or a disk error (the old state is intact)."""
        self._replace(state, self._encoder.encode)

    def _replace(self, state: State, encode: Callable[[State], Iterable[bytes]]) -> None:
        if not state.lineage or state.fleet != self.fleet:
            raise FleetError(Diagnostic("error", "this state cannot be written here",
                                        f"fleet {state.fleet!r}, lineage {state.lineage!r}; here is {self.fleet!r}"))
        self._check_lineage(state, "the state to be written")
        path = self.state_path
        try:
            make_folder(self.folder)
            if not (self.folder / "lineage").exists():
                replace_file(self.folder / "lineage", [state.lineage.encode() + b"\n"])
            self._keep(state.serial)
            replace_file(path, encode(state))
            self._seen = (_signature(path.stat()), state.serial)
        except OSError as error:
            raise failure("the state cannot be written", path, error,
                          "The state from before is intact. Make room (or repair the disk), then run it again or "
                          "fleet resume PATH.") from error

    def _keep(self, serial: int) -> None:
        """Before another serial replaces it: the present state becomes history."""
        present = self._serial()
        if present is None or present == serial:
            return
        if present > serial:
            raise FleetError(Diagnostic("error", "the state's serial cannot go back",
                                        f"{self.state_path}: it has {present}, the one to be written {serial}"))
        folder = self.folder / "history"
        make_folder(folder)
        data = self.state_path.read_bytes()
        plain, packed = folder / f"{present}.json", folder / f"{present}.json.gz"
        if len(data) >= _COMPRESS:
            replace_file(packed, [gzip.compress(data, compresslevel=1, mtime=0)])
            plain.unlink(missing_ok=True)
        else:
            replace_file(plain, [data])
            packed.unlink(missing_ok=True)

    def _serial(self) -> int | None:
        """Serial of state.json; None where there is none. A damaged one is set aside, never overwritten."""
        try:
            signature = _signature(self.state_path.stat())
        except FileNotFoundError:
            return None
        if self._seen is not None and self._seen[0] == signature:
            return self._seen[1]
        try:
            state = self.read()
        except FleetError:
            aside = self.state_path.with_name("state.json.damaged")
            number = 1
            while aside.exists():
                number += 1
                aside = self.state_path.with_name(f"state.json.damaged.{number}")
            os.rename(self.state_path, aside)
            return None
        return None if state is None else state.serial

    def _history_files(self) -> dict[int, Path]:
        found: dict[int, Path] = {}
        with contextlib.suppress(OSError):
            for path in (self.folder / "history").iterdir():
                match = re.fullmatch(r"(\d+)\.json(\.gz)?", path.name)
                if match:
                    found[int(match.group(1))] = path
        return found

    def history(self, serial: int | None = None) -> Sequence[State]:
        """Old states and the present one, oldest first; or the one of that serial (() where it is not kept).

        Raises FleetError where a file that was asked for is damaged.
        """
        files = self._history_files()
        if serial is None:
            present = self.read()
            old = [self.kept(files[number]) for number in sorted(files)
                   if present is None or number != present.serial]
            return (*old, present) if present is not None else tuple(old)
        try:
            present = self.read()
        except FleetError:  # a damaged state.json does not hide the old ones
            present = None
        if present is not None and present.serial == serial:
            return (present,)
        return (self.kept(files[serial]),) if serial in files else ()

    def newest_kept(self) -> State | None:
        """The newest state of the history that can be read; None where there is none."""
        files = self._history_files()
        for serial in sorted(files, reverse=True):
            with contextlib.suppress(FleetError):
                return self.kept(files[serial])
        return None

    def kept(self, path: Path) -> State:
        """One file of the history. Raises FleetError."""
        try:
            data = path.read_bytes()
            if path.name.endswith(".gz"):
                data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise FleetError(Diagnostic("error", "an old state cannot be read", f"{path}: {error}")) from error
        return self.parse(data, str(path))

    # --- lock ----------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def lock(self, purpose: str, reason: str = "") -> Iterator[None]:
        self._lock.acquire(purpose, reason)
        try:
            yield
        finally:
            self._lock.release()

    def unlock(self) -> str:
        return self._lock.force()

    def holder(self) -> str:
        return self._lock.held()

    # --- runs ----------------------------------------------------------------------------------------------

    def journal_path(self, run: str) -> Path:
        """Raises FleetError where `run` is no run's name."""
        return self.folder / "runs" / f"{run_name(run)}.jsonl"

    def _plan_path(self, run: str) -> Path:
        return self.journal_path(run).with_suffix(".plan")

    def begin(self, run: str, plan: bytes) -> FileJournal:
        path = self.journal_path(run)
        if path.exists():
            raise FleetError(Diagnostic("error", f"there is a run {run} already", str(path)))
        try:
            make_folder(path.parent)
            replace_file(self._plan_path(run), [plan])
            return FileJournal.create(path, run, hashlib.sha256(plan).hexdigest())
        except OSError as error:
            raise failure("the run cannot be started", path, error, "Nothing was changed. Make room, then again.",
                          ) from error

    def journal(self, run: str) -> FileJournal:
        path = self.journal_path(run)
        if not path.exists():
            raise missing(path, run)
        try:
            return FileJournal.reopen(path, run, hashlib.sha256(self.plan(run)).hexdigest())
        except OSError as error:
            raise failure("the journal cannot be opened", path, error) from error

    def salvage(self, run: str) -> FileJournal:
        """A damaged journal, for appending: cut to the records before the damage.

        The damaged file is kept as `RUN.jsonl.damaged`. Raises FleetError.
        """
        path = self.journal_path(run)
        try:
            data = path.read_bytes()
            found = scan(data)
            if found.damage:
                replace_file(path.with_name(path.name + ".damaged"), [data])
                replace_file(path, [data[: found.end]])
            plan = self._plan_path(run)
            start = hashlib.sha256(plan.read_bytes() if plan.exists() else b"").hexdigest()
            return FileJournal.reopen(path, run, start)
        except OSError as error:
            raise failure("the journal cannot be repaired", path, error) from error

    def records(self, run: str) -> Sequence[Record]:
        return read(self.journal_path(run), run)

    def plan(self, run: str) -> bytes:
        """The plan that a run runs. Raises FleetError where it is missing or is not the one that was begun."""
        path = self._plan_path(run)
        try:
            data = path.read_bytes()
            with self.journal_path(run).open("rb") as stream:
                first = scan(stream.readline())
        except OSError as error:
            raise failure(f"the plan of run {run} cannot be read", path, error,
                          f"Put the file back, or: fleet state abandon PATH {run} --reason TEXT.") from error
        if first.records and first.records[0]["prev"] != hashlib.sha256(data).hexdigest():
            raise FleetError(Diagnostic("error", f"the plan of run {run} was changed since the run began", str(path),
                                        remedy="Put the file back, or: "
                                               f"fleet state abandon PATH {run} --reason TEXT."))
        return data

    def runs(self) -> Sequence[RunInfo]:
        """All runs with at least one record, oldest first. Finished runs are looked at by their first and last record;
        `verify` reads all of them."""
        return run_infos(self.folder / "runs")

    def verify(self) -> Iterable[Diagnostic]:
        return verify(self)


def _signature(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_mtime_ns, status.st_size
