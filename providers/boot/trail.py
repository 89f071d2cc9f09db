"""What machines fetched, and when: the access log, and the named reason of a wait that has no birth yet."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from planner.model import Diagnostic
from providers.midwife.desk import ACCEPTED, iso

MAX_FAILURES = 1000
"""Failed requests that one process writes down: strangers must not fill the disk."""
MAX_BYTES, KEPT = 8 << 20, 3
"""The access log is rotated at that size: access.jsonl, access.1.jsonl (the newest before it) and so on."""
MAX_CLIENTS = 4096
LEASE_SECONDS = 3600.0
"""An address that named two MACs within that time says nothing about who asks."""


@dataclass(slots=True)
class _Steps:
    fetched: str = ""
    handed_over: str = ""
    handed_to: tuple[str, str] = ("", "")
    note: str = ""


class Trail:
    """Progress per MAC, and `access.jsonl` (time, via, from, mac, by, host, path, status, bytes).

    `hosts` maps a MAC to the address of the host that declares it. `by` says how the MAC is known: the "name" of the
    file has it, or it is the one MAC that the asking "address" named before; that is for the log's readers only, and
    decides nothing. Constructing does no I/O.
    """

    def __init__(self, folder: Path | None, hosts: Mapping[str, str], now: Callable[[], float],
                 say: Callable[[str], None]) -> None:
        self._folder, self._hosts, self._now, self._say = folder, hosts, now, say
        self._steps: dict[str, _Steps] = {}
        self._file: BinaryIO | None = None
        self._size = 0
        self._failures = 0
        self._trouble = ""
        self._clients: OrderedDict[str, tuple[str, float]] = OrderedDict()  # address → MAC ("": several), since when
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

    def trouble(self, diagnostic: Diagnostic) -> None:
        """A server's own: it is said at once, and belongs to the reason of every wait from now on."""
        with self.changed:
            self._trouble = f"{diagnostic.summary} ({diagnostic.detail})"
            self.changed.notify_all()
        self._say(f"error: {diagnostic.summary}: {diagnostic.detail}; {diagnostic.remedy}")

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
            return "; ".join(filter(None, [text, steps.note, self._trouble]))

    def _clock(self) -> str:
        return iso(self._now())[:19] + "Z"

    # --- access log -------------------------------------------------------------------------------------

    def access(self, via: str, client: str, path: str, status: int, size: int, mac: str = "") -> None:
        """One line per request, best effort; `path` carries no secret."""
        with self.changed:
            if status >= 400:
                self._failures += 1
            mac, by = self._who(client, mac)
            if self._folder is None or (status >= 400 and self._failures > MAX_FAILURES):
                return
            record = {"time": iso(self._now()), "via": via, "from": client, "mac": mac, "by": by,
                      "host": self._hosts.get(mac, ""), "path": path[:200], "status": status, "bytes": size}
            try:
                self._write(self._folder, json.dumps(record, separators=(",", ":")).encode() + b"\n")
            except OSError:
                return  # a full disk must not stop a boot

    def _who(self, client: str, mac: str) -> tuple[str, str]:
        """The MAC, and how it is known: "name", "address", or "" for nobody."""
        known, since = self._clients.get(client, ("", 0.0))
        now = self._now()
        if not mac:
            return known, "address" if known else ""
        if mac != known:
            shared = since and now - since < LEASE_SECONDS
            self._clients[client] = "" if shared else mac, now
            self._clients.move_to_end(client)
            if len(self._clients) > MAX_CLIENTS:
                self._clients.popitem(last=False)
        return mac, "name"

    def _write(self, folder: Path, line: bytes) -> None:
        path = folder / "access.jsonl"
        if self._file is not None and self._size + len(line) > MAX_BYTES:
            self._file.close()
            self._file = None
            for number in range(KEPT, 0, -1):
                older = path if number == 1 else folder / f"access.{number - 1}.jsonl"
                if older.exists():
                    older.replace(folder / f"access.{number}.jsonl")
        if self._file is None:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = open(path, "ab", buffering=0)  # noqa: SIM115
            self._size = self._file.tell()
        self._file.write(line)
        self._size += len(line)

    def close(self) -> None:
        with self.changed:
            if self._file is not None:
                self._file.close()
                self._file = None
            self._folder = None
