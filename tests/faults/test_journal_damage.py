"""Any damage to a journal is noticed; a torn tail, and only that, is forgiven."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.model import FleetError
from state.local import LocalStore
from state.records import scan
from tests.unit.state.kit import head, store_in, text_of

RECORDS = 6


@contextmanager
def journal_of(records: int = RECORDS, who: str = "alice") -> Iterator[tuple[LocalStore, Path, list[bytes]]]:
    """A store with one journal, its path and its lines."""
    with tempfile.TemporaryDirectory() as folder:
        store = store_in(Path(folder))
        journal = store.begin("r1", b"plan")
        journal.append(head(who=who))
        for number in range(records - 1):
            journal.append({"kind": "done", "step": f"s{number:04}", "facts": {"note": "ü\n\"x\"", "n": number}})
        journal.close()
        path = store.journal_path("r1")
        yield store, path, path.read_bytes().splitlines(keepends=True)


def _refused(store: LocalStore, number: int) -> None:
    """Every way in refuses, and names file, record and remedy."""
    for call in (store.records, store.journal):
        with pytest.raises(FleetError) as caught:
            call("r1")
        text = text_of(caught.value)
        assert f"record {number} (line {number + 1})" in text
        assert str(store.journal_path("r1")) in text
        assert "fleet state verify" in text
        assert "fleet state abandon" in text
    assert "a journal is damaged" in [d.summary for d in store.verify() if d.severity == "error"]


@settings(max_examples=150, derandomize=True, deadline=None)
@given(data=st.data())
def test_a_flipped_byte(data: st.DataObject) -> None:
    with journal_of() as (store, path, lines):
        content = bytearray(b"".join(lines))
        at = data.draw(st.integers(0, len(content) - 1), label="byte")
        content[at] ^= data.draw(st.integers(1, 255), label="flip")
        path.write_bytes(bytes(content))
        ends = [len(b"".join(lines[: n + 1])) for n in range(len(lines))]
        _refused(store, next(n for n, end in enumerate(ends) if at < end))


@settings(max_examples=60, derandomize=True, deadline=None)
@given(data=st.data())
def test_missing_repeated_and_reordered_records(data: st.DataObject) -> None:
    with journal_of() as (store, path, lines):
        how = data.draw(st.sampled_from(["missing", "repeated", "swapped"]))
        at = data.draw(st.integers(0, RECORDS - 2), label="record")
        if how == "missing":
            changed, number = [*lines[:at], *lines[at + 1 :]], at
        elif how == "repeated":
            changed, number = [*lines[: at + 1], *lines[at:]], at + 1
        else:
            changed, number = [*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]], at
        path.write_bytes(b"".join(changed))
        _refused(store, number)


def test_a_record_of_another_run_in_the_same_place() -> None:
    with journal_of() as (store, path, lines), journal_of(who="bob") as (_other, _path, foreign):
        path.write_bytes(b"".join([*lines[:3], foreign[3], *lines[4:]]))
        with pytest.raises(FleetError, match=r"record [34]"):
            store.records("r1")


@settings(max_examples=100, derandomize=True, deadline=None)
@given(data=st.data())
def test_a_torn_tail_is_left_out_and_cut_off(data: st.DataObject) -> None:
    with journal_of() as (store, path, lines):
        content = b"".join(lines)
        kept = data.draw(st.integers(0, len(content)), label="bytes that reached the disk")
        path.write_bytes(content[:kept])
        whole = sum(len(b"".join(lines[: n + 1])) - 1 <= kept for n in range(len(lines)))
        assert len(store.records("r1")) == whole
        torn = path.read_bytes()[scan(path.read_bytes()).end :]
        journal = store.journal("r1")
        journal.append({"kind": "resume"})
        journal.append({"kind": "end", "outcome": "applied"})
        journal.close()
        found = store.records("r1")
        assert [r["n"] for r in found] == list(range(whole + 2))
        assert [r["kind"] for r in found[-2:]] == ["resume", "end"]
        aside = path.with_name("r1.jsonl.torn")
        assert (aside.read_bytes() if aside.exists() else b"").rstrip(b"\n") == torn.rstrip(b"\n")
        assert not [d for d in store.verify() if "journal is damaged" in d.summary]


def test_a_torn_tail_is_reported_as_a_warning() -> None:
    with journal_of() as (store, path, _lines):
        with path.open("ab") as stream:
            stream.write(b'{"n":6,"time":"2026')
        found = [d for d in store.verify() if "torn" in d.summary]
        assert [d.severity for d in found] == ["warning"]
        assert not store.runs()[0].damaged
