"""`provider.boot.listen`: one address, or one of each family; machines are sent to that of their own."""

from __future__ import annotations

import json
import socket
import ssl
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import pytest

from planner.cli.main import main
from planner.model import FleetError
from providers.boot.listen import addresses, url
from providers.midwife import room
from providers.twin.netboot import http_fetch
from tests.support.tftp_clients import read_all
from tests.support.tools import need_ipv6
from tests.unit.boot.kit import MACS, site, until

FOLDER = "01-52-54-00-00-00-11"
FLEET = """
fleet: {{name: lab}}
provider: {{vsphere: {{server: twin}}, boot: {{listen: {listen}}}}}
"""


@pytest.mark.parametrize(("listen", "expected"), [
    (None, ("127.0.0.1",)), ("10.0.0.2", ("10.0.0.2",)), (["10.0.0.2"], ("10.0.0.2",)),
    (["fd00:0::2", "10.0.0.2"], ("fd00::2", "10.0.0.2")), ("::1", ("::1",)), ([], ("127.0.0.1",))])
def test_addresses(listen: object, expected: tuple[str, ...]) -> None:
    assert addresses(listen) == expected


@pytest.mark.parametrize(("listen", "why"), [
    ("0.0.0.0", "must listen on one address"), ("::", "must listen on one address"),
    (["10.0.0.2", "::"], "must listen on one address"), ("midwife.lab.example", "no IP address"),
    (["10.0.0.2", "10.0.0.3"], "two of one family"), ("fe80::1", "leads machines nowhere"),
    ("239.0.0.1", "leads machines nowhere"), ("ff02::1", "leads machines nowhere"), (7, "no address")])
def test_addresses_that_no_machine_can_be_sent_to(listen: object, why: str) -> None:
    with pytest.raises(FleetError, match=why) as caught:
        addresses(listen)
    assert caught.value.diagnostics[0].remedy


def test_urls_put_brackets_around_ipv6() -> None:
    assert url("http", "10.0.0.2", 80, 80) == "http://10.0.0.2"
    assert url("http", "fd00::2", 80, 80) == "http://[fd00::2]"
    assert url("https", "fd00::2", 8443, 443) == "https://[fd00::2]:8443"


@pytest.mark.parametrize("listen", ["127.0.0.1", "[127.0.0.1]", "'::1'", "[127.0.0.1, '::1']", "'${\"127.0.0.1\"}'"])
def test_the_file_has_one_or_a_list(tmp_path: Path, listen: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "fleet.yaml").write_text(FLEET.format(listen=listen))
    assert main(["validate", str(tmp_path / "fleet.yaml")]) == 0, capsys.readouterr()


@pytest.mark.parametrize(("listen", "expected"), [
    ("10.0.0", "not an IP address"), ("{a: b}", "a list is expected"), ("[10.0.0.2, 10.0.0.3]", "two of one family"),
    ("0.0.0.0", "must listen on one address"), ("true", "wrong type")])
def test_what_is_wrong_in_the_file_is_said_with_its_place(tmp_path: Path, listen: str, expected: str,
                                                          capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "fleet.yaml").write_text(FLEET.format(listen=listen))
    assert main(["validate", str(tmp_path / "fleet.yaml"), "--json"]) == 1
    found = json.dumps(json.loads(capsys.readouterr().out))
    assert expected in found
    assert "fleet.yaml" in found


def test_each_machine_is_sent_to_the_address_of_its_family(tmp_path: Path) -> None:
    need_ipv6()
    with site(tmp_path, block={"listen": ["127.0.0.1", "::1"]}) as here:
        here.run("boot.stage", MACS[0])
        ends = here.boot._servers.tree.endpoints if here.boot._servers is not None else None
        assert ends is not None
        assert ends.other is not None
        for own, other in ((ends, ends.other), (ends.other, ends)):
            text = http_fetch(f"{own.http}/{FOLDER}/boot.cfg", keep=True).decode()
            assert f"prefix={own.http}/images/" in text
            assert f"midwife={own.birth}" in text
            assert other.http not in text
            assert other.birth not in text
        assert here.endpoints[0][0] == "127.0.0.1"
        log = here.folder / "boot" / "access.jsonl"
        until(lambda: log.read_text().count("\n") == 2)
        entries = [json.loads(line) for line in log.read_text().splitlines()]
        assert [(entry["from"], entry["mac"]) for entry in entries] == [("127.0.0.1", MACS[0]), ("::1", MACS[0])]


def test_births_of_both_families_share_one_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need_ipv6()
    monkeypatch.setattr(room, "PATIENCE_SECONDS", 0.2)
    with site(tmp_path, block={"listen": ["127.0.0.1", "::1"]}) as here:
        here.run("boot.stage", MACS[0])
        assert here.boot._servers is not None
        births, ends = here.boot._servers.births, here.boot._servers.tree.endpoints
        assert births._room is not None
        assert ends.other is not None
        births._room.most = 1
        own, other = (urlsplit(each.birth) for each in (ends, ends.other))
        with socket.create_connection((own.hostname or "", own.port or 443), 20) as silent:
            until(lambda: len(births._room.open) == 1 if births._room is not None else False)
            assert greeted(other)  # the silent one made room
            assert silent.recv(1) == b""
        assert births.dropped == 1
        until(lambda: greeted(own))


def greeted(end: SplitResult) -> bool:
    """Whether a connection there gets as far as TLS."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection((end.hostname or "", end.port or 443), 20) as sock, tls.wrap_socket(sock):
        return True


def test_ipv6_alone_boots_a_machine(tmp_path: Path) -> None:
    need_ipv6()
    with site(tmp_path, block={"listen": "::1"}) as here:
        here.run("boot.stage", MACS[0])
        (host, port), http = here.endpoints[0], urlsplit(here.endpoints[1])
        assert (host, http.hostname) == ("::1", "::1")
        outcome = read_all((host, port), f"{FOLDER}/mboot.efi", 2)
        assert (outcome.done, outcome.failed) == (2, [])
        text = http_fetch(f"{here.endpoints[1]}/{FOLDER}/boot.cfg", keep=True).decode()
        key = next(word for word in text.split() if word.endswith("birth.tgz"))
        assert key.startswith(f"http://[::1]:{http.port}/")
        assert http_fetch(key, keep=True)
        until(lambda: "handed over at" in here.boot.trail.reason(MACS[0]))
