"""Journals: the chain, group commit, reopening, the list of runs, verify."""

from __future__ import annotations

import hashlib
import json
import threading
from pathlib import Path

import pytest

from planner.model import Address, FleetError, SecretRef, Unknown
from state.local import LocalStore
from tests.unit.state.kit import head, small_state, store_in, text_of


def _begun(tmp_path: Path, run: str = "r1", records: int = 3) -> LocalStore:
    store = store_in(tmp_path)
    journal = store.begin(run, b"the plan")
    journal.append(head(run=run))
    for number in range(records - 1):
        journal.append({"kind": "begin", "step": f"s{number}"})
    journal.close()
    return store


def test_records_are_numbered_chained_and_start_at_the_plan(tmp_path: Path) -> None:
    store = _begun(tmp_path)
    found = store.records("r1")
    assert [r["n"] for r in found] == [0, 1, 2]
    assert found[0]["prev"] == hashlib.sha256(b"the plan").hexdigest()
    assert [r["prev"] for r in found[1:]] == [r["sum"] for r in found[:-1]]
    assert all(r["time"].endswith("Z") for r in found)
    assert store.plan("r1") == b"the plan"
    line = store.journal_path("r1").read_bytes().splitlines()[1]
    body, _, rest = line.rpartition(b',"sum":"')
    assert hashlib.sha256(body).hexdigest().encode() == rest[:-2]
    assert list(json.loads(line))[:3] == ["n", "time", "kind"]


def test_values_are_encoded(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    journal = store.begin("r1", b"")
    address = Address.parse('host.esx["a"].portgroup["VM Network"]')
    journal.append({"kind": "begin", "address": address, "before": None,
                    "after": {"id": Unknown("MoRef"), "password": SecretRef("env:X"), "tags": ("a", "b")}})
    record = journal.records()[0]
    assert record["address"] == str(address)
    assert record["after"] == {"id": {"$unknown": "MoRef"}, "password": {"$secret": "env:X"}, "tags": ["a", "b"]}
    with pytest.raises(ValueError, match="kind"):
        journal.append({"step": "s1"})
    journal.append({"kind": "x", "n": 77, "sum": "mine", "prev": "mine", "time": "mine"})
    assert store.records("r1")[1]["n"] == 1
    journal.close()


def test_threads_share_one_chain(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    journal = store.begin("r1", b"")

    def work(name: int) -> None:
        for number in range(40):
            journal.append({"kind": "done", "step": f"{name}-{number}"})

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close()
    steps = [r["step"] for r in store.records("r1")]
    assert len(steps) == 320
    for name in range(8):
        assert [s for s in steps if s.startswith(f"{name}-")] == [f"{name}-{n}" for n in range(40)]


def test_a_reopened_journal_goes_on(tmp_path: Path) -> None:
    store = _begun(tmp_path)
    journal = store.journal("r1")
    journal.append({"kind": "resume"})
    assert [r["n"] for r in journal.records()] == [0, 1, 2, 3]
    journal.close()
    with pytest.raises(FleetError, match="closed"):
        journal.append({"kind": "end"})
    with pytest.raises(FleetError, match="there is a run r1 already"):
        store.begin("r1", b"")
    for call in (store.journal, store.records):
        with pytest.raises(FleetError, match="no run r9"):
            call("r9")
    with pytest.raises(FleetError, match="not the name of a run"):
        store.begin("../r1", b"")


def test_runs_are_listed_oldest_first_with_their_outcome(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    made = (("b", "2026-01-02", "applied"), ("a", "2026-01-03", ""), ("c", "2026-01-01", "incomplete"))
    for run, started, outcome in made:
        journal = store.begin(run, b"p")
        journal.append(head(run=run, started=started, serial=4))
        if outcome:
            journal.append({"kind": "end", "outcome": outcome})
        journal.close()
    store.begin("never", b"p").close()  # killed before its first record: nothing happened
    infos = store.runs()
    assert [(i.run, i.outcome, i.records) for i in infos] == [("c", "incomplete", 2), ("b", "applied", 2), ("a", "", 1)]
    assert (infos[0].who, infos[0].host, infos[0].reason, infos[0].serial) == ("alice", "bastion", "CHG-1", 4)


def test_a_run_that_goes_on_after_its_end_is_open_again(tmp_path: Path) -> None:
    store = _begun(tmp_path)
    for record, outcome in (({"kind": "end", "outcome": "applied"}, "applied"), ({"kind": "rollback"}, ""),
                            ({"kind": "end", "outcome": "rolled-back"}, "rolled-back")):
        journal = store.journal("r1")
        journal.append(record)
        journal.close()
        assert store.runs()[0].outcome == outcome


def test_a_last_record_longer_than_the_tail_that_is_read(tmp_path: Path) -> None:
    store = _begun(tmp_path)
    journal = store.journal("r1")
    journal.append({"kind": "end", "outcome": "applied", "note": "x" * 200_000})
    journal.close()
    assert (store.runs()[0].outcome, store.runs()[0].records) == ("applied", 4)


def test_verify_finds_plans_lineages_and_gaps(tmp_path: Path) -> None:
    store = _begun(tmp_path)
    for serial in (1, 2, 3, 4):
        store.write(small_state(serial, run="r1", merged=3))
    assert list(store.verify()) == []
    (store.folder / "history" / "2.json").unlink()
    (store.folder / "runs" / "r1.plan").write_bytes(b"another plan")
    journal = store.begin("r2", b"p")
    journal.append(head(run="r2", lineage="lin-9"))
    journal.close()
    (store.folder / "runs" / "r2.plan").unlink()
    found = [(d.severity, d.summary) for d in store.verify()]
    assert found == [
        ("error", "old states are missing"),
        ("error", "a run's plan was changed since the run began"),
        ("error", "a journal is of another lineage"),
        ("error", "a run's plan cannot be read"),
    ]
    with pytest.raises(FleetError, match="was changed since the run began"):
        store.plan("r1")
    with pytest.raises(FleetError, match="cannot be read"):
        store.plan("r2")


def test_verify_finds_a_journal_that_lost_its_end(tmp_path: Path) -> None:
    store = _begun(tmp_path)
    assert list(store.verify()) == []  # killed before the first checkpoint
    store.write(small_state(1, run="r1", merged=3))
    path = store.journal_path("r1")
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:2]))
    assert [d.summary for d in store.verify()] == ["a journal is shorter than what state has taken from it"]
    journal = store.journal("r1")
    journal.append({"kind": "end", "outcome": "applied"})
    journal.close()
    store.state_path.unlink()
    assert [d.summary for d in store.verify()] == ["there are runs, but no state"]


def test_a_damaged_journal_can_be_salvaged(tmp_path: Path) -> None:
    store = _begun(tmp_path, records=5)
    store.write(small_state())
    path = store.journal_path("r1")
    data = path.read_bytes()
    lines = data.splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], *lines[4:]]))
    with pytest.raises(FleetError) as caught:
        store.records("r1")
    assert "record 3" in text_of(caught.value)
    assert "fleet state abandon PATH r1" in text_of(caught.value)
    assert "record 3" in store.runs()[0].damaged
    journal = store.salvage("r1")
    journal.append({"kind": "end", "outcome": "abandoned"})
    journal.close()
    assert [r["kind"] for r in store.records("r1")] == ["head", "begin", "begin", "end"]
    assert path.with_name("r1.jsonl.damaged").exists()
    assert [d.severity for d in store.verify()] == ["warning"]
