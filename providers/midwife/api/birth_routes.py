"""Births, for the fleet that owns them.

| call | body or query | answer |
|---|---|---|
| GET births/MAC | `wait` seconds (at most 25), `told`, `after`, `void` | see below |
| POST births/MAC/watch | the same as keys, `initial`, `lasting`: root's passwords | see below |
| POST births/MAC/seen | `boot`, `facts` | {}: an agentless birth that the runner has seen itself |
| GET births | `limit`, `mac` | `births`, `unclaimed` (`midwife.view`), `held` (`midwife.restores`) |
| POST births/newer | `since`: MAC → when the birth that is known was accepted | `births`: MAC → facts of a later one |

The birth that answers what is staged now: {`born`: facts, `generation`, `build`: of the image}; or while there is none
{`reason`: why, `told`: a short form of the reason, `handed`: [boot, address] that have all of the image, or null,
`failed`: {error, detail, remedy} where it is not waited for any more}. The answer comes when there is a birth, when the
reason is another one than `told`, or after `wait` seconds. `after`: a generation whose birth the caller has already;
`void`: the `born` fact of a birth that is worth nothing any more.

`watch` is for agentless hosts: looking at their doors takes root's passwords. They travel inside TLS, to the machine
that logs in with them; they are kept in memory while somebody waits, and written nowhere.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from providers.midwife.api.boot_routes import own
from providers.midwife.api.wire import ApiError, Reply, Request, Route
from providers.midwife.message import BadMessage

if TYPE_CHECKING:
    from providers.midwife.service.midwife import Midwife

FACTS = ("uuid", "serial", "mac", "ip", "certificate", "thumbprint", "version", "build", "image", "born")
SEEN = ("uuid", "serial", "ip", "version", "build", "certificate", "from")
MAX_WAIT = 25.0
LOOK_SECONDS = 1.0
"""How often the reason of a wait is looked at; a birth is told at once."""
MAX_LISTED = 10_000


def routes(midwife: Midwife) -> Sequence[Route]:
    calls = BirthCalls(midwife)
    return (Route("GET", "births", calls.listed), Route("GET", "births/{mac}", answer=calls.wait),
            Route("POST", "births/newer", calls.newer),
            Route("POST", "births/{mac}/watch", answer=calls.watch),
            Route("POST", "births/{mac}/seen", calls.seen, locked=True))


class BirthCalls:
    """Waiting costs no thread."""

    def __init__(self, midwife: Midwife) -> None:
        self._midwife = midwife

    async def wait(self, request: Request) -> Reply:
        return await self._wait(request, request.query)

    async def watch(self, request: Request) -> Reply:
        data = request.json()
        mac = own(self._midwife, request.fleet, request.params["mac"])
        self._midwife.doors.learn(mac, str(data.get("initial") or ""), str(data.get("lasting") or ""))
        return await self._wait(request, {k: str(v) for k, v in data.items() if k in ("wait", "told", "after", "void")})

    async def _wait(self, request: Request, asked: Mapping[str, str]) -> Reply:
        mac = own(self._midwife, request.fleet, request.params["mac"])
        try:
            seconds = min(max(float(asked.get("wait") or 0.0), 0.0), MAX_WAIT)
        except ValueError as error:
            raise ApiError("bad_request", "`wait` is no number") from error
        loop, told, seen = asyncio.get_running_loop(), asked.get("told", ""), (asked.get("after"), asked.get("void"))
        end = loop.time() + seconds
        listening = self._midwife.bell.listen(mac)
        try:
            while True:
                found = await asyncio.to_thread(self._found, mac, *seen)
                left = end - loop.time()
                if "born" in found or found["failed"] or (told and found["told"] != told) or left <= 0:
                    return Reply(found)
                await listening.wait(min(left, LOOK_SECONDS))
        finally:
            listening.close()

    def _found(self, mac: str, after: str | None, void: str | None) -> dict[str, Any]:
        standing, born = self._midwife.standings.get(mac), self._midwife.birth(mac)
        if born is not None and standing is not None and standing.generation != after and born["born"] != void:
            return {"born": {name: born[name] for name in FACTS}, "generation": standing.generation,
                    "build": standing.build}
        reason = self._midwife.trail.reason(mac) if standing is not None else "nothing is staged for it"
        boot, address = self._midwife.trail.handed_to(mac)
        minted = standing.boot if standing is not None else None
        failed = self._midwife.doors.failure(mac, minted.id) if minted is not None else None
        return {"reason": reason, "told": hashlib.sha256(reason.encode()).hexdigest()[:16],
                "handed": [boot, address] if boot else None,
                "failed": None if failed is None else {"error": failed.summary, "detail": failed.detail,
                                                       "remedy": failed.remedy}}

    def seen(self, request: Request) -> Reply:
        data = request.json()
        mac = own(self._midwife, request.fleet, request.params["mac"])
        facts = data.get("facts")
        if not isinstance(facts, Mapping) or not all(isinstance(facts.get(name), str) for name in SEEN):
            raise ApiError("bad_request", "`facts` must be an object of texts", ", ".join(SEEN))
        standing = self._midwife.standings.get(mac)
        if standing is None or not standing.way.agentless:
            raise ApiError("conflict", "this machine announces its birth itself", mac)
        try:
            durable = self._midwife.desk.seen(mac, str(data.get("boot") or ""), {n: str(facts[n]) for n in SEEN})
        except BadMessage as error:
            raise ApiError("bad_request", "this is no birth", str(error)) from error
        if durable is None:
            raise ApiError("stale", "the machine has booted since", mac)
        durable.result(30)
        return Reply()

    def newer(self, request: Request) -> Reply:
        """For plans: which hosts were born since vCenter had them. Only births that answer what stands count."""
        place, since = self._midwife, request.json().get("since")
        if not isinstance(since, Mapping):
            raise ApiError("bad_request", "`since` must be an object of texts")
        mine, found = place.macs.of(request.fleet), {}
        for mac, newest in place.inbox.macs():
            if mac in since and mac in mine and str(newest["born"]) > str(since[mac]):
                born = place.birth(mac)
                if born is not None and born["born"] > str(since[mac]):
                    found[mac] = {name: born[name] for name in FACTS}
        return Reply({"births": found})

    def listed(self, request: Request) -> Reply:
        from providers.midwife.restores import held
        from providers.midwife.service.view import fleet_births
        from providers.midwife.view import data

        place = self._midwife
        mac = own(place, request.fleet, request.query["mac"]) if request.query.get("mac") else ""
        view = fleet_births(request.fleet, place.macs, place.inbox, place.footprints)
        names = {own_mac: owned.host for own_mac, owned in place.macs.of(request.fleet).items()}
        return Reply({"births": data(view.happenings(request.number("limit", 50, MAX_LISTED), mac)),
                      "unclaimed": data([u for u in view.unclaimed() if mac in ("", u.mac)]),
                      "held": data([h for h in held(place.folder / "midwife", request.fleet, names)
                                    if mac in ("", h.mac)])})
