"""What machines fetched, and when: the access log, and the named reason of a wait that has no birth yet."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from providers.midwife.desk import ACCEPTED, iso

MAX_FAILURES = 1000
"""Failed requests that one process writes down: strangers must not fill the disk."""


@dataclass(slots=True)
class _Steps:
    fetched: str = ""
    handed_over: str = ""
    handed_to: tuple[str, str] = ("", "")
    note: str = ""


class Trail:
    """Progress per MAC, and `access.jsonl` (time, via, from, mac, host, path, status, bytes).

    `hosts` maps a MAC to the address of the host that declares it. Constructing does no I/O.
    """

    def __init__(self, folder: Path | None, hosts: Mapping[str, str], now: Callable[[], float],
                 say: Callable[[str], None]) -> None:
        self._folder, self._hosts, self._now, self._say = folder, hosts, now, say
        self._steps: dict[str, _Steps] = {}
        self._file: TextIO | None = None
        self._failures = 0
        self.changed = threading.Condition()

    # --- progress ---------------------------------------------------------------------------------------

    def restart(self, mac: str) -> None:
        """What this MAC fetched so far no longer counts."""
        with self.changed:
            self._steps[mac] = _Steps()
            self.changed.notify_all()

    def fetched(self, mac: str, client: str) -> None:
        with self.changed:
            steps = self._steps.setdefault(mac, _Steps())
            steps.fetched, steps.handed_over, steps.handed_to = f"{self._clock()} by {client}", "", ("", "")
            self.changed.notify_all()

    def handed_over(self, mac: str, boot: str = "", client: str = "") -> None:
        """The machine has all of its image, of that boot, fetched from that address."""
        with self.changed:
            steps = self._steps.setdefault(mac, _Steps())
            steps.handed_over, steps.handed_to = self._clock(), (boot, client)
            self.changed.notify_all()

    def handed_to(self, mac: str) -> tuple[str, str]:
        """Boot and address that have all of their image; empty texts while there is none."""
        with self.changed:
            return self._steps.get(mac, _Steps()).handed_to

    def note(self, mac: str, what: str) -> None:
        """Something about this MAC that a person should read (a refused birth, a second fetch)."""
        with self.changed:
            known = mac in self._steps or mac in self._hosts
            if known:
                self._steps.setdefault(mac, _Steps()).note = what
            self.changed.notify_all()
        if known and what != ACCEPTED:
            self._say(f"{self._hosts.get(mac, mac)}: {what}")

    def reason(self, mac: str) -> str:
        """Why there is no birth yet, in words."""
        with self.changed:
            steps = self._steps.get(mac, _Steps())
            if not steps.fetched:
                text = "no boot file fetched"
            elif not steps.handed_over:
                text = f"fetched boot.cfg at {steps.fetched}, image not handed over yet, no birth"
            else:
                text = f"fetched boot.cfg at {steps.fetched}, image handed over at {steps.handed_over}, no birth"
            return f"{text}; {steps.note}" if steps.note else text

    def _clock(self) -> str:
        return iso(self._now())[:19] + "Z"

    # --- access log -------------------------------------------------------------------------------------

    def access(self, via: str, client: str, path: str, status: int, size: int, mac: str = "") -> None:
        """One line per request, best effort; `path` carries no secret."""
        record = {"time": iso(self._now()), "via": via, "from": client, "mac": mac, "host": self._hosts.get(mac, ""),
                  "path": path[:200], "status": status, "bytes": size}
        with self.changed:
            if status >= 400:
                self._failures += 1
            if self._folder is None or (status >= 400 and self._failures > MAX_FAILURES):
                return
            try:
                if self._file is None:
                    self._folder.mkdir(parents=True, exist_ok=True)
                    self._file = open(self._folder / "access.jsonl", "a", encoding="utf-8")  # noqa: SIM115
                self._file.write(json.dumps(record, separators=(",", ":")) + "\n")
                self._file.flush()
            except OSError:
                return  # a full disk must not stop a boot

    def close(self) -> None:
        with self.changed:
            if self._file is not None:
                self._file.close()
                self._file = None
            self._folder = None
