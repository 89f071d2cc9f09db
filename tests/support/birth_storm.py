"""A boot storm over real TLS: thousands of hosts that were served their boot configuration and post their births.

    python -m tests.support.birth_storm FOLDER PORT RATE DUPLICATES FORGERIES PROCESSES

prints one JSON object: `replies` by status, `p50`, `p99` and `slowest` in milliseconds from the connection's first
packet to the reply's last byte, `late` (milliseconds, 99th percentile, by which requests left later than planned).
"""

from __future__ import annotations

import json
import multiprocessing
import socket
import ssl
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from providers.boot.payload import message, thumbprint
from providers.midwife.desk import NONCE_SECONDS
from providers.midwife.standing import Boot, Standing, Standings

THREADS = 12


@dataclass(frozen=True, slots=True)
class Host:
    """What a host knows after it fetched its boot configuration."""

    mac: str
    nonce: str
    key: str
    certificate: str
    address: str

    def body(self, clock: float, key: str = "") -> bytes:
        facts = {"mac": self.mac, "uuid": f"00000000-0000-4000-8000-{self.mac.replace(':', '')}", "serial": "S1",
                 "address": self.address, "version": "VMware ESXi 8.0.3 build-24022510",
                 "certificate": self.certificate, "thumbprint": thumbprint(self.certificate)}
        return message(facts, self.nonce, bytes.fromhex(key or self.key), clock)


def stage(folder: Path, count: int) -> None:
    """Boot files stand and were fetched for `count` hosts; what the hosts know is written to `hosts.jsonl`."""
    from tests.unit.boot.kit import certificate

    standings = Standings(folder / "boot")
    certificates = [certificate(f"esx{n}") for n in range(min(count, 20))]
    now = time.time()
    with (folder / "hosts.jsonl").open("w") as file:
        for number in range(count):
            digits = f"{number:06x}"
            mac = f"52:54:00:{digits[:2]}:{digits[2:4]}:{digits[4:]}"
            boot = Boot(f"{number:016x}", f"{number:032x}", f"{number:064x}", now, now + NONCE_SECONDS, "10.0.0.9")
            standings.put(Standing(mac, "d" * 64, "/images/esxi8", "0" * 16, now, "24022510", boot), durable=False)
            file.write(json.dumps([mac, boot.nonce, boot.key, certificates[number % len(certificates)],
                                   f"127.{1 + number // 62500}.{number // 250 % 250}.{1 + number % 250}"]) + "\n")


def hosts(folder: Path) -> Iterator[Host]:
    with (folder / "hosts.jsonl").open() as file:
        for line in file:
            yield Host(*json.loads(line))


def client_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def post(context: ssl.SSLContext, where: tuple[str, int], source: str, body: bytes, timeout: float = 30) -> int:
    """One birth over one connection, from an address of its own. Raises OSError."""
    with socket.create_connection(where, timeout, source_address=(source, 0)) as plain, \
            context.wrap_socket(plain) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as http.client, with which the payload posts
        sock.sendall(b"POST /v1/births HTTP/1.1\r\nHost: midwife\r\nConnection: close\r\n"
                     b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        reply = b""
        while piece := sock.recv(4096):
            reply += piece
    if not reply.startswith(b"HTTP/1."):
        raise ConnectionError("no reply")
    return int(reply.split(b" ", 2)[1])


@dataclass(frozen=True, slots=True)
class Plan:
    """Who posts when: `at` in seconds after the start."""

    at: float
    host: Host
    clock: float  # the host's, in seconds after the start: a duplicate has the bytes of the first
    key: str = ""  # another than its own: a forgery


def plans(folder: Path, rate: float, duplicates: int, forgeries: int) -> list[Plan]:
    """Births at an even rate, duplicates two seconds after their birth, forgeries before theirs."""
    everyone = list(hosts(folder))
    found = [Plan(number / rate, host, number / rate) for number, host in enumerate(everyone)]
    if duplicates:
        again = found[::max(1, len(everyone) // duplicates)][:duplicates]
        found += [Plan(plan.at + 2, plan.host, plan.at) for plan in again]
    if forgeries:
        step = max(1, len(everyone) // forgeries)
        forged = found[:len(everyone):step][:forgeries]
        found += [Plan(plan.at, plan.host, plan.at, "00" * 31 + "ff") for plan in forged]
    return sorted(found, key=lambda plan: plan.at)


def _worker(mine: Sequence[Plan], port: int, start: float, results: Any) -> None:
    context = client_context()
    waiting, lock = iter(mine), threading.Lock()
    found: list[tuple[int, float, float, str]] = []

    def run() -> None:
        while True:
            with lock:
                plan = next(waiting, None)
            if plan is None:
                return
            body = plan.host.body(start + plan.clock, plan.key)
            time.sleep(max(0.0, start + plan.at - time.time()))
            began = time.time()
            try:
                status = post(context, ("127.0.0.1", port), plan.host.address, body)
            except OSError:
                status = 0
            found.append((status, time.time() - began, began - start - plan.at, plan.host.mac))

    threads = [threading.Thread(target=run) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results.put(found)


def storm(folder: Path, port: int, rate: float, duplicates: int, forgeries: int, processes: int) -> dict[str, Any]:
    """Run it; see the module's text for what comes back. `acknowledged`: MACs that were answered with 201 or 200."""
    planned = plans(folder, rate, duplicates, forgeries)
    results: Any = multiprocessing.Queue()
    start = time.time() + 1.0
    children = [multiprocessing.Process(target=_worker, args=(planned[n::processes], port, start, results))
                for n in range(processes)]
    for child in children:
        child.start()
    found = [each for _ in children for each in results.get()]
    for child in children:
        child.join()
    times, late = sorted(f[1] * 1000 for f in found), sorted(f[2] * 1000 for f in found)
    return {"replies": dict(sorted(Counter(str(f[0]) for f in found).items())), "p50": times[len(times) // 2],
            "p99": times[int(len(times) * 0.99)], "slowest": times[-1], "late": late[int(len(late) * 0.99)],
            "acknowledged": sorted({f[3] for f in found if f[0] in (200, 201)})}


def main() -> None:
    folder, port, rate, duplicates, forgeries, processes = sys.argv[1:]
    print(json.dumps(storm(Path(folder), int(port), float(rate), int(duplicates), int(forgeries), int(processes))))


if __name__ == "__main__":
    main()
