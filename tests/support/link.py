"""A TCP link that can be cut: what lies between a runner and its midwife."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
from collections.abc import Iterator


class Link:
    """Forwards TCP connections to `target` from a port of its own (`port`), while it is not cut."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._whole = True
        self.upwards = 0  # bytes that went to the target
        self._left = -1  # bytes until it cuts itself; -1: never
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """What is open is reset, and so is what comes."""
        with self._lock:
            self._whole = False
            found = list(self._open)
        for sock in found:
            _abortive(sock)
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)  # its thread wakes up and closes it

    def cut_after(self, upwards: int) -> None:
        """Cut when that many bytes more went to the target."""
        with self._lock:
            self._left = upwards

    def mend(self) -> None:
        with self._lock:
            self._whole, self._left = True, -1

    @property
    def is_cut(self) -> bool:
        return not self._whole

    def close(self) -> None:
        self.cut()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.ExitStack() as stack:
            pair = [stack.enter_context(client)]
            try:
                pair.append(stack.enter_context(socket.create_connection(self._target, 5)))
                with self._lock:
                    if not self._whole:
                        return
                    self._open |= set(pair)
                self.connections += 1
                self._pump(*pair)
            except OSError:
                return
            finally:
                with self._lock:
                    self._open -= set(pair)

    def _pump(self, client: socket.socket, server: socket.socket) -> None:
        ends = {client: server, server: client}
        while ends:
            for source in select.select(list(ends), [], [])[0]:
                data = source.recv(1 << 16)
                if source is client and self._spent(len(data)):
                    self.cut()
                    return
                if data:
                    ends[source].sendall(data)
                else:
                    ends.pop(source).shutdown(socket.SHUT_WR)

    def _spent(self, count: int) -> bool:
        with self._lock:
            self.upwards += count
            if self._left < 0:
                return False
            self._left = max(0, self._left - count)
            return self._left == 0


def _abortive(sock: socket.socket) -> None:
    """What is closed next is reset."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@contextlib.contextmanager
def linked(target: tuple[str, int]) -> Iterator[Link]:
    link = Link(target)
    try:
        yield link
    finally:
        link.close()
