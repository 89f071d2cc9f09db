"""What the TFTP process and its parent say to each other, over a Unix socket that keeps message boundaries.

The child asks for names, the parent answers with an open file descriptor (SCM_RIGHTS): the child never sees a path,
and needs no right to open one. One message is one packet of MessagePack (SOCK_SEQPACKET), so nothing is ever half
read. The end of the socket is the end of the child.
"""

from __future__ import annotations

import os
import socket
from typing import TypeAlias

import msgspec

MAX_MESSAGE = 8192


class Ask(msgspec.Struct, array_like=True, frozen=True, tag=1):
    """Child: who is `name` for this client? `id` is new for each question of one child."""

    id: int
    name: str
    client: str


class Over(msgspec.Struct, array_like=True, frozen=True, tag=2):
    """Child: the transfer with this id has ended; `complete`: the machine acknowledged all of it."""

    id: int
    complete: bool
    bytes: int


class Refused(msgspec.Struct, array_like=True, frozen=True, tag=3):
    """Child: a request that was refused without asking, for the access log."""

    client: str
    name: str
    status: int


class Beat(msgspec.Struct, array_like=True, frozen=True, tag=4):
    """Child: the loop turns."""


class Failed(msgspec.Struct, array_like=True, frozen=True, tag=5):
    """Child: it ends, and why."""

    reason: str


class Found(msgspec.Struct, array_like=True, frozen=True, tag=6):
    """Parent: the content has `size` bytes; its descriptor comes with this message."""

    id: int
    size: int


class Missing(msgspec.Struct, array_like=True, frozen=True, tag=7):
    """Parent: there is nothing to serve; `code` is TFTP's error code."""

    id: int
    code: int


class Settings(msgspec.Struct, frozen=True):
    """How the child serves. Seconds, counts; see `providers.boot.tftp` for what each is good for."""

    timeout: float = 1.0
    retries: int = 6
    max_transfers: int = 1024
    beat: float = 1.0


FromChild: TypeAlias = "Ask | Over | Refused | Beat | Failed"
FromParent: TypeAlias = "Found | Missing"
_encode = msgspec.msgpack.encode
_OF_CHILD = msgspec.msgpack.Decoder(Ask | Over | Refused | Beat | Failed)
_OF_PARENT = msgspec.msgpack.Decoder(Found | Missing)


def send(sock: socket.socket, message: FromChild | FromParent, descriptor: int | None = None) -> None:
    """Raises BlockingIOError where the other side does not read, OSError where it has ended."""
    packet = _encode(message)
    if descriptor is None:
        sock.send(packet)
    else:
        socket.send_fds(sock, [packet], [descriptor])


def of_child(sock: socket.socket) -> FromChild | None:
    """None: the child has ended. Raises BlockingIOError where nothing waits, ValueError for what is no message."""
    packet = _receive(sock)
    return _OF_CHILD.decode(packet) if packet else None


def of_parent(sock: socket.socket) -> tuple[FromParent, int] | None:
    """The message and its descriptor (-1: none), which the caller then owns; None: the parent has ended."""
    packet, descriptors, _, _ = socket.recv_fds(sock, MAX_MESSAGE, 1)
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    if not packet:
        return None
    return _OF_PARENT.decode(packet), descriptors[0] if descriptors else -1


def _receive(sock: socket.socket) -> bytes:
    try:
        return sock.recv(MAX_MESSAGE)
    except ConnectionResetError:  # it ended with unread messages
        return b""
