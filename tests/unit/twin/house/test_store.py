"""What the twin keeps: effects before replies, torn tails, compaction, and that a plan writes nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pyVmomi import vim

from planner.model import FleetError, Locked
from providers.twin.house import open_house
from providers.twin.model import Box, Host
from tests.support.twin import SEED, boot, done, host, mac_of, make_house, reopen, vcenter


def test_what_a_call_changed_is_there_after_a_kill(tmp_path: Path) -> None:
    script = """
import os, sys
from pathlib import Path
from pyVmomi import vim
from tests.support.twin import *
house = make_house(Path(sys.argv[1]), hosts=1)
hs = host(vcenter(house))
hs.configManager.networkSystem.AddVirtualSwitch("vSwitch7")
print("ready", flush=True)
os.kill(os.getpid(), 9)
"""
    folder = tmp_path / "twin"
    ended = subprocess.run([sys.executable, "-c", script, str(folder)], capture_output=True, check=False,
                           cwd=Path(__file__).parents[4])
    assert b"ready" in ended.stdout, ended.stderr
    assert ended.returncode == -9
    house = reopen(folder)
    assert [each.name for each in host(vcenter(house)).config.network.vswitch] == ["vSwitch0", "vSwitch7"]


def test_same_ids_and_dump_after_reopening(tmp_path: Path) -> None:
    house = make_house(tmp_path / "twin", hosts=2)
    before, found = house.dump(), host(vcenter(house))
    again = reopen(tmp_path / "twin")
    assert again.dump() == before
    assert host(vcenter(again))._moId == found._moId
    again.close()
    assert reopen(tmp_path / "twin").dump() == before


def test_torn_tail_is_dropped_and_cut_off(tmp_path: Path) -> None:
    folder = tmp_path / "twin"
    house = make_house(folder, hosts=1)
    before = house.dump()
    log = folder / "effects.jsonl"
    log.write_bytes(log.read_bytes() + b'{"set":{"52:54')
    again = reopen(folder)
    assert again.dump() == before
    host(vcenter(again)).configManager.networkSystem.AddVirtualSwitch("vSwitch1")
    assert len(reopen(folder).dump()["hosts"]["esx01.test"]["config"]["vswitches"]) == 2


def test_damage_inside_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "twin"
    make_house(folder, hosts=2)
    log = folder / "effects.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"x" + lines[0] + b"".join(lines[1:]))
    with pytest.raises(FleetError, match=r"effects\.jsonl:1 is damaged"):
        reopen(folder)


def test_newer_format_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "twin"
    folder.mkdir()
    (folder / "snapshot.json").write_text(json.dumps({"set": {"site": {"kind": "site", "name": "t", "format": 99}}}))
    with pytest.raises(FleetError, match="newer fleet"):
        reopen(folder)


def test_a_plan_writes_nothing(tmp_path: Path) -> None:
    seed = tmp_path / "seed.yaml"
    seed.write_text(SEED)
    house = open_house(tmp_path / "fleet" / "twin", "t", seed=seed, machines=(), writable=False)
    assert vcenter(house).rootFolder.childEntity[0].name == "dc0"
    house.add_connected_host("dc0/prod", mac_of(1), "esx01.test")
    host(vcenter(house)).configManager.networkSystem.AddVirtualSwitch("vSwitch1")
    house.close()
    assert not (tmp_path / "fleet").exists()


def test_a_plan_leaves_what_is_stored_alone(tmp_path: Path) -> None:
    folder = tmp_path / "twin"
    make_house(folder, hosts=1)
    log = folder / "effects.jsonl"
    log.write_bytes(log.read_bytes() + b'{"torn')
    before = {each.name: each.read_bytes() for each in folder.iterdir()}
    house = reopen(folder, writable=False)
    host(vcenter(house)).configManager.networkSystem.AddVirtualSwitch("vSwitch1")
    house.close()
    assert {each.name: each.read_bytes() for each in folder.iterdir()} == before


def test_compaction_keeps_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from providers.twin import store

    monkeypatch.setattr(store, "COMPACT_BYTES", 4000)
    house = make_house(tmp_path / "twin", hosts=3)
    networks = host(vcenter(house), 2).configManager.networkSystem
    for number in range(1, 12):
        networks.AddVirtualSwitch(f"vSwitch{number}")
    log = tmp_path / "twin" / "effects.jsonl"
    assert not log.exists() or log.stat().st_size < 6000
    assert reopen(tmp_path / "twin").dump() == house.dump()


def test_a_machine_caught_in_mid_boot_is_off(tmp_path: Path) -> None:
    house = make_house(tmp_path / "twin", machines=1)
    house.power(mac_of(1), "on")
    assert house.machine(mac_of(1)).power == "booting"
    again = reopen(tmp_path / "twin")
    assert again.machine(mac_of(1)).power == "off"


def test_only_one_process_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from providers.twin import store

    script = """
import sys
from pathlib import Path
from tests.support.twin import *
house = make_house(Path(sys.argv[1]), hosts=1)
print("ready", flush=True)
sys.stdin.read()
"""
    monkeypatch.setattr(store, "PATIENCE", 1)
    folder = tmp_path / "twin"
    with subprocess.Popen([sys.executable, "-c", script, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          cwd=Path(__file__).parents[4]) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"ready\n"
        with pytest.raises(Locked, match="at work on this twin"):
            reopen(folder)
        assert (folder / "effects.jsonl").exists()
        assert reopen(folder, writable=False).dump()["hosts"]
        other.kill()
    reopen(folder).close()


def test_a_reader_notices_a_compaction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from providers.twin.store import Store

    writer = make_house(tmp_path / "twin", hosts=1)
    read = Store._read_snapshot
    attempts: list[bool] = []

    def interrupted(self: Store, path: Path) -> bool:
        found = read(self, path)
        if not self.writable:
            attempts.append(found)
            if len(attempts) == 1:
                host(vcenter(writer)).configManager.networkSystem.AddVirtualSwitch("vSwitch5")
                writer.close()
        return found

    monkeypatch.setattr(Store, "_read_snapshot", interrupted)
    assert "vSwitch5" in reopen(tmp_path / "twin", writable=False).dump()["hosts"]["esx01.test"]["config"]["vswitches"]
    assert len(attempts) == 2


def test_passwords_are_not_kept(tmp_path: Path) -> None:
    from tests.support.twin import door

    house = make_house(tmp_path / "twin", machines=1)
    boot(house, 1)
    spec = vim.host.LocalAccountManager.AccountSpecification(id="root", password="Correct-Horse-7")
    door(house, 1).accountManager.UpdateUser(spec)
    house.close()
    kept = b"".join(each.read_bytes() for each in (tmp_path / "twin").iterdir())
    assert b"Correct-Horse-7" not in kept
    door(reopen(tmp_path / "twin"), 1, "Correct-Horse-7")


def test_a_thousand_hosts_are_compact() -> None:
    import msgspec

    house = make_house(hosts=5)
    docs = [each for each in house.inventory.docs.values() if isinstance(each, (Box, Host))]
    assert sum(len(msgspec.json.encode(each)) for each in docs) / 5 < 1500


def test_faults_change_nothing_that_is_kept(tmp_path: Path) -> None:
    house = make_house(tmp_path / "twin", hosts=1)
    before = house.dump()
    networks = host(vcenter(house)).configManager.networkSystem
    with pytest.raises(vim.fault.AlreadyExists):
        networks.AddVirtualSwitch("vSwitch0")
    with pytest.raises(vim.fault.InvalidState):
        done(host(vcenter(house)).Destroy_Task())
    assert house.dump() == before == reopen(tmp_path / "twin").dump()
    assert house.calls == []
