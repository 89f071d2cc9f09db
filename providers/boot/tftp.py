"""TFTP, read-only (RFC 1350, 2347, 2348, 2349, 7440): tftpy's packets and states behind a loop of our own.

tftpy's own server loop dies or hangs on a dozen malformed packets; this one treats every packet as hostile. It
never writes, opens no file by name (the parent answers every question with a descriptor), answers from the address
it is bound to, listens to nobody but a transfer's own peer, caps transfers, and drops packets that no client sends.

It runs in the process that `providers.boot.tftpd` is; `providers.boot.tftp_server` is the parent's side.
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from tftpy.TftpPacketFactory import TftpPacketFactory
from tftpy.TftpPacketTypes import TftpPacketERR, TftpPacketRRQ, TftpPacketWRQ
from tftpy.TftpShared import TftpErrors

from providers.boot.pair import Settings
from providers.boot.tftp_window import MAX_WINDOW, Transfer, Truncated

MAX_PACKET = 2048
MAX_BLKSIZE = 1428  # fits an Ethernet frame behind a tunnel or a VLAN tag
BURST = 64
TICK = 0.05
IDLE_TICK = 0.5

Peer = tuple[Any, ...]
"""What recvfrom gives: (host, port), and two numbers more for IPv6."""


class Desk(Protocol):
    """Answers for the loop; the answers come back by `TftpLoop.found` and `missing`."""

    def ask(self, name: str, client: str) -> int | None:
        """A question's id; None where it cannot be asked now."""

    def over(self, number: int, complete: bool, size: int) -> None: ...

    def refused(self, client: str, name: str, status: int) -> None: ...


class _Asked:
    """A read request that waits for the parent's answer."""

    __slots__ = ("listener", "name", "number", "options", "peer")

    def __init__(self, number: int, peer: Peer, listener: socket.socket, name: str, options: dict[str, str]) -> None:
        self.number, self.peer, self.listener, self.name, self.options = number, peer, listener, name, options


class TftpLoop:
    """Serves on bound UDP sockets until `stop` is called. Single-threaded."""

    def __init__(self, listeners: Sequence[socket.socket], desk: Desk, settings: Settings) -> None:
        self._listeners = {sock.fileno(): sock for sock in listeners}
        self._desk, self._settings = desk, settings
        self._factory = TftpPacketFactory()
        self._asked: dict[Peer, _Asked] = {}
        self._questions: dict[int, _Asked] = {}
        self._transfers: dict[Peer, Transfer] = {}
        self._by_fd: dict[int, Transfer] = {}
        self._others: dict[int, Callable[[], None]] = {}
        self._poll = select.epoll()
        for descriptor in self._listeners:
            self._poll.register(descriptor, select.EPOLLIN)
        self._running = True

    def watch(self, descriptor: int, ready: Callable[[], None]) -> None:
        """Call `ready` whenever the descriptor can be read."""
        self._others[descriptor] = ready
        self._poll.register(descriptor, select.EPOLLIN)

    def stop(self) -> None:
        """Leave `run` after this turn."""
        self._running = False

    def run(self, turned: Callable[[float], None]) -> None:
        """Serve. `turned(now)` is called after every turn, a few times a second at least."""
        checked = 0.0
        turned(time.monotonic())  # the first sign of life
        while self._running:
            for descriptor, _ in self._poll.poll(TICK if self._transfers else IDLE_TICK):
                transfer = self._by_fd.get(descriptor)
                if transfer is not None:
                    self._packet(transfer)
                elif descriptor in self._listeners:
                    self._requests(self._listeners[descriptor])
                elif descriptor in self._others:
                    self._others[descriptor]()
            now = time.monotonic()
            if now - checked >= TICK:
                checked = now
                self._resend(now)
            turned(now)
        for transfer in list(self._transfers.values()):
            self._end(transfer)
        self._poll.close()

    # --- new requests -----------------------------------------------------------------------------------

    def _requests(self, listener: socket.socket) -> None:
        for _ in range(BURST):
            try:
                data, peer = listener.recvfrom(MAX_PACKET + 1)
            except OSError:
                return
            if not data or len(data) > MAX_PACKET:
                continue
            try:
                self._request(listener, data, peer)
            except Exception:  # whatever a packet provokes costs its own transfer, never the listener
                self._forget(peer)

    def _request(self, listener: socket.socket, data: bytes, peer: Peer) -> None:
        packet = self._parse(data)
        if packet is None and data[:2] in (b"\0\1", b"\0\2"):
            self._refuse(listener, peer, TftpErrors.IllegalTftpOp, "(malformed request)", 400)
        elif isinstance(packet, TftpPacketWRQ):
            self._refuse(listener, peer, TftpErrors.AccessViolation, packet.filename, 405)
        elif isinstance(packet, TftpPacketRRQ):
            self._read_request(listener, packet, peer)

    def _parse(self, data: bytes) -> Any:
        """The packet; None for junk, on which tftpy raises struct.error, UnicodeDecodeError, its own and more."""
        try:
            return self._factory.parse(data)
        except Exception:
            return None

    def _read_request(self, listener: socket.socket, packet: Any, peer: Peer) -> None:
        name = packet.filename
        asked, running = self._asked.get(peer), self._transfers.get(peer)
        if (asked is not None and asked.name == name) or (
                running is not None and running.name == name and not running.acknowledged):
            return  # the same request again: the answer is on its way, and resent by its own timer
        self._forget(peer)
        if packet.mode != "octet":
            self._refuse(listener, peer, TftpErrors.IllegalTftpOp, name, 400)
            return
        if len(self._transfers) + len(self._asked) >= self._settings.max_transfers and not self._make_room():
            return
        number = self._desk.ask(name, peer[0])
        if number is not None:  # else the machine asks again, and the parent may have time by then
            question = _Asked(number, peer, listener, name, dict(packet.options))
            self._asked[peer] = self._questions[number] = question

    def _make_room(self) -> bool:
        """End the oldest transfer that nobody ever acknowledged; False where there is none."""
        for transfer in self._transfers.values():
            if not transfer.acknowledged:
                self._end(transfer)
                return True
        return False

    def _refuse(self, listener: socket.socket, peer: Peer, code: int, name: str, status: int) -> None:
        self._desk.refused(peer[0], name, status)
        _send_error(listener, peer, code)

    def _forget(self, peer: Peer) -> None:
        """The peer wants something else, or nothing: what it had is over."""
        asked = self._asked.pop(peer, None)
        if asked is not None:
            del self._questions[asked.number]  # the answer will find nobody
        transfer = self._transfers.get(peer)
        if transfer is not None:
            self._end(transfer)

    # --- answers of the parent --------------------------------------------------------------------------

    def missing(self, number: int, code: int) -> None:
        asked = self._answered(number)
        if asked is not None:
            _send_error(asked.listener, asked.peer, code)

    def found(self, number: int, size: int, descriptor: int) -> None:
        """Owns the descriptor from here on."""
        asked = self._answered(number)
        if asked is None:
            os.close(descriptor)
            self._desk.over(number, False, 0)
            return
        try:
            transfer = self._begin(asked, size, descriptor)
        except OSError:  # no descriptor or port is free, or the network refuses to send
            self._desk.over(number, False, 0)
            _send_error(asked.listener, asked.peer, TftpErrors.NotDefined)
            return
        try:
            transfer.begin()
        except OSError:
            self._end(transfer)

    def _answered(self, number: int) -> _Asked | None:
        asked = self._questions.pop(number, None)
        if asked is not None:
            del self._asked[asked.peer]
        return asked

    def _begin(self, asked: _Asked, size: int, descriptor: int) -> Transfer:
        try:
            sock = socket.socket(asked.listener.family, socket.SOCK_DGRAM)
        except OSError:
            os.close(descriptor)
            raise
        options = accepted(asked.options, size)
        transfer = Transfer(asked.number, asked.peer, asked.name, sock, descriptor, size, options, self._settings)
        try:
            sock.setblocking(False)
            sock.bind((asked.listener.getsockname()[0], 0))
            self._poll.register(sock.fileno(), select.EPOLLIN)
        except OSError:
            transfer.close()
            raise
        self._transfers[asked.peer] = self._by_fd[sock.fileno()] = transfer
        return transfer

    # --- running transfers ------------------------------------------------------------------------------

    def _packet(self, transfer: Transfer) -> None:
        try:
            data, peer = transfer.sock.recvfrom(MAX_PACKET + 1)
        except OSError:
            return
        if peer != transfer.peer:
            _send_error(transfer.sock, peer, TftpErrors.UnknownTID)  # RFC 1350, section 4
            return
        try:
            if len(data) == 4 and data[:2] == b"\0\4":  # nearly all of them
                complete = transfer.acked(data[2] << 8 | data[3])
            else:
                packet = self._parse(data) if len(data) <= MAX_PACKET else None
                if packet is None:  # junk from the right port: the transfer goes on
                    return
                complete = transfer.take(packet)
        except Truncated:
            _send_error(transfer.sock, peer, TftpErrors.NotDefined)
            self._end(transfer)
        except Exception:  # an ERROR packet, or a network that refuses to send
            self._end(transfer)
        else:
            if complete:
                self._end(transfer, complete=True)

    def _resend(self, now: float) -> None:
        for transfer in [t for t in self._transfers.values() if now >= t.due]:
            try:
                over = transfer.overdue(now)
            except Exception:  # a network that refuses to send
                over = True
            if over:
                self._end(transfer)

    def _end(self, transfer: Transfer, *, complete: bool = False) -> None:
        del self._transfers[transfer.peer], self._by_fd[transfer.sock.fileno()]
        transfer.close()  # a closed socket leaves the epoll by itself
        self._desk.over(transfer.number, complete, transfer.acknowledged_bytes)


def accepted(options: dict[str, str], size: int) -> dict[str, Any]:
    """Options that we grant; nonsense is ignored (RFC 2347).

    `blksize` up to an Ethernet frame, `tsize`, and `windowsize` up to MAX_WINDOW (UEFI asks for 4): a machine that
    sends one acknowledgement for several blocks loads that much quicker over any distance. Not `timeout`: ours
    adapts to the round trip (RFC 1123, 4.2.3.2).
    """
    granted: dict[str, Any] = {}
    for name, value in options.items():
        if not (value.isascii() and value.isdigit() and len(value) <= 10):
            continue
        key, number = name.lower(), int(value)
        if key == "blksize" and 8 <= number <= 65464:
            granted["blksize"] = min(number, MAX_BLKSIZE)
        elif key == "windowsize" and 1 <= number <= 65535:
            granted["windowsize"] = min(number, MAX_WINDOW)
        elif key == "tsize":
            granted["tsize"] = size
    return granted


def _send_error(sock: socket.socket, peer: Peer, code: int) -> None:
    packet = TftpPacketERR()
    packet.errorcode = code
    packet.errmsgs[TftpErrors.NotDefined] = b"The file cannot be served now"
    try:
        sock.sendto(packet.encode().buffer, peer)
    except OSError:
        return  # nobody to tell
