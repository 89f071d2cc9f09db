"""The route table: every call of the API, and which module answers it.

Below /v1/fleets/NAME/:

| module | calls |
|---|---|
| `boot_routes` | GET site; POST boot/claim, boot/stage, boot/unstage, boot/expect; GET boot/staged |
| `birth_routes` | GET births, births/MAC; POST births/MAC/watch, births/MAC/seen |
| `image_routes` | POST, HEAD, GET images/DIGEST; PUT images/DIGEST/FILE |
| `state_routes` | state, lock, runs, history, verify |

`state_routes.StateRoutes(folder)` keeps the states of all fleets below `folder` (one folder each, named like the fleet)
and their leases. It has `start()`, which takes up leases from before a restart; `routes()`, rows of this table;
`guard(request)`, which raises ApiError("fenced") where `request.token` is not that of the fleet's lock as it is held
now; and `close()`. A runner's sessions find that token in `planner.ports.OpenContext.lock_token`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from providers.midwife.api.wire import Reply, Request, Route

if TYPE_CHECKING:
    from providers.midwife.service.midwife import Midwife


def routes(midwife: Midwife) -> Sequence[Route]:
    """All of them, for one midwife. The lock guard is that of `state_routes`."""
    from providers.midwife.api import birth_routes, boot_routes, image_routes

    return (Route("GET", "ping", _ping), *boot_routes.routes(midwife), *birth_routes.routes(midwife),
            *image_routes.routes(midwife), *midwife.state.routes())


def _ping(request: Request) -> Reply:
    return Reply({"fleet": request.fleet})
