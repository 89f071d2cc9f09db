"""Fleets of several files, files that cannot be read, and the cheap reading of a fleet's name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from planner.config import fleet_name, load_fleet
from planner.model import FleetError
from tests.support.config_catalog import BLOCKS, catalog
from tests.unit.config.conftest import Load, errors


def test_a_folder_is_one_fleet_and_include_adds_files(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "shared").mkdir()
    (tmp_path / "site" / "a.yaml").write_text("fleet: {name: f}\ninclude: [../shared, ../one.yaml]\n")
    (tmp_path / "site" / "b.yaml").write_text("datacenter: {dc0: {}}\ninclude: ../shared/x.yaml\n")
    (tmp_path / "site" / "notes.txt").write_text("not a fleet file")
    (tmp_path / "shared" / "x.yaml").write_text("datacenter: {dc1: {}}\nimage: {i: {source: iso/x}}\n")
    (tmp_path / "one.yaml").write_text("datacenter: {dc2: {}}\nprovider: {vsphere: {server: twin, seed: s.yaml}}\n")
    fleet = load_fleet(tmp_path / "site", catalog(), BLOCKS)
    assert sorted(str(a) for a in fleet.resources) == ["datacenter.dc0", "datacenter.dc1", "datacenter.dc2"]
    assert fleet.folder == str(tmp_path / "site")
    assert fleet.images["i"].source == str(tmp_path / "shared" / "iso" / "x")
    assert fleet.providers["vsphere"]["seed"] == str(tmp_path / "s.yaml")


def test_duplicates_across_files_name_both_places(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("fleet: {name: f}\ndatacenter: {dc0: {}}\nlocals: {x: 1}\n")
    (tmp_path / "b.yaml").write_text("datacenter:\n  dc0: {}\nlocals: {x: 2}\nfleet: {name: g}\n")
    with pytest.raises(FleetError) as caught:
        load_fleet(tmp_path, catalog(), BLOCKS)
    first, second, third = caught.value.diagnostics
    assert {d.summary for d in caught.value.diagnostics} == {"declared twice"}
    assert "a.yaml:2:14" in first.detail
    assert "b.yaml:2:3" in first.detail
    assert str(first.mark).endswith("b.yaml:2:3")
    assert "a.yaml:3:10" in second.detail
    assert "a.yaml:1:1" in third.detail


def test_all_files_are_read_even_when_one_has_a_syntax_error(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("fleet: {name: f}\nlocals: {x: ]}\n")
    (tmp_path / "b.yaml").write_text("clutser: {}\n")
    with pytest.raises(FleetError) as caught:
        load_fleet(tmp_path, catalog(), BLOCKS)
    assert errors(caught) == ["YAML syntax error", "unknown block"]


@pytest.mark.parametrize(("data", "summary"), [
    (b"fleet: {name: t}\nlocals: {a: \xff}\n", "this file is not UTF-8"),
    ("fleet: {name: t}\n".encode("utf-16"), "this file is not UTF-8"),
    (b"fleet: {name: t}\n" + b"#" * (64 * 1024 * 1024), "this file is too large"),
    (b"", "an empty file"),
])
def test_unreadable_files(tmp_path: Path, data: bytes, summary: str) -> None:
    path = tmp_path / "fleet.yaml"
    path.write_bytes(data)
    with pytest.raises(FleetError) as caught:
        load_fleet(path, catalog(), BLOCKS)
    assert errors(caught) == [summary]
    assert caught.value.diagnostics[0].mark is not None


def test_a_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "fleet.yaml"
    path.write_bytes(b"\xef\xbb\xbffleet: {name: t}\n")
    assert load_fleet(path, catalog(), BLOCKS).name == "t"


@pytest.mark.parametrize(("make", "summary"), [
    (lambda p: None, "no such file or folder"),
    (lambda p: p.mkdir(), "no fleet files in this folder"),
    (lambda p: (p.mkdir(), (p / "x.yml").write_text("")), "no fleet files in this folder"),
])
def test_paths_without_a_fleet(tmp_path: Path, make: Callable[[Path], object], summary: str) -> None:
    make(tmp_path / "f")
    for function in (lambda p: load_fleet(p, catalog(), BLOCKS), fleet_name):
        with pytest.raises(FleetError) as caught:
            function(tmp_path / "f")
        assert errors(caught) == [summary]


@pytest.mark.parametrize(("include", "summary"), [
    ("nope.yaml", "include: no such file or folder"), ("'${var.x}'", "include needs paths"),
    ("[[a]]", "include needs paths"),
])
def test_bad_includes(load: Load, include: str, summary: str) -> None:
    with pytest.raises(FleetError) as caught:
        load(f"include: {include}\n")
    assert errors(caught) == [summary]


def test_files_that_include_each_other_are_read_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("fleet: {name: f}\ninclude: b.yaml\n")
    (tmp_path / "b.yaml").write_text("include: a.yaml\ndatacenter: {x: {}}\n")
    assert len(load_fleet(tmp_path / "a.yaml", catalog(), BLOCKS).resources) == 1


# --- fleet_name -------------------------------------------------------------------------------------------


def test_fleet_name_reads_no_more_than_the_block(tmp_path: Path) -> None:
    path = tmp_path / "fleet.yaml"
    path.write_text("locals: {a: [1, {b: 2}]}\nfleet: {name: lab, state: {backend: s3, bucket: b, path: st}}\n"
                    ": : : broken [\n")
    assert fleet_name(path) == ("lab", {"backend": "s3", "bucket": "b", "path": str(tmp_path / "st")})
    assert fleet_name(str(tmp_path))[0] == "lab"


@pytest.mark.parametrize(("text", "summary"), [
    ("locals: {}\n", "no fleet: block"), ("[a]\n", "no fleet: block"), ("", "no fleet: block"),
    ("fleet: 3\n", "wrong type"), ("fleet: {}\n", "a fleet needs a name"),
    ("fleet: {name: ../x}\n", "not a name for a fleet"),
    ("fleet: {name: [\n", "YAML syntax error"), ("a: 'x\n", "YAML syntax error"),
])
def test_fleet_name_errors(tmp_path: Path, text: str, summary: str) -> None:
    path = tmp_path / "fleet.yaml"
    path.write_text(text)
    with pytest.raises(FleetError) as caught:
        fleet_name(path)
    assert errors(caught) == [summary]
