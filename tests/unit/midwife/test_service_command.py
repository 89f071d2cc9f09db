"""`fleet midwife enroll|list|revoke|serve`, and the register of MACs."""

from __future__ import annotations

import inspect
import json
import socket
import ssl
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from planner.cli.main import main
from planner.model import FleetError
from providers.midwife.api.auth import Authority
from providers.midwife.room import Limits
from providers.midwife.service.command import _endpoint, _notify, serve
from providers.midwife.service.macs import Macs, Owned, Taken
from tests.support.midwife import service

MAC, OTHER = "52:54:00:00:00:11", "52:54:00:00:00:12"


def test_identities_are_made_listed_and_revoked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = str(tmp_path / "site"), tmp_path / "lab.pem"
    assert main(["midwife", "enroll", "lab", "--folder", folder, "--out", str(out), "--days", "30"]) == 0
    assert out.stat().st_mode & 0o777 == 0o600
    assert main(["midwife", "enroll", "lab", "--folder", folder, "--out", str(out)]) == 1  # never written over
    assert "there is such a file already" in capsys.readouterr().err
    assert main(["midwife", "enroll", "edge", "--folder", folder, "--out", str(tmp_path / "edge.pem")]) == 0
    capsys.readouterr()
    assert main(["midwife", "list", "--folder", folder, "--json"]) == 0
    lab, edge = sorted(json.loads(capsys.readouterr().out)["identities"], key=lambda i: i["fleet"], reverse=True)
    assert (lab["fleet"], lab["revoked"], edge["fleet"]) == ("lab", "", "edge")
    assert main(["midwife", "revoke", "lab", "--folder", folder, "--serial", lab["serial"].lower()]) == 0
    assert f"identity {lab['serial']} is revoked" in capsys.readouterr().out
    assert main(["midwife", "list", "--folder", folder]) == 0
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "revoked" in rows["lab"]
    assert rows["edge"].endswith("good")
    assert main(["midwife", "revoke", "nobody", "--folder", folder]) == 1
    assert "there is no such identity" in capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "code"), [
    (["enroll", "../lab", "--out", "x.pem"], 1), (["enroll", "lab", "--out", "x.pem", "--days", "0"], 1),
    (["enroll", "lab", "--out", "x.pem", "--days", "99999"], 1),
    (["serve", "--listen", "127.0.0.1", "--api", "127.0.0.1"], 64),
    (["serve", "--listen", "127.0.0.1", "--api", "midwife:8443"], 64),
    (["serve", "--listen", "127.0.0.1", "--api", "127.0.0.1:0", "--ports", "ssh=22"], 64),
    (["serve", "--listen", "127.0.0.1", "--api", "127.0.0.1:0", "--rate", "0"], 64),
    (["serve", "--listen", "127.0.0.1", "--api", "127.0.0.1:0", "--burst", "0"], 64),
    (["serve", "--listen", "127.0.0.1", "--api", "127.0.0.1:0", "--connections", "many"], 64),
    (["serve", "--listen", "0.0.0.0", "--api", "127.0.0.1:0"], 1),
    (["serve", "--listen", "10.1.2.3", "--api", "10.1.2.3:0"], 1),
])
def test_what_cannot_be_served_or_enrolled_is_told_before_anything_is_made(
        arguments: list[str], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["midwife", *arguments, "--folder", "site"]) == code
    assert capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_ipv6_address_stands_in_brackets() -> None:
    assert _endpoint("--api", "[fd00::1]:8443") == ("fd00::1", 8443)


def test_systemd_is_told_that_it_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        _notify("READY=1")
        assert sock.recv(100) == b"READY=1"


def test_births_are_limited_as_the_options_say(tmp_path: Path) -> None:
    given = {name: p.default for name, p in inspect.signature(serve).parameters.items()}
    assert Limits(given["connections"], given["rate"], given["burst"]) == Limits()
    with service(tmp_path, "--rate", "0.1", "--burst", "2") as place:
        ends = urlsplit(place.said["birth"])
        assert [greeted(ends.hostname or "", ends.port or 443) for _ in range(4)] == [True, True, False, False]


def greeted(host: str, port: int) -> bool:
    """Whether a connection gets as far as TLS."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection((host, port), 20) as sock, tls.wrap_socket(sock):
            return True
    except OSError:
        return False


def test_a_service_ends_cleanly_on_sigterm(tmp_path: Path) -> None:
    with service(tmp_path) as place:
        assert set(place.said) == {"api", "tftp", "http", "birth", "page", "folder"}
        assert place.end() == 0
    assert "the midwife ends" in place.log.read_text()


def test_a_damaged_list_of_identities_is_told(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.enroll("lab")
    (tmp_path / "clients.json").write_text("{")
    with pytest.raises(FleetError, match="list of identities cannot be read"):
        authority.clients()


# --- one MAC in one fleet -------------------------------------------------------------------------------------


def test_macs_are_claimed_by_one_fleet_and_remembered(tmp_path: Path) -> None:
    macs = Macs(tmp_path / "macs.json")
    macs.load()
    macs.claim({MAC: Owned("lab", "host.a", "a.lab.example", True)})
    with pytest.raises(Taken, match=rf"{MAC} \(lab\)"):
        macs.claim({OTHER: Owned("edge"), MAC: Owned("edge")})
    assert macs.owner(OTHER) is None  # all or none
    again = Macs(tmp_path / "macs.json")
    again.load()
    assert again.owner(MAC) == Owned("lab", "host.a", "a.lab.example", True)
    assert again.disks() == {MAC}
    assert again[MAC] == "lab host.a"
    again.release("edge", MAC)
    assert again.owner(MAC) is not None  # only its owner lets go
    again.keep("lab", {OTHER: Owned("lab")}, stands=lambda mac: mac == MAC)
    assert set(again.of("lab")) == {MAC, OTHER}
    again.keep("lab", {OTHER: Owned("lab")}, stands=lambda _mac: False)
    assert set(again.of("lab")) == {OTHER}


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 2, "macs": {}}', '{"format": 1, "macs": {"x": {"who": 1}}}'])
def test_a_damaged_register_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "macs.json").write_text(text)
    with pytest.raises(FleetError, match="register of MACs cannot be read"):
        Macs(tmp_path / "macs.json").load()
