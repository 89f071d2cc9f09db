"""What the midwife remembers of hosts that it restores: who was born how often, what failed, who is in quarantine.

One JSON file, `restores.json`, replaced atomically and synced: a midwife that is started again goes on where this one
stopped. Another process asks for the end of a quarantine by leaving a file in `released/`: only the midwife writes the
record.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from planner.model import Diagnostic, FleetError
from providers.files import replace_file

FORMAT = 1
HOUR = 3600.0
LOOP = 3
"""So many births within an hour, with nobody waiting for them, and a host is left alone."""


@dataclass(frozen=True, slots=True)
class Case:
    """One host, by its MAC. Times are ISO 8601, UTC.

    `births`: when it was born with nobody waiting for it, lately. `boot`: the boot of the birth that is dealt with.
    `attempts`: restores of that birth that failed. `quarantined`: since when; "" where it is not. `problem`: why it
    stays as it is.
    """

    fleet: str
    births: tuple[str, ...] = ()
    boot: str = ""
    attempts: int = 0
    quarantined: str = ""
    problem: str = ""

    def lately(self, now: str, more: Iterable[str] = ()) -> tuple[str, ...]:
        """Births of the last hour, these among them."""
        return tuple(sorted({b for b in (*self.births, *more) if _seconds(b, now) < HOUR}))


class Restores:
    """The record. Constructing does no I/O; thread-safe. A folder of None keeps everything in memory."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._cases: dict[str, Case] | None = None

    def all(self) -> Mapping[str, Case]:
        """MAC → what is known. Raises FleetError where the record is damaged."""
        with self._lock:
            return dict(self._read())

    def get(self, mac: str, fleet: str) -> Case:
        """Raises FleetError."""
        with self._lock:
            return self._read().get(mac, Case(fleet))

    def put(self, cases: Mapping[str, Case]) -> None:
        """Durable when it returns. A case without anything to remember is dropped. Raises OSError, FleetError."""
        with self._lock:
            known = self._read()
            wanted = {m: c for m, c in {**known, **cases}.items() if c != Case(c.fleet)}
            if wanted != known:
                self._write(wanted)
                self._cases = wanted

    def _read(self) -> dict[str, Case]:
        if self._cases is None:
            self._cases = {} if self._folder is None else load(self._folder)
        return self._cases

    def _write(self, cases: Mapping[str, Case]) -> None:
        if self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        document = {"format": FORMAT, "hosts": {mac: asdict(cases[mac]) for mac in sorted(cases)}}
        replace_file(self._folder / "restores.json", json.dumps(document, indent=1).encode(), 0o644)

    # --- the end of a quarantine --------------------------------------------------------------------------

    def released(self) -> list[str]:
        """MACs whose quarantine somebody ended since the last look: their cases begin anew. Raises OSError."""
        if self._folder is None:
            return []
        try:
            marks = sorted((self._folder / "released").iterdir())
        except FileNotFoundError:
            return []
        found = [_mac_of(mark.name) for mark in marks]
        self.put({mac: Case(case.fleet) for mac, case in self.all().items() if mac in found})
        for mark in marks:
            mark.unlink(missing_ok=True)
        return found


# --- for commands, beside a midwife that runs or not ---------------------------------------------------------


def load(folder: Path) -> dict[str, Case]:
    """The record in that folder; {} where there is none. Raises FleetError on damage."""
    path = folder / "restores.json"
    try:
        data = json.loads(path.read_bytes())
        if data["format"] != FORMAT:
            raise ValueError(f"format {data['format']}, this version reads {FORMAT}")
        return {mac: replace(Case(**row), births=tuple(row["births"])) for mac, row in data["hosts"].items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise FleetError(Diagnostic(
            "error", "the record of restores cannot be read", f"{path}: {error}",
            remedy="remove the file: quarantines and failed restores are then forgotten")) from error


def quarantined(folder: Path, fleet: str = "") -> dict[str, Case]:
    """MACs in quarantine (of one fleet), and why. `folder`: the midwife's. Raises FleetError."""
    return {mac: case for mac, case in sorted(load(folder).items())
            if case.quarantined and fleet in ("", case.fleet)}


@dataclass(frozen=True, slots=True)
class Held:
    """A host that was born and is not restored. `since`: in quarantine since then (ISO 8601, UTC), else ""."""

    mac: str
    why: str
    since: str = ""
    host: str = ""


def held(folder: Path, fleet: str, hosts: Mapping[str, str]) -> list[Held]:
    """Those of one fleet. `hosts`: MAC → what to call it. Raises FleetError."""
    return [Held(mac, case.problem, case.quarantined, hosts.get(mac, "")) for mac, case in sorted(load(folder).items())
            if case.fleet == fleet and case.problem]


def release(folder: Path, fleet: str, mac: str) -> None:
    """End a quarantine: the midwife restores the host at its next look, within a second or two.

    Raises FleetError where that MAC of that fleet is in none, OSError.
    """
    held = quarantined(folder, fleet)
    if mac not in held:
        known = ", ".join(held) or "none is"
        raise FleetError(Diagnostic("error", "this host is not in quarantine", f"{mac} of fleet {fleet}",
                                    remedy=f"in quarantine of that fleet: {known}"))
    marks = folder / "released"
    marks.mkdir(exist_ok=True)
    (marks / mac.replace(":", "-")).touch()


def _mac_of(name: str) -> str:
    return name.replace("-", ":").lower()


def _seconds(earlier: str, later: str) -> float:
    """Between two times; 0 where one of them is none."""
    try:
        return max(0.0, (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)) / timedelta(seconds=1))
    except (ValueError, TypeError):
        return 0.0
