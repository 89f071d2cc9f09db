"""`fleet births`: a listing that writes nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from planner.cli.main import main
from providers.midwife.inbox import Inbox
from tests.support.process import tree
from tests.unit.boot.kit import make_image

FLEET = """
fleet: {name: lab}
provider: {vsphere: {server: twin}, boot: {listen: 127.0.0.1}}
image: {esxi8: {source: images/esxi8}}
datacenter: {dc0: {}}
cluster: {prod: {datacenter: '${datacenter.dc0}'}}
host:
  esx01: {name: esx01.lab.example, mac: '52:54:00:00:00:11', image: '${image.esxi8}', cluster: '${cluster.prod}',
          root_password: '${secret("env:NOBODY_ASKS_FOR_IT")}'}
"""
MAC, STRANGER = "52:54:00:00:00:11", "52:54:00:00:00:99"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_image(tmp_path / "images" / "esxi8")
    (tmp_path / "fleet.yaml").write_text(FLEET)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fill(here: Path) -> None:
    from providers.boot import BootProvider
    from tests.unit.boot.kit import make_fleet

    digest = BootProvider().image_digests(make_fleet(here / "images" / "esxi8"))["esxi8"]
    inbox = Inbox(here / ".fleet" / "lab" / "midwife")
    mores: tuple[tuple[str, str, dict[str, Any]], ...] = (
        (MAC, digest, {}), (MAC, "f" * 64, {"agentless": True}), (STRANGER, digest, {"from": "10.0.0.9\x1b[2J"}))
    for number, (mac, image, more) in enumerate(mores):
        inbox.append({"mac": mac, "generation": "g", "boot": f"b{number}", "born": f"2026-01-0{number + 1}T03:04:05.6",
                      "image": image, "ip": "10.0.0.7", "from": "10.0.0.7", **more}).result(10)
    inbox.refuse({"time": "2026-01-02T04:00:00.0", "from": "10.0.0.66", "mac": MAC, "status": 401, "reason": "forged"})
    inbox.close()


def births(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["births", "fleet.yaml", *arguments]) == 0
    return capsys.readouterr().out


def test_no_inbox_yet_is_an_empty_list(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert births(capsys) == "Nobody was born yet.\n"
    assert json.loads(births(capsys, "--json")) == {"format": 1, "kind": "fleet.births", "fleet": "lab", "births": [],
                                                    "unclaimed": [], "held": []}
    assert not (here / ".fleet").exists()


def test_the_table(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(here)
    before = tree(here)
    assert births(capsys) == """\
born                  host         MAC                from          image         how        result
--------------------  -----------  -----------------  ------------  ------------  ---------  ---------------
2026-01-01 03:04:05Z  host.esx01   52:54:00:00:00:11  10.0.0.7      esxi8         payload    accepted
2026-01-02 03:04:05Z  host.esx01   52:54:00:00:00:11  10.0.0.7      ffffffffffff  agentless  accepted
2026-01-02 04:00:00Z  host.esx01   52:54:00:00:00:11  10.0.0.66     -             -          refused: forged
2026-01-03 03:04:05Z  (unclaimed)  52:54:00:00:00:99  10.0.0.9?[2J  esxi8         payload    accepted

Unclaimed: nobody declares these, and they get nothing.
last seen             MAC                from          what      times
--------------------  -----------------  ------------  --------  -------
2026-01-03 03:04:05Z  52:54:00:00:00:99  10.0.0.9?[2J  was born  1
"""
    assert tree(here) == before


def test_limit_mac_and_json(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(here)
    newest = json.loads(births(capsys, "--json", "--limit", "1"))
    assert [b["mac"] for b in newest["births"]] == [STRANGER]
    assert [u["mac"] for u in newest["unclaimed"]] == [STRANGER]
    mine = json.loads(births(capsys, "--json", "--mac", MAC.upper().replace(":", "-")))
    assert [(b["accepted"], b["how"], b["host"]) for b in mine["births"]] == [
        (True, "payload", "host.esx01"), (True, "agentless", "host.esx01"), (False, "", "host.esx01")]
    assert mine["unclaimed"] == []


@pytest.mark.parametrize("wrong", [["--mac", "zz"], ["--limit", "0"]])
def test_wrong_usage(here: Path, capsys: pytest.CaptureFixture[str], wrong: list[str]) -> None:
    assert main(["births", "fleet.yaml", *wrong]) == 64
    assert wrong[0] in capsys.readouterr().err


def test_damage_is_named_and_left_alone(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(here)
    path = here / ".fleet" / "lab" / "midwife" / "births.db"
    path.write_bytes(b"junk" * 5000)
    before = tree(here)
    assert main(["births", "fleet.yaml"]) == 1
    assert "the record of births is damaged" in capsys.readouterr().err
    assert tree(here) == before


def test_births_at_the_sites_midwife(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Through its API, under the names of this fleet's images, and nothing of another fleet's hosts."""
    from providers.midwife.service.macs import Owned
    from tests.support.midwife import served

    fill(here)
    told = json.loads(births(capsys, "--json"))
    with served(here) as place:
        (here / "lab.pem").write_text(place.identity("lab"))
        place.midwife.macs.claim({MAC: Owned("lab", "host.esx01", "esx01.lab.example")})
        for row in told["births"]:
            if row["accepted"] and row["mac"] == MAC:
                place.midwife.inbox.append({
                    "mac": MAC, "generation": "g", "boot": row["time"], "born": row["time"], "image": row["digest"],
                    "ip": row["ip"], "from": row["source"], "fleet": "lab"}).result(10)
        place.midwife.inbox.append({"mac": STRANGER, "generation": "g", "boot": "o", "born": "2026-01-04T00:00:00.0",
                                    "image": "f" * 64, "ip": "10.0.0.9", "from": "10.0.0.9",
                                    "fleet": "other"}).result(10)
        remote = f"""boot: {{midwife: '{place.url}', identity: '${{secret("file:lab.pem")}}'}}"""
        (here / "fleet.yaml").write_text(FLEET.replace("boot: {listen: 127.0.0.1}", remote))
        found = json.loads(births(capsys, "--json"))
        one = json.loads(births(capsys, "--json", "--limit", "1", "--mac", MAC))
    assert [(b["mac"], b["host"], b["image"]) for b in found["births"]] == [
        (MAC, "host.esx01", "esxi8"), (MAC, "host.esx01", "ffffffffffff")]
    assert one["births"] == found["births"][-1:]


def test_who_is_not_restored_is_listed_with_the_reason() -> None:
    from providers.midwife.command import _held
    from providers.midwife.restores import Held

    assert _held([]) == ""
    assert _held([Held("52:54:00:00:00:11", "born 3 times", "2026-01-02T03:04:05.6+00:00", "host.a"),
                  Held("52:54:00:00:00:12", "somebody disconnected it")]).splitlines() == [
        "Not restored: these were born, and stay as they are.",
        "host    MAC                in quarantine since    why",
        "------  -----------------  ---------------------  ------------------------",
        "host.a  52:54:00:00:00:11  2026-01-02 03:04:05Z   born 3 times",
        "-       52:54:00:00:00:12  -                      somebody disconnected it"]
