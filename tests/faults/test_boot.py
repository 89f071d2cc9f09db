"""Ports in use, boot files over HTTP, and machines that meet trouble on their way."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from planner.model import FleetError
from providers.twin import netboot
from providers.twin.netboot import BootFailed, http_fetch, network_boot, tftp_fetch
from tests.unit.boot.kit import MACS, FakeHouse, Site, make_image, site, step

FOLDER = "01-52-54-00-00-00-11"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as opened:
        opened.run("boot.stage", MACS[0])
        yield opened


@pytest.mark.parametrize(("kind", "style"), [
    ("tftp", socket.SOCK_DGRAM), ("http", socket.SOCK_STREAM), ("birth", socket.SOCK_STREAM)])
def test_a_port_in_use_is_named_before_any_step(tmp_path: Path, kind: str, style: int) -> None:
    with socket.socket(socket.AF_INET, style) as taken:
        taken.bind(("127.0.0.1", 0))
        if style == socket.SOCK_STREAM:
            taken.listen()
        port = taken.getsockname()[1]
        with site(tmp_path, block={"ports": {kind: port}}, serve=False) as here:
            with pytest.raises(FleetError) as caught:
                here.boot.prepare([step("boot.stage")])
            (found,) = caught.value.diagnostics
            assert found.summary == f"the port for {kind} cannot be bound"
            assert f"port {port} at 127.0.0.1" in found.detail
            assert f"provider.boot.ports.{kind}" in found.remedy
            assert not list(here.folder.rglob("*"))
    with site(tmp_path, block={"ports": {kind: port}}) as here:  # free again: nothing stayed bound
        here.run("boot.stage", MACS[0])


@pytest.mark.parametrize(("listen", "expected"), [
    ("192.0.2.1", "cannot be bound"), ("0.0.0.0", "must listen on one address")])
def test_addresses_that_cannot_serve(tmp_path: Path, listen: str, expected: str) -> None:
    with site(tmp_path, block={"listen": listen}, serve=False) as here, pytest.raises(FleetError, match=expected):
        here.boot.prepare([step("birth.wait")])


def test_runs_without_a_boot_bind_nothing(tmp_path: Path) -> None:
    with site(tmp_path, serve=False) as here:
        here.boot.prepare([step("vswitch.add"), step("boot.unstage")])
        assert here.boot._servers is None
        with pytest.raises(FleetError, match="not served"):
            here.boot.netboot_settings()


def test_outside_the_twin_the_usual_ports_are_the_default(tmp_path: Path) -> None:
    with site(tmp_path, serve=False) as here:
        peer = here.boot._context.peer("vsphere")
        peer.house = None
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            try:
                taken.bind(("127.0.0.1", 69))
            except PermissionError:
                expected = "need root"
            except OSError:  # a real TFTP server runs here
                expected = "stop the program"
            else:
                expected = "stop the program"
            with pytest.raises(FleetError, match=r"UDP port 69 at 127\.0\.0\.1") as caught:
                here.boot.prepare([step("boot.stage")])
            assert expected in caught.value.diagnostics[0].remedy
        with pytest.raises(FleetError, match="not the twin"):
            here.power.prepare([step("power.boot")])


def get(here: Site, path: str, method: str = "GET") -> tuple[int, bytes, str]:
    parts = urlsplit(here.endpoints[1])
    link = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    try:
        link.request(method, path)
        reply = link.getresponse()
        return reply.status, reply.read(), reply.headers.get("Content-Length", "")
    finally:
        link.close()


def test_http_serves_the_same_tree(here: Site) -> None:
    assert get(here, f"/images/{here.digest}/s.v00") == (200, b"s.v00" * 100, "500")
    assert get(here, f"/images/{here.digest}/s.v00", "HEAD") == (200, b"", "500")
    before = here.boot.standings.get(MACS[0])
    status, body, size = get(here, f"/{FOLDER}/boot.cfg", "HEAD")
    assert here.boot.standings.get(MACS[0]) == before  # asking for the size mints nothing
    status, body, length = get(here, f"/{FOLDER}/boot.cfg")
    assert (status, length) == (200, size)
    assert f"prefix={here.endpoints[1]}/images/{here.digest}\n".encode() in body


@pytest.mark.parametrize(("method", "path", "expected"), [
    ("GET", "/images/{digest}/boot.cfg", 404), ("GET", "/images/{digest}/../esxi8/b.b00", 403),
    ("GET", "/%2e%2e/%2e%2e/etc/passwd", 403), ("GET", "//etc/passwd", 404), ("GET", "/..%5c..%5cetc", 403),
    ("GET", "/images/{digest}/%2fetc/passwd", 404), ("GET", "/", 404), ("GET", "/%00", 403),
    ("GET", "/01-52-54-00-00-00-12/boot.cfg", 404), ("PUT", "/x", 405), ("POST", "/mboot.efi", 405),
    ("GET", "/01-52-54-00-00-00-11/0000000000000000/birth.tgz", 404)])
def test_http_serves_nothing_else(here: Site, method: str, path: str, expected: int) -> None:
    assert get(here, path.format(digest=here.digest), method)[0] == expected


def test_keys_are_served_for_the_newest_boot_only(here: Site) -> None:
    texts = [tftp_fetch(*here.endpoints[0], f"{FOLDER}/boot.cfg").decode() for _ in range(2)]
    old, new = (text.split()[-1] for text in texts)
    with pytest.raises(BootFailed, match="404"):
        http_fetch(old, keep=True)
    assert http_fetch(new, keep=True)


def test_half_open_http_does_not_starve_a_machine(here: Site) -> None:
    parts = urlsplit(here.endpoints[1])
    socks = [socket.create_connection((parts.hostname or "", parts.port or 80), 20) for _ in range(300)]
    try:
        for sock in socks[::2]:
            sock.sendall(b"GET /mboot.efi HTTP/1.1\r\nHost: ")
        here.run("power.boot", MACS[0])
        assert here.run("birth.wait", MACS[0])["mac"] == MACS[0]
    finally:
        for sock in socks:
            sock.close()


def test_a_big_module_arrives_whole(tmp_path: Path) -> None:
    image = make_image(tmp_path / "images" / "esxi8")
    big = os.urandom(1 << 20) * 20
    (image / "s.v00").write_bytes(big)
    with site(tmp_path, image=image) as here:
        here.run("boot.stage", MACS[0])
        assert http_fetch(f"{here.endpoints[1]}/images/{here.digest}/s.v00", keep=True) == big


def test_a_machine_that_finds_no_server_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    house = FakeHouse()
    with site(tmp_path, house=house) as here:
        tftp = here.endpoints[0]
    monkeypatch.setattr(netboot, "tftp_fetch", partial(tftp_fetch, timeout=0.05, retries=1))
    said: list[str] = []
    with pytest.raises(BootFailed, match=r"TFTP mboot\.efi"):
        network_boot(house, house.machine(MACS[0]), *tftp, "mboot.efi", say=said.append)
    assert said
    assert said[0].startswith(f"machine {MACS[0]}: TFTP mboot.efi")
    assert house.machine(MACS[0]).boots == 0


def test_close_frees_every_port_and_thread(tmp_path: Path) -> None:
    code = """
import pathlib, sys, threading
from tests.unit.boot.kit import MACS, site
with site(pathlib.Path(sys.argv[1])) as here:
    here.run("boot.stage", MACS[0])
    here.run("power.boot", MACS[0])
    here.run("birth.wait", MACS[0])
    ports = here.endpoints
print([t.name for t in threading.enumerate() if t is not threading.main_thread()])
"""
    done = subprocess.run([sys.executable, "-W", "error", "-X", "dev", "-c", code, str(tmp_path)],
                          capture_output=True, text=True, timeout=120)
    assert (done.stdout.strip(), done.stderr.strip()) == ("[]", "")
