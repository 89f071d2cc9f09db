"""Two network namespaces with a cable between them: a DHCP server in one, a client in the other."""

from __future__ import annotations

import ctypes
import os
import random
import select
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from tests.support.dhcp.packets import (
    ACK,
    DISCOVER,
    OFFER,
    REQUEST,
    REQUESTED,
    SERVER,
    Machine,
    Message,
    decode,
    encode,
)
from tests.support.tools import need, need_namespaces

T = TypeVar("T")

SERVER_ADDRESS = "10.0.0.2"
CLIENT_ADDRESS = "10.0.0.250"
RELAY_ADDRESS = "10.0.1.1"
SERVER_PORT, CLIENT_PORT, PROXY_PORT = 67, 68, 4011
_CLONE_NEWNET = 0x40000000
PATIENCE = 20.0
"""Seconds after which a server that should answer is taken for dead."""


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True, timeout=20)


def _inside(namespace: str, work: Callable[[], T]) -> T:
    """Run something in a namespace: in a thread of its own, since a thread has its namespace to itself."""
    found: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            with open(f"/run/netns/{namespace}") as place:
                if ctypes.CDLL(None, use_errno=True).setns(place.fileno(), _CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "setns")
            found.append(work())
        except BaseException as error:  # handed to the caller
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return found[0]


@dataclass(slots=True)
class Network:
    """`server` and `client` are names of namespaces; interfaces `srv0` (10.0.0.2/24) and `cli0`."""

    server: str
    client: str
    sockets: list[socket.socket] = field(default_factory=list)

    def spawn(self, command: Sequence[str], log: Path, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        """A daemon in the server's namespace; it writes to `log`."""
        with log.open("wb") as out:
            return subprocess.Popen(["ip", "netns", "exec", self.server, *command], stdout=out, stderr=out,
                                    stdin=subprocess.DEVNULL, env={**os.environ, **(env or {})})

    def open_socket(self, address: str, port: int, *, device: bool = True) -> socket.socket:
        """A UDP socket of the client."""
        def make() -> socket.socket:
            made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if device:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"cli0")
            made.bind((address, port))
            return made

        made = _inside(self.client, make)
        self.sockets.append(made)
        return made


@contextmanager
def network() -> Iterator[Network]:
    """Skips the test where namespaces cannot be made."""
    need_namespaces()
    tag = f"{os.getpid()}-{random.randrange(1 << 24):06x}"
    made = Network(f"fleet-s-{tag}", f"fleet-c-{tag}")
    try:
        for name in (made.server, made.client):
            _ip("netns", "add", name)
            _ip("-n", name, "link", "set", "lo", "up")
        _ip("-n", made.server, "link", "add", "srv0", "type", "veth", "peer", "name", "cli0", "netns", made.client)
        _ip("-n", made.server, "address", "add", f"{SERVER_ADDRESS}/24", "dev", "srv0")
        _ip("-n", made.server, "link", "set", "srv0", "up")
        _ip("-n", made.client, "link", "set", "cli0", "up")
        for address in (f"{CLIENT_ADDRESS}/24", f"{RELAY_ADDRESS}/24"):
            _ip("-n", made.client, "address", "add", address, "dev", "cli0")
        _ip("-n", made.server, "route", "add", "10.0.1.0/24", "via", CLIENT_ADDRESS)
        yield made
    finally:
        for sock in made.sockets:
            sock.close()
        for name in (made.server, made.client):
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True, timeout=20)


class Client:
    """Asks as firmware does. The server's answers come back as messages, in the order of their arrival."""

    def __init__(self, wires: Network) -> None:
        self._wires = wires
        self._broadcast = wires.open_socket("", CLIENT_PORT)
        self._relay: socket.socket | None = None
        self._direct: socket.socket | None = None

    def discover(self, machine: Machine, relay: str = "", *, silence: float = 0.0) -> Message | None:
        """The first offer; None where nobody answers for `silence` seconds (0: an answer must come)."""
        return self._ask(Message(DISCOVER, machine.mac, _xid(), machine.options(), giaddr=relay), OFFER, silence)

    def request(self, machine: Machine, offer: Message, relay: str = "", *, silence: float = 0.0) -> Message | None:
        """Take an offer: the server's ACK."""
        options = {**machine.options(), REQUESTED: _packed(offer.yiaddr), SERVER: offer.options[SERVER]}
        return self._ask(Message(REQUEST, machine.mac, offer.xid, options, giaddr=relay), ACK, silence)

    def boot(self, machine: Machine, relay: str = "") -> Message:
        """DISCOVER, OFFER, REQUEST, ACK. Both answers must agree about address and boot file."""
        offer = self.discover(machine, relay)
        assert offer is not None
        ack = self.request(machine, offer, relay)
        assert ack is not None
        assert (ack.yiaddr, ack.boot, ack.next_server) == (offer.yiaddr, offer.boot, offer.next_server)
        return ack

    def ask_proxy(self, machine: Machine, *, silence: float = 0.0) -> Message | None:
        """The second half of proxy DHCP: a machine that has its address asks the boot server at port 4011."""
        if self._direct is None:
            self._direct = self._wires.open_socket(CLIENT_ADDRESS, CLIENT_PORT, device=False)
        message = Message(REQUEST, machine.mac, _xid(), machine.options(), ciaddr=CLIENT_ADDRESS)
        return self._exchange(self._direct, (SERVER_ADDRESS, PROXY_PORT), message, ACK, silence)

    def _ask(self, message: Message, answer: int, silence: float) -> Message | None:
        if not message.giaddr:
            return self._exchange(self._broadcast, ("255.255.255.255", SERVER_PORT), message, answer, silence)
        if self._relay is None:
            self._relay = self._wires.open_socket(RELAY_ADDRESS, SERVER_PORT, device=False)
        return self._exchange(self._relay, (SERVER_ADDRESS, SERVER_PORT), message, answer, silence)

    def _exchange(self, sock: socket.socket, to: tuple[str, int], message: Message, answer: int,
                  silence: float) -> Message | None:
        """Sent again every second while an answer must come: a server may not be up yet."""
        end = time.monotonic() + (silence or PATIENCE)
        sent = 0.0
        while time.monotonic() < end:
            if not sent or (not silence and time.monotonic() - sent > 1):
                sock.sendto(encode(message), to)
                sent = time.monotonic()
            for ready in select.select([sock], [], [], 0.1)[0]:
                found = decode(ready.recv(4096))
                if found.reply and found.xid == message.xid and found.kind == answer:
                    return found
        if silence:
            return None
        raise AssertionError(f"no answer of kind {answer} to {message}")


def _xid() -> int:
    return random.getrandbits(32)


def _packed(address: str) -> bytes:
    return socket.inet_aton(address)


@contextmanager
def daemon(wires: Network, command: Sequence[str], log: Path, env: dict[str, str] | None = None) -> Iterator[Client]:
    """A DHCP server that runs until the end of the block, and a client to ask it with."""
    need(command[0])
    process = wires.spawn([need(command[0]), *command[1:]], log, env)
    try:
        yield Client(wires)
        assert process.poll() is None, f"{command[0]} has ended: {log.read_text()}"
    finally:
        process.terminate()
        process.wait(20)
