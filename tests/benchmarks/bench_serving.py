"""Serving an image of 32 MB, beside nginx and tftpd-hpa: `… bench_serving http|tftp FOLDER MEGABYTES`.

Ours and the peer take turns, a few seconds each, on loopback, with the same clients, and the best turn of each
counts: other work on the machine only ever slows one down. CPU time is that of the server's processes alone. The
clients of TFTP are lock-step, as firmware is; windows (which tftpd-hpa has not) are not used.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from tests.benchmarks.measure import Failed, Reading, Work

ROOT = Path(__file__).parents[2]
FIGURES = "serving.json"
HTTP_CLIENTS, HTTP_ROUNDS, HTTP_SECONDS = (1, 64), 3, 2
TFTP_CLIENTS, TFTP_ROUNDS, TFTP_SECONDS, TFTP_PROCESSES = 64, 3, 3, 2
CROWD, CROWD_BYTES = 600, 256 << 10
_UNITS = {"B": 1.0, "KB": 1024.0, "MB": 1024.0**2, "GB": 1024.0**3}


@dataclass(frozen=True, slots=True)
class Turn:
    """Bytes a second, and bytes for each CPU second of the server."""

    rate: float
    thrift: float


def write_image(folder: Path, megabytes: int) -> None:
    piece = os.urandom(1 << 20)
    with (folder / "image").open("wb") as file:
        for _ in range(megabytes):
            file.write(piece)
    (folder / "small").write_bytes(piece[:CROWD_BYTES])
    for path in (folder, folder / "image", folder / "small"):
        path.chmod(path.stat().st_mode | 0o555)  # the peers' servers give up root


# --- servers ------------------------------------------------------------------------------------------------


@contextmanager
def running(command: Sequence[str | Path], ready: Callable[[], bool]) -> Iterator[psutil.Process]:
    """A server in a session of its own, of which nothing is left afterwards."""
    if shutil.which(str(command[0])) is None:
        raise Failed(f"{command[0]} is not installed")
    with subprocess.Popen([str(part) for part in command], cwd=ROOT, start_new_session=True,
                          stdin=subprocess.DEVNULL) as process:
        try:
            end = time.monotonic() + 30
            while not ready():
                if process.poll() is not None or time.monotonic() > end:
                    raise Failed(f"{command[0]} does not start: {process.returncode}")
                time.sleep(0.05)
            yield psutil.Process(process.pid)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, 9)


def free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def cpu_of(server: psutil.Process) -> float:
    """Seconds, of all its processes and threads; the kernel's own nanoseconds."""
    total = 0
    for process in (server, *server.children(recursive=True)):
        for thread in Path(f"/proc/{process.pid}/task").iterdir():
            total += int((thread / "schedstat").read_text().split()[0])
    return total / 1e9


def nginx(folder: Path, port: int) -> Sequence[str | Path]:
    places = "".join(f"{name}_temp_path {folder}/{name};" for name in
                     ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(f"""
daemon off; {user} worker_processes auto; pid {folder}/nginx.pid; error_log {folder}/nginx.err;
events {{ worker_connections 1024; }}
http {{ sendfile on; tcp_nopush on; access_log {folder}/nginx.log; {places}
  server {{ listen 127.0.0.1:{port}; root {folder}; }} }}
""")
    return "nginx", "-c", folder / "nginx.conf"


def tftpd_hpa(folder: Path, port: int) -> Sequence[str | Path]:
    return "in.tftpd", "-L", "-a", f"127.0.0.1:{port}", "-s", folder


def ours(kind: str, folder: Path, port: int) -> Sequence[str | Path]:
    return sys.executable, "-m", "tests.benchmarks.bench_serving", f"serve-{kind}", folder, str(port)


def serve(kind: str, folder: Path, port: int) -> None:
    """Our own server, as a process, until it is killed."""
    from providers.boot.http import HttpServer
    from providers.boot.images import FileDigests
    from providers.boot.net import bind
    from providers.boot.tftp_server import TftpServer
    from providers.boot.trail import Trail
    from providers.boot.tree import Content

    digests, trail = FileDigests(), Trail(folder / "log", {}, time.time, print)
    files = {name: digests.read(folder / name) for name in ("image", "small")}

    class Tree:
        def __init__(self) -> None:
            self.trail = trail

        def find(self, name: str, _client: str, *, peek: bool = False) -> Content | None:
            return Content(files[name], name)

    sock = bind(kind, "127.0.0.1", port)
    if kind == "http":
        HttpServer([sock], Tree()).start()
    else:
        TftpServer([sock], Tree().find, lambda *entry: trail.access("tftp", *entry)).start()
    time.sleep(3600)


# --- turns --------------------------------------------------------------------------------------------------


def http_turn(server: psutil.Process, port: int, clients: int) -> Turn:
    before = cpu_of(server)
    done = subprocess.run(["wrk", "-t1", f"-c{clients}", f"-d{HTTP_SECONDS}", "--timeout", "30",
                           f"http://127.0.0.1:{port}/image"], capture_output=True, text=True, check=True)
    spent = cpu_of(server) - before
    found = re.search(r"requests in ([\d.]+)s, ([\d.]+)([KMG]?B) read", done.stdout)
    if found is None or "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise Failed(done.stdout)
    count = float(found.group(2)) * _UNITS[found.group(3)]
    return Turn(count / float(found.group(1)), count / spent)


def tftp_turn(server: psutil.Process, port: int) -> Turn:
    """A bounded time: what was read by then counts. (hpa's children come and go: its CPU time is not looked at.)"""
    command = [sys.executable, "-m", "tests.support.tftp_clients", "127.0.0.1", str(port), "image",
               str(TFTP_CLIENTS // TFTP_PROCESSES), "1428", "1", str(TFTP_SECONDS)]
    readers = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(TFTP_PROCESSES)]
    found = [json.loads(reader.communicate()[0]) for reader in readers]
    return Turn(sum(f["bytes"] / f["seconds"] for f in found), 0.0)


def listening(port: int) -> Callable[[], bool]:
    def ready() -> bool:
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", port)) == 0

    return ready


def answering(port: int) -> Callable[[], bool]:
    def ready() -> bool:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(0.2)
            sock.sendto(b"\0\2no\0octet\0", ("127.0.0.1", port))  # refused, by whoever listens
            try:
                return bool(sock.recv(512))
            except OSError:
                return False

    return ready


def http(folder: Path) -> dict[str, dict[str, float]]:
    turns: dict[str, list[Turn]] = {}
    ports = {name: free_port(socket.SOCK_STREAM) for name in ("nginx", "ours")}
    with running(nginx(folder, ports["nginx"]), listening(ports["nginx"])) as peer, \
            running(ours("http", folder, ports["ours"]), listening(ports["ours"])) as own:
        for _ in range(HTTP_ROUNDS):
            for clients in HTTP_CLIENTS:
                for name, server in (("nginx", peer), ("ours", own)):
                    turns.setdefault(f"{name} {clients}", []).append(http_turn(server, ports[name], clients))
    return best(turns)


def tftp(folder: Path) -> dict[str, dict[str, float]]:
    turns: dict[str, list[Turn]] = {}
    for _ in range(TFTP_ROUNDS):
        for name, make in (("tftpd-hpa", tftpd_hpa), ("ours", lambda folder, port: ours("tftp", folder, port))):
            port = free_port(socket.SOCK_DGRAM)
            with running(make(folder, port), answering(port)) as server:
                turns.setdefault(f"{name} {TFTP_CLIENTS}", []).append(tftp_turn(server, port))
    crowd(folder)
    return best(turns)


def crowd(folder: Path) -> None:
    """600 machines at once, to the end. Raises Failed where one of them does not get its file."""
    from tests.support.tftp_clients import read_all

    port = free_port(socket.SOCK_DGRAM)
    with running(ours("tftp", folder, port), answering(port)):
        found = read_all(("127.0.0.1", port), "small", CROWD)
    if found.done != CROWD or len(found.digests) != 1:
        raise Failed(f"{found.done} of {CROWD} machines were served: {found.failed[:3]}")


def best(turns: dict[str, list[Turn]]) -> dict[str, dict[str, float]]:
    return {name: {"rate": max(t.rate for t in found), "thrift": max(t.thrift for t in found)}
            for name, found in turns.items()}


# --- works --------------------------------------------------------------------------------------------------


def http_readings(folder: Path) -> Sequence[Reading]:
    found = json.loads((folder / FIGURES).read_bytes())
    rows = []
    for clients in HTTP_CLIENTS:
        peer, own = found[f"nginx {clients}"], found[f"ours {clients}"]
        who = f"{clients} client{'s' if clients > 1 else ''}"
        rows += [Reading(f"{who}, bytes/s: nginx / ours", 100 * peer["rate"] / own["rate"], 125, "%"),
                 Reading(f"{who}, bytes/CPU s: nginx / ours", 100 * peer["thrift"] / own["thrift"], 167, "%")]
    return rows


def tftp_readings(folder: Path) -> Sequence[Reading]:
    found = json.loads((folder / FIGURES).read_bytes())
    peer, own = (found[f"{name} {TFTP_CLIENTS}"]["rate"] for name in ("tftpd-hpa", "ours"))
    return (Reading(f"{TFTP_CLIENTS} clients, bytes/s: tftpd-hpa / ours", 100 * peer / own, 100, "%"),)


def _command(kind: str) -> Callable[[Path, int], Sequence[str]]:
    start = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tests.benchmarks.bench_serving import main; main()"
    return lambda folder, _size: [sys.executable, "-c", start, kind, str(folder)]


def main() -> None:
    kind, folder = sys.argv[1], Path(sys.argv[2])
    if kind.startswith("serve-"):
        serve(kind.removeprefix("serve-"), folder, int(sys.argv[3]))
        return
    found = http(folder) if kind == "http" else tftp(folder)
    (folder / FIGURES).write_text(json.dumps(found))
    print(json.dumps(found, indent=1))


WORKS = (
    Work("serve-http", f"image by HTTP beside nginx, {HTTP_ROUNDS} rounds", 32, 60.0, _command("http"), write_image,
         repeats=1, readings=http_readings),
    Work("serve-tftp", f"image by TFTP beside tftpd-hpa, {TFTP_ROUNDS} rounds; {CROWD} machines at once", 32, 60.0,
         _command("tftp"), write_image, repeats=1, readings=tftp_readings),
)

if __name__ == "__main__":
    main()
