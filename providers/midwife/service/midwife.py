"""The long-lived process: boot files, births, the API, and whoever restores, over one folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from planner.model import Diagnostic, FleetError, Image
from providers.boot.images import Images, Manifest
from providers.boot.store import Store
from providers.boot.trail import Trail
from providers.midwife.api.auth import Authority
from providers.midwife.desk import ACCEPTED, Desk, iso
from providers.midwife.footprints import Footprints
from providers.midwife.inbox import Birth, Inbox
from providers.midwife.room import Limits
from providers.midwife.service.bell import Bell
from providers.midwife.service.holding import Holding
from providers.midwife.service.macs import Macs
from providers.midwife.service.uploads import Uploads
from providers.midwife.standing import Boot, Standing, Standings

if TYPE_CHECKING:
    from providers.boot.servers import Servers
    from providers.boot.tree import Endpoints
    from providers.midwife.api.server import ApiServer
    from providers.midwife.api.state_routes import StateRoutes
    from providers.midwife.page import PageServer
    from providers.midwife.service.doors import DoorKeeper


class Restorer(Protocol):
    """Who brings hosts back that are born while nobody applies anything."""

    def start(self) -> None:
        """Everything serves by now. Takes up what a midwife before this one left open."""

    def born(self, fleet: str, mac: str) -> None:
        """A birth of that fleet's host is on disk. Must not block. `start` may be at work still."""

    def stop(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Settings:
    """Where everything is. `ports`: of tftp, http, birth; 0: any. `page`: None for no page. `limits`: of births."""

    folder: Path
    listen: Sequence[str]
    ports: Mapping[str, int]
    api: tuple[str, int]
    page: tuple[str, int] | None = None
    loaders: Path | None = None
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class _Clock:
    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


@dataclass
class Midwife:
    """One site's midwife (`providers.boot.servers.Site`). Constructing does no I/O.

    `restorer` may be set until `open`.
    """

    settings: Settings
    say: Callable[[str], None]
    restorer: Restorer | None = None
    now: Callable[[], float] = time.time
    standings: Standings = field(init=False)
    inbox: Inbox = field(init=False)
    trail: Trail = field(init=False)
    desk: Desk = field(init=False)
    servers: Servers = field(init=False)
    state: StateRoutes = field(init=False)
    doors: DoorKeeper = field(init=False)
    api_address: tuple[str, int] = ("", 0)
    page_address: tuple[str, int] = ("", 0)

    def __post_init__(self) -> None:
        folder = self.settings.folder
        self.macs = Macs(folder / "macs.json")
        self.standings, self.inbox = Standings(folder / "boot"), Inbox(folder / "midwife")
        self.trail = Trail(folder / "boot", self.macs, self.now, self.say)
        self.desk = Desk(self.standings, self.inbox, _Clock(self.now), self._heard)
        self.footprints = Footprints(folder / "boot" / "access.jsonl")
        self.store = Store(folder / "images")
        self.images = Images(self.store, self.say)
        self.uploads = Uploads(self.store)
        self.bell = Bell()
        self.authority = Authority(folder / "identity", self.now)
        self._holding = Holding(folder)
        self._closes: list[Callable[[], None]] = []
        self._restoring = False

    @property
    def folder(self) -> Path:
        return self.settings.folder

    # --- from start to end ----------------------------------------------------------------------------------

    def open(self) -> None:
        """Serve. Raises FleetError (another midwife there, a port, damaged files), OSError; nothing stays open then."""
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        check_addresses(self.settings)
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        host, port = self.settings.api
        self._holding.take(self.now(), f"{host}:{port}")
        self._closes.append(self._holding.release)
        self.macs.load()
        self.authority.make()
        self.uploads.sweep()
        from providers.midwife.api.state_routes import StateRoutes

        self.state = StateRoutes(self.folder / "fleets")  # leases count by a clock that never goes back
        self.state.start()
        self._closes += [self.state.close, self.trail.close, self.inbox.close]
        self._open_boot()
        self._open_api()
        self._open_page()
        if self.restorer is not None:
            self._closes.append(self.restorer.stop)
            self._restoring = True  # a birth from here on may be told twice, and is never missed
            self.restorer.start()

    def close(self) -> None:
        """End everything, the last opened first. Births that are being judged are answered."""
        while self._closes:
            try:
                self._closes.pop()()
            except Exception as error:
                self.say(f"warning: something did not end well: {type(error).__name__}: {error}")

    def _open_boot(self) -> None:
        from providers.boot.servers import Servers
        from providers.midwife.service.doors import DoorKeeper

        self.doors = DoorKeeper(self.standings, self.desk, self.trail, self.now)
        self.servers = _named(lambda: Servers.open(self.settings.listen, self.settings.ports, self,
                                                   self.folder / "identity", self.settings.limits))
        self._closes.append(self.servers.stop)
        tree = self.servers.tree
        tree.loaders, tree.kickstart = self.settings.loaders, self.kickstart
        self.disks_changed()
        for digest in self.standings.images():
            try:
                self.serve(digest)
            except FleetError as error:
                self.say(f"warning: image {digest[:12]} is staged and cannot be served: {error}")
        for standing in self.standings.all().values():
            if standing.boot is not None and self.inbox.of_boot(standing.boot.id) is None:
                self._take_up(standing, standing.boot)
        self.doors.start()
        self._closes.append(self.doors.stop)

    def _take_up(self, standing: Standing, boot: Boot) -> None:
        """A machine is in the middle of its boot, and what was seen of that is forgotten."""
        if standing.way.agentless:
            self.trail.handed_over(standing.mac, boot.id, boot.client)  # perhaps: looking at its door does no harm
        self.trail.note(standing.mac,
                        f"it fetched boot.cfg at {iso(boot.minted)[:19]}Z, before the midwife was started again")

    def _open_api(self) -> None:
        from providers.boot.net import bind
        from providers.midwife.api.routes import routes
        from providers.midwife.api.server import ApiServer

        tls = self.authority.server_context()
        sock = _named(lambda: bind("api", *self.settings.api))
        self.api_address = sock.getsockname()[:2]
        try:
            server: ApiServer = ApiServer([sock], tls, self.authority.caller, routes(self), self.state.guard, self.say)
            server.start()
        except BaseException:
            sock.close()
            raise
        self._closes.append(server.stop)

    def _open_page(self) -> None:
        if self.settings.page is None:
            return
        from providers.midwife.page import BirthsPage, PageServer
        from providers.midwife.service.journals import Journals
        from providers.midwife.service.view import site_births

        view = site_births(self.macs, self.inbox, self.footprints, Journals(self.folder / "fleets"))
        page: PageServer = PageServer(BirthsPage(view), *self.settings.page, self.settings.listen)
        page.start()
        self.page_address = page.address
        self._closes.append(page.stop)

    # --- boot files -----------------------------------------------------------------------------------------

    def serve(self, digest: str) -> Manifest:
        """Let machines fetch that image of the store. Raises FleetError where it is not there, or damaged."""
        known = self.servers.tree.manifests.get(digest)
        if known is not None:
            return known
        if self.store.find(digest) is None:
            raise FleetError(Diagnostic("error", "the midwife does not have this image", digest,
                                        remedy="apply uploads it before the first step; run that again"))
        manifest = self.images.manifest(Image(digest[:12], str(self.store.folder / digest)))
        if manifest.digest != digest:
            raise FleetError(Diagnostic("error", "a stored image is damaged", str(manifest.folder),
                                        remedy="remove that folder on the midwife; apply uploads it anew"))
        self.servers.tree.manifests[digest] = manifest
        return manifest

    def disks_changed(self) -> None:
        """The register says of more or fewer machines that they have a disk to boot from."""
        self.servers.tree.kept = self.macs.disks()

    def kickstart(self, standing: Standing, boot: Boot, ends: Endpoints) -> bytes:
        """ks.cfg of that boot (see `tree.Kickstart`). Raises LookupError."""
        from providers.boot.kickstart import options, render

        if standing.way.install is None or not standing.root:
            raise LookupError("root's first password was not staged")
        return render(standing.way.install, standing.mac, "", boot.key, options(standing, boot, ends),
                      root=standing.root)

    # --- births ---------------------------------------------------------------------------------------------

    def birth(self, mac: str) -> Birth | None:
        """The birth that answers what is staged for this MAC now."""
        return self.desk.birth(mac)

    def _heard(self, mac: str, what: str) -> None:
        self.trail.note(mac, what)
        self.bell.ring(mac)
        owned = self.macs.owner(mac)
        if what == ACCEPTED and owned is not None and self.restorer is not None and self._restoring:
            self.restorer.born(owned.fleet, mac)


def check_addresses(settings: Settings) -> None:
    """Raises FleetError where machines that boot could reach the API."""
    from providers.midwife.page import refuse_boot_address

    host = settings.api[0]
    everywhere = host in ("", "0.0.0.0", "::")  # noqa: S104  # refused, not bound
    if everywhere or (host in settings.listen and not _loopback(host)):
        raise FleetError(Diagnostic(
            "error", "the API must not listen on the boot network", f"--api {host or 'every address'}",
            remedy="name an address of this machine on another network, where runners come from"))
    if settings.page is not None:
        refuse_boot_address(settings.page[0], settings.listen)


def _loopback(host: str) -> bool:
    return host.startswith("127.") or host == "::1"


def _named(bind: Callable[[], Any]) -> Any:
    """Errors of ports speak of fleet files; here they are options of a command."""
    try:
        return bind()
    except FleetError as error:
        raise FleetError(*(Diagnostic(d.severity, d.summary, d.detail, remedy=_options(d.remedy))
                           for d in error.diagnostics)) from error


def _options(text: str) -> str:
    return (text.replace("provider.boot.ports.api", "--api").replace("provider.boot.ports.", "--ports ")
            .replace("provider.boot.listen", "--listen"))
