"""A runner and its midwife over real sockets: births from afar, two fleets, cut links, killed midwives."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from passlib.hash import sha512_crypt  # type: ignore[import-untyped]
from pyVmomi import vim

from planner.model import Attrs, FleetError, ReadFailed, SecretRef, StepFailed
from planner.ports import Call
from providers.boot.agentless import TwinDoors
from providers.midwife.remote.upload import send, upload
from providers.midwife.restores import Case, Restores
from providers.midwife.service.midwife import Midwife
from providers.twin.house import House, MachineSpec, open_house
from providers.twin.netboot import http_fetch, tftp_fetch
from tests.support.link import Link, linked
from tests.support.midwife import Runner, runner, served, service
from tests.unit.boot.kit import MACS, make_image, operations, step, until

OTHERS = ("52:54:00:00:00:21", "52:54:00:00:00:22")


def test_a_machine_boots_from_the_midwife_and_its_birth_reaches_the_runner(tmp_path: Path) -> None:
    with served(tmp_path) as place, runner(tmp_path, place.url, place.identity("lab")) as lab:
        assert lab.observe("boot.stage", MACS[0]) == {"staged": None}
        born = lab.bear(MACS[0])
        assert (born["mac"], born["image"], born["build"]) == (MACS[0], lab.digest, "24022510")
        assert born["certificate"] == lab.house.certificates["10.0.0.11"]
        assert lab.observe("boot.stage", MACS[0]) == {"staged": lab.digest}
        assert lab.observe("birth.wait", MACS[0]) == born
        assert place.midwife.inbox.latest_of("lab")[0]["fleet"] == "lab"
        lab.run("boot.stage", MACS[0], facts={"born": born["born"]})  # that birth is used up
        assert lab.observe("birth.wait", MACS[0]) is None
        lab.run("boot.unstage", MACS[0])
        assert lab.observe("boot.stage", MACS[0]) == {"staged": None}
        assert [line for line in lab.said if "image esxi8" in line][-1] == "image esxi8: it is at the midwife"


def test_two_fleets_share_a_midwife_and_see_nothing_of_each_other(tmp_path: Path) -> None:
    with (served(tmp_path) as place, runner(tmp_path, place.url, place.identity("lab")) as lab,
          runner(tmp_path, place.url, place.identity("edge"), "edge", macs=OTHERS) as edge):
        lab.bear(MACS[0])
        born = edge.bear(OTHERS[0])
        assert edge.observe("birth.wait", OTHERS[0]) == born
        for path, query in ((f"births/{MACS[0]}", {}), ("boot/staged", {"mac": MACS[0]}), ("births", {"mac": MACS[0]})):
            with pytest.raises(FleetError, match="belongs to another fleet") as refused:
                edge.client.call("GET", path, query=query)
            assert "esx01" not in str(refused.value)  # the fleet's name, and no more
        for path in ("boot/stage", "boot/unstage", "boot/expect"):
            with pytest.raises(FleetError, match=rf"{MACS[0]} \(lab\)"):
                edge.client.call("POST", path, {"mac": MACS[0], "image": edge.digest})
        Restores(place.folder / "midwife").put({MACS[0]: Case("lab", problem="disconnected"),
                                                MACS[1]: Case("lab", births=(str(born["born"]),))})
        assert [(h["mac"], h["why"]) for h in lab.client.call("GET", "births").json()["held"]] == [
            (MACS[0], "disconnected")]
        listed = edge.client.call("GET", "births").json()
        assert listed["held"] == []
        assert [b["mac"] for b in listed["births"]] == [OTHERS[0]]
        assert not listed["unclaimed"]
        assert lab.observe("boot.stage", MACS[0]) == {"staged": lab.digest}


def test_a_plan_asks_at_once_which_hosts_were_born_since(tmp_path: Path) -> None:
    with (served(tmp_path) as place, runner(tmp_path, place.url, place.identity("lab")) as lab,
          runner(tmp_path, place.url, place.identity("edge"), "edge", macs=OTHERS) as edge):
        born = lab.bear(MACS[0])
        edge.bear(OTHERS[0])
        everybody = dict.fromkeys([*MACS, *OTHERS], "")
        assert lab.boot.births(everybody) == {MACS[0]: born}
        assert lab.boot.births({MACS[0]: str(born["born"])}) == {}
        assert lab.boot.births({}) == {}
        lab.run("boot.stage", MACS[0], facts={"born": born["born"]})  # that birth is used up
        assert lab.boot.births(everybody) == {}


def test_a_mac_moves_to_another_fleet_only_when_the_first_lets_go(tmp_path: Path) -> None:
    with served(tmp_path) as place, runner(tmp_path, place.url, place.identity("lab")) as lab:
        lab.bear(MACS[0])
        with runner(tmp_path, place.url, place.identity("edge"), "edge", macs=MACS[:1], prepare=False) as edge:
            with pytest.raises(FleetError, match=rf"belongs to another fleet.*{MACS[0]} \(lab\)"):
                edge.boot.prepare([step("boot.stage")])
            lab.client.call("POST", "boot/unstage", {"mac": MACS[0], "release": True})
            edge.boot.prepare([step("birth.wait")])
            assert edge.observe("birth.wait", MACS[0]) is None  # lab's birth stays lab's
            assert edge.client.call("GET", "births").json()["births"] == []
            assert len(lab.client.call("GET", "births").json()["births"]) == 1


def test_hosts_that_leave_the_fleet_file_are_let_go_with_the_next_run(tmp_path: Path) -> None:
    with served(tmp_path) as place:
        identity = place.identity("lab")
        with runner(tmp_path, place.url, identity) as lab:
            lab.run("boot.stage", MACS[1])
            assert set(place.midwife.macs.of("lab")) == set(MACS)
            lab.client.call("DELETE", "lock")
        with runner(tmp_path, place.url, identity, macs=MACS[:1]) as lab:
            assert set(place.midwife.macs.of("lab")) == set(MACS)  # something stands for the other one still
            lab.client.call("POST", "boot/unstage", {"mac": MACS[1]})
            lab.client.call("DELETE", "lock")
        with runner(tmp_path, place.url, identity, macs=MACS[:1]):
            assert set(place.midwife.macs.of("lab")) == {MACS[0]}


def test_without_the_lock_nothing_is_staged(tmp_path: Path) -> None:
    with served(tmp_path) as place, runner(tmp_path, place.url, place.identity("lab")) as lab:
        stranger = place.client("lab", locked=False)
        for path in ("boot/stage", "boot/unstage", "boot/expect", "boot/claim", f"births/{MACS[0]}/seen"):
            with pytest.raises(FleetError) as refused:
                stranger.call("POST", path, {"mac": MACS[0], "image": lab.digest, "macs": {}})
            assert refused.value.exit_code == 6
        assert place.midwife.standings.get(MACS[0]) is None
        assert stranger.call("GET", "boot/staged", query={"mac": MACS[0]}).json()["staged"] is None
        stranger.close()


# --- images -------------------------------------------------------------------------------------------------


def test_an_upload_that_is_cut_goes_on_where_it_was(tmp_path: Path) -> None:
    size = 12 << 20
    image = make_image(tmp_path / "big", size=size)
    with served(tmp_path) as place, linked(place.address) as link:
        link.cut_after(7 << 20)
        mending = threading.Thread(target=mended, args=(link,))
        mending.start()
        url = f"https://127.0.0.1:{link.port}"
        with runner(tmp_path, place.url, place.identity("lab"), image=image, prepare=False) as lab:
            lab.boot._made.append(place.client("lab", locked=False, url=url))
            uploaded(lab)
            mending.join()
            assert place.midwife.store.damages(lab.digest) == []
            assert link.connections > 1
            assert link.upwards < size + (2 << 20)  # what came before the cut was not sent again
            before = link.upwards
            uploaded(lab)
            assert link.upwards - before < 20_000  # it is there: only asked for


def mended(link: Link) -> None:
    """As soon as it is cut."""
    until(lambda: link.is_cut)
    link.mend()


def uploaded(lab: Runner) -> None:
    """What prepare() does about images."""
    upload(lab.boot.client, lab.fleet.images.values(), lab.boot._images, {lab.digest}, lab.said.append)


def test_bytes_that_are_not_of_the_digest_never_become_an_image(tmp_path: Path) -> None:
    with served(tmp_path) as place, runner(tmp_path, place.url, place.identity("lab"), prepare=False) as lab:
        manifest = lab.boot._images.manifest(lab.fleet.images["esxi8"])
        rows = {n: {"sha256": f.sha256, "size": f.size} for n, f in manifest.files.items()}
        path = f"images/{lab.digest}"
        assert set(lab.client.call("POST", path, {"files": rows, "loader": "mboot"}).json()["have"].values()) == {0}
        size = manifest.files["b.b00"].size
        head = {"Content-Range": f"bytes 0-{size - 1}/{size}"}
        with pytest.raises(FleetError, match="not the bytes that were announced"):
            lab.client.call("PUT", f"{path}/b.b00", body=b"!" * size, headers=head)
        assert lab.client.call("POST", path, {"files": rows, "loader": "mboot"}).json()["have"]["b.b00"] == 0
        with pytest.raises(FleetError, match="not complete"):
            lab.client.call("POST", f"{path}/finish")
        with pytest.raises(FleetError, match="does not have this image"):
            lab.client.call("POST", "boot/stage", {"mac": MACS[0], "image": lab.digest})
        assert place.midwife.store.digests() == []


@pytest.mark.parametrize(("change", "expected"), [
    ({"files": {"b.b00": {"sha256": "0" * 64, "size": 1}}}, "not of that digest"),
    ({"files": {"../b.b00": {"sha256": "0" * 64, "size": 1}}}, "a row that cannot be used"),
    ({"files": {"/b.b00": {"sha256": "0" * 64, "size": 1}}}, "a row that cannot be used"),
    ({"files": {".image.json": {"sha256": "0" * 64, "size": 1}}}, "a row that cannot be used"),
    ({"files": {"b.b00": {"sha256": "0" * 64, "size": -1}}}, "a row that cannot be used"),
    ({"files": {"b.b00": {"sha256": "0" * 64, "size": 1 << 50}}}, "too large"),
    ({"files": {}}, "names no files"),
    ({"loader": "grub"}, "nothing of its loader"),
])
def test_manifests_that_are_refused(tmp_path: Path, change: dict[str, object], expected: str) -> None:
    with served(tmp_path) as place:
        data = {"files": {"b.b00": {"sha256": "0" * 64, "size": 1}}, "loader": "mboot", **change}
        client = place.client("lab")
        with pytest.raises(FleetError, match=expected):
            client.call("POST", f"images/{'d' * 64}", data)
        client.close()
        assert not (place.folder / "images" / "uploads").exists()


def test_an_image_that_changes_while_it_is_brought_is_told(tmp_path: Path) -> None:
    with served(tmp_path) as place, runner(tmp_path, place.url, place.identity("lab"), prepare=False) as lab:
        known = lab.boot._images.manifest(lab.fleet.images["esxi8"])
        (known.folder / "s.v00").write_bytes(b"?" * known.files["s.v00"].size)
        with pytest.raises(FleetError, match=r"not the bytes"):
            send(lab.client, "esxi8", known, lab.said.append)


# --- installed and agentless hosts ----------------------------------------------------------------------------


def test_of_the_first_password_only_a_hash_leaves_the_runner(tmp_path: Path) -> None:
    with served(tmp_path) as place, runner(tmp_path, place.url, place.identity("lab")) as lab:
        installed: Attrs = {"staged": lab.digest, "boots": "install", "installs": {"disk": "first"}}
        declared = {**lab.call(MACS[0]).declared, "initial_root_password": SecretRef("env:FIRST")}
        lab.boot.stage(replace(lab.call(MACS[0], after=installed, secret="First-Pw-1"), declared=declared))
        record = place.folder / "boot" / "01-52-54-00-00-00-11.json"
        root = json.loads(record.read_bytes())["root"]
        assert sha512_crypt.verify("First-Pw-1", root)
        assert record.stat().st_mode & 0o777 == 0o600
        assert lab.observe("boot.stage", MACS[0], after=installed) == installed
        assert root not in json.dumps(lab.client.call("GET", "boot/staged", query={"mac": MACS[0]}).json())
        settings = lab.boot.netboot_settings()
        menu = tftp_fetch(settings.host, settings.port, "01-52-54-00-00-00-11/boot.cfg").decode()
        (url,) = [word.removeprefix("ks=") for word in menu.split() if word.startswith("ks=")]
        assert f"rootpw --iscrypted {root}\n" in http_fetch(url, keep=True).decode()
        with pytest.raises(StepFailed, match="initial_root_password is not declared"):
            lab.run("boot.stage", MACS[1], after=installed)


def agentless(lab: Runner, **passwords: str) -> Call:
    """A wait for an agentless host on the network."""
    lab.boot._context.peer("vsphere").house = None
    call = lab.call(MACS[0], "birth.wait", after={"staged": lab.digest, "agentless": True}, seconds=30.0)
    declared = {**call.declared, "birth": "agentless", **{name: SecretRef(name) for name in passwords}}
    return replace(call, declared=declared, secret=lambda reference: passwords[reference.reference])


def hand_over(midwife: Midwife) -> str:
    """The machine has its image; the boot's id."""
    minted = midwife.desk.mint(MACS[0], "127.0.0.1")
    assert minted is not None
    midwife.trail.handed_over(MACS[0], minted[1].id, "127.0.0.1")
    return minted[1].id


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch) -> House:
    """Machines whose doors the midwife reaches."""
    house = open_house(None, "lab", machines=[MachineSpec(mac, f"esx-{mac[-2:]}.lab.example") for mac in MACS])
    monkeypatch.setattr("providers.midwife.service.doors.SocketDoors", lambda: TwinDoors(house))
    monkeypatch.setattr("providers.midwife.service.doors.TICK_SECONDS", 0.05)
    return house


def test_the_midwife_looks_at_the_doors_of_agentless_hosts(tmp_path: Path, inside: House) -> None:
    with served(tmp_path) as place, runner(tmp_path, place.url, place.identity("lab")) as lab:
        lab.run("boot.stage", MACS[0], after={"staged": lab.digest, "agentless": True})
        hand_over(place.midwife)
        inside.complete_boot(MACS[0], build="24022510", version="8.0.3")
        born = lab.boot.wait(agentless(lab, root_password="Lasting-1"))
        assert (born["uuid"], born["mac"]) == (inside.machine(MACS[0]).uuid, MACS[0])
        assert not [p for p in place.folder.rglob("*") if p.is_file() and b"Lasting-1" in p.read_bytes()]


def test_wrong_passwords_end_the_wait_and_are_tried_once(tmp_path: Path, inside: House) -> None:
    ip = inside.complete_boot(MACS[0], build="24022510", version="8.0.3").ip
    service_: Any = vim.ServiceInstance
    content = service_("ServiceInstance", inside.door(ip)).RetrieveContent()
    content.sessionManager.Login("root", "", None)
    content.accountManager.UpdateUser(vim.host.LocalAccountManager.AccountSpecification(id="root", password="Abc-1234"))
    with served(tmp_path) as place, runner(tmp_path, place.url, place.identity("lab")) as lab:
        lab.run("boot.stage", MACS[0], after={"staged": lab.digest, "agentless": True})
        hand_over(place.midwife)
        with pytest.raises(StepFailed, match="root cannot log in"):
            lab.boot.wait(agentless(lab, root_password="Other-1"))
        inside.calls.clear()
        with pytest.raises(StepFailed, match="root cannot log in"):
            lab.boot.wait(agentless(lab, root_password="Other-1"))
        assert not [c for c in inside.calls if c.method == "Login"]
        assert lab.boot.wait(agentless(lab, root_password="Abc-1234"))["mac"] == MACS[0]


def test_agentless_hosts_are_born_while_nobody_waits_and_after_a_restart(tmp_path: Path, inside: House) -> None:
    with served(tmp_path) as place, runner(tmp_path, place.url, place.identity("lab")) as lab:
        lab.run("boot.stage", MACS[0], after={"staged": lab.digest, "agentless": True})
        hand_over(place.midwife)
        lab.client.call("DELETE", "lock")
    inside.complete_boot(MACS[0], build="24022510", version="8.0.3")
    with served(tmp_path) as place:
        until(lambda: place.midwife.birth(MACS[0]) is not None)


# --- cut links, killed midwives -------------------------------------------------------------------------------


def test_a_wait_outlasts_a_cut_link_and_says_so(tmp_path: Path) -> None:
    with (served(tmp_path) as place, linked(place.address) as link,
          runner(tmp_path, f"https://127.0.0.1:{link.port}", place.identity("lab")) as lab):
        lab.run("boot.stage", MACS[0])
        waiting = Waiting(lab)
        until(lambda: any("no boot file fetched" in r for r in lab.reports))
        link.cut()
        until(lambda: any("the midwife does not answer" in r and "trying again" in r for r in lab.reports))
        place.midwife.desk.expect(MACS[0])
        settings = lab.boot.machine_boot(lab.house)
        lab.house.power(MACS[0], "on", lambda machine: settings(machine))
        assert not waiting.ended
        link.mend()
        assert waiting.result()["mac"] == MACS[0]


def test_changes_are_given_up_after_the_patience_that_the_fleet_declares(tmp_path: Path) -> None:
    with (served(tmp_path) as place, linked(place.address) as link,
          runner(tmp_path, f"https://127.0.0.1:{link.port}", place.identity("lab"), options={"patience": 1}) as lab):
        link.cut()
        with pytest.raises(StepFailed, match="boot files could not be staged") as failed:
            lab.run("boot.stage", MACS[0], seconds=600.0)
        assert failed.value.in_doubt
        with pytest.raises(StepFailed, match="the restart could not be written down"):
            lab.boot.expect(MACS[0])
        link.mend()
        lab.run("boot.stage", MACS[0])


def test_a_wait_ends_at_its_deadline_with_the_link_cut(tmp_path: Path) -> None:
    with (served(tmp_path) as place, linked(place.address) as link,
          runner(tmp_path, f"https://127.0.0.1:{link.port}", place.identity("lab")) as lab):
        lab.run("boot.stage", MACS[0])
        link.cut()
        with pytest.raises(StepFailed, match=r"no birth before the deadline.*the midwife does not answer"):
            lab.run("birth.wait", MACS[0], seconds=1.0)
        with pytest.raises(ReadFailed, match="cannot be read"):
            lab.boot.observe(operations()["boot.stage"], stopped(lab))
        with pytest.raises(StepFailed) as failed:
            lab.run("boot.stage", MACS[0], seconds=0.5)
        assert failed.value.in_doubt


def stopped(lab: Runner) -> Call:
    """A call of a run that is being stopped: nothing is repeated for it."""
    stop = threading.Event()
    stop.set()
    return lab.call(MACS[0], stop=stop)


def test_nobody_comes_and_a_stop_ends_a_wait(tmp_path: Path) -> None:
    with served(tmp_path) as place, runner(tmp_path, place.url, place.identity("lab")) as lab:
        lab.run("boot.stage", MACS[0])
        with pytest.raises(StepFailed, match=r"no birth before the deadline.*no boot file fetched") as failed:
            lab.run("birth.wait", MACS[0], seconds=0.5)
        assert "sent here by DHCP" in failed.value.remedy
        waiting = Waiting(lab)
        until(lambda: len(lab.reports) > 1)
        waiting.stop.set()
        with pytest.raises(StepFailed, match="stopped while waiting"):
            waiting.result()


def test_a_midwife_that_is_killed_and_started_again_has_lost_no_birth(tmp_path: Path) -> None:
    with service(tmp_path) as place, runner(tmp_path, place.url, place.identity("lab")) as lab:
        lab.run("boot.stage", MACS[0])
        waiting = Waiting(lab)
        until(lambda: bool(lab.reports))
        place.kill()
        until(lambda: any("does not answer" in r for r in lab.reports))
        place.start()
        until(lambda: lab.reports[-1].endswith("no boot file fetched"))
        boot = lab.boot.machine_boot(lab.house)
        lab.boot.expect(MACS[0])
        lab.house.power(MACS[0], "on", boot)
        born = waiting.result()
        lab.house.join()  # its birth was acknowledged
        place.kill()
        place.start()
        assert lab.observe("birth.wait", MACS[0]) == born
        assert lab.observe("boot.stage", MACS[0]) == {"staged": lab.digest}
        lab.run("power.boot", MACS[0])  # and it boots again, by the files that stand
        again = lab.run("birth.wait", MACS[0])
        assert str(again["born"]) > str(born["born"])
        assert place.end() == 0


class Waiting:
    """birth.wait in a thread."""

    def __init__(self, lab: Runner, mac: str = MACS[0]) -> None:
        self.stop = threading.Event()
        self._found: list[Attrs | BaseException] = []
        self._thread = threading.Thread(target=self._run, args=(lab, mac), daemon=True)
        self._thread.start()

    def _run(self, lab: Runner, mac: str) -> None:
        try:
            self._found.append(lab.run("birth.wait", mac, seconds=60.0, stop=self.stop))
        except BaseException as error:
            self._found.append(error)

    @property
    def ended(self) -> bool:
        return bool(self._found)

    def result(self) -> Attrs:
        self._thread.join(60)
        (found,) = self._found
        if isinstance(found, BaseException):
            raise found
        return found
