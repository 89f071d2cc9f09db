"""Wakes calls of the API that wait for news of a MAC."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress


class Bell:
    """Rung from any thread, heard in event loops. A ring between two waits of one listener is not lost."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listening: dict[str, set[Listening]] = {}

    def ring(self, mac: str) -> None:
        with self._lock:
            found = list(self._listening.get(mac, ()))
        for each in found:
            each.wake()

    def ring_all(self) -> None:
        with self._lock:
            found = [each for those in self._listening.values() for each in those]
        for each in found:
            each.wake()

    def listen(self, mac: str) -> Listening:
        """In a coroutine; close it afterwards."""
        made = Listening(self, mac)
        with self._lock:
            self._listening.setdefault(mac, set()).add(made)
        return made

    def forget(self, listening: Listening) -> None:
        with self._lock:
            those = self._listening.get(listening.mac, set())
            those.discard(listening)
            if not those:
                self._listening.pop(listening.mac, None)


class Listening:
    """One waiting call."""

    def __init__(self, bell: Bell, mac: str) -> None:
        self._bell, self.mac = bell, mac
        self._loop, self._event = asyncio.get_running_loop(), asyncio.Event()

    def wake(self) -> None:
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self, seconds: float) -> bool:
        """Whether it rang since the last wait, within that time."""
        try:
            await asyncio.wait_for(self._event.wait(), seconds)
        except TimeoutError:
            return False
        self._event.clear()
        return True

    def close(self) -> None:
        self._bell.forget(self)
