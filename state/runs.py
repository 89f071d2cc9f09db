"""The list of runs, cheaply: the first and the last record of every journal; all of those that did not end."""

from __future__ import annotations

import os
import re
from pathlib import Path

from planner.model import Diagnostic, FleetError
from planner.ports import Record, RunInfo
from state.files import failure
from state.records import checked, scan

_TAIL = 64 * 1024  # bytes read from the end of a journal to find its last record
FINISHED = frozenset({"applied", "rolled-back", "abandoned", "failed", "edited"})

_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")


def run_name(run: str) -> str:
    """Raises FleetError where that is no run's name."""
    if not _RUN.match(run):
        raise FleetError(Diagnostic("error", "not the name of a run", repr(run),
                                    remedy="fleet state history PATH lists the runs."))
    return run


def run_infos(folder: Path) -> list[RunInfo]:
    """All runs with at least one record, oldest first. Raises FleetError where the folder cannot be read."""
    try:
        paths = [path for path in folder.iterdir() if path.name.endswith(".jsonl")]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise failure("the runs cannot be listed", folder, error) from error
    found = [info for path in paths if (info := run_info(path)) is not None]
    return sorted(found, key=lambda info: (info.started, info.run))


def run_info(path: Path) -> RunInfo | None:
    """One run; None while its journal holds no record (a run that was killed before it began)."""
    run = path.name.removesuffix(".jsonl")
    try:
        with path.open("rb") as stream:
            first = stream.readline()
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - _TAIL))
            tail = stream.read()
    except OSError as error:
        return RunInfo(run, "", "", "", "", "", 0, 0, str(failure("cannot be read", path, error)))
    head = scan(first).records
    last = _last(tail)
    if head and last is not None and last.get("kind") == "end" and last.get("outcome") in FINISHED:
        return _info(run, head[0], last, last["n"] + 1, "")
    return _whole(path, run)


def _last(tail: bytes) -> Record | None:
    """The last record of a journal that ends well; None where it does not."""
    if not tail.endswith(b"\n"):
        return None
    line = tail[tail.rfind(b"\n", 0, -1) + 1 : -1]
    start = line[5 : line.find(b",")]
    return checked(line, int(start), None)[0] if start.isdigit() else None


def _whole(path: Path, run: str) -> RunInfo | None:
    try:
        found = scan(path.read_bytes())
    except OSError as error:
        return RunInfo(run, "", "", "", "", "", 0, 0, str(failure("cannot be read", path, error)))
    damage = f"record {found.number} (line {found.number + 1}): {found.damage}" if found.damage else ""
    if not found.records:
        return RunInfo(run, "", "", "", "", "", 0, 0, damage) if damage else None
    return _info(run, found.records[0], {} if damage else found.records[-1], found.number, damage)


def _info(run: str, head: Record, last: Record, records: int, damage: str) -> RunInfo:
    def text(key: str) -> str:
        value = head.get(key)
        return value if isinstance(value, str) else ""

    serial = head.get("serial")
    return RunInfo(
        run=run, started=text("started") or text("time"), who=text("who"), host=text("host"), reason=text("reason"),
        outcome=str(last.get("outcome", "")) if last.get("kind") == "end" else "",
        serial=serial if isinstance(serial, int) else 0, records=records, damaged=damage,
        mode=text("mode"),
    )  # fmt: skip


