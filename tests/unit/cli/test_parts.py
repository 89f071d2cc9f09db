"""Secrets, who, approval, progress, colours, init, graph."""

from __future__ import annotations

import io
import json
import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.progress import Progress, TextColumn

from planner.cli import init, main, progress, running, show, terminal, who, wiring
from planner.cli.running import Conduct, Declined, approve, stop_signals
from planner.cli.secret import Secrets
from planner.cli.terminal import Usage
from planner.execute.walk import Stop
from planner.model import Address, Fleet, FleetError, Resource, SecretRef, Step
from planner.ports import Event
from planner.review import graph
from tests.support.config_catalog import catalog

HOST = Address("host", "esx", "esx01")


# --- secrets ----------------------------------------------------------------------------------------------


def test_secrets_of_both_kinds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pw").write_text("päss word\n")
    monkeypatch.setenv("PW", " with blanks ")
    secrets = Secrets(tmp_path)
    assert secrets(SecretRef("file:pw")) == "päss word"
    assert secrets(SecretRef(f"file:{tmp_path}/pw")) == "päss word"
    assert secrets(SecretRef("env:PW")) == " with blanks "


@pytest.mark.parametrize("reference", ["env:NOT_SET_ANYWHERE", "file:missing", "file:.", "vault:x", "file:binary"])
def test_a_secret_that_fails_names_its_reference_and_no_value(tmp_path: Path, reference: str) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfes3cret")
    with pytest.raises(FleetError) as caught:
        Secrets(tmp_path)(SecretRef(reference))
    assert reference in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert caught.value.diagnostics[0].remedy


def test_secrets_are_checked_all_at_once_and_only_where_needed(tmp_path: Path) -> None:
    other = Address("host", "other")
    fleet = Fleet("lab", "lab.yaml", str(tmp_path), {
        HOST: Resource(HOST, {"root_password": SecretRef("env:NO_A"), "b": [SecretRef("env:NO_B")]}),
        HOST.under("dns"): Resource(HOST.under("dns"), {"x": SecretRef("env:NO_A")}),
        other: Resource(other, {"root_password": SecretRef("env:NO_C")}),
    })
    with pytest.raises(FleetError) as caught:
        Secrets(tmp_path).check(fleet, {HOST})
    assert ["NO_A" in d.detail or "NO_B" in d.detail for d in caught.value.diagnostics] == [True, True]
    assert {d.address for d in caught.value.diagnostics} == {HOST}


# --- who --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("environment", "url"), [
    ({}, ""),
    ({"CI_JOB_URL": "https://git/j/1"}, "https://git/j/1"),
    ({"GITHUB_ACTIONS": "true", "GITHUB_RUN_ID": "7", "GITHUB_SERVER_URL": "https://g", "GITHUB_REPOSITORY": "a/b"},
     "https://g/a/b/actions/runs/7"),
    ({"SYSTEM_COLLECTIONURI": "https://d/", "SYSTEM_TEAMPROJECT": "p", "BUILD_BUILDID": "3"},
     "https://d/p/_build/results?buildId=3"),
    ({"BUILD_URL": "https://jenkins/1"}, "https://jenkins/1"),
])
def test_ci_job(environment: dict[str, str], url: str) -> None:
    assert who.ci_job(environment) == url


def test_an_account_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError("uid not found")

    monkeypatch.setattr("getpass.getuser", nameless)
    assert who.user() == f"uid {os.getuid()}"


def test_run_ids_differ_and_sort_by_time() -> None:
    first, second = who.run_id(), who.run_id()
    assert first != second
    assert first[:8] <= second[:8]


# --- approval ---------------------------------------------------------------------------------------------


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("typed", "good"), [("yes\n", True), ("y\n", False), ("YES\n", False), ("", False)])
def test_only_yes_is_yes(typed: str, good: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Tty(typed))
    Conduct().check()
    if good:
        approve(Conduct(), "Apply?")
    else:
        with pytest.raises(Declined):
            approve(Conduct(), "Apply?")


def test_no_terminal_no_approval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("yes\n"))
    with pytest.raises(Usage):
        Conduct().check()
    Conduct(auto_approve=True).check()
    monkeypatch.setattr("sys.stdin", Tty("yes\n"))
    with pytest.raises(Usage):
        Conduct(json=True).check()


@pytest.fixture
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
def test_first_signal_stops_softly_second_hard_and_after_the_run_none_does() -> None:
    stop = Stop()
    with stop_signals(stop):
        os.kill(os.getpid(), signal.SIGTERM)
        assert (stop.soft.is_set(), stop.hard.is_set()) == (True, False)
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.hard.is_set()
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGTERM)


def test_main_gives_the_handlers_back() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    assert main.main(["version"]) == 0
    assert {number: signal.getsignal(number) for number in before} == before


# --- progress ---------------------------------------------------------------------------------------------


def _steps() -> list[Step]:
    return [Step(f"s{n}", HOST.under("vswitch", f"v{n}"), "vswitch.add", None, {}) for n in (1, 2)]


def _events() -> Iterator[Event]:
    yield Event("start", message="r1")
    for step in _steps():
        yield Event("begin", step.id, str(step.address), step.operation)
    yield Event("waiting", "s1", str(HOST), "birth.wait", "no call yet")
    yield Event("waiting", "s1", str(HOST), "birth.wait", "no call yet")
    yield Event("done", "s1", str(_steps()[0].address), "vswitch.add")
    yield Event("failed", "s2", str(_steps()[1].address), "vswitch.add", "in use [by] \x1b[31mv9")
    yield Event("end", message="x")


def test_plain_lines_say_each_thing_once() -> None:
    said: list[str] = []
    listener = progress.PlainLines(2, said.append)
    for event in _events():
        listener(event)
    assert said == [
        "run r1: 2 steps",
        '      waiting  host.esx["esx01"] birth.wait: no call yet',
        '  1/2 done     host.esx["esx01"].vswitch.v1 vswitch.add',
        '  2/2 failed   host.esx["esx01"].vswitch.v2 vswitch.add: in use [by] \\u001b[31mv9',
    ]


def test_json_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.progress(_steps(), as_json=True) as listener:
        for event in _events():
            listener(event)
    out, err = capsys.readouterr()
    assert [json.loads(line)["kind"] for line in out.splitlines()] == [e.kind for e in _events()]
    assert err == ""


@pytest.mark.parametrize("hosts", [1, progress.MAX_BARS + 5])
def test_bars_count_per_host_and_overall(hosts: int) -> None:
    steps = [Step(f"s{n}", Address("host", "esx", str(n)), "host.add", None, {}) for n in range(hosts)]
    console = Console(file=io.StringIO(), width=200)
    with Progress(TextColumn("{task.description}"), console=console, auto_refresh=False) as display:
        bars = progress.Bars(display, steps)
        for step in steps:
            for kind in ("begin", "waiting", "failed" if step.id == "s0" else "done"):
                bars(Event(kind, step.id, str(step.address), step.operation, "why [x]"))
        assert [t.completed for t in display.tasks if t.description == "all"] == [hosts - 1]
        assert [t.description for t in display.tasks if not t.finished] == ["all", 'host.esx["0"]']
    assert "why [x]" in console.file.getvalue()  # type: ignore[attr-defined]


# --- colours ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("environment", "on"), [
    ({}, True), ({"NO_COLOR": "1"}, False), ({"CI": "true"}, False), ({"TERM": "dumb"}, False), ({"CI": "no"}, True),
])
def test_colours_only_where_wanted(environment: dict[str, str], on: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert terminal.paint(Tty()).on is on
    assert not terminal.paint(io.StringIO()).on


# --- commands without a fleet -----------------------------------------------------------------------------


def test_init_writes_a_starter_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert init.command("edge-1") == 0
    assert "name: edge-1 " in (tmp_path / "fleet.yaml").read_text()
    boot = (tmp_path / "images/demo/boot.cfg").read_text()
    for key in ("kernel=/", "modules=/"):
        names = [part.strip().lstrip("/") for part in boot.split(key)[1].splitlines()[0].split("---")]
        assert all((tmp_path / "images/demo" / name).is_file() for name in names)
    assert stat.S_IMODE((tmp_path / "secrets/esx-root").stat().st_mode) == 0o600
    assert ".fleet/" in (tmp_path / ".gitignore").read_text()
    with pytest.raises(FleetError, match=r"fleet\.yaml"):
        init.command("edge-1")


def test_init_makes_up_another_password_each_time() -> None:
    assert init.starter("a")["secrets/esx-root"] != init.starter("a")["secrets/esx-root"]


CATALOG = catalog()


def _fleet() -> Fleet:
    cluster = Address("cluster", "prod")
    odd = HOST.under("portgroup", 'a "b" [c]')
    switch, adapter = HOST.under("vswitch", "v1"), HOST.under("vmkernel", "vmk1")
    return Fleet("lab", "lab.yaml", "/", {
        cluster: Resource(cluster, {}), HOST: Resource(HOST, {}, (cluster,)),
        odd: Resource(odd, {"vswitch": "v1"}, (HOST,)), switch: Resource(switch, {}),
        adapter: Resource(adapter, {"portgroup": "Management Network"})})


def test_what_is_built_on_a_sibling_needs_that_one() -> None:
    found = {(a.name, b.name) for a, b in graph.edges(_fleet(), CATALOG) if a.child_type}
    assert found == {('a "b" [c]', "v1"), ('a "b" [c]', "esx01"), ("v1", "esx01"), ("vmk1", "esx01")}


def test_dot() -> None:
    found = graph.dot(_fleet(), CATALOG)
    assert '"host.esx[\\"esx01\\"]" -> "cluster.prod";' in found
    assert found.count("->") == 5
    assert found.count("{") == found.count("}")


def test_mermaid_has_no_raw_quotes_or_brackets_in_names() -> None:
    found = graph.mermaid(_fleet(), CATALOG)
    assert "n1 --> n0" in found
    assert '["portgroup#91;#34;a #92;#34;b' in found.replace("\\", "#92;")


@pytest.mark.parametrize("data", [b"", b"{}", b"fleet: {}\n", b"\x00\x01", b'{"kind": "x"}'])
def test_what_is_no_journal(data: bytes) -> None:
    assert not show.is_journal(data)


def test_source_reads_variables() -> None:
    found = wiring.Source.of("x", ["a=1", "b=c=d", "e="])
    assert found.variables == {"a": "1", "b": "c=d", "e": ""}


def test_report_puts_failures_first(capsys: pytest.CaptureFixture[str]) -> None:
    from planner.execute.engine import Outcome

    outcome: Any = Outcome(3, "r1", "2 of 3 steps are not done", ((_steps()[0], "in use", "release it"),))
    running.report(outcome, as_json=False)
    out, err = capsys.readouterr()
    assert "in use" in err
    assert "do: release it" in err
    assert out == "Run r1: 2 of 3 steps are not done.\n"
    running.report(outcome, as_json=True)
    assert json.loads(capsys.readouterr().out)["failures"][0]["remedy"] == "release it"
