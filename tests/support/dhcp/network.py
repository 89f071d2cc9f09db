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
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from tests.support.dhcp.packets import (
    ACK,
    DISCOVER,
    OFFER,
    PXE,
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
PATIENCE, AGAIN = 20.0, 0.3
"""Seconds after which a server that should answer is taken for dead; and after which it is asked again."""


@dataclass(frozen=True, slots=True)
class Namespace:
    """A network namespace that lives as long as the process in it, which ends when this process does."""

    holder: subprocess.Popen[bytes]

    @classmethod
    def make(cls) -> Namespace:
        holder = subprocess.Popen([need("unshare"), "--net", "sh", "-c", "echo; exec cat"], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE)
        assert holder.stdout is not None
        assert holder.stdout.read(1) == b"\n", "unshare failed"
        return cls(holder)

    @property
    def entered(self) -> list[str]:
        """What a command starts with to run in it."""
        return [need("nsenter"), "--net", "--target", str(self.holder.pid)]

    def ip(self, *words: str) -> str:
        return subprocess.run([*self.entered, need("ip"), *words], check=True, capture_output=True, text=True,
                              timeout=20).stdout

    def call(self, work: Callable[[], T]) -> T:
        """Run something inside: in a thread of its own, since a thread has its namespace to itself."""
        found: list[T] = []
        errors: list[BaseException] = []

        def run() -> None:
            try:
                with open(f"/proc/{self.holder.pid}/ns/net") as place:
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

    def close(self) -> None:
        self.holder.communicate()


@dataclass(slots=True)
class Network:
    """Interfaces: `srv0` (10.0.0.2/24) with the server, `cli0` with the client."""

    server: Namespace
    client: Namespace
    sockets: list[socket.socket] = field(default_factory=list)

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

        made = self.client.call(make)
        self.sockets.append(made)
        return made

    def plug(self) -> None:
        self.client.ip("link", "set", "cli0", "up")

    def unplug(self) -> None:
        """Until the server's interface has noticed: the kernel takes up to a second for that."""
        self.client.ip("link", "set", "cli0", "down")
        _until(lambda: " state UP " not in self.server.ip("-o", "link", "show", "srv0"), "the link stays up")

    def close(self) -> None:
        for sock in self.sockets:
            sock.close()


@contextmanager
def network() -> Iterator[Network]:
    """With its cable plugged in. Skips the test where namespaces cannot be made."""
    need_namespaces()
    with ExitStack() as stack:
        server = Namespace.make()
        stack.callback(server.close)
        client = Namespace.make()
        stack.callback(client.close)
        server.ip("link", "add", "srv0", "type", "veth", "peer", "name", "cli0", "netns", str(client.holder.pid))
        server.ip("address", "add", f"{SERVER_ADDRESS}/24", "dev", "srv0")
        for place, name in ((server, "srv0"), (client, "cli0")):
            place.ip("link", "set", "lo", "up")
            place.ip("link", "set", name, "up")
        for address in (CLIENT_ADDRESS, RELAY_ADDRESS):
            client.ip("address", "add", f"{address}/24", "dev", "cli0")
        server.ip("route", "add", "10.0.1.0/24", "via", CLIENT_ADDRESS)
        made = Network(server, client)
        stack.callback(made.close)
        yield made


class Client:
    """Asks as firmware does."""

    def __init__(self, wires: Network) -> None:
        self._wires = wires
        self._broadcast = wires.open_socket("", CLIENT_PORT)
        self._relay: socket.socket | None = None
        self._direct: socket.socket | None = None
        self._heard: list[Message] = []

    def discover(self, machine: Machine, relay: str = "") -> Message:
        """The first offer."""
        return self._ask(Message(DISCOVER, machine.mac, _xid(), machine.options(), giaddr=relay), OFFER)

    def request(self, machine: Machine, offer: Message, relay: str = "") -> Message:
        """Take an offer: the server's ACK."""
        options = {**machine.options(), REQUESTED: _packed(offer.yiaddr), SERVER: offer.options[SERVER]}
        return self._ask(Message(REQUEST, machine.mac, offer.xid, options, giaddr=relay), ACK)

    def boot(self, machine: Machine, relay: str = "") -> Message:
        """DISCOVER, OFFER, REQUEST, ACK. Both answers must agree about address and boot file."""
        offer = self.discover(machine, relay)
        ack = self.request(machine, offer, relay)
        assert (ack.yiaddr, ack.boot, ack.next_server) == (offer.yiaddr, offer.boot, offer.next_server)
        return ack

    def ask_proxy(self, machine: Machine, item: bytes = b"") -> Message:
        """The second half of proxy DHCP: a machine that has its address asks the boot server, at port 4011.

        `item`: what BIOS firmware took from the boot menu (sub-option 71 of option 43).
        """
        return self._exchange(self._proxied(), (SERVER_ADDRESS, PROXY_PORT), self._question(machine, item), ACK)

    def unanswered(self, machine: Machine, other: Callable[[], Message], relay: str = "") -> bool:
        """Whether this machine's DISCOVER gets no answer, while `other`, asked after it, gets one.

        Servers take packets in turn: when the later one has its answer, the earlier one will have none.
        """
        other()  # the server is up
        question = Message(DISCOVER, machine.mac, _xid(), machine.options(), giaddr=relay)
        sock, to = self._way(relay)
        sock.sendto(encode(question), to)
        other()
        return self._none_for(question)

    def proxy_unanswered(self, machine: Machine, other: Callable[[], Message]) -> bool:
        """The same at port 4011."""
        other()
        question = self._question(machine, b"")
        self._proxied().sendto(encode(question), (SERVER_ADDRESS, PROXY_PORT))
        other()
        return self._none_for(question)

    def _none_for(self, question: Message) -> bool:
        for sock in self._wires.sockets:
            while select.select([sock], [], [], 0)[0]:
                self._heard.append(decode(sock.recv(4096)))
        return all(heard.xid != question.xid for heard in self._heard)

    def _question(self, machine: Machine, item: bytes) -> Message:
        options = {**machine.options(), **({PXE: b"\x47" + bytes((len(item),)) + item + b"\xff"} if item else {})}
        return Message(REQUEST, machine.mac, _xid(), options, ciaddr=CLIENT_ADDRESS)

    def _proxied(self) -> socket.socket:
        if self._direct is None:
            self._direct = self._wires.open_socket(CLIENT_ADDRESS, CLIENT_PORT, device=False)
        return self._direct

    def _way(self, relay: str) -> tuple[socket.socket, tuple[str, int]]:
        if not relay:
            return self._broadcast, ("255.255.255.255", SERVER_PORT)
        if self._relay is None:
            self._relay = self._wires.open_socket(RELAY_ADDRESS, SERVER_PORT, device=False)
        return self._relay, (SERVER_ADDRESS, SERVER_PORT)

    def _ask(self, message: Message, answer: int) -> Message:
        return self._exchange(*self._way(message.giaddr), message, answer)

    def _exchange(self, sock: socket.socket, to: tuple[str, int], message: Message, answer: int) -> Message:
        """Sent again and again: a server may not be up yet. Raises AssertionError where nothing comes."""
        end = time.monotonic() + PATIENCE
        sent = 0.0
        while time.monotonic() < end:
            if time.monotonic() - sent > AGAIN:
                sock.sendto(encode(message), to)
                sent = time.monotonic()
            for ready in select.select([sock], [], [], 0.1)[0]:
                found = decode(ready.recv(4096))
                self._heard.append(found)
                if found.reply and found.xid == message.xid and found.kind == answer:
                    return found
        raise AssertionError(f"no answer of kind {answer} to {message}")


def _xid() -> int:
    return random.getrandbits(32)


def _packed(address: str) -> bytes:
    return socket.inet_aton(address)


@contextmanager
def daemon(command: Sequence[str], log: Path, env: dict[str, str] | None = None, *,
           unplugged: str = "") -> Iterator[Client]:
    """A DHCP server that runs in a network of its own until the end of the block, and a client to ask it with.

    `unplugged`: the cable is plugged in once the server has logged this.
    """
    program = need(command[0])
    with network() as wires, log.open("wb") as out:
        if unplugged:
            wires.unplug()
        process = subprocess.Popen([*wires.server.entered, program, *command[1:]], stdin=subprocess.DEVNULL,
                                   stdout=out, stderr=out, env={**os.environ, **(env or {})})
        try:
            if unplugged:
                _until(lambda: unplugged in log.read_text(), f"{unplugged!r} is not in its log")
                wires.plug()
            yield Client(wires)
            assert process.poll() is None, f"{program} has ended: {log.read_text()}"
        finally:
            process.terminate()
            process.wait(20)


def _until(true: Callable[[], bool], otherwise: str) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, otherwise
        time.sleep(0.05)
