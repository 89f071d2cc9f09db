"""The state part of a midwife's API: in this process, or in one of its own that can be killed.

    python -m tests.support.state_server FOLDER PORT SECONDS

keeps states in FOLDER/fleets with leases of SECONDS, prints its port when it listens, and ends at the end of stdin.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from providers.boot.net import bind
from providers.midwife.api.auth import Authority
from providers.midwife.api.server import ApiServer
from providers.midwife.api.state_routes import Shelf as ShelfLike
from providers.midwife.api.state_routes import StateRoutes
from providers.midwife.remote.client import Client
from state.remote import PATIENCE, RemoteStore
from state.remote_lease import since_boot
from state.shelf import LEASE_SECONDS, Shelf


class StateServer:
    """Serves on loopback from `start` to `stop`, always on the same port."""

    def __init__(self, folder: Path, now: Callable[[], float] = time.monotonic, seconds: float = LEASE_SECONDS,
                 port: int = 0) -> None:
        self.folder, self.port = folder, port
        self.authority = Authority(folder / "identity")
        self._now, self._seconds = now, seconds
        self._identities: dict[str, str] = {}
        self._stores: list[RemoteStore] = []

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def start(self) -> StateServer:
        self.authority.make()
        self.shelf = Shelf(self.folder / "fleets", self._now, self._seconds)
        shelf: ShelfLike = self.shelf
        routes = StateRoutes(self.folder / "fleets", shelf=shelf)
        routes.start()
        sock = bind("http", "127.0.0.1", self.port)
        self.port = int(sock.getsockname()[1])
        server = ApiServer([sock], self.authority.server_context(), self.authority.caller, routes.routes(),
                           routes.guard)
        server.start()
        self._parts = server, routes
        return self

    def stop(self) -> None:
        server, routes = self._parts
        server.stop()
        routes.close()

    def identity(self, fleet: str = "lab") -> str:
        if fleet not in self._identities:
            self._identities[fleet] = self.authority.enroll(fleet)[1].decode()
        return self._identities[fleet]

    def store(self, fleet: str = "lab", *, url: str = "", patience: float = PATIENCE, link: Any = Client,
              now: Callable[[], float] = since_boot) -> RemoteStore:
        """A runner's store, as if in another process."""
        made = RemoteStore(url or self.url, fleet, self.identity(fleet), patience, link, now)
        self._stores.append(made)
        return made

    def close(self) -> None:
        """For good: runners are gone, too."""
        for store in self._stores:
            store.close()
        self.stop()


@contextmanager
def serving(folder: Path, now: Callable[[], float] = time.monotonic,
            seconds: float = LEASE_SECONDS) -> Iterator[StateServer]:
    server = StateServer(folder, now, seconds).start()
    try:
        yield server
    finally:
        server.close()


class StateProcess(StateServer):
    """The same in a process of its own."""

    def start(self) -> StateProcess:
        self.authority.make()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.state_server", str(self.folder), str(self.port),
             str(self._seconds)],
            cwd=Path(__file__).parents[2], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())
        return self

    def kill(self) -> None:
        self.process.kill()
        self._reap()

    def stop(self) -> None:
        if self.process.poll() is None:
            assert self.process.stdin is not None
            self.process.stdin.close()
        self._reap()

    def _reap(self) -> None:
        self.process.wait(20)
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()


def main() -> None:
    server = StateServer(Path(sys.argv[1]), seconds=float(sys.argv[3]), port=int(sys.argv[2])).start()
    print(server.port, flush=True)
    sys.stdin.read()
    server.stop()


if __name__ == "__main__":
    main()
