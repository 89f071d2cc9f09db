"""state.json: round trips, damage, lineage, serials, history."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from planner.model import Address, FleetError, StateResource
from state.local import open_store
from tests.unit.state.kit import ESX, VM_NETWORK, small_state, store_in, text_of


def test_nothing_is_touched_before_the_first_write(tmp_path: Path) -> None:
    store = open_store(tmp_path / ".fleet" / "lab", "lab", {"backend": "local"})
    assert store.read() is None
    assert list(store.runs()) == []
    assert list(store.history()) == []
    assert list(store.history(3)) == []
    assert list(store.verify()) == []
    assert not (tmp_path / ".fleet").exists()


def test_an_unknown_option_is_named(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match="bucket"):
        open_store(tmp_path, "lab", {"bucket": "x"})


def test_what_is_written_is_read(tmp_path: Path) -> None:
    state = small_state(run="r1", merged=7, complete=False)
    store_in(tmp_path).write(state)
    assert store_in(tmp_path).read() == state


def test_the_document_has_the_contracts_keys(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    store.write(small_state())
    document = json.loads(store.state_path.read_text())
    assert document["format"] == 1
    assert [r["address"] for r in document["resources"]] == [str(ESX), str(VM_NETWORK)]
    first = document["resources"][0]
    assert {"address", "type", "id", "origin", "attributes", "schema_version", "facts"} == set(first)
    assert first["attributes"]["root_password"] == {"$secret": "env:ESX"}


def test_no_temp_file_is_left(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    store.write(small_state())
    store.write(small_state(2))
    assert sorted(p.name for p in store.folder.iterdir()) == ["history", "lineage", "state.json"]


def test_a_changed_resource_is_encoded_again(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    state = small_state()
    store.write(state)
    changed = {**state.resources, ESX: dataclasses.replace(state.resources[ESX], id="host-9")}
    del changed[VM_NETWORK]
    store.write(dataclasses.replace(state, resources=changed))
    assert store_in(tmp_path).read() == dataclasses.replace(state, resources=changed)


# --- damage ---------------------------------------------------------------------------------------------------


def _edit(change: Callable[[dict[str, Any]], None]) -> Callable[[bytes], bytes]:
    def edit(data: bytes) -> bytes:
        document = json.loads(data)
        change(document)
        return json.dumps(document).encode()

    return edit


@pytest.mark.parametrize(("damage", "said"), [
    (lambda data: data[:-20], "truncated"),
    (lambda data: b"", "truncated"),
    (lambda data: b"[]", "no state document"),
    (_edit(lambda d: d["resources"][1]["attributes"].update(vlan=99)), "edited by hand"),
    (_edit(lambda d: d.update(serial=9)), "edited by hand"),
    (_edit(lambda d: d["resources"].pop()), "edited by hand"),
    (_edit(lambda d: d.pop("sum")), "edited by hand"),
    (_edit(lambda d: d.update(format=2)), "newer"),
])  # fmt: skip
def test_a_damaged_state_is_refused_and_named(tmp_path: Path, damage: Callable[[bytes], bytes], said: str) -> None:
    store = store_in(tmp_path)
    store.write(small_state())
    store.write(small_state(2))
    store.state_path.write_bytes(damage(store.state_path.read_bytes()))
    with pytest.raises(FleetError) as caught:
        store.read()
    text = text_of(caught.value)
    assert said in text
    assert str(store.state_path) in text
    assert caught.value.exit_code == 1
    if said != "newer":
        assert "fleet state push PATH" in text
        assert str(store.folder / "history" / "1.json") in text
    assert [d.severity for d in store.verify()] == ["error"]


def test_reformatting_is_harmless(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    store.write(small_state())
    store.state_path.write_text(json.dumps(json.loads(store.state_path.read_text()), indent=4, sort_keys=True))
    assert store.read() == small_state()


def test_the_state_of_another_fleet_and_of_another_lineage(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    store.write(small_state())
    other = store_in(tmp_path / "elsewhere")
    other.write(small_state(lineage="lin-2"))
    store.state_path.write_bytes(other.state_path.read_bytes())
    with pytest.raises(FleetError, match="another lineage"):
        store.read()
    with pytest.raises(FleetError, match="another fleet"):
        open_store(store.folder, "prod", {}).read()
    with pytest.raises(FleetError, match="another lineage"):
        other.write(small_state())
    with pytest.raises(FleetError, match="cannot be written here"):
        other.write(small_state(2, lineage="lin-2", fleet="prod"))


def test_a_damaged_state_is_set_aside_when_it_is_replaced(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    store.write(small_state())
    store.state_path.write_bytes(b"{")
    fresh = store_in(tmp_path)
    fresh.write(small_state(2))
    assert fresh.read() == small_state(2)
    assert (store.folder / "state.json.damaged").read_bytes() == b"{"
    assert ["set aside" in d.summary for d in fresh.verify()] == [True]


def test_an_address_that_is_none_is_damage(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    bad = Address("host", "1bad")
    store.write(small_state(resources={bad: StateResource(bad, "created", {})}))
    with pytest.raises(FleetError, match="not an address"):
        store.read()


# --- serials and history --------------------------------------------------------------------------------------


def test_the_last_state_of_every_serial_is_kept(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    store.write(small_state(1, complete=False))
    store.write(small_state(1))
    for serial in (2, 3):
        store_in(tmp_path).write(small_state(serial))  # another process each time
    assert list(store.history()) == [small_state(1), small_state(2), small_state(3)]
    assert list(store.history(1)) == [small_state(1)]
    assert list(store.history(3)) == [small_state(3)]
    assert list(store.history(4)) == []
    assert list(store.verify()) == []


def test_a_large_state_is_kept_compressed(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    large = {}
    for number in range(300):
        address = Address("host", "esx", f"h{number}")
        large[address] = StateResource(address, "created", {"name": f"esx{number}.lab.example", "notes": "x" * 200})
    store.write(small_state(1, resources=large))
    store.write(small_state(2))
    assert [p.name for p in (store.folder / "history").iterdir()] == ["1.json.gz"]
    assert list(store.history(1)) == [small_state(1, resources=large)]
    packed = store.folder / "history" / "1.json.gz"
    packed.write_bytes(packed.read_bytes()[:100])
    with pytest.raises(FleetError, match=r"1\.json\.gz"):
        store.history(1)


def test_the_serial_cannot_go_back(tmp_path: Path) -> None:
    store_in(tmp_path).write(small_state(2))
    with pytest.raises(FleetError, match="cannot go back"):
        store_in(tmp_path).write(small_state(1))
    assert store_in(tmp_path).read() == small_state(2)


def test_a_damaged_state_does_not_hide_its_history(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    store.write(small_state(1))
    store.write(small_state(2))
    store.state_path.write_bytes(b"")
    assert list(store.history(1)) == [small_state(1)]
    with pytest.raises(FleetError):
        store.history()


def test_a_state_is_replaced_never_written_in_place(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    store.write(small_state())
    before = os.stat(store.state_path).st_ino
    with store.state_path.open("rb") as reader:
        store.write(small_state(2))
        assert os.stat(store.state_path).st_ino != before
        assert json.loads(reader.read())["serial"] == 1
