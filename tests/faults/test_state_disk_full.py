"""A disk that is full, or that fails: a clear error, nothing lost, and it goes on when there is room again."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from planner.model import FleetError
from state.local import LocalStore
from tests.unit.state.kit import head, small_state, store_in, text_of

# RLIMIT_FSIZE makes the kernel take only some of the bytes of a write, as a full disk does.
LIMITED = """
import resource, sys
from pathlib import Path
from planner.model import FleetError
from tests.unit.state.kit import head, small_state
from state.local import LocalStore
store = LocalStore(Path(sys.argv[1]), "lab")
limit = lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
store.write(small_state())
journal = store.begin("r1", b"plan")
journal.append(head())
limit(500)
for action in (lambda: journal.append({"kind": "done", "note": "x" * 1000}),
               lambda: store.write(small_state(2)), lambda: store.begin("r2", b"p" * 5000)):
    try:
        action()
    except FleetError as error:
        print(type(error).__name__, error)
    else:
        print("no error")
limit(resource.RLIM_INFINITY)
journal.append({"kind": "end", "outcome": "failed"})
store.write(small_state(2))
"""


def test_a_write_that_takes_only_some_bytes(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", LIMITED, str(store.folder)], cwd=root, capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert ["journal cannot be written" in lines[0], "state cannot be written" in lines[1],
            "run cannot be started" in lines[2]] == [True, True, True]
    assert [r["kind"] for r in store.records("r1")] == ["head", "end"]
    assert list(store.history()) == [small_state(), small_state(2)]
    assert sorted(p.name for p in (store.folder / "runs").iterdir()) == ["r1.jsonl", "r1.plan"]
    assert list(store.verify()) == []


def _full(call: Callable[..., Any], fails: Callable[[], bool]) -> Callable[..., Any]:
    def wrapped(*arguments: Any) -> Any:
        if fails():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return call(*arguments)

    return wrapped


def _attempt(store: LocalStore) -> str:
    try:
        store.write(small_state(2))
    except FleetError as error:
        return text_of(error)
    return ""


@pytest.mark.parametrize("name", ["write", "fsync", "replace"])
def test_enospc_while_writing_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """At every call of that kind in turn."""
    store = store_in(tmp_path)
    store.write(small_state())
    for fatal in range(1, 20):
        calls = 0

        def fails() -> bool:
            nonlocal calls
            calls += 1
            return calls == fatal  # noqa: B023 - used within this iteration only

        with monkeypatch.context() as patch:
            patch.setattr(os, name, _full(getattr(os, name), fails))
            said = _attempt(store)
        if not said:
            break
        assert "No space left on device" in said
        assert "The state from before is intact" in said
        assert store_in(tmp_path).read() in (small_state(), small_state(2))  # a failed last fsync: renamed already
        assert not list(store.folder.rglob("*.tmp"))
        assert list(store_in(tmp_path).verify()) == []
    else:
        raise AssertionError("it never succeeded")
    assert fatal > 1
    assert list(store_in(tmp_path).history()) == [small_state(), small_state(2)]


def test_enospc_in_a_journal_fails_the_waiting_and_nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_in(tmp_path)
    journal = store.begin("r1", b"plan")
    journal.append(head())
    full = threading.Event()
    monkeypatch.setattr("state.journal._sync", _full(os.fsync, full.is_set))
    outcomes: dict[str, bool] = {}

    def work(name: int) -> None:
        for number in range(30):
            if name == 0 and number in (10, 20):
                (full.set if number == 10 else full.clear)()
            step = f"{name}-{number}"
            try:
                journal.append({"kind": "done", "step": step})
                outcomes[step] = True
            except FleetError:
                outcomes[step] = False

    monkeypatch.setattr("state.journal.FileJournal._cut_back", _uncut(full))
    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.append({"kind": "end", "outcome": "failed"})
    journal.close()
    found = [r.get("step") for r in store.records("r1")]
    assert {s for s, written in outcomes.items() if written} == {s for s in found if s}
    assert not all(outcomes.values())
    assert [d for d in store.verify() if "journal" in d.summary] == []


def _uncut(full: threading.Event) -> Callable[[Any], None]:
    """Cutting back works even while the disk is full: it needs no room."""
    from state.journal import FileJournal

    original = FileJournal._cut_back

    def cut(journal: Any) -> None:
        was = full.is_set()
        full.clear()
        original(journal)
        if was:
            full.set()

    return cut


def test_a_journal_that_cannot_be_cut_back_writes_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_in(tmp_path)
    journal = store.begin("r1", b"plan")
    journal.append(head())
    with monkeypatch.context() as patch:
        patch.setattr("state.journal._sync", _full(os.fsync, lambda: True))
        with pytest.raises(FleetError, match="No space"):
            journal.append({"kind": "done", "step": "s1"})
    with pytest.raises(FleetError, match="could not be cut off"):
        journal.append({"kind": "done", "step": "s2"})
    journal.close()
    reopened = store.journal("r1")
    reopened.append({"kind": "resume"})
    reopened.close()
    assert [r["kind"] for r in store.records("r1")] in (["head", "resume"], ["head", "done", "resume"])


def test_an_interrupted_leader_leaves_nobody_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_in(tmp_path)
    journal = store.begin("r1", b"plan")
    journal.append(head())

    def interrupt(_descriptor: int) -> None:
        monkeypatch.setattr("state.journal._sync", os.fsync)
        raise KeyboardInterrupt

    monkeypatch.setattr("state.journal._sync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        journal.append({"kind": "done", "step": "s1"})
    journal.append({"kind": "done", "step": "s2"})
    journal.close()
    assert [r.get("step") for r in store.records("r1")] == [None, "s2"]
