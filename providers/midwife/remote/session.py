"""The boot session of a fleet whose midwife is another machine: it stages there, and waits for births from there.

A link that is cut is waited out: changes are repeated for `provider.boot.patience` seconds, waits until their deadline.
Nothing is served here, and nothing durable is kept.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from planner.catalog import Operation
from planner.model import Attrs, Diagnostic, FleetError, ReadFailed, SecretRef, Step, StepFailed
from planner.ports import Call, OpenContext
from providers.boot.images import Images
from providers.boot.machines import (
    NetbootSettings,
    advice,
    check_build,
    mac_of,
    network_boots,
    play_external,
    with_problem,
)
from providers.boot.session import SERVED
from providers.boot.staging import disk_macs, goes_back, way_of
from providers.midwife.message import BadMessage, normal_mac
from providers.midwife.remote.client import Client, Unreachable

if TYPE_CHECKING:
    from providers.midwife.remote.agentless import RemoteWatch

PATIENCE = 900.0
"""Where provider.boot.patience is unset."""

READ_PATIENCE = 60.0
WAIT_SECONDS = 5.0
"""One long poll: a stop is heard between two."""
MARGIN_SECONDS = 20.0
TRY_SECONDS = 2.0
STAGED = ("staged", "boots", "installs", "agentless")


class RemoteBootSession:
    """`planner.ports.Session`, and what the power provider and the twin need. Constructing does no I/O."""

    def __init__(self, context: OpenContext, images: Images) -> None:
        self._context, self._images = context, images
        self._playing = threading.Lock()
        self._made: list[Client] = []
        self._site: Mapping[str, Any] | None = None
        patience = context.block.get("patience")
        self._patience = float(patience) if isinstance(patience, (int, float)) else PATIENCE

    @property
    def client(self) -> Client:
        """Raises FleetError where the identity cannot be read."""
        if not self._made:
            self._made.append(open_client(self._context))
        return self._made[0]

    # --- planner.ports.Session ------------------------------------------------------------------------------

    def prepare(self, steps: Sequence[Step]) -> None:
        """Ask whether the midwife is there, claim this fleet's MACs, and bring it the images that it lacks. Raises
        FleetError: unreachable, not trusted, a MAC of another fleet, no space there."""
        from providers.midwife.remote.upload import upload

        if self._site is not None or not any(step.operation in SERVED for step in steps):
            return
        site = self.client.call("GET", "site", patience=READ_PATIENCE).json()
        self.client.call("POST", "boot/claim", {"macs": self._macs()}, patience=READ_PATIENCE)
        upload(self.client, self._context.fleet.images.values(), self._images, {
            str((step.after or {}).get("staged") or "") for step in steps if step.operation == "boot.stage"},
            self._context.say)
        self._site = site
        house = self._house()
        if house is not None:
            house.network_boot = self.machine_boot(house)

    def observe(self, operation: Operation, call: Call) -> Attrs | None:
        """As `providers.boot.session.BootSession.observe`."""
        mac = mac_of(call)
        try:
            if operation.kind == "wait":
                return self.birth(mac)
            asked = {"staged", *(call.before or {}), *(call.after or {})}
            found = self.client.call("GET", "boot/staged", query={"mac": mac}, patience=READ_PATIENCE,
                                     stop=call.stop).json()
        except FleetError as error:
            raise ReadFailed("what is staged at the midwife cannot be read", str(error), _remedy(error)) from error
        return {name: found.get(name) for name in STAGED if name in asked}

    def run(self, operation: Operation, call: Call) -> Attrs:
        return operation.run(self, call) or {}

    def guard(self, name: str, call: Call) -> bool:
        raise ReadFailed(f"the boot provider knows no guard {name!r}")

    def close(self) -> None:
        house = self._house() if self._site is not None else None
        if house is not None:
            house.network_boot = None
        for client in self._made:
            client.close()

    # --- operations -----------------------------------------------------------------------------------------

    def stage(self, call: Call) -> Attrs:
        """Stand the image `after["staged"]` for this MAC at the midwife. Idempotent."""
        mac, after = mac_of(call), call.after or {}
        try:
            way, _ = way_of(after)
        except ValueError as error:
            raise StepFailed("this way to boot is not known", str(error), "plan again") from error
        data = {"mac": mac, "image": str(after.get("staged") or ""), "known_birth": str(call.facts.get("born") or ""),
                **{name: after.get(name) for name in STAGED[1:]}, **self._about(mac, str(call.address.root))}
        if way.install is not None:
            data["root"] = self._root_hash(call)
        self._change("boot/stage", data, call, "boot files could not be staged")
        return {}

    def unstage(self, call: Call) -> Attrs:
        """Nothing is served to this MAC any more; a MAC that the fleet does not declare is let go. Where a trial is
        revoked, what stood before it is served again."""
        mac = mac_of(call)
        data = {"mac": mac, "back": goes_back(call), "release": mac not in self._macs()}
        self._change("boot/unstage", data, call, "boot files could not be revoked")
        return {}

    def wait(self, call: Call) -> Attrs:
        """Until the MAC's birth after this staging is accepted. Raises StepFailed: stopped, the deadline, or that the
        midwife does not let this fleet ask."""
        mac, reason, told = mac_of(call), "", ""
        watch = self._watch(mac, call)
        while True:
            found = self._poll(mac, call, told, watch)
            if "born" in found:
                facts: Attrs = found["born"]
                check_build(mac, facts, str(found.get("build") or ""))
                play_external(self._house(), self._playing, mac, facts)
                return facts
            told = str(found.get("told") or "")
            now_reason = with_problem(str(found["reason"]), self._house(), mac)
            if now_reason != reason:
                reason = now_reason
                call.report(f"waiting for the birth of {mac}: {reason}")
            if call.stop.is_set():
                raise StepFailed("stopped while waiting for a birth", f"{mac}: {reason}")
            if self._context.clock.now() >= call.deadline:
                raise StepFailed("no birth before the deadline", f"{mac}: {reason}", advice(reason))

    def _poll(self, mac: str, call: Call, told: str, watch: RemoteWatch | None) -> dict[str, Any]:
        """One long poll. Raises StepFailed where the midwife says no."""
        left = max(0.0, min(WAIT_SECONDS, call.deadline - self._context.clock.now()))
        asked: dict[str, object] = {"wait": round(left, 1) if told else 0, "told": told,
                                    "void": str(call.facts.get("void_birth") or "")}
        try:
            if watch is None:
                found = self.client.call("GET", f"births/{mac}", query=asked, seconds=WAIT_SECONDS + MARGIN_SECONDS,
                                         patience=0.0).json()
            else:
                found = watch.poll(asked)
        except Unreachable as error:
            call.stop.wait(TRY_SECONDS)
            return {"reason": f"{error}; trying again"}
        except FleetError as error:
            first = error.diagnostics[0]
            raise StepFailed(first.summary, first.detail, first.remedy) from error
        if failed := found.get("failed"):
            raise StepFailed(str(failed["error"]), str(failed["detail"]), str(failed["remedy"]))
        return found

    def _watch(self, mac: str, call: Call) -> RemoteWatch | None:
        """Who looks at the host's own door where no payload announces its birth."""
        if not (call.after or {}).get("agentless") and call.declared.get("birth") != "agentless":
            return None
        from providers.midwife.remote.agentless import RemoteWatch

        house = self._house()
        inside = house is not None and not house.machine(mac).external
        return RemoteWatch(self.client, mac, call, house if inside else None, self._context.clock.now)

    def _change(self, path: str, data: Mapping[str, Any], call: Call, summary: str) -> None:
        """Raises StepFailed; in doubt where nobody answered for too long."""
        left = call.deadline - self._context.clock.now()
        try:
            self.client.call("POST", path, data, patience=max(0.0, min(self._patience, left)), stop=call.stop)
        except Unreachable as error:
            raise StepFailed(summary, str(error), _remedy(error), in_doubt=True) from error
        except FleetError as error:
            raise StepFailed(summary, str(error), _remedy(error)) from error

    def _root_hash(self, call: Call) -> str:
        """For the kickstart. Raises StepFailed."""
        from providers.boot.kickstart import crypted

        reference = call.declared.get("initial_root_password")
        if not isinstance(reference, SecretRef):
            raise StepFailed("an installation needs root's first password", "initial_root_password is not declared",
                             "set `initial_root_password` to a secret(…)")
        try:
            return crypted(call.secret(reference))
        except ValueError as error:
            raise StepFailed("root's first password cannot be used", str(error), "set another one") from error

    def births(self, since: Mapping[str, str]) -> Mapping[str, Attrs]:
        """As `providers.boot.session.BootSession.births`. Raises FleetError."""
        found: Mapping[str, Attrs] = self.client.call("POST", "births/newer", {"since": dict(since)},
                                                      patience=READ_PATIENCE).json()["births"]
        return found

    # --- seams for the power provider and the twin ----------------------------------------------------------

    def birth(self, mac: str) -> Attrs | None:
        """The facts of the birth that answers what is staged for this MAC now. Raises ReadFailed."""
        try:
            found = self.client.call("GET", f"births/{mac}", patience=READ_PATIENCE).json()
        except FleetError as error:
            raise ReadFailed("births at the midwife cannot be read", str(error), _remedy(error)) from error
        return found.get("born")

    def expect(self, mac: str, *, again: bool = True) -> None:
        """The machine is about to be restarted: only births from now on answer what is staged. `again`: see Desk."""
        try:
            self.client.call("POST", "boot/expect", {"mac": mac, "again": again}, patience=self._patience)
        except FleetError as error:
            raise StepFailed("the restart could not be written down", str(error), _remedy(error)) from error

    def netboot_settings(self) -> NetbootSettings:
        """Raises FleetError before `prepare`."""
        if self._site is None:
            raise FleetError(Diagnostic("error", "the midwife was not asked yet", "prepare() did not run"))
        host, port = self._site["tftp"]
        return NetbootSettings(str(host), int(port), "mboot.efi")

    def machine_boot(self, house: Any) -> Callable[[Any], None]:
        """What a machine of the twin runs when it is powered on: it boots from the midwife, wherever that is then."""
        self.netboot_settings()

        def image(mac: str) -> str:
            found = self.client.call("GET", "boot/staged", query={"mac": mac}, patience=READ_PATIENCE).json()
            return str(found.get("staged") or "")

        def boot(machine: Any) -> None:
            site = self._site = self.client.call("GET", "site", patience=READ_PATIENCE).json()
            ports = {int(site["birth_port"]): 443} if site.get("any_birth_port") else {}
            network_boots(house, self.netboot_settings(), ports, image, self._context.say)(machine)

        return boot

    # --- inside ---------------------------------------------------------------------------------------------

    def _house(self) -> Any:
        return getattr(self._context.peer("vsphere"), "house", None)

    def _macs(self) -> dict[str, dict[str, Any]]:
        """Every MAC that the fleet declares, and whose it is."""
        found, disks = {}, disk_macs(self._context.fleet)
        for resource in self._context.fleet.resources.values():
            if resource.address.type == "host" and not resource.address.child_type:
                try:
                    mac = normal_mac(str(resource.attributes.get("mac") or ""))
                except BadMessage:
                    continue
                name = resource.attributes.get("name")
                found[mac] = {"host": str(resource.address), "name": name if isinstance(name, str) else "",
                              "disk": mac in disks}
        return found

    def _about(self, mac: str, host: str) -> dict[str, Any]:
        return self._macs().get(mac, {"host": host, "name": "", "disk": False})


def open_client(context: OpenContext) -> Client:
    """The client that `provider.boot` describes. Raises FleetError where its identity cannot be read."""
    reference = context.block.get("identity")
    if not isinstance(reference, SecretRef):
        raise FleetError(Diagnostic(
            "error", "a remote midwife needs an identity", "provider.boot.identity is not set",
            context.fleet.place("provider.boot.identity"),
            remedy="make one with `fleet midwife enroll` there, and name it: '${secret(\"file:lab.pem\")}'"))
    return Client(str(context.block["midwife"]), context.fleet.name, context.secret(reference), context.lock_token)


def _remedy(error: FleetError) -> str:
    return error.diagnostics[0].remedy if error.diagnostics else ""
