"""What was born, and how far each host is: one read-only view for `fleet births` and for the births page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from planner.model import Fleet, FleetError
from providers.midwife.footprints import Prints
from providers.midwife.inbox import Birth
from providers.midwife.message import BadMessage, normal_mac

STAGES = ("powered", "loader", "kernel", "image handed over", "born", "cleaned", "configured")
"""What a host goes through, in this order. "loader": it fetched its boot loader or boot configuration; "cleaned": its
residual state is gone and vCenter has it."""

REFUSALS = 500
"""Refusals that are looked through for a host's newest problem."""


@dataclass(frozen=True, slots=True)
class Happening:
    """One birth message: accepted, or refused with a reason. Times are ISO 8601, UTC."""

    time: str
    mac: str
    host: str  # the address that declares this MAC; "" where none does
    ip: str
    source: str  # the address that it was posted from
    image: str  # its name in the fleet, else the first 12 digits of its digest
    digest: str
    how: str  # payload, agentless; "" of a refused message
    accepted: bool
    reason: str = ""
    version: str = ""
    build: str = ""
    uuid: str = ""
    serial: str = ""


@dataclass(frozen=True, slots=True)
class Unclaimed:
    """A MAC that nobody declares: it gets nothing, and somebody should know."""

    mac: str
    last: str
    source: str
    what: str
    times: int


@dataclass(frozen=True, slots=True)
class HostProgress:
    """`stage` counts the reached ones of STAGES: 0 is none."""

    host: str
    name: str
    mac: str
    stage: int
    since: str  # when that stage was reached; "" at 0
    image: str = ""
    problem: str = ""


class RunView(Protocol):
    """What a run, or the record of runs, knows of a host beyond its boot."""

    def reached(self, host: str) -> Mapping[str, str]:
        """Stage ("powered", "cleaned", "configured") → when it was last reached."""

    def problem(self, host: str) -> str:
        """What stopped it; "" where nothing did."""


class BirthsView(Protocol):
    """What the births page shows. May block on files; thread-safe."""

    @property
    def fleet(self) -> str: ...

    def hosts(self) -> Sequence[HostProgress]:
        """Every declared host, by address."""

    def happenings(self, limit: int, mac: str = "") -> Sequence[Happening]:
        """The newest ones, newest last."""

    def unclaimed(self) -> Sequence[Unclaimed]:
        """Newest last."""


class Records(Protocol):
    """Births and refusals (`inbox.Inbox`, or the part of it that may be seen)."""

    def latest(self, limit: int = 100, mac: str = "") -> list[Birth]: ...

    def refused(self, limit: int = REFUSALS, mac: str = "") -> list[Birth]: ...

    def macs(self) -> list[tuple[str, Birth]]: ...


class Fetched(Protocol):
    """What machines fetched (`footprints.Footprints`, or the part of it that may be seen)."""

    def read(self) -> dict[str, Prints]: ...


Declared = Mapping[str, tuple[str, str]]
"""MAC → (address of the host that declares it, its name)."""


class Births:
    """The view of whatever is declared: births, the access log, and a run where there is one. No I/O until asked."""

    def __init__(self, name: str, declared: Callable[[], Declared], inbox: Records, footprints: Fetched,
                 images: Mapping[str, str], run: RunView | None = None) -> None:
        """`images`: digest → name."""
        self._name, self._inbox, self._footprints, self._images, self._run = name, inbox, footprints, images, run
        self._declares = declared

    @property
    def fleet(self) -> str:
        return self._name

    @property
    def _declared(self) -> Declared:
        return self._declares()

    def happenings(self, limit: int, mac: str = "") -> Sequence[Happening]:
        found = [self._accepted(birth) for birth in self._inbox.latest(limit, mac)]
        found += [self._refused(record) for record in self._inbox.refused(limit, mac)]
        return sorted(found, key=lambda h: h.time)[-limit:] if limit else []

    def unclaimed(self) -> Sequence[Unclaimed]:
        found: dict[str, Unclaimed] = {}
        known = self._declared
        seen = [Unclaimed(mac, str(birth["born"]), str(birth.get("from", "")), "was born", 1)
                for mac, birth in self._inbox.macs()]
        seen += [Unclaimed(str(r["mac"]), str(r["time"]), str(r["from"]), "posted a birth", 1)
                 for r in self._inbox.refused(REFUSALS)]
        seen += [Unclaimed(mac, prints.last, prints.source, "asked for boot files", prints.times)
                 for mac, prints in self._footprints.read().items()]
        for each in sorted(seen, key=lambda u: u.last):
            if each.mac and each.mac not in known:
                before = found.pop(each.mac, None)
                found[each.mac] = _joined(before, each) if before else each
        return list(found.values())

    def hosts(self) -> Sequence[HostProgress]:
        born, prints = dict(self._inbox.macs()), self._footprints.read()
        refused = {str(r["mac"]): r for r in self._inbox.refused(REFUSALS)}
        found = []
        for mac, (host, name) in self._declared.items():
            times: dict[str, str] = dict(self._run.reached(host)) if self._run is not None else {}
            boot = prints.get(mac)
            if boot is not None:
                times |= boot.stages
            birth = born.get(mac)
            if birth is not None:
                times["born"] = str(birth["born"])
            stage, since, began = _furthest(times)
            problem = self._run.problem(host) if self._run is not None else ""
            refusal = refused.get(mac)
            if not problem and refusal is not None and str(refusal["time"]) > max(since, began):
                problem = f"a birth was refused: {refusal['reason']}"
            image = self._image(str(birth["image"])) if birth is not None and stage > STAGES.index("born") else ""
            found.append(HostProgress(host, name, mac, stage, since, image, problem))
        return found

    def _image(self, digest: str) -> str:
        return self._images.get(digest, digest[:12])

    def _host(self, mac: str) -> str:
        return self._declared.get(mac, ("", ""))[0]

    def _accepted(self, birth: Birth) -> Happening:
        def text(name: str) -> str:
            return str(birth.get(name) or "")

        how = "agentless" if birth.get("agentless") else "payload"
        return Happening(text("born"), text("mac"), self._host(text("mac")), text("ip"), text("from"),
                         self._image(text("image")), text("image"), how, True, "", text("version"), text("build"),
                         text("uuid"), text("serial"))

    def _refused(self, record: Birth) -> Happening:
        mac = str(record.get("mac", ""))
        return Happening(str(record.get("time", "")), mac, self._host(mac), "", str(record.get("from", "")), "", "", "",
                         False, str(record.get("reason", "")))


class FleetBirths(Births):
    """The view of one fleet: its inbox, its access log, and a run where there is one."""

    def __init__(self, fleet: Fleet, inbox: Records, footprints: Fetched, images: Mapping[str, str],
                 run: RunView | None = None) -> None:
        found = declared(fleet)
        super().__init__(fleet.name, lambda: found, inbox, footprints, images, run)


def declared(fleet: Fleet) -> dict[str, tuple[str, str]]:
    """MAC → (address, name) of every host of the fleet that declares one, by address."""
    found = {}
    for resource in sorted(fleet.resources.values(), key=lambda r: str(r.address)):
        if resource.address.type != "host" or resource.address.child_type:
            continue
        try:
            mac = normal_mac(str(resource.attributes.get("mac") or ""))
        except BadMessage:
            continue  # none declared: it never boots from here
        name = resource.attributes.get("name")
        found[mac] = (str(resource.address), name if isinstance(name, str) else "")
    return found


def image_names(fleet: Fleet) -> dict[str, str]:
    """Digest → name of those images of the fleet whose content can be told now, without fetching anything."""
    from providers.boot import provider

    images, found = provider.images(fleet.providers.get("boot", {})), {}
    for name, image in sorted(fleet.images.items(), reverse=True):
        try:
            outline = images.outline(image, fetch=False)
        except (FleetError, OSError):
            continue  # its files are gone or broken: births show the digest
        if outline is not None:
            found[outline.digest] = name
    return found


def _furthest(times: Mapping[str, str]) -> tuple[int, str, str]:
    """How many stages of the newest boot were reached, since when, and when that boot began."""
    began = max(times.get("powered", ""), times.get("loader", ""))
    for number in range(len(STAGES), 0, -1):
        at = times.get(STAGES[number - 1], "")
        if at and at >= began:
            return number, at, began
    return 0, "", began


def _joined(before: Unclaimed, later: Unclaimed) -> Unclaimed:
    what = later.what if later.what in before.what else f"{before.what}, {later.what}"
    return Unclaimed(later.mac, later.last, later.source, what, before.times + later.times)


def data(items: Iterable[Any]) -> list[dict[str, Any]]:
    """As JSON objects."""
    from dataclasses import asdict

    return [asdict(item) for item in items]
