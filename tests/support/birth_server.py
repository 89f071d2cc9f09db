"""The birth listener in a process of its own, to be loaded, measured and killed.

    python -m tests.support.birth_server FOLDER PORT

takes births of what FOLDER/boot holds, prints its port when it listens, and ends at the end of stdin.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from providers.boot.net import bind
from providers.midwife.desk import Desk
from providers.midwife.identity import open_identity, server_context
from providers.midwife.inbox import Inbox
from providers.midwife.listener import BirthListener
from providers.midwife.room import Limits
from providers.midwife.standing import Standings


class SystemClock:
    def now(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@contextmanager
def serving(folder: Path, port: int = 0, limits: Limits | None = None) -> Iterator[tuple[int, BirthListener]]:
    """A running listener over a folder, and its port."""
    sock = bind("birth", "127.0.0.1", port)
    tls = server_context(open_identity(folder / "midwife"))
    inbox = Inbox(folder / "midwife")
    listener = BirthListener(sock, Desk(Standings(folder / "boot"), inbox, SystemClock()), tls, limits)
    found = int(sock.getsockname()[1])
    listener.start()
    try:
        yield found, listener
    finally:
        listener.stop()
        inbox.close()


def main() -> None:
    with serving(Path(sys.argv[1]), int(sys.argv[2])) as (port, _):
        print(port, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
