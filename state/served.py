"""A local store as a midwife serves it: documents and journals as bytes, so that nothing is made twice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from planner.model import Diagnostic, FleetError, Stale
from state.files import failure
from state.journal import FileJournal, missing
from state.local import LocalStore
from state.lock import FileLock


class ServedStore(LocalStore):
    """What is on the midwife's disk. Files are those of a local store, which may open them as well."""

    def __init__(self, folder: Path, fleet_name: str) -> None:
        super().__init__(folder, fleet_name)

    @property
    def file_lock(self) -> FileLock:
        return self._lock

    def _remedy(self) -> str:
        kept = self._history_files()
        newest = f" (the newest kept one is {kept[max(kept)]})" if kept else ""
        return "Rebuild it from the last run's journal: fleet state push PATH --rebuild; or put it back from a " \
               f"backup, on the midwife{newest}. fleet state verify PATH lists all damage."

    def document(self) -> bytes | None:
        """The state document as it is on disk. Raises FleetError on damage."""
        found = self._load()
        return None if found is None else found[1]

    def put(self, data: bytes, seen: int | None) -> int:
        """Replace the state by a document; its serial. `seen`: the serial that the writer knows (0: no state).

        The same document again is no error. Raises Stale, FleetError.
        """
        state = self.parse(data, "the state to be written")
        if seen is not None:
            try:
                present = self._load()
            except FleetError:  # a damaged one is set aside
                present = None
            if present is not None and present[1] != data and present[0].serial != seen:
                raise Stale(Diagnostic(
                    "error", "the state has moved since it was read",
                    f"{self.state_path}: serial {present[0].serial}, the writer knows {seen}",
                    remedy="fleet plan PATH again"))
        self._replace(state, lambda _state: [data])
        return state.serial

    def kept_document(self, serial: int) -> bytes | None:
        """The document of a serial, old or present. Raises FleetError on damage."""
        found = self.history(serial)
        return self.dump(found[0]) if found else None

    def serials(self) -> Sequence[int]:
        """Of all states that are kept, the present one's too where it can be read; oldest first."""
        found = set(self._history_files())
        try:
            present = self.read()
        except FleetError:
            present = None
        return sorted(found | ({present.serial} if present is not None else set()))

    def start(self, run: str, plan: bytes) -> FileJournal:
        """As `begin`; the same call again is no error while the run has no record."""
        path = self.journal_path(run)
        if path.exists() and not path.stat().st_size and self._plan_path(run).read_bytes() == plan:
            return self.journal(run)
        return self.begin(run, plan)

    def lines(self, run: str) -> bytes:
        """A journal's bytes, damaged or torn as they may be. Raises FleetError where there is none."""
        path = self.journal_path(run)
        try:
            return path.read_bytes()
        except FileNotFoundError:
            raise missing(path, run) from None
        except OSError as error:
            raise failure("the journal cannot be read", path, error) from error
