"""The midwife's desk: mints a nonce when a boot configuration is served, and judges every birth message.

Thread-safe and free of sockets. Reply codes are the contract's: 201 accepted and durable; 200 the same bytes
again; 428 authentic, clock off; 409 an accepted nonce with another body; 401 forged, expired, unknown, superseded;
400 no birth message; 503 the birth could not be written down (the host repeats the same bytes).
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

from planner.ports import Clock
from providers.midwife.inbox import Birth, Inbox
from providers.midwife.message import (
    BadMessage,
    Message,
    authentic,
    certificate_thumbprint,
    checked_thumbprint,
    parse,
)
from providers.midwife.standing import EVERY_BOOT, Boot, Former, Standing, Standings, Way

NONCE_SECONDS = 3600.0
INSTALL_NONCE_SECONDS = 7200.0
"""Of a boot that installs: its nonce is used after the second start."""
CLOCK_TOLERANCE = 60
CLOCK_TOLERANCE_AFTER_428 = 300
MAX_SUPERSEDED = 4096
FIRST_USE = "first use"
"""How an agentless birth is trusted: its certificate is the first that the door showed."""
ACCEPTED = "birth accepted"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to answer. `durable` must have resolved before a 201 or 200 leaves; its failure means 503."""

    status: int
    reply: dict[str, object]
    reason: str = ""  # for our own records; the reply to a stranger says less
    mac: str = ""
    durable: Future[None] | None = None


@dataclass(slots=True)
class _Accepted:
    body_sha256: str
    durable: Future[None]


@dataclass(slots=True)
class _Memory:
    superseded: OrderedDict[str, str] = field(default_factory=OrderedDict)  # digest of a nonce → MAC
    accepted: dict[str, _Accepted] = field(default_factory=dict)  # boot id → what was accepted in this process


class Desk:
    """`changed` is called (with a MAC and a sentence) whenever something happens that a waiting step may report."""

    def __init__(self, standings: Standings, inbox: Inbox, clock: Clock,
                 changed: Callable[[str, str], None] = lambda _mac, _what: None) -> None:
        self._standings, self._inbox, self._clock, self._changed = standings, inbox, clock, changed
        self._lock = threading.RLock()
        self._memory = _Memory()

    # --- staging ----------------------------------------------------------------------------------------

    def stage(self, mac: str, image: str, source: str, build: str, known_birth: str, way: Way = EVERY_BOOT, *,
              spent: bool = False, fleet: str = "", root: str = "") -> Standing:
        """Stand these boot files for the MAC, durably. Idempotent: a staging whose birth nobody has used yet stays.

        `known_birth` is the `born` fact that the caller already has: a birth equal to it is used up, so that a
        new generation begins. `spent`: a staging for one boot, which is over. `fleet`, `root`: see Standing. Raises
        OSError.
        """
        with self._lock:
            found = self._standings.get(mac)
            if found is not None and (found.image, found.way, found.fleet) == (image, way, fleet):
                born = self._inbox.newest(mac, found.generation)
                if born is None or born["born"] != known_birth:
                    kept = replace(found, source=source, build=build, spent=spent, root=root)
                    self._standings.put(kept, durable=True)
                    return kept
            self._forget(found)
            fresh = Standing(mac, image, source, secrets.token_hex(8), self._clock.now(), build, way=way, spent=spent,
                             fleet=fleet, root=root, former=_former(found) if way.trial else None)
            self._standings.put(fresh, durable=True)
            return fresh

    def current(self, mac: str) -> Standing | None:
        """What the MAC boots now. A trial that brought a birth is over: what stood before it stands again, or nothing.

        Raises OSError.
        """
        with self._lock:
            found = self._standings.get(mac)
            if found is None or not found.way.trial or self._inbox.newest(mac, found.generation) is None:
                return found
            back = self._fall_back(found)
        if back is not None:
            self._changed(mac, "it boots again; what was tried is not confirmed, and so it gets the image before")
        return back

    def _fall_back(self, found: Standing) -> Standing | None:
        self._forget(found)
        old = found.former
        if old is None:
            self._standings.drop(found.mac)
            return None
        back = Standing(found.mac, old.image, old.source, secrets.token_hex(8), self._clock.now(), old.build,
                        way=Way(agentless=old.agentless), fleet=found.fleet)
        self._standings.put(back, durable=True)
        return back

    def expect(self, mac: str, *, again: bool = True) -> None:
        """The machine is about to be restarted: births up to now no longer answer what is staged. Raises OSError.

        Not `again`: a staging for one boot that is over stays so, and the machine starts from its disk; and a trial
        that was born is not tried once more.
        """
        with self._lock:
            found = self._standings.get(mac)
            if found is not None and found.spent and not again:
                return
            self._forget(self._standings.get(mac) if again else self.current(mac))
            self._standings.change(mac, lambda s: replace(s, generation=secrets.token_hex(8), boot=None, spent=False))

    def unstage(self, mac: str, *, back: bool = False) -> None:
        """Nothing stands for this MAC any more; its nonce is void. `back`: a trial ends, as if it had been born."""
        with self._lock:
            found = self._standings.get(mac)
            if back and found is not None and found.way.trial:
                self._fall_back(found)
            else:
                self._forget(self._standings.drop(mac))

    def mint(self, mac: str, client: str, *, relative: bool = False) -> tuple[Standing, Boot] | None:
        """A new boot for a MAC whose configuration is being served; None where nothing stands, or what stands is
        spent. Raises OSError."""
        with self._lock:
            before = self._standings.get(mac)
            if before is None or before.spent:
                return None
            now, lives = self._clock.now(), INSTALL_NONCE_SECONDS if before.way.install else NONCE_SECONDS
            boot = Boot(secrets.token_hex(8), secrets.token_hex(16), secrets.token_hex(32), now, now + lives, client,
                        relative=relative)
            self._forget(before)
            standing = self._standings.change(mac, lambda s: replace(s, boot=boot))
        if before.boot is not None:
            self._changed(mac, f"boot configuration fetched again by {client}; the earlier nonce is void")
        return (standing, boot) if standing is not None else None

    def handed_over(self, mac: str, boot: str) -> None:
        """The machine has all of its image, of that boot: a staging for one boot is spent.

        A disk that is full is no reason to install a machine twice: it is then spent for as long as this runs.
        """
        with self._lock:
            standing = self._standings.get(mac)
            if standing is None or standing.boot is None or standing.boot.id != boot or not standing.way.once:
                return
            try:
                self._standings.change(mac, lambda s: replace(s, spent=True), durable=True)
            except OSError as error:
                self._standings.remember(replace(standing, spent=True))
                self._changed(mac, f"that it has its image could not be written down: {error}")

    def _forget(self, standing: Standing | None) -> None:
        if standing is None or standing.boot is None:
            return
        superseded = self._memory.superseded
        superseded[_sha256(standing.boot.nonce)] = standing.mac
        while len(superseded) > MAX_SUPERSEDED:
            superseded.popitem(last=False)
        self._memory.accepted.pop(standing.boot.id, None)

    # --- births -----------------------------------------------------------------------------------------

    def birth(self, mac: str) -> Birth | None:
        """The birth that answers what is staged for this MAC now."""
        with self._lock:
            standing = self._standings.get(mac)
            return self._inbox.newest(mac, standing.generation) if standing is not None else None

    def seen(self, mac: str, boot: str, facts: Mapping[str, str]) -> Future[None] | None:
        """An agentless birth: what answered at the host's own door after that boot, trusted on first use.

        `facts`: uuid, serial, ip, version, build, certificate (PEM), from. Resolves once it is on disk; None where
        that boot is not the MAC's newest any more. Raises BadMessage for a certificate that is none.
        """
        with self._lock:
            standing = self._standings.get(mac)
            if standing is None or standing.boot is None or standing.boot.id != boot:
                return None
            if self._inbox.of_boot(boot) is not None:
                done: Future[None] = Future()
                done.set_result(None)
                return done
            durable = self._inbox.append({
                **facts, "thumbprint": certificate_thumbprint(facts["certificate"]), "mac": mac,
                "born": iso(self._clock.now()), "image": standing.image, "generation": standing.generation,
                "boot": boot, "body_sha256": "", "agentless": True, "trust": FIRST_USE, **_owner(standing)})
        durable.add_done_callback(lambda done: self._on_disk(mac, done))
        return durable

    def judge(self, body: bytes, client: str) -> Verdict:
        """Decide about one `POST /v1/births`. Never raises for anything that a stranger can send."""
        mac = ""
        try:
            message = parse(body)
            mac = message.mac
            with self._lock:
                verdict = self._judge(message, client)
        except BadMessage as error:
            verdict = Verdict(400, {"error": str(error)}, str(error), mac)
        if verdict.status >= 400 and verdict.status != 503:
            self._inbox.refuse({"time": iso(self._clock.now()), "from": client, "mac": verdict.mac,
                                "status": verdict.status, "reason": verdict.reason})
            if verdict.mac:
                self._changed(verdict.mac, f"a birth message from {client} was refused: {verdict.reason}")
        return verdict

    def _judge(self, message: Message, client: str) -> Verdict:
        mac = message.mac
        standing = self._standings.get(mac)
        boot = standing.boot if standing is not None else None
        if standing is None or boot is None or not _same(message.nonce, boot.nonce):
            return _refused(mac, self._stranger(message, standing))
        if not authentic(message, bytes.fromhex(boot.key)):
            return _refused(mac, "its signature is wrong (forged)")
        accepted = self._accepted(boot)
        if accepted is not None:
            if accepted.body_sha256 != message.body_sha256:
                return Verdict(409, {"error": "this nonce was accepted with another body"},
                               "another body for an accepted nonce", mac)
            return Verdict(200, {"status": "accepted"}, "the same birth again", mac, accepted.durable)
        now = self._clock.now()
        if now > boot.expires:
            return _refused(mac, f"its nonce expired at {iso(boot.expires)}")
        thumbprint = checked_thumbprint(message)
        off = abs(message.clock - now)
        if off > (CLOCK_TOLERANCE_AFTER_428 if boot.challenged else CLOCK_TOLERANCE):
            self._standings.change(mac, lambda s: replace(s, boot=replace(boot, challenged=True)))
            return Verdict(428, {"error": "set the clock and post once more", "clock": int(now)},
                           f"its clock is {off:.0f} s off", mac)
        return self._accept(message, thumbprint, standing, boot, client, now)

    def _stranger(self, message: Message, standing: Standing | None) -> str:
        owner = self._memory.superseded.get(_sha256(message.nonce))
        if owner is not None:
            return "its boot was superseded by a newer one" if owner == message.mac else "the nonce of another MAC"
        return "unknown MAC: nothing is staged for it" if standing is None else "unknown nonce"

    def _accepted(self, boot: Boot) -> _Accepted | None:
        found = self._memory.accepted.get(boot.id)
        if found is not None:
            if found.durable.done() and found.durable.exception() is not None:
                del self._memory.accepted[boot.id]  # it never reached the disk: as if never sent
                return None
            return found
        record = self._inbox.of_boot(boot.id)
        if record is None:
            return None
        done: Future[None] = Future()
        done.set_result(None)
        return _Accepted(record["body_sha256"], done)

    def _accept(self, message: Message, thumbprint: str, standing: Standing, boot: Boot, client: str,
                now: float) -> Verdict:
        record: Birth = {
            "born": iso(now), "mac": message.mac, "uuid": message.uuid, "serial": message.serial,
            "ip": message.address, "version": message.version, "build": message.build,
            "certificate": message.certificate, "thumbprint": thumbprint, "image": standing.image,
            "generation": standing.generation, "boot": boot.id, "body_sha256": message.body_sha256, "from": client,
            **_owner(standing),
        }
        durable = self._inbox.append(record)
        self._memory.accepted[boot.id] = _Accepted(message.body_sha256, durable)
        durable.add_done_callback(lambda done: self._on_disk(message.mac, done))
        return Verdict(201, {"status": "accepted"}, "", message.mac, durable)

    def _on_disk(self, mac: str, done: Future[None]) -> None:
        error = done.exception()
        self._changed(mac, ACCEPTED if error is None else f"a birth could not be written down: {error}")


def _former(found: Standing | None) -> Former | None:
    """What a trial falls back to; a trial after a trial, to the same. What was for one boot stands no more."""
    if found is None or found.way.once:
        return None
    return found.former if found.way.trial else Former(found.image, found.source, found.build, found.way.agentless)


def _owner(standing: Standing) -> Birth:
    return {"fleet": standing.fleet} if standing.fleet else {}


def _refused(mac: str, reason: str) -> Verdict:
    return Verdict(401, {"error": "not accepted"}, reason, mac)


def _same(left: str, right: str) -> bool:
    return hmac.compare_digest(left.encode("utf-8", "replace"), right.encode())


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def iso(seconds: float) -> str:
    """Seconds since the epoch → ISO 8601, UTC, microseconds."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(timespec="microseconds")
