"""What every state store keeps to: the local one, and the one at a midwife."""

from __future__ import annotations

import dataclasses
import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from planner.cli.state_edit import StateFiles
from planner.model import Address, FleetError, Locked, SecretRef, Unknown
from state.local import LocalStore
from tests.support.state_server import StateServer, serving
from tests.unit.state.kit import ESX, head, small_state, text_of


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of store. `make`: a store as another process opens it; `folder`: where its files end up."""

    make: Callable[[], StateFiles]
    folder: Path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StateServer]:
    with serving(tmp_path_factory.mktemp("midwife")) as found:
        yield found


@pytest.fixture(params=["local", "midwife"])
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kind]:
    if request.param == "local":
        yield Kind(lambda: LocalStore(tmp_path / "lab", "lab"), tmp_path / "lab")
        return
    server: StateServer = request.getfixturevalue("server")
    name = "f" + hashlib.sha256(str(tmp_path).encode()).hexdigest()[:12]  # a fleet of its own for every test
    made = []

    def make() -> StateFiles:
        store = server.store(name)
        store.fleet = "lab"  # what the documents say
        made.append(store)
        return store

    server.shelf.room(name).store.fleet = "lab"
    yield Kind(make, server.folder / "fleets" / name)
    for store in made:
        store.close()


def test_nothing_is_there_before_the_first_write(kind: Kind) -> None:
    store = kind.make()
    assert store.read() is None
    assert list(store.runs()) == []
    assert list(store.history()) == []
    assert list(store.history(3)) == []
    assert list(store.verify()) == []
    assert store.newest_kept() is None
    assert store.holder() == ""
    assert store.unlock() == "There was no lock."
    assert not kind.folder.exists()


def test_what_is_written_is_read(kind: Kind) -> None:
    state, store = small_state(run="r1", merged=7, complete=False), kind.make()
    with store.lock("apply"):
        store.write(state)
        assert kind.make().read() == state
        changed = {**state.resources, ESX: dataclasses.replace(state.resources[ESX], id="host-9")}
        store.write(dataclasses.replace(state, resources=changed))
    assert kind.make().read() == dataclasses.replace(state, resources=changed)
    assert store.parse(store.dump(state), "x") == state


def test_the_last_state_of_every_serial_is_kept(kind: Kind) -> None:
    large = "x" * 200_000
    for serial in (1, 2, 3):
        store = kind.make()
        with store.lock("apply"):
            store.write(small_state(serial, complete=False, outputs={"large": large}))
            store.write(small_state(serial, outputs={"large": large}))
    store = kind.make()
    states = [small_state(n, outputs={"large": large}) for n in (1, 2, 3)]
    assert list(store.history()) == states
    assert list(store.history(1)) == states[:1]
    assert list(store.history(3)) == states[2:]
    assert list(store.history(4)) == []
    assert store.newest_kept() in states[1:]
    assert list(store.verify()) == []


def test_a_state_does_not_go_back_and_keeps_its_lineage(kind: Kind) -> None:
    store = kind.make()
    with store.lock("apply"):
        store.write(small_state(2))
        for state, said in ((small_state(1), "cannot go back"), (small_state(3, lineage="other"), "another lineage"),
                            (small_state(3, fleet="prod"), "fleet")):
            with pytest.raises(FleetError, match=said):
                store.write(state)
    assert kind.make().read() == small_state(2)


def test_damage_is_refused_named_and_set_aside(kind: Kind) -> None:
    store = kind.make()
    with store.lock("apply"):
        store.write(small_state(1))
        store.write(small_state(2))
    (kind.folder / "state.json").write_bytes(b"{")
    with pytest.raises(FleetError) as caught:
        kind.make().read()
    assert "truncated" in text_of(caught.value)
    assert str(kind.folder / "state.json") in text_of(caught.value)
    assert "push PATH --rebuild" in text_of(caught.value)
    assert [d.severity for d in kind.make().verify()] == ["error"]
    assert list(kind.make().history(1)) == [small_state(1)]
    fresh = kind.make()
    with fresh.lock("apply"):
        fresh.write(small_state(3))
    assert kind.make().read() == small_state(3)
    assert (kind.folder / "state.json.damaged").read_bytes() == b"{"


# --- the lock ---------------------------------------------------------------------------------------------


def test_one_holder_at_a_time_who_is_named(kind: Kind) -> None:
    store = kind.make()
    with store.lock("apply", "CHG-7"):
        with pytest.raises(Locked) as caught, kind.make().lock("plan"):
            pass
        assert caught.value.exit_code == 6
        text = text_of(caught.value)
        assert "for apply: CHG-7" in text
        assert "since 20" in text
        assert "fleet state unlock" in text
        assert kind.make().holder().endswith("for apply: CHG-7")
        with pytest.raises(Locked), store.lock("apply"):
            pass
    assert store.holder() == ""
    with pytest.raises(ValueError, match="stop"), kind.make().lock("apply"):
        raise ValueError("stop")
    with kind.make().lock("rollback"):
        pass


def test_unlock_takes_the_lock_away(kind: Kind) -> None:
    with kind.make().lock("apply", "hangs"):
        assert "hangs" in kind.make().unlock()
        with kind.make().lock("apply"), pytest.raises(Locked), kind.make().lock("apply"):
            pass
    assert kind.make().unlock() == "There was no lock."


# --- journals ---------------------------------------------------------------------------------------------


def _begun(kind: Kind, run: str = "r1", records: int = 3) -> StateFiles:
    store = kind.make()
    with store.lock("apply"):
        journal = store.begin(run, b"the plan")
        journal.append(head(run=run))
        for number in range(records - 1):
            journal.append({"kind": "begin", "step": f"s{number}"})
        journal.held()
        journal.close()
    return store


def test_records_are_numbered_chained_and_start_at_the_plan(kind: Kind) -> None:
    store = _begun(kind)
    found = store.records("r1")
    assert [r["n"] for r in found] == [0, 1, 2]
    assert found[0]["prev"] == hashlib.sha256(b"the plan").hexdigest()
    assert [r["prev"] for r in found[1:]] == [r["sum"] for r in found[:-1]]
    assert store.plan("r1") == b"the plan"
    lines = (kind.folder / "runs" / "r1.jsonl").read_bytes().splitlines()
    body, _, rest = lines[1].rpartition(b',"sum":"')
    assert hashlib.sha256(body).hexdigest().encode() == rest[:-2]


def test_values_are_encoded(kind: Kind) -> None:
    store = kind.make()
    with store.lock("apply"):
        journal = store.begin("r1", b"")
        address = Address.parse('host.esx["a"].portgroup["VM Network"]')
        journal.append({"kind": "begin", "address": address,
                        "after": {"id": Unknown("MoRef"), "password": SecretRef("env:X"), "tags": ("a", "b")}})
        with pytest.raises(ValueError, match="kind"):
            journal.append({"step": "s1"})
        journal.append({"kind": "x", "n": 77, "sum": "mine", "prev": "mine", "time": "mine"})
        records = journal.records()
    assert records[0]["address"] == str(address)
    assert records[0]["after"] == {"id": {"$unknown": "MoRef"}, "password": {"$secret": "env:X"}, "tags": ["a", "b"]}
    assert records[1]["n"] == 1


def test_threads_share_one_chain(kind: Kind) -> None:
    store = kind.make()
    with store.lock("apply"):
        journal = store.begin("r1", b"")

        def work(name: int) -> None:
            for number in range(20):
                journal.append({"kind": "done", "step": f"{name}-{number}", "note": "x" * 1000})

        threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        journal.close()
    steps = [r["step"] for r in store.records("r1")]
    assert len(steps) == 160
    for name in range(8):
        assert [s for s in steps if s.startswith(f"{name}-")] == [f"{name}-{n}" for n in range(20)]


def test_a_reopened_journal_goes_on(kind: Kind) -> None:
    _begun(kind)
    store = kind.make()
    with store.lock("resume"):
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


def test_a_torn_tail_is_cut_off(kind: Kind) -> None:
    _begun(kind)
    path = kind.folder / "runs" / "r1.jsonl"
    path.write_bytes(path.read_bytes() + b'{"n":3,"time":"20')
    store = kind.make()
    assert len(store.records("r1")) == 3
    with store.lock("resume"):
        journal = store.journal("r1")
        journal.append({"kind": "resume"})
        journal.close()
    assert [r["kind"] for r in store.records("r1")] == ["head", "begin", "begin", "resume"]
    assert list(store.verify()) == []


def test_runs_are_listed_oldest_first_with_their_outcome(kind: Kind) -> None:
    store = kind.make()
    made = (("b", "2026-01-02", "applied"), ("a", "2026-01-03", ""), ("c", "2026-01-01", "incomplete"))
    with store.lock("apply"):
        for run, started, outcome in made:
            journal = store.begin(run, b"p")
            journal.append(head(run=run, started=started, serial=4))
            if outcome:
                journal.append({"kind": "end", "outcome": outcome})
            journal.close()
        store.begin("never", b"p").close()
    infos = store.runs()
    assert [(i.run, i.outcome, i.records) for i in infos] == [("c", "incomplete", 2), ("b", "applied", 2), ("a", "", 1)]
    assert (infos[0].who, infos[0].host, infos[0].reason, infos[0].serial) == ("alice", "bastion", "CHG-1", 4)


def test_a_damaged_journal_is_named_and_can_be_salvaged(kind: Kind) -> None:
    store = _begun(kind, records=5)
    with store.lock("apply"):
        store.write(small_state())
    path = kind.folder / "runs" / "r1.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], *lines[4:]]))
    with pytest.raises(FleetError) as caught:
        store.records("r1")
    assert "record 3" in text_of(caught.value)
    assert "fleet state abandon PATH r1" in text_of(caught.value)
    assert "record 3" in store.runs()[0].damaged
    with store.lock("state abandon"):
        with pytest.raises(FleetError, match="damaged"):
            store.journal("r1")
        journal = store.salvage("r1")
        journal.append({"kind": "end", "outcome": "abandoned"})
        journal.close()
    assert [r["kind"] for r in store.records("r1")] == ["head", "begin", "begin", "end"]
    assert path.with_name("r1.jsonl.damaged").exists()
    assert [d.severity for d in store.verify()] == ["warning"]


def test_verify_finds_what_is_missing(kind: Kind) -> None:
    store = _begun(kind)
    with store.lock("apply"):
        for serial in (1, 2, 3, 4):
            store.write(small_state(serial, run="r1", merged=3))
    (kind.folder / "history" / "2.json").unlink()
    (kind.folder / "runs" / "r1.plan").write_bytes(b"another plan")
    assert [d.summary for d in store.verify()] == ["old states are missing",
                                                   "a run's plan was changed since the run began"]
    with pytest.raises(FleetError, match="was changed since the run began"):
        store.plan("r1")
