"""Where a fleet's midwife is, read before anything else of the fleet."""

from __future__ import annotations

from pathlib import Path

import pytest

from planner.cli.wiring import Source, header, load, refuse_unseen, store_at
from planner.config import midwife_settings
from planner.model import Attrs, FleetError, SecretRef
from tests.unit.state.kit import text_of


def written(folder: Path, boot: str, name: str = "fleet.yaml", head: str = "fleet: {name: lab}\n") -> Path:
    (folder / name).write_text(f"{head}provider:\n  boot: {boot}\n")
    return folder / name


def test_a_fleet_without_a_midwife(tmp_path: Path) -> None:
    for boot in ("{listen: 10.0.0.1}", "{midwife: null}", "{}", "null"):
        assert midwife_settings(written(tmp_path, boot)) == {}
    (tmp_path / "fleet.yaml").write_text("fleet: {name: midwife}\n")
    assert midwife_settings(tmp_path) == {}


@pytest.mark.parametrize(("identity", "reference"), [
    ("""'${secret("env:LAB_PEM")}'""", "env:LAB_PEM"),
    ("""'${ secret( "file:/etc/lab.pem" ) }'""", "file:/etc/lab.pem"),
    ("""'${secret("file:keys/lab.pem")}'""", "file:{folder}/keys/lab.pem"),
])
def test_what_is_read(tmp_path: Path, identity: str, reference: str) -> None:
    path = written(tmp_path, f'{{midwife: "https://m:8443", identity: {identity}, patience: 60, listen: 10.0.0.1}}')
    wanted: Attrs = {"midwife": "https://m:8443", "identity": SecretRef(reference.format(folder=tmp_path.resolve())),
                     "patience": 60}
    assert midwife_settings(path) == wanted
    assert midwife_settings(tmp_path) == wanted
    assert header(Source.of(str(path))) == ("lab", {"backend": "midwife", **wanted})


def test_it_may_stand_in_any_file_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("fleet: {name: lab}\nprovider: {vsphere: {server: twin}}\n")
    written(tmp_path, '{midwife: "https://m"}', "b.yaml", head="")
    assert midwife_settings(tmp_path) == {"midwife": "https://m"}


@pytest.mark.parametrize(("boot", "said"), [
    ("{midwife: '${var.url}'}", "a literal is expected"), ("{midwife: [a]}", "a literal is expected"),
    ("{midwife: https://m, identity: lab.pem}", "not a reference to a secret"),
    ("{midwife: https://m, identity: '${var.pem}'}", "not a reference to a secret"),
    ("{midwife: https://m, identity: {a: 1}}", "not a reference to a secret"),
    ("{midwife: https://m, patience: '${1 + 1}'}", "a literal is expected"),
])
def test_what_must_be_written_out(tmp_path: Path, boot: str, said: str) -> None:
    with pytest.raises(FleetError, match=said) as caught:
        midwife_settings(written(tmp_path, boot))
    assert "fleet.yaml:3:" in str(caught.value.diagnostics[0].mark)
    assert "before anything is evaluated" in text_of(caught.value)


def test_a_pasted_key_is_not_quoted(tmp_path: Path) -> None:
    with pytest.raises(FleetError) as caught:
        midwife_settings(written(tmp_path, "{midwife: https://m, identity: '${secret(\"my-private-key\")}'}"))
    assert "my-private-key" not in text_of(caught.value)


def test_the_state_is_in_one_place(tmp_path: Path) -> None:
    path = written(tmp_path, '{midwife: "https://m"}', head="fleet: {name: lab, state: here}\n")
    with pytest.raises(FleetError, match="two places"):
        header(Source.of(str(path)))


def test_one_that_shows_only_later_is_refused(tmp_path: Path) -> None:
    """An included file is not read for the header; without this check there would be two states."""
    from planner.cli.wiring import installed

    site = installed()
    (tmp_path / "fleet.yaml").write_text("fleet: {name: lab}\ninclude: [more/boot.yaml]\n")
    (tmp_path / "more").mkdir()
    written(tmp_path / "more", '{midwife: "https://m"}', "boot.yaml", head="")
    source = Source.of(str(tmp_path / "fleet.yaml"))
    name, settings = header(source)
    assert (name, settings) == ("lab", {})
    with pytest.raises(FleetError, match="where it is not found") as caught:
        refuse_unseen(load(site, source), settings)
    assert "boot.yaml" in str(caught.value.diagnostics[0].mark)


def test_an_identity_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, """{midwife: "https://m", identity: '${secret("file:lab.pem")}'}""")
    name, settings = header(Source.of(str(path)))
    with pytest.raises(FleetError, match="cannot be resolved") as caught:
        store_at(tmp_path, name, settings)
    assert "lab.pem" in text_of(caught.value)
    with pytest.raises(FleetError, match="unknown option"):
        store_at(tmp_path, "lab", {"backend": "midwife", "midwife": "https://m", "path": "x"})
