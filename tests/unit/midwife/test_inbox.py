"""The store of births: durable, found quickly, read by others meanwhile, bounded, and honest about damage."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from planner.model import FleetError
from providers.midwife import inbox as inbox_module
from providers.midwife import ledger
from providers.midwife.inbox import MAX_REFUSED, Inbox, Retention
from tests.support.process import tree
from tests.unit.boot.kit import until

MAC = "52:54:00:00:00:11"


def birth(number: int, mac: str = MAC, born: str = "2026-01-01T00:00:00.000000+00:00", **more: Any) -> dict[str, Any]:
    return {"mac": mac, "generation": "g", "boot": f"b{number}", "born": born, "certificate": "P" * 1000, **more}


def filled(folder: Path, count: int = 3) -> Path:
    inbox = Inbox(folder)
    for waiting in [inbox.append(birth(n)) for n in range(count)]:
        waiting.result(10)
    inbox.close()
    return folder


@pytest.fixture(params=["disk", "memory"])
def inbox(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Inbox]:
    opened = Inbox(tmp_path / "midwife" if request.param == "disk" else None)
    yield opened
    opened.close()


def test_found_by_mac_boot_and_generation(inbox: Inbox) -> None:
    assert (list(inbox), inbox.latest(), inbox.macs()) == ([], [], [])
    assert (inbox.of_boot("b1"), inbox.newest(MAC, "g")) == (None, None)
    for number, mac in enumerate((MAC, MAC, "52:54:00:00:00:12")):
        inbox.append(birth(number, mac)).result(10)
    assert [b["boot"] for b in inbox] == ["b0", "b1", "b2"]
    assert inbox.of_boot("b1") == birth(1)
    assert inbox.newest(MAC, "g") == birth(1)
    assert inbox.newest(MAC, "h") is None
    assert [b["boot"] for b in inbox.latest(2)] == ["b1", "b2"]
    assert [b["boot"] for b in inbox.latest(5, MAC)] == ["b0", "b1"]
    assert [(mac, b["boot"]) for mac, b in inbox.macs()] == [(MAC, "b1"), ("52:54:00:00:00:12", "b2")]


def test_refusals_are_kept_bounded_and_counted(inbox: Inbox) -> None:
    for number in range(MAX_REFUSED + 500):
        inbox.refuse({"time": f"{number:06}", "mac": MAC, "status": 401})
    assert inbox.refusals == MAX_REFUSED + 500
    kept = inbox.refused()
    assert MAX_REFUSED // 2 < len(kept) <= MAX_REFUSED
    assert kept == sorted(kept, key=lambda r: str(r["time"]))
    assert [r["status"] for r in inbox.refused(3, MAC)] == [401] * 3
    assert inbox.refused(3, "52:54:00:00:00:12") == []


def test_the_newest_refusals_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "MAX_REFUSALS", 5)
    inbox = Inbox(tmp_path)
    for number in range(20):
        inbox.refuse({"time": str(number), "mac": ""})
        if number % 7 == 0:
            inbox.refused()
    inbox.close()
    assert [r["time"] for r in Inbox(tmp_path).refused()] == ["15", "16", "17", "18", "19"]


def test_reading_makes_and_changes_nothing(tmp_path: Path) -> None:
    assert list(Inbox(tmp_path / "none")) == []
    assert not (tmp_path / "none").exists()
    folder = filled(tmp_path / "midwife")
    assert {p.name for p in folder.iterdir()} == {"births.db"}  # SQLite's log is tidied up
    before = tree(tmp_path)
    again = Inbox(folder)
    assert len(list(again)) == 3
    assert again.of_boot("b2") == birth(2)
    assert again.refused() == []
    again.close()
    assert tree(tmp_path) == before


def test_another_process_reads_while_this_one_writes(tmp_path: Path) -> None:
    reader, inbox = Inbox(tmp_path), Inbox(tmp_path)
    assert list(reader) == []
    for number in range(3):
        inbox.append(birth(number)).result(10)
        assert len(list(reader)) == number + 1
    script = "import sys; from pathlib import Path; from providers.midwife.inbox import Inbox\n" \
             "print(*[b['boot'] for b in Inbox(Path(sys.argv[1]))])"
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["b0", "b1", "b2"]
    reader.close()
    inbox.close()
    assert len(list(reader)) == 3
    second = Inbox(tmp_path)  # the next run, while the reader lives on
    second.append(birth(3)).result(10)
    assert len(list(reader)) == 4
    second.close()
    reader.close()


def test_a_torn_tail_loses_only_what_was_not_acknowledged(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "live")
    for number in range(3):
        inbox.append(birth(number)).result(10)
    shutil.copytree(tmp_path / "live", tmp_path / "killed")  # as a kill leaves it: the log was not folded in
    inbox.close()
    log = tmp_path / "killed" / "births.db-wal"
    log.write_bytes(log.read_bytes()[:-700])  # the third commit never reached the disk in whole
    assert [b["boot"] for b in Inbox(tmp_path / "killed")] == ["b0", "b1"]
    again = Inbox(tmp_path / "killed")
    again.append(birth(7)).result(10)
    assert [b["boot"] for b in again] == ["b0", "b1", "b7"]
    again.close()


def test_damage_and_newer_formats_are_named(tmp_path: Path) -> None:
    filled(tmp_path)
    path = tmp_path / "births.db"
    whole = path.read_bytes()
    path.write_bytes(b"junk" * 1024 + whole[4096:])
    with pytest.raises(FleetError, match="record of births is damaged"):
        list(Inbox(tmp_path))
    damaged = Inbox(tmp_path)
    with pytest.raises(FleetError, match="record of births is damaged"):
        damaged.append(birth(9)).result(10)
    damaged.close()
    path.write_bytes(whole)
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 2")
    db.close()
    with pytest.raises(FleetError, match="newer version"):
        Inbox(tmp_path).of_boot("b1")
    newer = Inbox(tmp_path)
    with pytest.raises(FleetError, match="newer version"):
        newer.append(birth(9)).result(10)
    newer.close()


def test_a_folder_that_cannot_be_written_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "midwife").write_text("a file")
    inbox = Inbox(tmp_path / "midwife")
    with pytest.raises(OSError, match="midwife"):
        inbox.append(birth(1)).result(10)
    inbox.close()
    with pytest.raises(OSError, match="closed"):
        inbox.append(birth(1)).result(10)


def test_commits_are_grouped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    commits, gate, real = [], threading.Event(), ledger.insert

    def slow(db: sqlite3.Connection, records: Any) -> None:
        gate.wait(10)
        commits.append(len(records))
        real(db, records)

    monkeypatch.setattr(ledger, "insert", slow)
    inbox = Inbox(tmp_path)
    waiting = [inbox.append(birth(n)) for n in range(50)]
    assert not any(w.done() for w in waiting)
    gate.set()
    for each in waiting:
        each.result(10)
    assert sum(commits) == 50
    assert len(commits) <= 2  # the first, and the others together
    inbox.close()


def test_lines_of_an_earlier_version_are_taken_over(tmp_path: Path) -> None:
    lines = [json.dumps(birth(n)) for n in range(3)]
    (tmp_path / "births.jsonl").write_text("\n".join(lines) + "\n" + lines[0][:40])  # killed at the fourth
    before = tree(tmp_path)
    assert [b["boot"] for b in Inbox(tmp_path)] == ["b0", "b1", "b2"]
    assert tree(tmp_path) == before
    inbox = Inbox(tmp_path)
    inbox.append(birth(3)).result(10)
    inbox.close()
    assert [b["boot"] for b in Inbox(tmp_path)] == ["b0", "b1", "b2", "b3"]
    (tmp_path / "births.jsonl.imported").rename(tmp_path / "births.jsonl")  # killed before it was renamed
    again = Inbox(tmp_path)
    again.append(birth(4)).result(10)
    again.close()
    assert [b["boot"] for b in Inbox(tmp_path)] == ["b0", "b1", "b2", "b3", "b4"]


def test_lines_that_are_damaged_are_named(tmp_path: Path) -> None:
    (tmp_path / "births.jsonl").write_text("junk\n" + json.dumps(birth(1)) + "\n")
    with pytest.raises(FleetError, match="line 1 is not a birth record"):
        list(Inbox(tmp_path))


def test_old_births_go_and_the_newest_of_each_mac_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox_module, "PRUNE_DELAY", -1.0)  # due at once
    old = "2020-01-01T00:00:00.000000+00:00"
    db = ledger.open_for_writing(tmp_path)
    with ledger.writing(db):
        ledger.insert(db, [birth(n, born=old) for n in range(2 * ledger.PAGE + 7)])
        ledger.insert(db, [birth(9000, "52:54:00:00:00:99", old)])  # the only one of that MAC
        ledger.insert(db, [birth(10000 + n) for n in range(30)])
    db.close()
    inbox = Inbox(tmp_path, Retention(days=365, per_mac=10))
    inbox.append(birth(20000)).result(10)
    inbox.append(birth(20001)).result(10)
    until(lambda: len(list(inbox)) <= 11)
    inbox.close()
    left = [b["boot"] for b in Inbox(tmp_path)]
    assert left == ["b9000", *(f"b{n}" for n in range(10022, 10030)), "b20000", "b20001"]


def test_a_clock_that_jumps_ahead_removes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox_module, "PRUNE_DELAY", -1.0)
    filled(tmp_path, 20)
    monkeypatch.setattr("time.time", lambda: 4_000_000_000.0)  # the year 2096
    inbox = Inbox(tmp_path)
    inbox.append(birth(20)).result(10)
    inbox.close()
    assert len(list(Inbox(tmp_path))) == 21


def test_years_of_births_cost_neither_memory_nor_time(tmp_path: Path) -> None:
    """60,000 births: looked up through indexes (SQLite's own word for it), and read in pages."""
    db = ledger.open_for_writing(tmp_path)
    db.execute("PRAGMA synchronous=OFF")
    with ledger.writing(db):
        ledger.insert(db, ({"mac": f"52:54:00:00:{n % 200:02x}:00", "generation": "g", "boot": f"b{n}", "born": ""}
                           for n in range(60_000)))
    for sql in ("SELECT record FROM birth WHERE boot = ? ORDER BY n DESC LIMIT 1",
                "SELECT record FROM birth WHERE mac = ? AND generation = 'g' ORDER BY n DESC LIMIT 1",
                "SELECT record FROM birth WHERE json_extract(record, '$.fleet') = ? ORDER BY n DESC LIMIT 9"):
        plan = " ".join(str(row[3]) for row in db.execute(f"EXPLAIN QUERY PLAN {sql}", ("x",)))
        assert "USING INDEX birth_" in plan
        assert "SCAN" not in plan
    db.close()
    inbox = Inbox(tmp_path)
    tracemalloc.start()
    try:
        assert sum(1 for _ in inbox) == 60_000
        assert inbox.newest("52:54:00:00:07:00", "g") == {
            "mac": "52:54:00:00:07:00", "generation": "g", "boot": "b59807", "born": ""}
        assert tracemalloc.get_traced_memory()[1] < 3_000_000
    finally:
        tracemalloc.stop()
    inbox.close()
