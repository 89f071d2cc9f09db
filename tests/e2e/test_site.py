"""The reference site: sixty-four hosts, two clusters, a distributed switch, iSCSI and NFS, by the commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from planner.cli.main import main
from providers.twin.house import House, open_house

FLEETS = Path(__file__).parents[2] / "fleets"
SITE = FLEETS / "site"


@pytest.fixture(autouse=True)
def _in_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ESX_ROOT_PASSWORD", "Only.for.Tests.1")


def house() -> House:
    return open_house(Path(".fleet/site/twin"), "site", writable=False)


def planned(capsys: pytest.CaptureFixture[str], code: int) -> dict[str, Any]:
    assert main(["plan", str(SITE), "--json", "--detailed-exitcode"]) == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_it_is_short() -> None:
    files = (*SITE.glob("*.yaml"), FLEETS / "seeds/site.yaml")
    assert sum(len(path.read_text().splitlines()) for path in files) < 200


def test_it_is_valid(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(SITE)]) == 0
    assert "64 hosts" in capsys.readouterr().out


@pytest.mark.slow
def test_it_is_applied_whole_and_rolled_back(capsys: pytest.CaptureFixture[str]) -> None:
    types = {each["address"].split(".")[2].split("[")[0] for each in planned(capsys, 2)["changes"]
             if each["address"].startswith("host.") and each["address"].count(".") > 1}
    assert {"dvs", "iscsi", "iscsi_port", "iscsi_target", "nfs", "vmfs", "vmkernel", "firewall"} <= types
    assert main(["apply", str(SITE), "--auto-approve"]) == 0
    capsys.readouterr()
    again = planned(capsys, 0)
    assert again["steps"] == []
    dump = house().dump()
    assert len(dump["hosts"]) == 64
    assert {host["parent"] for host in dump["hosts"].values()} == {
        "main/host/production/compute", "main/host/production/management"}
    assert len(dump["datastores"]["main/datastore/shared1"]["hosts"]) == 64
    assert len(dump["datastores"]["main/datastore/scratch"]["hosts"]) == 48
    assert main(["drift", str(SITE), "--detailed-exitcode"]) == 0
    assert main(["rollback", str(SITE), "--auto-approve"]) == 0
    assert "rolled back, verified equal to before" in "".join(capsys.readouterr())
    assert house().dump()["hosts"] == {}
