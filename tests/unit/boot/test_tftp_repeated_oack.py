"""A server that repeats its OACK (its machine was slow to answer) does not end a boot."""

from __future__ import annotations

import socket
import struct
import threading

import pytest

from providers.twin.netboot import BootFailed, tftp_fetch

OACK = b"\x00\x06blksize\x001428\x00tsize\x005\x00"


def serve(sock: socket.socket, rude: int) -> None:
    """Answer reads with "hello"; the first `rude` transfers get the OACK again instead of their data."""
    for turn in range(8):
        try:
            _, peer = sock.recvfrom(2048)
        except OSError:
            return
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
            own.bind(("127.0.0.1", 0))
            own.settimeout(2)
            own.sendto(OACK, peer)
            own.recvfrom(2048)
            own.sendto(OACK if turn < rude else struct.pack("!HH", 3, 1) + b"hello", peer)
            try:
                own.recvfrom(2048)
            except OSError:
                continue


@pytest.mark.parametrize(("rude", "works"), [(0, True), (2, True), (99, False)])
def test_a_repeated_oack(rude: int, works: bool) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(5)
        thread = threading.Thread(target=serve, args=(sock, rude), daemon=True)
        thread.start()
        port = sock.getsockname()[1]
        if works:
            assert tftp_fetch("127.0.0.1", port, "x", timeout=0.5, retries=2) == b"hello"
        else:
            with pytest.raises(BootFailed, match="TFTP x"):
                tftp_fetch("127.0.0.1", port, "x", timeout=0.5, retries=2)
