"""The boot network: a network namespace with a bridge, or (for users without rights) qemu's own user-mode network.

Whatever is started in here dies with the thread that started it (PR_SET_PDEATHSIG), so a killed test leaves nothing;
the namespace, its bridge and its taps go with the last process in it.
"""

from __future__ import annotations

import ipaddress
import json
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.support.tools import need

LOCK_STEP = ("setpriv", "--pdeathsig", "KILL", "--")


class Network(Protocol):
    """Where machines and the site's servers meet."""

    @property
    def address(self) -> str:
        """Where our servers listen."""

    @property
    def ports(self) -> dict[str, int]:
        """Theirs: tftp, http, birth."""

    @property
    def dhcp(self) -> str:
        """`provider.boot.dhcp` of a fleet here; "" where the fleet has no say in it."""

    def command(self, *words: object) -> list[str]:
        """The command line that runs this inside of the network and dies with its parent."""

    def netdev(self, number: int) -> str:
        """What qemu's `-netdev` says for machine `number`; the device is called n0."""


def start(network: Network, *words: object, **more: Any) -> subprocess.Popen[Any]:
    more = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.STDOUT} | more
    return subprocess.Popen(network.command(*words), **more)


def end(process: subprocess.Popen[Any] | None) -> None:
    if process is not None:
        process.kill()
        process.wait(30)


@dataclass(frozen=True)
class Namespace:
    """A bridge `boot` with 10.99.0.1 and one tap per machine. Ports are the well-known ones."""

    pid: int
    address: str = "10.99.0.1"

    @property
    def ports(self) -> dict[str, int]:
        return {"tftp": 69, "http": 80, "birth": 443}

    @property
    def dhcp(self) -> str:
        return "{subnet: 10.99.0.0/24, interface: boot}"

    def command(self, *words: object) -> list[str]:
        return ["nsenter", f"--net=/proc/{self.pid}/ns/net", "--", *LOCK_STEP, *map(str, words)]

    def netdev(self, number: int) -> str:
        return f"tap,id=n0,ifname=tap{number},script=no,downscript=no"

    def run(self, *words: object, text: str | None = None) -> str:
        done = subprocess.run(self.command(*words), input=text, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def lossy(self, percent: int) -> None:
        """Lose so many of the packets that the servers get, and of those that a machine gets. DHCP is spared."""
        # In the input hook: a packet that output drops makes the sender's call fail.
        self.run("nft", "-f", "-", text=f"""
            table inet loss {{
              chain input {{
                type filter hook input priority 0;
                iifname "boot" udp dport != {{ 67, 68 }} numgen random mod 100 < {percent} counter drop
                iifname "boot" meta l4proto tcp numgen random mod 100 < {percent} counter drop
              }}
            }}""")

    def lost(self) -> int:
        """Packets that `lossy` has dropped so far."""
        rules = self.run("nft", "list", "table", "inet", "loss").split()
        return sum(int(rules[at + 1]) for at, word in enumerate(rules) if word == "packets")


@contextmanager
def _held() -> Iterator[int]:
    """A network namespace of its own; yields the process that holds it."""
    need("unshare", "nsenter", "setpriv", "ip")
    holder = subprocess.Popen(["unshare", "--net", *LOCK_STEP, "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert holder.stdin is not None
        assert holder.stdout is not None
        holder.stdin.write(b"\n")
        holder.stdin.flush()
        assert holder.stdout.read(1) == b"\n", "unshare failed"  # it is in its namespace now
        yield holder.pid
    finally:
        for stream in (holder.stdin, holder.stdout):
            if stream is not None:
                stream.close()
        end(holder)


@contextmanager
def namespace(machines: int) -> Iterator[Namespace]:
    with _held() as pid:
        made = Namespace(pid)
        taps = [f"tuntap add tap{n} mode tap\nlink set tap{n} master boot up" for n in range(machines)]
        made.run("ip", "-batch", "-", text="\n".join([
            "link set lo up", "link add boot type bridge forward_delay 0 stp_state 0",
            f"addr add {made.address}/24 dev boot", "addr add fd99::1/64 dev boot nodad", "link set boot up",
            *taps]) + "\n")
        yield made


@dataclass(frozen=True)
class Neighbour:
    """A network with one link, to a site at 10.98.0.1. It has no interface on the boot network; the site routes."""

    pid: int
    site: str = "10.98.0.1"
    address: str = "10.98.0.2"

    def command(self, *words: object) -> list[str]:
        return Namespace(self.pid).command(*words)


@contextmanager
def neighbour(site: Namespace) -> Iterator[Neighbour]:
    with _held() as pid:
        made = Neighbour(pid)
        site.run("ip", "-batch", "-", text=f"""\
            link add runner type veth peer name site netns {pid}
            addr add {made.site}/24 dev runner
            link set runner up
            """)
        site.run("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
        Namespace(pid).run("ip", "-batch", "-", text=f"""\
            link set lo up
            addr add {made.address}/24 dev site
            link set site up
            route add default via {made.site}
            """)
        yield made


@dataclass(frozen=True)
class UserMode:
    """qemu's own network stack: it hands out leases, and reaches what listens on this machine. No rights needed."""

    address: str
    ports: dict[str, int]
    dhcp: str = ""

    def command(self, *words: object) -> list[str]:
        return [*LOCK_STEP, *map(str, words)]

    def netdev(self, number: int) -> str:
        return f"user,id=n0,ipv6=off,bootfile=tftp://{self.address}:{self.ports['tftp']}/boot.ipxe"


def user_mode() -> UserMode:
    """On an address of this machine: 127.0.0.1 in a boot file would be the booted machine itself."""
    need("setpriv")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: it only asks which address would be used
            address = str(probe.getsockname()[0])
        except OSError:
            address = _other_address()
    return UserMode(address, {"tftp": _free(address, socket.SOCK_DGRAM), "http": _free(address, socket.SOCK_STREAM),
                              "birth": _free(address, socket.SOCK_STREAM)})


def _other_address() -> str:
    listed = json.loads(subprocess.run([need("ip"), "-j", "-4", "addr"], capture_output=True, check=True).stdout)
    found = [str(info["local"]) for link in listed for info in link["addr_info"]]
    usable = [each for each in found if not ipaddress.ip_address(each).is_loopback]
    if not usable:
        pytest.skip("this machine has no address but loopback's, which its own virtual machines cannot reach")
    return usable[0]


def _free(address: str, kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as found:
        found.bind((address, 0))
        return int(found.getsockname()[1])


BESIDE = """\
# Router advertisements: without any, iPXE waits for them for many seconds.
dhcp-range=fd99::,ra-stateless
enable-ra
log-dhcp
# Machines whose firmware goes another way than the fleet's configuration sends it; the first match counts.
dhcp-boot=tag:tftp,boot.ipxe,,{address}
dhcp-boot=tag:pxelinux,pxelinux.0,,{address}
"""


@contextmanager
def dnsmasq(network: Namespace, folder: Path, configuration: Path, tags: dict[str, str]) -> Iterator[Path]:
    """A DHCP server; yields its log. `tags`: MAC → the tag of another way to boot, "" where there is none."""
    log, beside = folder / "dnsmasq.log", folder / "beside.conf"
    beside.write_text(BESIDE.format(address=network.address)
                      + "".join(f"dhcp-mac=set:{tag},{mac}\n" for mac, tag in tags.items() if tag))
    # As root, since a process that changes its user outlives its parent; in its own namespace it can do little.
    with log.open("wb") as output:
        process = start(network, need("dnsmasq"), "--keep-in-foreground", f"--conf-file={beside}",
                        f"--conf-file={configuration}", "--user=root", "--group=root", "--pid-file=",
                        f"--dhcp-leasefile={folder}/leases", "--log-facility=-", stdout=output)
    try:
        yield log
        assert process.poll() is None, log.read_text()
    finally:
        end(process)
