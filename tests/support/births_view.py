"""A view of births that a script drives: what the births page shows while hosts are being born."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

from providers.midwife.view import STAGES, Happening, HostProgress, Unclaimed


def mac(number: int) -> str:
    return f"52:54:00:00:00:{number:02x}"


def when(second: int) -> str:
    return f"2026-11-22T03:{second // 60:02}:{second % 60:02}.000000+00:00"


class ScriptedBirths:
    """`count` hosts, all off. `advance` brings one of them a stage further."""

    fleet = "lab"

    def __init__(self, count: int) -> None:
        self._lock = threading.Lock()
        self._time = 0
        self._hosts = [HostProgress(f'host.esx["esx{n:02}"]', f"esx{n:02}.lab.example", mac(n), 0, "")
                       for n in range(1, count + 1)]
        self._happenings: list[Happening] = []
        self._unclaimed: list[Unclaimed] = []
        self.broken = ""

    def advance(self, number: int, problem: str = "") -> HostProgress:
        """Host `number` (from 1): one stage on, or stuck where it is, with a problem."""
        with self._lock:
            self._time += 7
            host = self._hosts[number - 1]
            host = replace(host, problem=problem) if problem else replace(
                host, stage=min(len(STAGES), host.stage + 1), since=when(self._time), problem="")
            if host.stage == STAGES.index("born") + 1 and not problem:
                host = replace(host, image="esxi8")
                self._happenings.append(Happening(when(self._time), host.mac, host.host, f"10.0.0.{10 + number}",
                                                  f"10.0.0.{10 + number}", "esxi8", "d" * 64, "payload", True))
            self._hosts[number - 1] = host
            return host

    def refuse(self, source_mac: str, reason: str) -> None:
        with self._lock:
            self._time += 3
            host = next((h.host for h in self._hosts if h.mac == source_mac), "")
            self._happenings.append(Happening(when(self._time), source_mac, host, "", "10.0.0.66", "", "", "", False,
                                              reason))
            if not host:
                self._unclaimed.append(Unclaimed(source_mac, when(self._time), "10.0.0.66", "posted a birth", 1))

    def hosts(self) -> Sequence[HostProgress]:
        if self.broken:
            raise OSError(self.broken)
        with self._lock:
            return list(self._hosts)

    def happenings(self, limit: int, mac: str = "") -> Sequence[Happening]:
        with self._lock:
            return [h for h in self._happenings if mac in ("", h.mac)][-limit:]

    def unclaimed(self) -> Sequence[Unclaimed]:
        with self._lock:
            return list(self._unclaimed)
