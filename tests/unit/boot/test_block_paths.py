"""Folders that `provider.boot` names start at the file that names them, wherever a command runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from planner.catalog import Catalog
from planner.config import load_fleet
from planner.model import Fleet
from providers.boot import BootProvider
from providers.boot.dhcp.loaders import choose

FLEET = "fleet: {name: t}\n"
BOOT = "provider: {boot: {loaders: ldr, images: ../store}}\n"


def loaded(path: Path) -> Fleet:
    return load_fleet(path, Catalog.of((), ()), {"boot": BootProvider().block()})


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "conf" / "ldr").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path / "conf"


def test_relative_folders_start_at_the_declaring_file(conf: Path) -> None:
    (conf / "fleet.yaml").write_text(FLEET + BOOT)
    for path in (conf / "fleet.yaml", Path("../conf/fleet.yaml")):
        fleet = loaded(path)
        assert fleet.providers["boot"] == {"loaders": str(conf / "ldr"), "images": str(conf.parent / "store")}
        assert BootProvider().images(fleet.providers["boot"]).store.folder == conf.parent / "store"
        assert choose(fleet, [], {}).problems == ()


def test_of_a_fleet_in_several_files_each_speaks_for_itself(conf: Path) -> None:
    (conf / "fleet.yaml").write_text(FLEET)
    (conf / "boot.yaml").write_text(BOOT)
    assert loaded(conf).providers["boot"]["loaders"] == str(conf / "ldr")


def test_a_folder_that_is_not_there_is_told_in_full(conf: Path) -> None:
    (conf / "fleet.yaml").write_text(FLEET + BOOT.replace("ldr", "gone"))
    [problem] = choose(loaded(conf / "fleet.yaml"), [], {}).problems
    assert (problem.severity, problem.detail) == ("error", str(conf / "gone"))


def test_absolute_folders_and_home_stay(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(conf))
    (conf / "fleet.yaml").write_text(FLEET + "provider: {boot: {loaders: ~/ldr, images: /var/lib/images}}\n")
    assert loaded(conf / "fleet.yaml").providers["boot"] == {"loaders": str(conf / "ldr"), "images": "/var/lib/images"}
