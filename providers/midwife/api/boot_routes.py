"""What a runner stages: which MAC boots which image, in which way.

| call | body or query | answer |
|---|---|---|
| GET site | | `tftp` [address, port], `http`, `birth` (URLs), `any_birth_port` |
| POST boot/claim | `macs`: {MAC: {host, name, disk}}, every MAC of the fleet | {}; or 409 "conflict" |
| POST boot/stage | `mac`, `image`, `known_birth`, `boots`, `installs`, `agentless`, `root`, and as above | {} |
| POST boot/unstage | `mac`, `release`: the MAC leaves the fleet; `back`: a trial ends as if it had failed | {} |
| POST boot/expect | `mac`, `again`: what was for one boot is so once more | {}: births up to now answer nothing |
| GET boot/staged | `mac` | `staged`, `boots`, `installs`, `agentless`, each or null |

`boots`, `installs` and `agentless` are a step's attributes (`providers.boot.staging`). `root` is the SHA-512 crypt hash
of root's first password, for the kickstart of an installation: the password itself stays with the runner. All but the
GETs need the fleet's lock. The 409 for a MAC of another fleet has `macs`: {MAC: that fleet's name}.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from providers.boot.staging import shown, way_of
from providers.midwife.api.wire import ApiError, Reply, Request, Route
from providers.midwife.message import BadMessage, normal_mac
from providers.midwife.service.macs import Owned, Taken

if TYPE_CHECKING:
    from providers.midwife.service.midwife import Midwife

MAX_MACS = 20_000
MAX_TEXT = 300
CLAIM_BYTES = 8 << 20
_CRYPT = re.compile(r"\$6\$[./0-9A-Za-z$=]{1,200}\Z")


def routes(midwife: Midwife) -> Sequence[Route]:
    calls = BootCalls(midwife)
    return (Route("GET", "site", calls.site),
            Route("POST", "boot/claim", calls.claim, locked=True, body=CLAIM_BYTES),
            Route("POST", "boot/stage", calls.stage, locked=True),
            Route("POST", "boot/unstage", calls.unstage, locked=True),
            Route("POST", "boot/expect", calls.expect, locked=True),
            Route("GET", "boot/staged", calls.staged))


class BootCalls:
    """They run in threads, several at once."""

    def __init__(self, midwife: Midwife) -> None:
        self._midwife = midwife

    def site(self, _request: Request) -> Reply:
        servers = self._midwife.servers
        ends = servers.tree.endpoints
        return Reply({"tftp": list(servers.tftp_address), "http": ends.http, "birth": ends.birth,
                      "birth_port": urlsplit(ends.birth).port or 443,
                      "any_birth_port": self._midwife.settings.ports["birth"] == 0})

    def claim(self, request: Request) -> Reply:
        rows = request.json().get("macs")
        if not isinstance(rows, Mapping) or len(rows) > MAX_MACS:
            raise ApiError("bad_request", "`macs` must be an object of MACs", f"at most {MAX_MACS}")
        wanted = {mac_of(mac): _owned(request.fleet, row if isinstance(row, Mapping) else {})
                  for mac, row in rows.items()}
        standings = self._midwife.standings
        try:
            self._midwife.macs.keep(request.fleet, wanted, lambda mac: standings.get(mac) is not None)
        except Taken as taken:
            raise _taken(taken) from taken
        self._midwife.disks_changed()
        return Reply()

    def stage(self, request: Request) -> Reply:
        data = request.json()
        mac, digest, root = mac_of(data.get("mac")), _text(data, "image"), _text(data, "root")
        try:
            way, spent = way_of(data)
        except (ValueError, TypeError) as error:
            raise ApiError("bad_request", "this way to boot is not known", str(error),
                           "use the same version of fleet on both sides") from error
        if root and not _CRYPT.match(root):
            raise ApiError("bad_request", "`root` is no SHA-512 crypt hash")
        manifest = self._midwife.serve(digest)
        if way.install is not None and manifest.loader != "mboot":
            raise ApiError("wrong", "this image cannot be installed by a script", f"its loader is {manifest.loader}",
                           "`install` needs an image of ESXi 5 or later")
        try:
            self._midwife.macs.claim({mac: _owned(request.fleet, data)})
        except Taken as taken:
            raise _taken(taken) from taken
        self._midwife.disks_changed()
        self._midwife.desk.stage(mac, digest, str(manifest.folder), manifest.cfg.build, _text(data, "known_birth"), way,
                                 spent=spent, fleet=request.fleet, root=root)
        self._midwife.trail.restart(mac)
        return Reply()

    def unstage(self, request: Request) -> Reply:
        data = request.json()
        mac = self.own(request, data.get("mac"))
        self._midwife.desk.unstage(mac, back=data.get("back") is True)
        self._midwife.trail.restart(mac)
        if data.get("release"):
            self._midwife.macs.release(request.fleet, mac)
            self._midwife.disks_changed()
        return Reply()

    def expect(self, request: Request) -> Reply:
        data = request.json()
        mac = self.own(request, data.get("mac"))
        self._midwife.desk.expect(mac, again=bool(data.get("again", True)))
        self._midwife.trail.restart(mac)
        return Reply()

    def staged(self, request: Request) -> Reply:
        return Reply(shown(self._midwife.standings.get(self.own(request, request.query.get("mac")))))

    def own(self, request: Request, mac: object) -> str:
        """A MAC that no other fleet has. Raises ApiError."""
        return own(self._midwife, request.fleet, mac)


def own(midwife: Midwife, fleet: str, mac: object) -> str:
    """The MAC in its usual spelling, where no other fleet has it. Raises ApiError."""
    found = mac_of(mac)
    owned = midwife.macs.owner(found)
    if owned is not None and owned.fleet != fleet:
        raise _taken(Taken({found: owned.fleet}))
    return found


def mac_of(text: object) -> str:
    """Raises ApiError."""
    try:
        return normal_mac(str(text or ""))
    except BadMessage as error:
        raise ApiError("bad_request", "this is no MAC address", str(text)[:40]) from error


def _taken(taken: Taken) -> ApiError:
    return ApiError("conflict", "a MAC belongs to another fleet at this midwife", str(taken),
                    "declare it in one fleet only; the other one lets go of it with its next apply", macs=taken.macs)


def _owned(fleet: str, row: Mapping[str, Any]) -> Owned:
    return Owned(fleet, _text(row, "host"), _text(row, "name"), bool(row.get("disk")))


def _text(row: Mapping[str, Any], name: str) -> str:
    found = row.get(name)
    if found is not None and (not isinstance(found, str) or len(found) > MAX_TEXT):
        raise ApiError("bad_request", f"`{name}` must be a text", f"of at most {MAX_TEXT} characters")
    return found or ""
