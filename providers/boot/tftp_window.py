"""One TFTP download: a window of blocks that slides over an open file.

tftpy's state ExpectACK handles errors, options and strange packets; acknowledgements are ours, because its own
handling knows no windows (RFC 7440), gives up after twenty duplicates, and waits one fixed time for everything.

Duplicates never double the stream (the sorcerer's apprentice): an acknowledgement of what was acknowledged before
sends nothing; only silence does.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from typing import Any

from tftpy.TftpPacketTypes import TftpPacketACK
from tftpy.TftpStates import TftpStateExpectACK

from providers.boot.pair import Settings

MAX_WINDOW = 16
CHUNK = 1 << 16
LEAST_TIMEOUT = 0.2
"""Seconds: a machine that flashes or decompresses for a moment is no lost packet."""

_HEADER = struct.Struct("!HH").pack


class Truncated(Exception):
    """The file has become shorter than it was announced: its end must not look like the end of the transfer."""


class Transfer:
    """From the first packet to the last acknowledgement. Owns the socket and the descriptor.

    `host`, `tidport`, `sock`, `options` and `last_pkt` are what tftpy's states need of their context. Block numbers
    are absolute; only on the wire do they wrap at 16 bits.
    """

    __slots__ = ("_acked", "_blksize", "_chunk", "_chunk_at", "_descriptor", "_last", "_moved", "_patience", "_rtt",
                 "_sent", "_sent_at", "_size", "_state", "_timeout", "_timeout_limit", "_wait_oack", "_window", "due",
                 "host", "last_pkt", "name", "number", "options", "peer", "sock", "tidport")

    def __init__(self, number: int, peer: tuple[Any, ...], name: str, sock: socket.socket, descriptor: int, size: int,
                 options: dict[str, Any], settings: Settings) -> None:
        self.number, self.peer, self.name, self.sock = number, peer, name, sock
        self.host, self.tidport = peer[0], peer[1]
        self.options, self.last_pkt = options, None
        self.due = 0.0  # when silence begins to count, on the monotonic clock
        self._state = TftpStateExpectACK(self)
        self._descriptor, self._size = descriptor, size
        self._blksize, self._window = int(options.get("blksize", 512)), int(options.get("windowsize", 1))
        self._last = size // self._blksize + 1  # a short or empty block ends the transfer
        self._acked = self._sent = 0
        self._wait_oack = bool(options)
        self._chunk, self._chunk_at = b"", 0
        self._timeout = self._timeout_limit = settings.timeout
        self._patience = settings.timeout * (settings.retries + 1)
        self._rtt = 0.0
        self._moved = self._sent_at = 0.0

    @property
    def acknowledged(self) -> bool:
        """Whether the peer has answered anything: a forged sender never does."""
        return self._acked > 0 or (bool(self.options) and not self._wait_oack)

    @property
    def acknowledged_bytes(self) -> int:
        return min(self._acked * self._blksize, self._size)

    def begin(self) -> None:
        """Send the options accepted, or the first window. Raises OSError, Truncated."""
        self._moved = time.monotonic()
        if self._wait_oack:
            self._state.sendOACK()
            self._sent_at, self.due = self._moved, self._moved + self._timeout
        else:
            self._send_window(self._moved)

    def take(self, packet: Any) -> bool:
        """Handle one packet of the peer; True once the transfer is complete. Raises TftpException for an ERROR."""
        if isinstance(packet, TftpPacketACK):
            return self.acked(packet.blocknumber)
        self._state.handle(packet, self.host, self.tidport)
        return False

    def acked(self, block: int) -> bool:
        """Handle an acknowledgement, as it stands on the wire. True once the transfer is complete. Raises as begin."""
        if self._wait_oack:
            if block != 0:
                return False
            self._wait_oack = False
        else:
            ahead = (block - self._acked) & 0xFFFF
            if ahead == 0 or ahead > self._sent - self._acked:
                return False  # a duplicate, or a time warp
            self._acked += ahead
            if self._acked == self._last:
                return True
        now = time.monotonic()
        if self._sent_at:  # not of a packet that was sent twice (Karn)
            took = now - self._sent_at
            self._rtt += (took - self._rtt) / 8 if self._rtt else took
            self._timeout = min(self._timeout_limit, LEAST_TIMEOUT + 2 * self._rtt)
        self._moved = now
        self._send_window(now)
        return False

    def overdue(self, now: float) -> bool:
        """Send again what was not acknowledged in time. True once that is pointless. Raises OSError, Truncated."""
        if now - self._moved >= self._patience:
            return True
        self._timeout = min(self._timeout_limit, 2 * self._timeout)
        if self._wait_oack:
            self._state.sendOACK()
            self.due = now + self._timeout
        else:
            self._send_window(now)
        self._sent_at = 0.0
        return False

    def _send_window(self, now: float) -> None:
        """Everything that follows the last acknowledged block, up to the window's end."""
        sendto, peer, block = self.sock.sendto, self.peer, self._acked
        end = min(block + self._window, self._last)
        self._sent_at, self.due, self._sent = now, now + self._timeout, end
        while block < end:
            block += 1
            data = _HEADER(3, block & 0xFFFF) + self._block(block)
            try:
                sendto(data, peer)
            except BlockingIOError:
                return  # the network is busy: what is missing is sent again in time

    def _block(self, block: int) -> bytes:
        size, offset = self._blksize, (block - 1) * self._blksize
        start = offset - self._chunk_at
        if start < 0 or start + size > len(self._chunk):
            self._chunk, self._chunk_at, start = os.pread(self._descriptor, CHUNK, offset), offset, 0
        data = self._chunk[start:start + size]
        if len(data) != size and offset + len(data) != self._size:
            raise Truncated(self.name)
        return data[:self._size - offset] if offset + len(data) > self._size else data

    def close(self) -> None:
        self.sock.close()
        os.close(self._descriptor)
