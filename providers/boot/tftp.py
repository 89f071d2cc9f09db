"""A read-only TFTP server (RFC 1350, 2347, 2348, 2349): tftpy's protocol states behind a loop of our own.

tftpy's own server loop dies or hangs on a dozen malformed packets; this one treats every packet as hostile. It
never writes, serves only what the boot tree names, answers from the address it is bound to, listens to nobody but a
transfer's own peer, caps transfers, and drops packets that no client sends.
"""

from __future__ import annotations

import logging
import selectors
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import tftpy
from tftpy.TftpContexts import TftpContext
from tftpy.TftpPacketFactory import TftpPacketFactory
from tftpy.TftpPacketTypes import TftpPacketERR, TftpPacketRRQ, TftpPacketWRQ
from tftpy.TftpShared import TftpErrors
from tftpy.TftpStates import TftpStateExpectACK

from providers.boot.tree import Content, Forbidden, Gone

TIMEOUT = 1.0
RETRIES = 6
MAX_PACKET = 2048
MAX_BLKSIZE = 1428  # fits an Ethernet frame behind a tunnel or a VLAN tag
MAX_TRANSFERS = 256
BURST = 64

Peer = tuple[str, int]
Find = Callable[[str, str], "Content | None"]
"""`find(name, client)`: raises Forbidden, Gone, OSError."""
Log = Callable[[str, str, int, int, str], None]
"""`log(client, path, status, bytes, mac)`."""


class _Transfer(TftpContext):  # type: ignore[misc]  # tftpy has no types
    """One download, from the first packet to the last acknowledgement."""

    def __init__(self, peer: Peer, local: str, content: Content, name: str, options: dict[str, Any]) -> None:
        super().__init__(peer[0], peer[1], TIMEOUT, retries=RETRIES, localip=local, flock=False)
        self.sock.setblocking(False)
        self.peer, self.content, self.file_to_transfer = peer, content, name
        self.tidport = peer[1]
        self.options = options
        self.acknowledged = False
        self.moved = time.monotonic()
        try:
            self.fileobj = content.open()
        except BaseException:
            self.sock.close()
            raise

    def begin(self) -> None:
        """Send the first packet: the options accepted, or the first block."""
        self.state = TftpStateExpectACK(self)
        if self.options:
            self.state.sendOACK()
        else:
            self.next_block = 1
            self.pending_complete = self.state.sendDAT()

    def take(self, packet: Any) -> bool:
        """Handle one packet of the peer. True once the transfer is complete. Raises TftpException."""
        before = self.next_block
        try:
            self.state = self.state.handle(packet, *self.peer)
        except tftpy.TftpShared.TftpTimeoutExpectACK:
            self.state.resendLast()
        if self.state is None:
            return True
        if self.next_block != before:
            self.acknowledged, self.retry_count, self.moved = True, 0, time.monotonic()
        return False

    def overdue(self, now: float) -> bool:
        """Resend what was not acknowledged in time. True once that is pointless. Raises TftpException, OSError."""
        if now - self.moved <= self.timeout:
            return False
        self.retry_count += 1
        self.moved = now
        if self.retry_count > self.retries:
            return True
        self.state.resendLast()
        return False


class TftpServer:
    """Serves on a bound UDP socket in a thread of its own, from `start` to `stop`."""

    def __init__(self, sock: socket.socket, find: Find, log: Log) -> None:
        self._sock, self._find, self._log = sock, find, log
        self._local = sock.getsockname()[0]
        self._factory = TftpPacketFactory()
        self._transfers: dict[Peer, _Transfer] = {}
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tftp", daemon=True)

    def start(self) -> None:
        logging.getLogger("tftpy").setLevel(logging.CRITICAL + 1)  # 11 MB of it under 1,500 half-open reads
        self._selector.register(self._sock, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._wake.send(b"x")
        self._thread.join(timeout=30)
        for peer in list(self._transfers):
            self._end(peer)
        self._selector.close()
        for sock in (self._sock, self._wake, self._woken):
            sock.close()

    @property
    def active(self) -> int:
        """Transfers under way."""
        return len(self._transfers)

    def _run(self) -> None:
        checked = time.monotonic()
        while not self._stopping.is_set():
            for key, _ in self._selector.select(0.2):
                if key.fileobj is self._sock:
                    self._requests()
                elif isinstance(key.data, _Transfer):
                    self._packets(key.data)
            now = time.monotonic()
            if now - checked >= 0.2:
                checked = now
                self._resend(now)

    # --- new requests -----------------------------------------------------------------------------------

    def _requests(self) -> None:
        for _ in range(BURST):
            received = _receive(self._sock)
            if received is None:
                return
            data, peer = received
            if not data or len(data) > MAX_PACKET:
                continue
            try:
                self._request(data, peer)
            except Exception:  # whatever a packet provokes costs its own transfer, never the listener
                self._end(peer)

    def _request(self, data: bytes, peer: Peer) -> None:
        packet = self._parse(data)
        if packet is None and data[:2] in (b"\0\1", b"\0\2"):
            self._refuse(peer, TftpErrors.IllegalTftpOp, "(malformed request)", 400)
        elif isinstance(packet, TftpPacketWRQ):
            self._refuse(peer, TftpErrors.AccessViolation, packet.filename, 405)
        elif isinstance(packet, TftpPacketRRQ):
            self._read_request(packet, peer)

    def _parse(self, data: bytes) -> Any:
        """The packet; None for junk, on which tftpy raises struct.error, UnicodeDecodeError, its own and more."""
        try:
            return self._factory.parse(data)
        except Exception:
            return None

    def _read_request(self, packet: Any, peer: Peer) -> None:
        name = packet.filename
        running = self._transfers.get(peer)
        if running is not None:
            if running.file_to_transfer == name and not running.acknowledged:
                return  # the same request again: the answer is resent by its own timer
            self._end(peer)
        if packet.mode != "octet":
            self._refuse(peer, TftpErrors.IllegalTftpOp, name, 400)
            return
        if len(self._transfers) >= MAX_TRANSFERS and not self._make_room():
            return
        try:
            content = self._find(name, peer[0])
            if content is None:
                self._refuse(peer, TftpErrors.FileNotFound, name, 404)
                return
            transfer = _Transfer(peer, self._local, content, name, _accepted(packet.options, content.size))
        except Forbidden:
            self._refuse(peer, TftpErrors.AccessViolation, name, 403)
        except (Gone, OSError):
            self._refuse(peer, TftpErrors.NotDefined, name, 500)
        else:
            self._transfers[peer] = transfer
            self._selector.register(transfer.sock, selectors.EVENT_READ, transfer)
            transfer.begin()

    def _make_room(self) -> bool:
        """End the oldest transfer that nobody ever acknowledged; False where there is none."""
        for peer, transfer in self._transfers.items():
            if not transfer.acknowledged:
                self._end(peer)
                return True
        return False

    def _refuse(self, peer: Peer, code: int, name: str, status: int) -> None:
        self._log(peer[0], name, status, 0, "")
        _send_error(self._sock, peer, code)

    # --- running transfers ------------------------------------------------------------------------------

    def _packets(self, transfer: _Transfer) -> None:
        for _ in range(BURST):
            received = _receive(transfer.sock)
            if received is None or self._transfers.get(transfer.peer) is not transfer:
                return
            data, peer = received
            if peer != transfer.peer:
                _send_error(transfer.sock, peer, TftpErrors.UnknownTID)  # RFC 1350, section 4
                continue
            if len(data) > MAX_PACKET:
                continue
            packet = self._parse(data)
            if packet is None:  # junk from the right port: the transfer goes on
                continue
            try:
                complete = transfer.take(packet)
            except Exception:  # an ERROR packet, or twenty duplicates
                self._end(transfer.peer)
                return
            if complete:
                self._end(transfer.peer, complete=True)
                return

    def _resend(self, now: float) -> None:
        for peer, transfer in list(self._transfers.items()):
            try:
                over = transfer.overdue(now)
            except Exception:  # the same packet twenty times, or a network that refuses to send
                over = True
            if over:
                self._end(peer)

    def _end(self, peer: Peer, *, complete: bool = False) -> None:
        transfer = self._transfers.pop(peer, None)
        if transfer is None:
            return
        self._selector.unregister(transfer.sock)
        transfer.end()
        content = transfer.content
        self._log(peer[0], content.label, 200 if complete else 499, transfer.metrics.bytes, content.mac)
        if complete:
            content.done()


def _accepted(options: dict[str, str], size: int) -> dict[str, Any]:
    """Options that we grant: `blksize` up to an Ethernet frame, and `tsize`. Nonsense is ignored (RFC 2347)."""
    granted: dict[str, Any] = {}
    for name, value in options.items():
        if not (value.isascii() and value.isdigit() and len(value) <= 10):
            continue
        if name.lower() == "blksize" and 8 <= int(value) <= 65464:
            granted["blksize"] = min(int(value), MAX_BLKSIZE)
        elif name.lower() == "tsize":
            granted["tsize"] = size
    return granted


def _receive(sock: socket.socket) -> tuple[bytes, Peer] | None:
    try:
        data, (host, port) = sock.recvfrom(MAX_PACKET + 1)
    except OSError:
        return None
    return data, (host, port)


def _send_error(sock: socket.socket, peer: Peer, code: int) -> None:
    packet = TftpPacketERR()
    packet.errorcode = code
    packet.errmsgs[TftpErrors.NotDefined] = b"The file cannot be served now"
    try:
        sock.sendto(packet.encode().buffer, peer)
    except OSError:
        return  # nobody to tell
