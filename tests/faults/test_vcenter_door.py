"""vCenter cannot be reached, is not who it should be, or does not let us in: exit 1, named, and nothing is written.

Commands of the real CLI through real TLS.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from providers.twin.soap.certificate import make_certificate
from tests.faults.vcenter_kit import ADDRESS, Door, closed_port, vcenter_door

COMMANDS = {"plan": ("plan", "fleet.yaml"), "drift": ("drift", "fleet.yaml"),
            "apply": ("apply", "fleet.yaml", "--auto-approve")}


@pytest.fixture(scope="module")
def shared() -> Iterator[Door]:
    with vcenter_door() as found:
        yield found


@pytest.fixture
def door(shared: Door) -> Door:
    """Declared as it should be; no session is open, nothing was ever changed."""
    shared.declare()
    shared.house.world.sessions.end_all()
    return shared


def refused(door: Door, command: str = "plan") -> str:
    """The one error of a command that ends with 1: its text. Nobody got in, nothing was written or changed."""
    (line,) = door.site.look(*COMMANDS[command], "--json", code=1).lines
    assert line["kind"] == "error"
    (problem,) = line["diagnostics"]
    assert problem["severity"] == "error"
    assert problem["remedy"]
    assert not (door.site.folder / ".fleet/real/state.json").exists()
    assert door.site.newest() is None
    assert door.house.world.sessions.all() == []
    assert door.calls() == []
    return f"{problem['summary']} | {problem['detail']} | {problem['remedy']}"


@pytest.mark.parametrize("how", ["ca_file", "sha256", "sha1"])
def test_a_vcenter_that_is_trusted_is_planned_against(door: Door, how: str) -> None:
    """So that the refusals below are refused for their reasons."""
    from providers.vsphere.connect import thumbprint

    if how != "ca_file":
        door.declare(thumbprint=thumbprint(door.certificate.certificate, how))
    done = door.site.look("plan", "fleet.yaml", "--json")
    assert done.json["summary"]["create"] > 0
    assert door.house.world.sessions.all() == []  # logged out


@pytest.mark.parametrize("command", COMMANDS)
def test_nobody_listens(door: Door, command: str) -> None:
    server = f"{ADDRESS}:{closed_port()}"
    door.declare(server=server)
    text = refused(door, command)
    assert f"{server} is unreachable" in text
    assert "check that it is up" in text


def test_a_server_that_never_answers_is_given_up(door: Door) -> None:
    with socket.create_server((ADDRESS, 0)) as silent:
        door.declare(server=f"{ADDRESS}:{silent.getsockname()[1]}")
        path = door.site.folder / "fleet.yaml"
        path.write_text(path.read_text().replace("timeout: 20", "timeout: 1"))
        assert "is unreachable" in refused(door)


def test_a_name_that_does_not_resolve(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(*_args: object, **_named: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nothing)
    door.declare(server="vc.lab.example")
    assert "vc.lab.example is not a name that resolves" in refused(door)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_wrong_password(door: Door, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(door.env, "VC_PASSWORD", "hunter2-is-wrong")
    text = refused(door, command)
    assert f"{door.name} refused user name or password" in text
    assert "hunter2" not in text


def test_an_unknown_user(door: Door) -> None:
    door.declare(user="nobody@vsphere.local")
    assert "refused user name or password" in refused(door)


def test_a_password_that_is_not_there(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(door.env, "VC_PASSWORD", "")
    assert "refused user name or password" in refused(door)


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_certificate_is_answered_with_its_thumbprint(door: Door, command: str) -> None:
    door.declare(ca="")
    text = refused(door, command)
    assert f"the certificate of {door.name} cannot be verified" in text
    assert door.certificate.thumbprint() in text
    assert "ca_file" in text


def test_a_ca_that_did_not_sign_it(door: Door) -> None:
    door.declare(ca=make_certificate(ADDRESS).certificate)
    text = refused(door)
    assert "cannot be verified" in text
    assert door.certificate.thumbprint() in text


@pytest.mark.parametrize("digits", [40, 64])
def test_another_certificate_than_the_pinned_one(door: Door, digits: int) -> None:
    door.declare(thumbprint="AB" * (digits // 2))
    text = refused(door)
    assert f"{door.name} showed another certificate than the pinned one" in text
    assert door.certificate.thumbprint() in text


def test_a_certificate_of_another_name() -> None:
    with vcenter_door(make_certificate("vc.lab.example")) as door:
        text = refused(door)
        assert "cannot be verified" in text
        assert "mismatch" in text
        door.declare(thumbprint=door.certificate.thumbprint())  # the way out that the message names
        door.site.look("plan", "fleet.yaml")


def test_an_expired_certificate() -> None:
    old = make_certificate(ADDRESS, born=datetime.now(UTC) - timedelta(days=20), days=10)
    with vcenter_door(old) as door:
        assert "certificate has expired" in refused(door)


def test_a_server_that_is_no_vcenter(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door.server, "mount", lambda _path: None)
    monkeypatch.setattr(door.server._httpd, "mount", lambda _path: None)
    assert door.name in refused(door)


def test_a_real_process_says_it_on_stderr(door: Door) -> None:
    """Not only in JSON: what is wrong, what was seen, what to do; stdout stays empty."""
    door.declare(ca="")
    done = door.site.run("plan", "fleet.yaml", code=1)
    assert done.out == ""
    assert door.certificate.thumbprint() in done.err
    assert "do: set `ca_file:`" in done.err


def test_vcenter_is_gone_when_a_reviewed_plan_is_applied(door: Door) -> None:
    door.site.look("plan", "fleet.yaml", "--out", "p.fleetplan")
    path = door.site.folder / "fleet.yaml"
    text = path.read_text()
    try:
        path.write_text(text.replace(door.name, f"{ADDRESS}:{closed_port()}"))
        (line,) = door.site.look("apply", "p.fleetplan", "--auto-approve", "--json", code=1).lines[-1:]
    finally:
        (door.site.folder / "p.fleetplan").unlink()
    assert "unreachable" in line["diagnostics"][0]["summary"]
    assert door.calls() == []
    assert door.site.newest() is None
