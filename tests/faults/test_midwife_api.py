"""Who comes in at the API, and who does not: over real TLS, with every kind of wrong certificate."""

from __future__ import annotations

import os
import socket
import ssl
import time
from pathlib import Path

import pytest

from planner.model import Denied, FleetError, Locked
from providers.midwife.api.auth import Authority
from providers.midwife.api.wire import SERVER_NAME
from providers.midwife.remote.client import Client, Unreachable, client_context
from providers.midwife.service.midwife import Midwife, Settings
from tests.support.midwife import ANY, Place, served, service


def ping(client: Client) -> object:
    try:
        return client.call("GET", "ping", patience=0.0).json()
    finally:
        client.close()


def test_an_enrolled_identity_comes_in_for_its_fleet_and_no_other(tmp_path: Path) -> None:
    with served(tmp_path) as place:
        lab = place.identity("lab")
        assert ping(Client(place.url, "lab", lab)) == {"fleet": "lab"}
        with pytest.raises(FleetError, match=r"identity is of another fleet.*fleet:lab.*edge"):
            ping(Client(place.url, "edge", lab))  # said here already
        forced = Client(place.url, "edge", lab)
        forced._tls.append(client_context(lab, "lab"))
        with pytest.raises(Denied, match="for the fleet lab, and was used for the fleet edge"):
            ping(forced)
        assert "was used for the fleet edge" in place.said[-1]  # the midwife's log has it


def test_without_a_certificate_nobody_comes_in(tmp_path: Path) -> None:
    with served(tmp_path) as place:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(place.folder / "identity" / "ca.pem")
        refused(place, context)
        bare = Client(place.url, "lab", place.identity("lab"))
        bare._tls.append(context)
        with pytest.raises(FleetError, match="does not accept this identity"):
            ping(bare)


def refused(place: Place, context: ssl.SSLContext) -> None:
    """Not one byte is answered."""
    with socket.create_connection(place.address, 5) as plain:
        plain.settimeout(5)
        try:
            with context.wrap_socket(plain, server_hostname=SERVER_NAME) as sock:
                sock.sendall(b"GET /v1/fleets/lab/ping HTTP/1.1\r\nHost: x\r\n\r\n")
                assert sock.recv(100) == b""
        except (ssl.SSLError, ConnectionResetError):
            return


def test_certificates_of_others_are_worth_nothing(tmp_path: Path) -> None:
    with served(tmp_path) as place:
        stranger = Authority(tmp_path / "stranger")
        pem = stranger.enroll("lab")[1].decode()
        key, certificate, _ = blocks(pem)
        ours = blocks(place.identity("lab"))[2]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=ours)
        (tmp_path / "mixed.pem").write_text(key + certificate)
        context.load_cert_chain(tmp_path / "mixed.pem")
        refused(place, context)
        with pytest.raises(FleetError, match="does not accept this identity"):
            ping(Client(place.url, "lab", key + certificate + ours))
        with pytest.raises(FleetError, match="not the midwife that the identity is for"):
            ping(Client(place.url, "lab", pem))
        server = (place.folder / "identity" / "api-key.pem").read_text() + (
            place.folder / "identity" / "api.pem").read_text()
        (tmp_path / "server.pem").write_text(server)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=ours)
        context.load_cert_chain(tmp_path / "server.pem")
        refused(place, context)  # the server's own certificate is for servers


def blocks(pem: str) -> tuple[str, str, str]:
    """Key, certificate, authority."""
    parts = [part + "-----\n" for part in pem.split("-----\n") if part.strip()]
    return "".join(parts[:2]), "".join(parts[2:4]), "".join(parts[4:])


def test_an_identity_ends_when_it_expires_or_is_revoked(tmp_path: Path) -> None:
    with served(tmp_path) as place:
        old = Authority(place.folder / "identity", lambda: time.time() - 3 * 86400)
        expired = old.enroll("lab", 1)[1].decode()
        with pytest.raises(FleetError, match="identity for the midwife has expired"):
            ping(Client(place.url, "lab", expired))
        unchecked = Client(place.url, "lab", expired)
        unchecked._tls.append(without_check(tmp_path, expired))
        with pytest.raises(FleetError, match="does not accept this identity"):
            ping(unchecked)

        client = Client(place.url, "lab", place.identity("lab"))
        assert client.call("GET", "ping").json() == {"fleet": "lab"}
        Authority(place.folder / "identity").revoke("lab")  # as another process does it
        with pytest.raises(Denied, match="was revoked"):  # on the connection that is open
            client.call("GET", "ping")
        client.close()
        assert ping(Client(place.url, "lab", place.identity("lab"))) == {"fleet": "lab"}  # a new one is good


def without_check(tmp_path: Path, pem: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=blocks(pem)[2])
    (tmp_path / "expired.pem").write_text(pem)
    context.load_cert_chain(tmp_path / "expired.pem")
    return context


def test_an_expired_certificate_ends_open_connections_too(tmp_path: Path) -> None:
    now = [time.time()]
    with served(tmp_path, now=lambda: now[0]) as place:
        client = Client(place.url, "lab", place.midwife.authority.enroll("lab", 1)[1].decode())
        assert client.call("GET", "ping").json() == {"fleet": "lab"}
        now[0] += 2 * 86400
        with pytest.raises(Denied, match="has expired"):
            client.call("GET", "ping")
        client.close()


def test_identities_that_nobody_wrote_down_are_refused(tmp_path: Path) -> None:
    with served(tmp_path) as place:
        identity = place.identity("lab")
        (place.folder / "identity" / "clients.json").unlink()
        with pytest.raises(Denied, match="not enrolled here"):
            ping(Client(place.url, "lab", identity))


@pytest.mark.parametrize("identity", ["", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_damaged_identity_files_are_named(identity: str) -> None:
    with pytest.raises(FleetError, match="identity for the midwife cannot be used") as refused_:
        Client("https://127.0.0.1:1", "lab", identity).call("GET", "ping")
    assert "fleet midwife enroll" in refused_.value.diagnostics[0].remedy


# --- what an enrolled caller may not do -----------------------------------------------------------------------


def test_bodies_are_bounded_in_size_and_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("providers.midwife.api.server.PIECE_SECONDS", 0.2)
    with served(tmp_path) as place:
        client = place.client("lab")
        with pytest.raises(FleetError, match="body is too large"):
            client.call("POST", "boot/stage", body=b"x" * (2 << 20))
        with pytest.raises(FleetError, match="not JSON"):
            client.call("POST", "boot/stage", body=b"[" * 100_000)
        with pytest.raises(FleetError, match="not a JSON object"):
            client.call("POST", "boot/stage", body=b"[1]")
        with pytest.raises(FleetError, match="no such call"):
            client.call("GET", "boot/nothing")
        with pytest.raises(FleetError, match="does not take this method"):
            client.call("PUT", "boot/stage", body=b"")
        assert said_to_a_slow_one(place, client).startswith(b"HTTP/1.1 408")
        assert client.call("GET", "ping").json() == {"fleet": "lab"}
        client.close()


def said_to_a_slow_one(place: Place, client: Client) -> bytes:
    with (socket.create_connection(place.address, 5) as plain,
          client._context().wrap_socket(plain, server_hostname=SERVER_NAME) as sock):
        sock.sendall(f"POST /v1/fleets/lab/boot/stage HTTP/1.1\r\nHost: x\r\nFleet-Lock: {client.token()}\r\n"
                     "Content-Length: 10\r\n\r\n{".encode())
        return sock.recv(1000)


@pytest.mark.parametrize(("data", "expected"), [
    ({"mac": "52:54:00:00:00:1"}, "no MAC address"),
    ({"mac": None}, "no MAC address"),
    ({"mac": "52:54:00:00:00:11", "image": "../../etc"}, "does not have this image"),
    ({"mac": "52:54:00:00:00:11", "image": 7}, "`image` must be a text"),
    ({"mac": "52:54:00:00:00:11", "image": "d" * 64, "boots": "twice"}, "this way to boot is not known"),
    ({"mac": "52:54:00:00:00:11", "image": "d" * 64, "root": "secret"}, "no SHA-512 crypt hash"),
])
def test_stagings_that_are_refused(tmp_path: Path, data: dict[str, object], expected: str) -> None:
    with served(tmp_path) as place:
        client = place.client("lab")
        with pytest.raises(FleetError, match=expected):
            client.call("POST", "boot/stage", data)
        client.close()
        assert place.midwife.standings.all() == {}


def test_six_hundred_half_open_connections_keep_no_runner_out(tmp_path: Path) -> None:
    with served(tmp_path) as place:
        client = place.client("lab")
        held = [socket.create_connection(place.address, 5) for _ in range(600)]
        try:
            assert ping(Client(place.url, "lab", place.identity("lab"))) == {"fleet": "lab"}
            assert client.call("GET", "ping").json() == {"fleet": "lab"}
        finally:
            for sock in held:
                sock.close()
        client.close()


# --- one midwife per folder, and never on the boot network ----------------------------------------------------


def test_a_second_midwife_on_the_folder_says_who_holds_it(tmp_path: Path) -> None:
    with service(tmp_path) as place:
        assert place.process is not None
        second = Midwife(Settings(place.folder, ("127.0.0.1",), ANY, ("127.0.0.1", 0)), lambda _line: None)
        with pytest.raises(Locked, match=rf"process {place.process.pid} on .* API at 127.0.0.1:{place.ports[0]}"):
            second.open()
        assert place.end() == 0
    second.open()  # a process that ended holds nothing
    second.close()


@pytest.mark.parametrize(("listen", "api"), [("10.9.8.7", "10.9.8.7"), ("127.0.0.1", "0.0.0.0"), ("127.0.0.1", "::")])
def test_the_api_is_never_on_the_boot_network(tmp_path: Path, listen: str, api: str) -> None:
    midwife = Midwife(Settings(tmp_path / "site", (listen,), ANY, (api, 0)), lambda _line: None)
    with pytest.raises(FleetError, match="API must not listen on the boot network"):
        midwife.open()
    assert not (tmp_path / "site").exists()


def test_a_port_in_use_is_named_and_nothing_stays_open(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        before = len(os.listdir("/proc/self/fd"))
        midwife = Midwife(Settings(tmp_path / "site", ("127.0.0.1",), ANY, ("127.0.0.1", port)), lambda _line: None)
        with pytest.raises(FleetError, match="port for api cannot be bound") as refused_:
            midwife.open()
        assert "--api" in refused_.value.diagnostics[0].remedy
        assert len(os.listdir("/proc/self/fd")) == before


def test_nobody_there_is_told_with_address_and_remedy(tmp_path: Path) -> None:
    pem = Authority(tmp_path).enroll("lab")[1].decode()
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    with pytest.raises(Unreachable, match=f"https://127.0.0.1:{port}: Connection refused") as refused_:
        Client(f"https://127.0.0.1:{port}", "lab", pem).call("GET", "ping", patience=0.3)
    assert "fleet midwife serve" in refused_.value.diagnostics[0].remedy
