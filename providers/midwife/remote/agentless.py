"""Waiting for an agentless birth at a remote midwife: who looks at the host's own door.

On the network the midwife does, which is beside the machines; it gets root's passwords for as long as this wait goes
on. Machines of the twin have their doors in this process only: then this process looks, and tells the midwife.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from planner.model import FleetError
from planner.ports import Call
from providers.boot.agentless import TwinDoors, Watch
from providers.midwife.remote.client import Client
from providers.vsphere.host.secrets import initial_password, root_password

MARGIN_SECONDS = 20.0
INSIDE_SECONDS = 1.0


class RemoteWatch:
    """One wait for one agentless birth. `house`: the twin's, where the machine is in there. Raises StepFailed where
    root's passwords are not declared or cannot be read."""

    def __init__(self, client: Client, mac: str, call: Call, house: Any, now: Callable[[], float]) -> None:
        self._client, self._mac, self._call = client, mac, call
        self._handed = ("", "")
        self._inside: Watch | None = None
        self._passwords: dict[str, str] = {}
        if house is not None:
            self._inside = Watch(mac, self, self, TwinDoors(house), now, 0.0)
        else:
            self._passwords = {"initial": initial_password(call), "lasting": root_password(call)}

    def poll(self, asked: Mapping[str, object]) -> dict[str, Any]:
        """One long poll (see `providers.midwife.api.birth_routes`). Raises FleetError, StepFailed."""
        wait = float(str(asked["wait"]))
        if self._inside is not None:
            asked = {**asked, "wait": min(wait, INSIDE_SECONDS)}
            found = self._client.call("GET", f"births/{self._mac}", query=asked, patience=0.0).json()
            handed = found.get("handed")
            if "born" not in found and handed:
                self._handed = (str(handed[0]), str(handed[1]))
                self._inside.look(self._call)
            return found
        return self._client.call("POST", f"births/{self._mac}/watch", {**asked, **self._passwords},
                                 seconds=wait + MARGIN_SECONDS, patience=0.0).json()

    # --- what providers.boot.agentless.Watch needs of a desk and a trail ------------------------------------

    def handed_to(self, _mac: str) -> tuple[str, str]:
        return self._handed

    def note(self, mac: str, what: str) -> None:
        self._call.report(f"waiting for the birth of {mac}: {what}")

    def seen(self, mac: str, boot: str, facts: Mapping[str, str]) -> Future[None] | None:
        done: Future[None] = Future()
        try:
            self._client.call("POST", f"births/{mac}/seen", {"boot": boot, "facts": dict(facts)})
        except FleetError as error:
            done.set_exception(OSError(str(error)))
        else:
            done.set_result(None)
        return done
