"""`fleet dhcp`: the configuration is the answer; warnings and what was written go to stderr."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from planner.cli.main import main
from tests.support.dhcp.fleets import MANY, write_images


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path)
    return Path(shutil.copy(MANY, tmp_path))


def test_the_answer_goes_to_stdout(fleet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dhcp", str(fleet)]) == 0
    shown = capsys.readouterr()
    assert shown.out == MANY.with_name("many.dnsmasq.conf").read_text()
    assert shown.err == ""
    assert main(["dhcp", str(fleet), "--server", "kea"]) == 0
    assert json.loads(capsys.readouterr().out)["Dhcp4"]["subnet4"]
    assert not (fleet.parent / ".fleet").exists()


def test_the_fleet_may_name_the_server(fleet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fleet.write_text(fleet.read_text().replace("      interface: srv0", "      interface: srv0\n      server: kea"))
    assert main(["dhcp", str(fleet)]) == 0
    assert capsys.readouterr().out == MANY.with_name("many.kea.json").read_text()
    assert main(["dhcp", str(fleet), "--server", "dnsmasq-proxy"]) == 0
    assert capsys.readouterr().out == MANY.with_name("many.proxy.conf").read_text()


def test_a_file_is_replaced_in_one_piece_and_keeps_its_mode(fleet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = fleet.parent / "dnsmasq.conf"
    assert main(["dhcp", str(fleet), "--out", str(out)]) == 0
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", f"written: {out}\n")
    assert out.read_text() == MANY.with_name("many.dnsmasq.conf").read_text()
    assert out.stat().st_mode & 0o777 == 0o644
    out.chmod(0o600)
    fleet.write_text(fleet.read_text().replace("12h", "soon"))
    assert main(["dhcp", str(fleet), "--out", str(out)]) == 1
    assert "not a lease time" in capsys.readouterr().err
    assert out.read_text() == MANY.with_name("many.dnsmasq.conf").read_text()
    fleet.write_text(fleet.read_text().replace("soon", "1d"))
    assert main(["dhcp", str(fleet), "--out", str(out)]) == 0
    assert (out.stat().st_mode & 0o777, out.read_text().count("86400")) == (0o600, 1)
    assert [path.name for path in fleet.parent.iterdir() if path.name.startswith(".dnsmasq")] == []


def test_a_file_that_cannot_be_written(fleet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dhcp", str(fleet), "--out", str(fleet.parent / "none" / "x.conf")]) == 1
    assert "none" in capsys.readouterr().err


def test_warnings_do_not_mix_with_the_answer(fleet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fleet.write_text(fleet.read_text().replace("tftp: 69", "tftp: 6969"))
    assert main(["dhcp", str(fleet)]) == 0
    shown = capsys.readouterr()
    assert shown.out == MANY.with_name("many.dnsmasq.conf").read_text()
    assert shown.err.startswith(f"{fleet}:7:13: warning: firmware asks TFTP at port 69 only")


def test_an_image_that_cannot_be_read_is_an_error(fleet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (fleet.parent / "esx8" / "k.b00").unlink()
    assert main(["dhcp", str(fleet)]) == 1
    shown = capsys.readouterr()
    assert "k.b00" in shown.err
    assert shown.out == ""
    assert main(["validate", str(fleet)]) == 1
    assert capsys.readouterr().err.count("k.b00") == 1


def test_a_fleet_that_says_nothing_about_dhcp(fleet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fleet.write_text("fleet: {name: lab}\nprovider:\n  vsphere: {server: twin}\n  boot: {listen: 10.0.0.2}\n")
    assert main(["dhcp", str(fleet)]) == 1
    assert f"{fleet}:4:3: error: the fleet says nothing about DHCP" in capsys.readouterr().err


def test_wrong_usage_is_64(fleet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dhcp", str(fleet), "--server", "isc"]) == 64
    assert "dnsmasq-proxy" in capsys.readouterr().err
