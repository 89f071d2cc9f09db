"""The midwife's desk: every reply code of the contract, without sockets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from planner.model import FleetError
from providers.boot.payload import message, thumbprint
from providers.midwife.desk import Desk, Verdict
from providers.midwife.inbox import Inbox
from providers.midwife.standing import Boot, Standings
from tests.support.birth_disk import fill
from tests.unit.boot.kit import certificate

MAC, OTHER = "52:54:00:00:00:11", "52:54:00:00:00:12"
PEM = certificate("esx01")


class Clock:
    def __init__(self) -> None:
        self.time = 1_700_000_000.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


class Office:
    def __init__(self, folder: Path | None = None) -> None:
        self.clock, self.events = Clock(), []  # type: ignore[var-annotated]
        self.standings = Standings(folder / "boot" if folder else None)
        self.inbox = Inbox(folder / "midwife" if folder else None)
        self.desk = Desk(self.standings, self.inbox, self.clock, lambda *event: self.events.append(event))

    def boot(self, mac: str = MAC) -> Boot:
        if self.standings.get(mac) is None:
            self.desk.stage(mac, "d" * 64, "/images/esxi8", "", "")
        minted = self.desk.mint(mac, "10.0.0.9")
        assert minted is not None
        return minted[1]

    def body(self, boot: Boot, *, skew: float = 0, key: str = "", **changes: Any) -> bytes:
        facts = {"mac": MAC, "uuid": "00000000-0000-4000-8000-525400000011", "serial": "S1", "address": "10.0.0.9",
                 "version": "VMware ESXi 8.0.3 build-24022510", "certificate": PEM, "thumbprint": thumbprint(PEM)}
        return message({**facts, **changes}, boot.nonce, bytes.fromhex(key or boot.key), self.clock.now() + skew)

    def post(self, body: bytes) -> int:
        return self.verdict(body).status

    def verdict(self, body: bytes) -> Verdict:
        verdict = self.desk.judge(body, "10.0.0.9")
        if verdict.durable is not None:
            verdict.durable.result(10)
        return verdict


def test_accepted_then_repeated_then_another_body() -> None:
    office = Office()
    boot = office.boot()
    body = office.body(boot)
    assert office.post(body) == 201
    assert office.post(body) == 200
    office.clock.time += 7200  # an accepted birth does not expire
    assert office.post(body) == 200
    assert office.post(office.body(boot, serial="S2")) == 409
    assert len(list(office.inbox)) == 1
    born = office.desk.birth(MAC)
    assert born is not None
    assert (born["version"], born["build"], born["serial"]) == ("8.0.3", "24022510", "S1")


def test_repeated_after_a_restart_of_the_process(tmp_path: Path) -> None:
    first = Office(tmp_path)
    boot = first.boot()
    body = first.body(boot)
    assert first.post(body) == 201
    first.inbox.close()
    again = Office(tmp_path)
    assert again.post(body) == 200
    assert again.post(again.body(boot, serial="S2")) == 409
    again.inbox.close()


def test_forged_unknown_and_foreign() -> None:
    office = Office()
    boot, other = office.boot(), office.boot(OTHER)
    assert office.verdict(office.body(boot, key="00" * 32)).reason.startswith("its signature is wrong")
    tampered = json.loads(office.body(boot))
    tampered["address"] = "10.6.6.6"
    assert office.post(json.dumps(tampered).encode()) == 401
    assert office.verdict(office.body(boot, mac="52:54:00:00:00:99")).reason.startswith("unknown MAC")
    assert office.post(office.body(other)) == 401  # another machine's nonce and key
    assert office.verdict(office.body(Boot("i", "f" * 32, "00" * 32, 0, 0, ""))).reason == "unknown nonce"
    assert list(office.inbox) == []
    assert {r["status"] for r in office.inbox.refused()} == {401}
    assert boot.nonce not in json.dumps(office.inbox.refused())
    assert office.post(office.body(boot)) == 201  # none of this used the nonce up


def test_superseded_by_a_newer_fetch_is_refused_and_reported() -> None:
    office = Office()
    first = office.boot()
    assert office.post(office.body(first)) == 201
    second = office.boot()
    assert (MAC, "boot configuration fetched again by 10.0.0.9; the earlier nonce is void") in office.events
    assert office.verdict(office.body(first)).reason == "its boot was superseded by a newer one"
    assert office.post(office.body(second)) == 201
    assert len(list(office.inbox)) == 2


def test_expired() -> None:
    office = Office()
    body = office.body(office.boot())
    office.clock.time += 3601
    verdict = office.verdict(body)
    assert verdict.status == 401
    assert "expired at 2023-11-14T23:13:20" in verdict.reason


def test_unstaged_and_restarted() -> None:
    office = Office()
    boot = office.boot()
    office.desk.expect(MAC)
    assert office.post(office.body(boot)) == 401
    boot = office.boot()
    office.desk.unstage(MAC)
    assert office.post(office.body(boot)) == 401
    assert office.desk.mint(MAC, "x") is None


@pytest.mark.parametrize(("first", "second", "expected"), [
    (61, 0, 201), (-3600, 0, 201), (100, 299, 201), (100, 301, 428), (-100_000, -299, 201)])
def test_a_clock_that_is_off(first: float, second: float, expected: int) -> None:
    office = Office()
    boot = office.boot()
    verdict = office.verdict(office.body(boot, skew=first))
    assert (verdict.status, verdict.reply["clock"]) == (428, 1_700_000_000)
    assert office.post(office.body(boot, skew=second)) == expected


def test_a_minute_is_tolerated_at_once() -> None:
    office = Office()
    assert office.post(office.body(office.boot(), skew=60)) == 201


BAD: dict[str, Any] = {
    "empty": b"", "not json": b"{", "not an object": b"[]", "not utf-8": b"\xff{}", "deep": b"[" * 60000,
    "nan": b'{"clock": NaN}', "huge number": b'{"clock": 1' + b"0" * 5000 + b"}",
}


@pytest.mark.parametrize("name", BAD)
def test_no_birth_message(name: str) -> None:
    assert Office().post(BAD[name]) == 400


@pytest.mark.parametrize("change", [
    {"mac": "nonsense"}, {"uuid": "1234"}, {"address": "host.example"}, {"certificate": "no PEM"},
    {"thumbprint": "AA:BB"}, {"serial": ""}, {"version": 8}, {"build": 8}, {"certificate": "\ud800"}])
def test_bad_fields_even_when_signed(change: dict[str, Any]) -> None:
    office = Office()
    boot = office.boot()
    assert office.post(office.body(boot, **change)) == 400
    assert office.post(office.body(boot)) == 201


def test_clock_must_be_whole_seconds() -> None:
    office = Office()
    for clock in (None, "1", 1.5, True, -1):
        data = json.loads(office.body(office.boot()))
        data["clock"] = clock
        assert office.post(json.dumps(data).encode()) == 400


def test_further_fields_are_signed_too() -> None:
    office = Office()
    boot = office.boot()
    body = office.body(boot, site="edge")
    tampered = json.loads(body)
    tampered["site"] = "core"
    assert office.post(json.dumps(tampered).encode()) == 401
    assert office.post(body) == 201


def test_staging_is_idempotent_until_its_birth_is_known() -> None:
    office = Office()
    first = office.desk.stage(MAC, "d" * 64, "/a", "", "")
    assert office.desk.stage(MAC, "d" * 64, "/b", "", "").generation == first.generation
    assert office.post(office.body(office.boot())) == 201
    born = office.desk.birth(MAC)
    assert born is not None
    assert office.desk.stage(MAC, "d" * 64, "/a", "", "an older birth").generation == first.generation
    fresh = office.desk.stage(MAC, "d" * 64, "/a", "", born["born"])
    assert fresh.generation != first.generation
    assert office.desk.birth(MAC) is None
    assert office.desk.stage(MAC, "e" * 64, "/a", "", "").generation != fresh.generation


def test_a_disk_that_is_full_gives_503_and_the_same_bytes_are_accepted_later(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    office = Office(tmp_path)
    body = office.body(office.boot())
    fill(monkeypatch, 1)
    verdict = office.desk.judge(body, "10.0.0.9")
    assert verdict.durable is not None
    with pytest.raises(OSError, match="disk is full"):
        verdict.durable.result(10)
    assert list(office.inbox) == []
    assert office.post(body) == 201
    office.inbox.close()
    assert [b["mac"] for b in Inbox(tmp_path / "midwife")] == [MAC]


def test_staging_records_that_are_damaged_or_newer_are_named(tmp_path: Path) -> None:
    office = Office(tmp_path)
    office.boot()
    path = tmp_path / "boot" / "01-52-54-00-00-00-11.json"
    newer = json.loads(path.read_text()) | {"format": 2}
    path.write_text(json.dumps(newer))
    with pytest.raises(FleetError, match="newer version"):
        Standings(tmp_path / "boot").get(MAC)
    path.write_text("{")
    with pytest.raises(FleetError, match="damaged"):
        Standings(tmp_path / "boot").all()


def test_identity_is_made_once_and_damage_is_named(tmp_path: Path) -> None:
    from providers.midwife.identity import open_identity

    first = open_identity(tmp_path)
    assert open_identity(tmp_path) == first
    (tmp_path / "key.pem").write_text("junk")
    with pytest.raises(FleetError, match="cannot be read"):
        open_identity(tmp_path)


def test_two_processes_that_start_at_once_have_one_identity(tmp_path: Path) -> None:
    import subprocess
    import sys

    script = ("import sys; from pathlib import Path; from providers.midwife.identity import open_identity\n"
              "sys.stdin.readline(); print(open_identity(Path(sys.argv[1])).spki_sha256)")
    started = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "midwife")], text=True,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(4)]
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    found = [process.communicate()[0].strip() for process in started]
    assert len(found[0]) == 64
    assert len(set(found)) == 1


@pytest.mark.parametrize(("serial", "kept"), [
    ("S" * 300, "S" * 256), ("\x1b]0;owned\x07", "?]0;owned?"), ("\ud800\n", "??"), ("Straße 5", "Straße 5")])
def test_what_firmware_says_is_made_fit_for_listings(serial: str, kept: str) -> None:
    office = Office()
    assert office.post(office.body(office.boot(), serial=serial)) == 201
    assert [born["serial"] for born in office.inbox] == [kept]
