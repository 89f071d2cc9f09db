"""Who was born, how far each host is, and who asked that nobody declares."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from planner.model import Address, Fleet, Resource
from providers.midwife import footprints as footprints_module
from providers.midwife.footprints import Footprints
from providers.midwife.inbox import Inbox
from providers.midwife.progress import Note, RunProgress
from providers.midwife.view import STAGES, FleetBirths, HostProgress, declared, image_names
from tests.unit.boot.kit import MACS, make_fleet, make_image, site

FOLDER = "01-" + MACS[0].replace(":", "-")
STRANGER = "52:54:00:00:00:99"


def at(second: int) -> str:
    return f"2026-01-01T00:00:{second:02}.000000+00:00"


def fetch(second: int, path: str, mac: str = MACS[0], status: int = 200) -> dict[str, Any]:
    return {"time": at(second), "via": "http", "from": "10.0.0.7", "mac": mac, "by": "name", "host": "", "path": path,
            "status": status, "bytes": 1}


def log(path: Path, *lines: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


class Desk:
    """A fleet of two hosts with an inbox and an access log in a folder."""

    def __init__(self, folder: Path) -> None:
        self.fleet = make_fleet(folder / "no-image")
        self.inbox = Inbox(folder / "midwife")
        self.log = folder / "boot" / "access.jsonl"
        self.footprints = Footprints(self.log)
        names = ("power.boot", "host.add", "dns.update")
        self.run = RunProgress({f"s{n}": ('host.esx["esx01"]', name) for n, name in enumerate(names)},
                               ["power.boot"], ["host.add"])
        self.view = FleetBirths(self.fleet, self.inbox, self.footprints, {"d" * 64: "esxi8"}, self.run)

    def born(self, second: int, mac: str = MACS[0], **more: Any) -> None:
        self.inbox.append({"mac": mac, "generation": "g", "boot": f"b{second}", "born": at(second), "image": "d" * 64,
                           "ip": "10.0.0.7", "from": "10.0.0.7", **more}).result(10)

    def event(self, second: int, kind: str, step: int, message: str = "") -> None:
        self.run(Note(kind, f"s{step}", at(second), message))

    def stage(self) -> tuple[str, str]:
        host = self.host()
        return (STAGES[host.stage - 1] if host.stage else "", host.since[17:19])

    def host(self) -> HostProgress:
        return self.view.hosts()[0]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_host_goes_through_every_stage_and_begins_again(desk: Desk) -> None:
    seen = [desk.stage()]
    desk.event(1, "begin", 0)
    seen.append(desk.stage())
    desk.event(2, "done", 0)
    for second, path in ((3, "images/d/mboot.efi"), (4, f"{FOLDER}/boot.cfg"), (5, "images/d/b.b00"),
                         (6, "images/d/k.b00"), (7, f"{FOLDER}/birth.tgz")):
        log(desk.log, fetch(second, path))
        seen.append(desk.stage())
    desk.born(8)
    seen.append(desk.stage())
    desk.event(9, "done", 1)
    seen.append(desk.stage())
    desk.event(10, "done", 2)
    seen.append(desk.stage())
    assert seen == [("", ""), ("powered", "01"), ("loader", "03"), ("loader", "03"), ("kernel", "05"),
                    ("kernel", "05"), ("image handed over", "07"), ("born", "08"), ("cleaned", "09"),
                    ("configured", "10")]
    assert desk.host().image == "esxi8"
    log(desk.log, fetch(20, f"{FOLDER}/boot.cfg"))  # it power-cycles
    assert desk.stage() == ("loader", "20")
    assert desk.host().image == ""
    desk.born(25)
    assert desk.stage() == ("born", "25")


def test_a_run_that_fails_says_why_until_it_is_done(desk: Desk) -> None:
    desk.event(1, "begin", 0)
    desk.event(2, "failed", 0, "no birth before the deadline")
    assert desk.host().problem == "no birth before the deadline"
    for number in range(3):
        desk.event(3, "done", number)
        desk.event(3, "done", number)  # told twice
    assert (desk.stage(), desk.host().problem) == (("configured", "03"), "")
    desk.event(4, "undone", 2)
    assert desk.stage() == ("cleaned", "03")


def test_a_refused_birth_is_a_problem_until_the_host_gets_on(desk: Desk) -> None:
    log(desk.log, fetch(1, f"{FOLDER}/boot.cfg"))
    desk.inbox.refuse({"time": at(2), "from": "10.0.0.66", "mac": MACS[0], "status": 401, "reason": "forged"})
    assert desk.host().problem == "a birth was refused: forged"
    desk.born(3)
    assert desk.host().problem == ""
    newest = desk.view.happenings(10)
    assert [(h.accepted, h.reason, h.how, h.image, h.host) for h in newest] == [
        (False, "forged", "", "", 'host.esx["esx01"]'), (True, "", "payload", "esxi8", 'host.esx["esx01"]')]
    assert [h.time for h in desk.view.happenings(1)] == [at(3)]
    assert desk.view.happenings(5, MACS[1]) == []


def test_agentless_births_and_unknown_images_are_told_apart(desk: Desk) -> None:
    desk.born(1, agentless=True, image="e" * 64)
    found = desk.view.happenings(1)[0]
    assert (found.how, found.image, found.digest) == ("agentless", "e" * 12, "e" * 64)


def test_unclaimed_are_those_that_nobody_declares(desk: Desk) -> None:
    other, third = STRANGER[:-1] + "8", STRANGER[:-1] + "7"
    log(desk.log, fetch(1, f"{FOLDER}/boot.cfg"),
        fetch(5, f"01-{STRANGER.replace(':', '-').upper()}/boot.cfg", "", 404),
        fetch(6, f"pxelinux.cfg/01-{STRANGER.replace(':', '-')}", "", 404))
    desk.inbox.refuse({"time": at(7), "from": "10.0.0.9", "mac": STRANGER, "status": 401, "reason": "unknown MAC"})
    desk.inbox.refuse({"time": at(8), "from": "10.0.0.9", "mac": "", "status": 400, "reason": "the body is not JSON"})
    desk.inbox.refuse({"time": at(8), "from": "10.0.0.9", "mac": MACS[1], "status": 401, "reason": "forged"})
    desk.born(3, other)
    desk.inbox.refuse({"time": at(2), "from": "10.0.0.9", "mac": third, "status": 401, "reason": "unknown MAC"})
    assert [(u.mac, u.last, u.source, u.what, u.times) for u in desk.view.unclaimed()] == [
        (third, at(2), "10.0.0.9", "posted a birth", 1), (other, at(3), "10.0.0.7", "was born", 1),
        (STRANGER, at(7), "10.0.0.9", "asked for boot files, posted a birth", 3)]


@pytest.mark.parametrize(("paths", "stages"), [
    (["mboot.efi"], ["loader"]),
    (["undionly.kpxe", "boot.ipxe", f"{FOLDER}/boot.ipxe"], ["loader"]),
    (["pxelinux.0", "pxelinux.cfg/01-52-54-00-00-00-11", "vmlinuz"], ["loader", "kernel"]),
    ([f"{FOLDER}/boot.cfg", f"{FOLDER}/birth.tgz"], ["loader", "kernel", "image handed over"]),
    ([f"{FOLDER}/birth.tgz", "mboot.efi"], ["loader"]),  # it starts once more
    ([f"{FOLDER}/boot.cfg", "b.b00", f"{FOLDER}/boot.cfg"], ["loader"]),
    ([f"{FOLDER}/boot.cfg", "b.b00", "crypto64.efi"], ["loader", "kernel"]),
])
def test_what_a_fetch_means(tmp_path: Path, paths: Sequence[str], stages: Sequence[str]) -> None:
    prints = Footprints(tmp_path / "access.jsonl")
    log(tmp_path / "access.jsonl", *(fetch(n, path) for n, path in enumerate(paths)),
        fetch(50, "missing", status=404))
    assert list(sorted(prints.read()[MACS[0]].stages, key=STAGES.index)) == stages


def test_a_log_that_is_cut_rotated_or_junk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "access.jsonl"
    prints = Footprints(path)
    assert prints.read() == {}
    log(path, fetch(1, "a"))
    with path.open("a") as file:
        file.write('junk\n[]\n{"time": 1}\n' + json.dumps(fetch(2, "b"))[:30])  # a line that is still being written
    assert prints.read()[MACS[0]].times == 1
    with path.open("a") as file:
        file.write(json.dumps(fetch(2, "b"))[30:] + "\n")
    assert prints.read()[MACS[0]].times == 2
    path.rename(tmp_path / "access.1.jsonl")
    log(path, fetch(3, "c"))
    assert prints.read()[MACS[0]].times == 3
    monkeypatch.setattr(footprints_module, "TAIL", 300)
    log(path, *(fetch(4, "d") for _ in range(100)))
    assert 1 <= Footprints(path).read()[MACS[0]].times <= 3  # an old log is read from near its end
    monkeypatch.setattr(footprints_module, "MAX_MACS", 5)
    monkeypatch.setattr(footprints_module, "TAIL", 1 << 20)
    log(path, *(fetch(5, "e", f"52:54:00:00:01:{n:02x}") for n in range(50)))
    assert len(Footprints(path).read()) == 5


def test_a_machine_that_boots_for_real(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        here.run("boot.stage", MACS[0])
        here.run("power.boot", MACS[0])
        here.run("birth.wait", MACS[0])
        view = FleetBirths(here.fleet, here.boot.inbox, Footprints(here.folder / "boot" / "access.jsonl"),
                           image_names(here.fleet))
        first, second = view.hosts()
        assert (STAGES[first.stage - 1], first.image, first.problem) == ("born", "esxi8", "")
        assert second.stage == 0
        assert [h.image for h in view.happenings(5)] == ["esxi8"]
        assert view.unclaimed() == []


def test_which_macs_a_fleet_declares(tmp_path: Path) -> None:
    cluster, bare = Address("cluster", "prod"), Address("host", "bare")
    fleet = make_fleet(tmp_path)
    fleet = Fleet("lab", "fleet.yaml", "", {**fleet.resources, cluster: Resource(cluster, {"mac": STRANGER}),
                                            bare: Resource(bare, {"name": "bare"})}, {}, {})
    assert declared(fleet) == {MACS[0]: ('host.esx["esx01"]', "esx01.lab.example"),
                               MACS[1]: ('host.esx["esx02"]', "esx02.lab.example")}


def test_images_that_are_gone_have_no_name(tmp_path: Path) -> None:
    fleet = make_fleet(make_image(tmp_path / "images" / "esxi8"))
    assert list(image_names(fleet).values()) == ["esxi8"]
    assert image_names(make_fleet(tmp_path / "gone")) == {}
