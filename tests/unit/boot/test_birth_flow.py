"""Stage, power on, fetch over real sockets, birth: the whole path of a machine."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from planner.model import StepFailed
from tests.unit.boot.kit import MACS, FakeHouse, make_image, site, until


def test_a_machine_boots_and_is_born(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        assert here.observe("boot.stage", MACS[0]) == {"staged": None}
        here.run("boot.stage", MACS[0])
        assert here.observe("boot.stage", MACS[0]) == {"staged": here.digest}
        assert here.observe("birth.wait", MACS[0]) is None
        assert here.observe("power.boot", MACS[0]) == {"power": "off"}
        here.run("power.boot", MACS[0])
        facts = here.run("birth.wait", MACS[0])
        here.house.join()
        machine = here.house.machine(MACS[0])
        assert machine.problem == ""
        assert facts == {
            "uuid": machine.uuid, "serial": machine.serial, "mac": MACS[0], "ip": machine.ip,
            "certificate": here.house.door_certificate(machine.ip), "thumbprint": facts["thumbprint"],
            "version": "8.0.3", "build": "24022510", "image": here.digest, "born": facts["born"],
        }
        assert len(str(facts["thumbprint"]).split(":")) == 32
        assert machine.image == here.digest
        assert here.observe("birth.wait", MACS[0]) == facts
    assert [b["mac"] for b in here.boot.inbox] == [MACS[0]]


def test_two_machines_at_once(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        for mac in MACS:
            here.run("boot.stage", mac)
        for mac in MACS:
            here.run("power.boot", mac)
        born = {}

        def wait(mac: str) -> None:
            born[mac] = here.run("birth.wait", mac)

        threads = [threading.Thread(target=wait, args=(mac,)) for mac in MACS]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert {mac: facts["uuid"] for mac, facts in born.items()} == {
            mac: here.house.machine(mac).uuid for mac in MACS}


def test_secrets_stay_out_of_logs_and_messages(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        here.run("boot.stage", MACS[0])
        here.run("power.boot", MACS[0])
        here.run("birth.wait", MACS[0])
        standing = here.boot.standings.get(MACS[0])
        assert standing is not None
        assert standing.boot is not None
        secrets = (standing.boot.nonce, standing.boot.key, standing.boot.id)
        texts = [p.read_text() for p in here.folder.rglob("*.jsonl")] + here.said + here.reports
        assert not [s for s in secrets for text in texts if s in text]
        births = b"".join(p.read_bytes() for p in here.folder.rglob("births.*"))
        assert standing.boot.id.encode() in births
        assert standing.boot.nonce.encode() not in births
        assert standing.boot.key.encode() not in births
        assert (here.folder / "boot" / "01-52-54-00-00-00-11.json").stat().st_mode & 0o777 == 0o600
        assert (here.folder / "midwife" / "key.pem").stat().st_mode & 0o777 == 0o600
        lines = [json.loads(line) for line in (here.folder / "boot" / "access.jsonl").read_text().splitlines()]
        fetched = {(line["via"], line["path"].split("/")[-1]) for line in lines if line["status"] == 200}
        assert {("tftp", "mboot.efi"), ("tftp", "boot.cfg"), ("http", "b.b00"), ("http", "birth.tgz")} <= fetched
        assert {line["host"] for line in lines if line["mac"]} == {'host.esx["esx01"]'}


def test_a_later_run_boots_the_same_host_again(tmp_path: Path) -> None:
    house = FakeHouse()
    with site(tmp_path, house=house) as here:
        here.run("boot.stage", MACS[0])
        here.run("power.boot", MACS[0])
        first = here.run("birth.wait", MACS[0])
        house.join()
    with site(tmp_path, house=house) as here:
        here.run("boot.stage", MACS[0], facts=first)
        assert here.observe("birth.wait", MACS[0]) is None
        here.run("power.boot", MACS[0], facts=first)
        second = here.run("birth.wait", MACS[0], facts=first)
        assert second["certificate"] != first["certificate"]


def test_resume_finds_a_birth_that_no_step_has_seen(tmp_path: Path) -> None:
    house = FakeHouse()
    with site(tmp_path, house=house) as here:
        here.run("boot.stage", MACS[0])
        here.run("power.boot", MACS[0])
        house.join()  # born, and then this process ends before birth.wait
    with site(tmp_path, house=house) as here:
        assert here.observe("birth.wait", MACS[0]) is not None
        here.run("boot.stage", MACS[0])  # restaging keeps it
        assert here.run("birth.wait", MACS[0])["uuid"] == house.machine(MACS[0]).uuid
        assert house.machine(MACS[0]).boots == 1


def test_resume_restarts_a_machine_that_was_not_born(tmp_path: Path) -> None:
    house = FakeHouse()
    with site(tmp_path, house=house) as here:
        here.run("boot.stage", MACS[0])
    with site(tmp_path, house=house) as here:  # other ports now
        assert here.observe("birth.wait", MACS[0]) is None
        here.run("boot.stage", MACS[0])
        here.run("power.boot", MACS[0])
        assert here.run("birth.wait", MACS[0])["image"] == here.digest


def test_a_restart_voids_the_birth_before_it(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        here.run("boot.stage", MACS[0])
        here.run("power.boot", MACS[0])
        first = here.run("birth.wait", MACS[0])
        here.boot.expect(MACS[0])
        with pytest.raises(StepFailed, match="no boot file fetched"):
            here.run("birth.wait", MACS[0], seconds=0)
        here.run("power.boot", MACS[0])
        assert here.run("birth.wait", MACS[0])["born"] != first["born"]


def test_unstage_revokes(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        here.run("boot.stage", MACS[0])
        here.run("boot.unstage", MACS[0])
        assert here.observe("boot.stage", MACS[0]) == {"staged": None}
        here.run("power.boot", MACS[0])
        here.house.join()
        assert "mboot.efi" in here.house.machine(MACS[0]).problem
        here.run("boot.unstage", MACS[0])  # once more changes nothing


def test_wait_names_its_reason_and_obeys_stop_and_deadline(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        here.run("boot.stage", MACS[0])
        with pytest.raises(StepFailed, match=r"no birth before the deadline.*no boot file fetched"):
            here.run("birth.wait", MACS[0], seconds=0)
        stop = threading.Event()
        stop.set()
        with pytest.raises(StepFailed, match="stopped"):
            here.run("birth.wait", MACS[0], stop=stop)
        (tftp, _, _, _) = here.endpoints
        from providers.twin.netboot import http_fetch, tftp_fetch

        text = tftp_fetch(*tftp, "01-52-54-00-00-00-11/boot.cfg").decode()
        with pytest.raises(StepFailed, match=r"fetched boot\.cfg at .* by 127\.0\.0\.1, image not handed over"):
            here.run("birth.wait", MACS[0], seconds=0)
        modules = next(line for line in text.splitlines() if line.startswith("modules="))
        http_fetch(modules.split()[-1], keep=True)
        until(lambda: "handed over at" in here.boot.trail.reason(MACS[0]))
        with pytest.raises(StepFailed, match=r"image handed over at .*Z, no birth"):
            here.run("birth.wait", MACS[0], seconds=0)
        assert any("no boot file fetched" in report for report in here.reports)


def test_manual_power_says_what_to_press(tmp_path: Path) -> None:
    with site(tmp_path, serve=False) as here:
        assert here.run("power.manual", MACS[1]) == {}
        assert here.reports == here.said
        assert "esx02.lab.example, MAC 52:54:00:00:00:12" in here.said[0]
        assert here.house.machine(MACS[1]).power == "off"


def test_changed_image_bytes_are_not_staged_or_served(tmp_path: Path) -> None:
    image = make_image(tmp_path / "images" / "esxi8")
    with site(tmp_path, image=image) as here:
        here.run("boot.stage", MACS[0])
        (image / "b.b00").write_bytes(b"other bytes")
        here.run("power.boot", MACS[0])
        here.house.join()
        assert "410" in here.house.machine(MACS[0]).problem
        with pytest.raises(StepFailed, match="planned image cannot be staged"):
            here.run("boot.stage", MACS[1])


def test_staging_survives_as_a_file_of_the_fleet(tmp_path: Path) -> None:
    with site(tmp_path, serve=False) as here:
        here.run("boot.stage", MACS[0])
    with site(tmp_path, serve=False) as later:
        assert later.observe("boot.stage", MACS[0]) == {"staged": later.digest}
        assert later.observe("boot.stage", MACS[1]) == {"staged": None}
