"""Which MAC belongs to which fleet: one MAC in one fleet, whatever several fleet files say."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from planner.model import Diagnostic, FleetError
from providers.files import replace_file

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Owned:
    """A MAC of a fleet. `host`: the address that declares it; `disk`: it boots from there while nothing is staged."""

    fleet: str
    host: str = ""
    name: str = ""
    disk: bool = False


class Taken(Exception):
    """MACs that belong to other fleets: MAC → that fleet's name."""

    def __init__(self, macs: Mapping[str, str]) -> None:
        super().__init__(", ".join(f"{mac} ({fleet})" for mac, fleet in sorted(macs.items())))
        self.macs = dict(macs)


class Macs(Mapping[str, str]):
    """The register, kept in one file. As a mapping: MAC → what to call its host in a log. Thread-safe."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._owned: dict[str, Owned] = {}

    def load(self) -> None:
        """Raises FleetError where the file is damaged."""
        try:
            data = json.loads(self._path.read_bytes())
            if data["format"] != FORMAT:
                raise ValueError(f"format {data['format']}, this version reads {FORMAT}")
            self._owned = {mac: Owned(**row) for mac, row in data["macs"].items()}
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise FleetError(Diagnostic(
                "error", "the register of MACs cannot be read", f"{self._path}: {error}",
                remedy="restore it from a backup; or remove it: the next apply of each fleet writes its own MACs again",
            )) from error

    def owner(self, mac: str) -> Owned | None:
        return self._owned.get(mac)

    def all(self) -> dict[str, Owned]:
        with self._lock:
            return dict(self._owned)

    def of(self, fleet: str) -> dict[str, Owned]:
        with self._lock:
            return {mac: owned for mac, owned in self._owned.items() if owned.fleet == fleet}

    def disks(self) -> frozenset[str]:
        """MACs that boot from their own disk while nothing is staged for them."""
        with self._lock:
            return frozenset(mac for mac, owned in self._owned.items() if owned.disk)

    def claim(self, wanted: Mapping[str, Owned]) -> None:
        """Write these down, all or none. Raises Taken, OSError."""
        with self._lock:
            taken = {mac: self._owned[mac].fleet for mac, owned in wanted.items()
                     if mac in self._owned and self._owned[mac].fleet != owned.fleet}
            if taken:
                raise Taken(taken)
            self._replace({**self._owned, **wanted})

    def keep(self, fleet: str, wanted: Mapping[str, Owned], stands: Callable[[str], bool]) -> None:
        """The whole fleet: claim these, and let go of its others for which nothing `stands`. Raises Taken, OSError."""
        self.claim(wanted)
        with self._lock:
            self._replace({mac: owned for mac, owned in self._owned.items()
                           if owned.fleet != fleet or mac in wanted or stands(mac)})

    def release(self, fleet: str, mac: str) -> None:
        """Raises OSError."""
        with self._lock:
            if mac in self._owned and self._owned[mac].fleet == fleet:
                self._replace({m: o for m, o in self._owned.items() if m != mac})

    def _replace(self, owned: dict[str, Owned]) -> None:
        if owned == self._owned:
            return
        rows = {mac: asdict(owned[mac]) for mac in sorted(owned)}
        replace_file(self._path, json.dumps({"format": FORMAT, "macs": rows}, indent=1).encode())
        self._owned = owned

    # --- as a mapping, for the access log -------------------------------------------------------------------

    def __getitem__(self, mac: str) -> str:
        owned = self._owned[mac]
        return f"{owned.fleet} {owned.host or mac}"

    def __iter__(self) -> Iterator[str]:
        return iter(dict(self._owned))

    def __len__(self) -> int:
        return len(self._owned)
