"""`fleet image`, and images of fleets that come from an ISO: through the real command line, in this process."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from planner.cli.main import main
from providers.boot.store import Store
from tests.support.isos import FakeIso, esx35, modern
from tests.unit.boot.kit import make_image

FLEET = """
fleet: {{name: lab}}
provider:
  vsphere: {{server: twin}}
  boot: {{listen: 127.0.0.1{boot}}}
image:
  esxi8: {{source: {source}{more}}}
datacenter: {{dc0: {{}}}}
cluster:
  prod: {{datacenter: '${{datacenter.dc0}}'}}
host:
  esx01: {{name: esx01.lab.example, mac: '52:54:00:00:00:11', cluster: '${{cluster.prod}}', image: '${{image.esxi8}}',
           root_password: '${{secret("env:ESX_ROOT_PASSWORD")}}'}}
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ESX_ROOT_PASSWORD", "Geheim-123")
    return tmp_path


class Cli:
    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys, self.out, self.err = capsys, "", ""

    def __call__(self, *arguments: str) -> int:
        code = main(list(arguments))
        self.out, self.err = self.capsys.readouterr()
        return code

    def json(self, *arguments: str) -> Any:
        self(*arguments, "--json")
        return json.loads(self.out)


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(capsys)


def test_add_list_verify(cli: Cli, here: Path) -> None:
    iso, folder = modern(here / "iso"), make_image(here / "folder")
    assert cli("image", "add", "esxi8", str(iso.path)) == 0
    digest = cli.out.split()[1]
    assert cli("image", "add", "demo", "folder") == 0
    assert cli("image", "list") == 0
    rows = [line.split() for line in cli.out.splitlines()[2:]]
    assert [row[0] for row in rows] == ["demo", "esxi8"]
    assert rows[1][1:4] == [digest[:12], "mboot", "8.0.3-0.0.24022510"]
    assert cli("image", "verify") == 0
    assert cli.out.count("sound") == 2
    listed = cli.json("image", "list")
    assert listed["store"] == str(here / ".fleet/images")
    assert [(i["name"], i["source"], i["files"]) for i in listed["images"]] == [
        ("demo", str(folder), 6), ("esxi8", str(iso.path), len(iso.expected))]
    module = here / ".fleet/images" / digest / "s.v00"
    module.chmod(0o644)
    module.write_bytes(b"damaged")
    assert cli("image", "verify", "demo") == 0
    assert cli("image", "verify", "esxi8") == 1
    assert f"{module} has 7 bytes instead of" in cli.out
    found = cli.json("image", "verify")
    assert (found["valid"], found["exit_code"]) == (False, 1)
    assert cli("image", "add", "esxi8", str(iso.path)) == 0
    assert cli("image", "verify", digest[:8]) == 0
    assert module.read_bytes() == iso.expected["s.v00"]


def test_an_empty_store_is_no_error(cli: Cli, here: Path) -> None:
    assert cli("image", "list") == 0
    assert "no images in" in cli.err
    assert cli.json("image", "list")["images"] == []
    assert cli("image", "verify") == 0
    assert not (here / ".fleet").exists()


@pytest.mark.parametrize(("arguments", "code", "expected"), [
    (("add",), 64, "NAME"), (("add", "x"), 64, "SOURCE"), (("add", "../x", "folder"), 64, "NAME has letters"),
    (("add", "x", "folder", "--sha256", "abc"), 64, "64 hexadecimal digits"), (("frob",), 64, "frob"),
    (("add", "x", "absent.iso"), 1, "an image does not exist"), (("add", "x", "empty"), 1, "an image file is missing"),
    (("add", "x", "ftp://h/x.iso"), 1, "not a URL of an image"), (("verify", "nobody"), 1, "no such image"),
    (("add", "x", "folder", "--sha256", "0" * 64), 1, "does not have its declared sha256"),
])
def test_wrong_usage_and_errors(arguments: tuple[str, ...], code: int, expected: str, cli: Cli, here: Path) -> None:
    make_image(here / "folder")
    (here / "empty").mkdir()
    assert cli("image", *arguments) == code
    assert expected in cli.err


def test_the_digest_of_a_stored_folder_is_that_of_the_folder(cli: Cli, here: Path) -> None:
    make_image(here / "folder")
    added = cli.json("image", "add", "x", "folder")
    again = cli.json("image", "add", "y", added["folder"], "--sha256", added["digest"].upper())
    assert (again["digest"], again["loader"], again["version"]) == (added["digest"], "mboot", "8.0.3-0.0.24022510")


def test_a_name_that_moves_is_told(cli: Cli, here: Path) -> None:
    make_image(here / "one")
    make_image(here / "two", size=7)
    cli("image", "add", "x", "one")
    first = cli.out.split()[1]
    assert cli("image", "add", "x", "two") == 0
    assert f"x was {first[:12]} until now" in cli.err
    assert len(cli.json("image", "list")["images"]) == 2, "without a name, and still there"


# --- in a fleet -------------------------------------------------------------------------------------------------


def write_fleet(here: Path, iso: FakeIso, more: str = "", boot: str = "") -> None:
    (here / "fleet.yaml").write_text(FLEET.format(source=iso.path, more=more, boot=boot))


def test_a_host_boots_from_an_iso(cli: Cli, here: Path) -> None:
    iso = modern(here / "iso")
    checksum = hashlib.sha256(iso.path.read_bytes()).hexdigest()
    write_fleet(here, iso, f', sha256: "{checksum}"')
    assert cli("validate", "fleet.yaml") == 0
    assert not (here / ".fleet").exists()
    assert cli("plan", "fleet.yaml", "--out", "p.json") == 0
    store = Store(here / ".fleet/images")
    assert (store.digests(), "image: " in cli.err) == ([], False), "a plan extracts nothing, and is silent when quick"
    assert cli("apply", "p.json", "--auto-approve") == 0, cli.err
    (digest,) = store.digests()
    assert digest[:16] in cli.out
    assert {n: (store.folder / digest / n).read_bytes() for n in iso.expected} == dict(iso.expected)
    assert cli("plan", "fleet.yaml", "--detailed-exitcode") == 0
    assert cli("drift", "fleet.yaml", "--detailed-exitcode") == 0


def test_another_iso_since_the_plan_is_stale(cli: Cli, here: Path) -> None:
    iso = modern(here / "iso")
    write_fleet(here, iso, boot=", images: store")
    assert cli("plan", "fleet.yaml", "--out", "p.json") == 0
    modern(here / "two", seed=9).path.replace(iso.path)
    assert cli("apply", "p.json", "--auto-approve") == 5
    assert "image esxi8 has other bytes" in cli.err
    assert Store(here / "store").digests() == []
    assert not (here / ".fleet/images").exists()


def test_drift_writes_nothing_and_validate_unpacks_nothing(cli: Cli, here: Path) -> None:
    write_fleet(here, esx35(here / "iso"))
    assert cli("validate", "fleet.yaml") == 0
    assert cli("drift", "fleet.yaml") == 0
    assert not (here / ".fleet/images").exists()


@pytest.mark.parametrize(("more", "expected"), [
    (f', sha256: "{"0" * 64}"', "does not have its declared sha256"), ("", "an ISO image is truncated"),
])
def test_what_is_wrong_with_an_iso_is_said_at_its_place(more: str, expected: str, cli: Cli, here: Path) -> None:
    iso = modern(here / "iso")
    with iso.path.open("r+b") as file:
        file.truncate(iso.path.stat().st_size - (0 if more else 4096))
    write_fleet(here, iso, more)
    for command in ("validate", "plan"):
        assert cli(command, "fleet.yaml") == 1
        assert expected in cli.err
        assert "fleet.yaml:7:" in cli.err
