"""The open boot provider: stages boot files, serves them while a run needs them, and waits for births."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from planner.catalog import Operation
from planner.model import Attrs, Diagnostic, FleetError, Image, ReadFailed, SecretRef, Step, StepFailed
from planner.ports import Call, OpenContext
from providers.boot.images import Images, Manifest
from providers.boot.machines import (
    BORN_FACTS,
    NetbootSettings,
    advice,
    check_build,
    mac_of,
    network_boots,
    play_external,
    with_problem,
)
from providers.boot.staging import disk_macs, goes_back, shown, way_of
from providers.boot.trail import Trail
from providers.midwife.desk import ACCEPTED, Desk
from providers.midwife.inbox import Birth, Inbox
from providers.midwife.standing import Boot, Standing, Standings, Way

if TYPE_CHECKING:
    from providers.boot.agentless import Watch
    from providers.boot.servers import Servers
    from providers.boot.tree import Endpoints

SERVED = frozenset({"boot.stage", "power.boot", "power.manual", "birth.wait", "install.wait"})
"""Operations that need the servers up."""

DEFAULT_PORTS: Mapping[str, int] = {"tftp": 69, "http": 80, "birth": 443}
POLL_SECONDS = 0.2


class BootSession:
    """Constructing does no I/O. Everything durable is below `.fleet/<name>/boot/` and `.fleet/<name>/midwife/`."""

    def __init__(self, context: OpenContext, images: Images) -> None:
        self._context, self._images = context, images
        folder = context.folder
        hosts = {str(r.attributes["mac"]).lower(): str(r.address) for r in context.fleet.resources.values()
                 if r.address.type == "host" and not r.address.child_type and r.attributes.get("mac")}
        self.standings = Standings(folder / "boot")
        self.inbox = Inbox(folder / "midwife")
        self.trail = Trail(folder / "boot" if context.writable else None, hosts, context.clock.now, context.say)
        self.desk = Desk(self.standings, self.inbox, context.clock, self._heard)
        self._playing = threading.Lock()
        self._servers: Servers | None = None

    # --- planner.ports.Session --------------------------------------------------------------------------

    def prepare(self, steps: Sequence[Step]) -> None:
        """Bind TFTP, HTTP and birth ports where a step needs them. Raises FleetError (port, address, remedy)."""
        if self._servers is not None or not any(step.operation in SERVED for step in steps):
            return
        self._images.prepare(self._context.fleet.images.values(), {
            str((step.after or {}).get("staged") or "") for step in steps if step.operation == "boot.stage"})
        house = self._house()
        self._servers = self._open_servers(house)
        if house is not None:
            house.network_boot = self.machine_boot(house)  # what a machine does that reboots by itself

    def observe(self, operation: Operation, call: Call) -> Attrs | None:
        """boot.stage/unstage: {"staged": digest or None, …} (see `staging`). A wait: the facts of the birth that
        answers what is staged now, None while there is none (a resumed run then restages and restarts that host)."""
        mac = mac_of(call)
        try:
            if operation.kind == "wait":
                return self.birth(mac)
            asked = {"staged", *(call.before or {}), *(call.after or {})}
            return {name: value for name, value in shown(self.standings.get(mac)).items() if name in asked}
        except (OSError, FleetError) as error:
            raise ReadFailed("the record of staged boot files cannot be read", str(error)) from error

    def run(self, operation: Operation, call: Call) -> Attrs:
        return operation.run(self, call) or {}

    def guard(self, name: str, call: Call) -> bool:
        raise ReadFailed(f"the boot provider knows no guard {name!r}")

    def close(self) -> None:
        if self._servers is not None:
            house = self._house()
            if house is not None:
                house.network_boot = None
            self._servers.stop()
            self._servers = None
        self.inbox.close()
        self.trail.close()

    # --- operations -------------------------------------------------------------------------------------

    def stage(self, call: Call) -> Attrs:
        """Stand the image `after["staged"]` for this MAC. Idempotent; run again to restage after ports changed."""
        mac, wanted = mac_of(call), str((call.after or {}).get("staged") or "")
        manifest = self._manifest(wanted, str(call.declared.get("image") or ""))
        way, spent = self._way(call, manifest)
        try:
            self.desk.stage(mac, manifest.digest, str(manifest.folder), manifest.cfg.build,
                            str(call.facts.get("born") or ""), way, spent=spent)
        except OSError as error:
            raise StepFailed("boot files could not be staged", f"{self._context.folder / 'boot'}: {error}",
                             "free space there, or make it writable") from error
        if self._servers is not None:
            self._servers.tree.manifests[manifest.digest] = manifest
        self.trail.restart(mac)
        return {}

    def _way(self, call: Call, manifest: Manifest) -> tuple[Way, bool]:
        """How it stands, and whether that is over already. Raises StepFailed where this image cannot be installed."""
        try:
            way, spent = way_of(call.after or {})
        except ValueError as error:
            raise StepFailed("this way to boot is not known", str(error), "plan again") from error
        if way.install is not None and manifest.loader != "mboot":
            raise StepFailed("this image cannot be installed by a script", f"its loader is {manifest.loader}",
                             "`install` needs an image of ESXi 5 or later")
        return way, spent

    def kickstart(self, standing: Standing, boot: Boot, ends: Endpoints) -> bytes:
        """ks.cfg of that boot (see `tree.Kickstart`). Raises LookupError."""
        from providers.boot.kickstart import options, render

        hosts = (r.attributes for r in self._context.fleet.resources.values()
                 if r.address.type == "host" and not r.address.child_type)
        declared = next((a for a in hosts if str(a.get("mac") or "").lower() == standing.mac), {})
        reference = declared.get("initial_root_password")
        if standing.way.install is None or not isinstance(reference, SecretRef):
            raise LookupError("initial_root_password is not declared")
        try:
            password = self._context.secret(reference)
            return render(standing.way.install, standing.mac, password, boot.key, options(standing, boot, ends))
        except (FleetError, StepFailed, ValueError) as error:
            raise LookupError("initial_root_password cannot be read") from error

    def unstage(self, call: Call) -> Attrs:
        """Nothing is served to this MAC any more; where a trial is revoked, what stood before it is."""
        mac = mac_of(call)
        try:
            self.desk.unstage(mac, back=goes_back(call))
        except OSError as error:
            raise StepFailed("boot files could not be revoked", f"{self._context.folder / 'boot'}: {error}",
                             "make the folder writable") from error
        self.trail.restart(mac)
        return {}

    def wait(self, call: Call) -> Attrs:
        """Until the MAC's birth after this staging is accepted. Raises StepFailed: stopped, or the deadline."""
        mac, told = mac_of(call), ""
        door = self._watch(mac)
        while True:
            if door is not None:
                door.look(call)
            facts = self.birth(mac)
            if facts is not None and facts["born"] != call.facts.get("void_birth"):
                standing = self.standings.get(mac)
                check_build(mac, facts, standing.build if standing is not None else "")
                self._play_external(mac, facts)
                return facts
            reason = self._reason(mac)
            if reason != told:
                told = reason
                call.report(f"waiting for the birth of {mac}: {reason}")
            if call.stop.is_set():
                raise StepFailed("stopped while waiting for a birth", f"{mac}: {reason}")
            if self._context.clock.now() >= call.deadline:
                raise StepFailed("no birth before the deadline", f"{mac}: {reason}", advice(reason))
            with self.trail.changed:
                self.trail.changed.wait(POLL_SECONDS)

    def _watch(self, mac: str) -> Watch | None:
        """Who looks at the host's own door where no payload announces its birth."""
        standing = self.standings.get(mac)
        if standing is None or not standing.way.agentless:
            return None
        from providers.boot.agentless import DOOR_SECONDS, SocketDoors, TwinDoors, Watch

        house = self._house()
        inside = house is not None and not house.machine(mac).external
        return Watch(mac, self.desk, self.trail, TwinDoors(house) if inside else SocketDoors(), self._context.clock.now,
                     0.0 if inside else DOOR_SECONDS)

    def _reason(self, mac: str) -> str:
        return with_problem(self.trail.reason(mac), self._house(), mac)

    def births(self, since: Mapping[str, str]) -> Mapping[str, Attrs]:
        """`since`: MAC → `born` of the birth that is known. MAC → facts of a later one that answers what is staged.

        Raises FleetError, OSError.
        """
        found = {}
        for mac, newest in self.inbox.macs():
            if mac in since and str(newest["born"]) > since[mac]:
                facts = self.birth(mac)
                if facts is not None and str(facts["born"]) > since[mac]:
                    found[mac] = facts
        return found

    # --- seams for the power provider and the twin ------------------------------------------------------

    def birth(self, mac: str) -> Attrs | None:
        """The facts of the birth that answers what is staged for this MAC now; None while there is none."""
        born = self.desk.birth(mac)
        return _facts(born) if born is not None else None

    def expect(self, mac: str, *, again: bool = True) -> None:
        """The machine is about to be restarted: only births from now on answer what is staged (see `Desk.expect`)."""
        try:
            self.desk.expect(mac, again=again)
        except OSError as error:
            raise StepFailed("the restart could not be written down", str(error), "free space") from error
        self.trail.restart(mac)

    def netboot_settings(self) -> NetbootSettings:
        """Raises FleetError where nothing is served (no step of this run boots a machine)."""
        if self._servers is None:
            raise FleetError(Diagnostic("error", "boot files are not served now", "prepare() bound no port"))
        host, port = self._servers.tftp_address
        return NetbootSettings(host, port, "mboot.efi")

    def machine_boot(self, house: Any) -> Callable[[Any], None]:
        """What a machine of the twin runs when it is powered on: its network boot client."""
        def image(mac: str) -> str:
            standing = self.desk.current(mac)
            return standing.image if standing is not None else ""

        return network_boots(house, self.netboot_settings(), self._ephemeral(), image, self._context.say)

    def _ephemeral(self) -> Mapping[int, int]:
        """The birth port where nobody chose it: to the firewall of a twin's host it counts as 443."""
        declared = self._context.block.get("ports")
        chosen = isinstance(declared, Mapping) and declared.get("birth")
        if chosen or self._servers is None:
            return {}
        return {urlsplit(self._servers.tree.endpoints.birth).port or 443: 443}

    # --- inside -----------------------------------------------------------------------------------------

    def _house(self) -> Any:
        return getattr(self._context.peer("vsphere"), "house", None)

    def _heard(self, mac: str, what: str) -> None:
        """The desk has news. Stateless machines boot when they like: a birth counts even where no step waits for it."""
        self.trail.note(mac, what)
        born = self.birth(mac) if what == ACCEPTED and self._house() is not None else None
        if born is not None:
            self._play_external(mac, born)

    def _play_external(self, mac: str, facts: Attrs) -> None:
        play_external(self._house(), self._playing, mac, facts)

    def _open_servers(self, house: Any) -> Servers:
        from providers.boot.listen import addresses
        from providers.boot.servers import Servers

        block = self._context.block
        declared = block.get("ports")
        ports = {k: 0 if house is not None else v for k, v in DEFAULT_PORTS.items()}
        if isinstance(declared, Mapping):
            ports |= {k: int(str(v)) for k, v in declared.items() if v is not None}
        listen = addresses(block.get("listen"))
        if house is None:
            self._warn(listen, ports)
        servers = Servers.open(listen, ports, self)
        tree = servers.tree
        tree.manifests.update(self._standing_manifests())
        tree.kept, tree.kickstart = disk_macs(self._context.fleet), self.kickstart
        tree.loaders = Path(str(block["loaders"])) if block.get("loaders") else None
        return servers

    def _warn(self, listen: Sequence[str], ports: Mapping[str, int]) -> None:
        if all(address.startswith("127.") or address == "::1" for address in listen):
            self._context.say(f"warning: boot files are served at {' and '.join(listen)}, which no other machine "
                              "reaches; set provider.boot.listen to this machine's address on the boot network")
        for kind in ("http", "birth"):
            if ports[kind] not in (80, 443):
                self._context.say(f"warning: a host just born reaches only TCP 80 and 443, and provider.boot.ports."
                                  f"{kind} is {ports[kind] or 'any'}")

    def _standing_manifests(self) -> dict[str, Manifest]:
        """Manifests of what already stands (a resumed run): those whose bytes are still the same."""
        found = {}
        for digest, source in self.standings.images().items():
            try:
                manifest = self._images.manifest(Image("standing", source))
            except FleetError:
                continue  # staged from a folder that is gone: nothing of it can be served
            if manifest.digest == digest:
                found[digest] = manifest
        return found

    def _manifest(self, wanted: str, declared: str) -> Manifest:
        """The image with that digest: the host's declared one first, then any other, what stands, what is stored."""
        images = sorted(self._context.fleet.images.values(), key=lambda i: i.name != declared)
        standing = [Image("standing", source) for digest, source in self.standings.images().items() if digest == wanted]
        stored = self._images.store.find(wanted)
        kept = [Image("stored", str(stored.folder))] if stored is not None else []
        problems: list[str] = []
        for image in (*images, *standing, *kept):
            try:
                manifest = self._images.manifest(image)
            except FleetError as error:
                problems.append(str(error))
                continue
            if manifest.digest == wanted:
                return manifest
        raise StepFailed("the planned image cannot be staged",
                         "; ".join([f"no folder has the content {wanted[:12]}… any more", *problems]),
                         "restore the image's files, or plan again")

    @property
    def folder(self) -> Path:
        return self._context.folder


def _facts(born: Birth) -> Attrs:
    return {name: born[name] for name in BORN_FACTS}
