"""What stands staged per MAC: the image, and the boot (nonce and key) minted when its configuration was served.

One JSON file per MAC, mode 0600, replaced atomically, so that a later command sees it after a kill. A
`generation` is one expectation of a birth: births of an earlier generation never answer a later one.

A staging is for every boot (a stateless host), or for one: `once`. That one is `spent` when the machine has all of
its image; from then on it is told to boot from its own disk, until somebody stages or restarts it again.

A `trial` is for every boot until a birth of it is accepted; from then on the machine boots again what stood before
(`former`), until somebody says that the new image is to stay: what has not been read back clean never stands alone.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from planner.model import Diagnostic, FleetError
from providers.files import replace_file

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Boot:
    """One serving of a MAC's boot configuration. `key` is 64 hex digits; neither it nor the nonce is ever logged."""

    id: str
    nonce: str
    key: str
    minted: float  # seconds since the epoch
    expires: float
    client: str  # the address that fetched it
    challenged: bool = False  # a 428 was answered: the next clock may be up to five minutes off
    relative: bool = False  # its files are fetched by TFTP, from its own folder

    def __repr__(self) -> str:
        return f"Boot({self.id})"


@dataclass(frozen=True, slots=True)
class Way:
    """How a machine boots what is staged. `install`: where the image's installer puts it (the host's `install`)."""

    once: bool = False
    agentless: bool = False  # the image gets no payload: Secure Boot would not run it
    install: Mapping[str, Any] | None = None
    trial: bool = False


EVERY_BOOT = Way()


@dataclass(frozen=True, slots=True)
class Former:
    """What stood before a trial, and stands again after it: an image's digest, its folder, its build."""

    image: str
    source: str
    build: str = ""
    agentless: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """What a MAC boots: `image` is the digest, `source` the folder it came from.

    With a midwife of several fleets, `fleet` owns the MAC. `root`: root's first password as a crypt hash, for the
    kickstart of an installation where whoever serves it does not know the password.
    """

    mac: str
    image: str
    source: str
    generation: str
    staged: float
    build: str = ""
    boot: Boot | None = None
    way: Way = EVERY_BOOT
    spent: bool = False
    fleet: str = ""
    root: str = field(default="", repr=False)
    former: Former | None = None


class Standings:
    """The table of all MACs. Constructing does no I/O; a folder of None keeps everything in memory."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._lock = threading.RLock()
        self._known: dict[str, Standing] = {}
        self._read_all = False

    def get(self, mac: str) -> Standing | None:
        """Raises FleetError where the record is damaged or from a newer version."""
        with self._lock:
            if mac not in self._known and self._folder is not None and not self._read_all:
                found = self._read(self._folder / _file_name(mac))
                if found is not None:
                    self._known[mac] = found
            return self._known.get(mac)

    def all(self) -> Mapping[str, Standing]:
        with self._lock:
            if not self._read_all and self._folder is not None and self._folder.is_dir():
                for path in sorted(self._folder.glob("01-*.json")):
                    found = self._read(path)
                    if found is not None:
                        self._known.setdefault(found.mac, found)
            self._read_all = True
            return dict(self._known)

    def images(self) -> dict[str, str]:
        """Digest → folder of everything that may have to be served, what trials fall back to included."""
        found: dict[str, str] = {}
        for standing in self.all().values():
            found[standing.image] = standing.source
            if standing.former is not None:
                found.setdefault(standing.former.image, standing.former.source)
        return found

    def put(self, standing: Standing, *, durable: bool) -> None:
        """Raises OSError. `durable`: synced before it returns."""
        with self._lock:
            if self._folder is not None:
                self._folder.mkdir(parents=True, exist_ok=True)
                document = {"format": FORMAT, **asdict(standing)}
                replace_file(self._folder / _file_name(standing.mac), json.dumps(document).encode(), durable=durable)
            self._known[standing.mac] = standing

    def change(self, mac: str, edit: Callable[[Standing], Standing], *, durable: bool = False) -> Standing | None:
        """Read, edit and write one record as one act; None where nothing stands. Raises OSError."""
        with self._lock:
            found = self.get(mac)
            if found is None:
                return None
            edited = edit(found)
            if edited != found:
                self.put(edited, durable=durable)
            return edited

    def remember(self, standing: Standing) -> None:
        """In memory only: what could not be written."""
        with self._lock:
            self._known[standing.mac] = standing

    def drop(self, mac: str) -> Standing | None:
        with self._lock:
            found = self.get(mac)
            if self._folder is not None:
                (self._folder / _file_name(mac)).unlink(missing_ok=True)
            self._known.pop(mac, None)
            return found

    def _read(self, path: Path) -> Standing | None:
        try:
            text = path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            data = json.loads(text)
            version = data.pop("format")
            boot, way, former = data.pop("boot"), data.pop("way", {}), data.pop("former", None)
            if version == FORMAT:
                return replace(Standing(**data), boot=Boot(**boot) if boot else None, way=Way(**way),
                               former=Former(**former) if former else None)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise FleetError(Diagnostic("error", "a record of staged boot files is damaged", f"{path}: {error}",
                                        remedy="remove the file; the host is staged anew")) from error
        raise FleetError(Diagnostic("error", "a record of staged boot files is from a newer version",
                                    f"{path}: format {version}, this version reads {FORMAT}",
                                    remedy="use the newer fleet"))


def _file_name(mac: str) -> str:
    return f"01-{mac.replace(':', '-')}.json"
