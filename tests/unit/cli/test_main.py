"""The entry point: help, exit codes, errors for people and for programs."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from planner.cli import commands, main
from planner.model import Address, Denied, Diagnostic, FleetError, Locked, Mark, Stale

OURS = [name for name in commands.COMMANDS if name != "state"]


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    code = main.main(args)
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make `fleet version` raise what a test wants."""
    def arrange(error: BaseException) -> None:
        app = typer.Typer()

        @app.command()
        def command(as_json: bool = typer.Option(False, "--json")) -> None:
            raise error

        monkeypatch.setattr(importlib.import_module("planner.cli.version"), "app", app)

    return arrange


def test_help_lists_the_commands_of_this_version_only(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--help")
    assert code == 0
    shown = [line.split()[0] for line in out.partition("Commands:")[2].splitlines() if line.startswith("  ")]
    assert set(commands.COMMANDS) <= set(shown)
    assert not {*commands.LATER} - {*commands.plugins()} & set(shown)


@pytest.mark.parametrize("name", OURS)
def test_help_of_each_command_says_what_the_list_says(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, name, "--help")
    assert code == 0
    assert " ".join(commands.COMMANDS[name].help.split()[:3]) in " ".join(out.split())


@pytest.mark.parametrize("args", [
    (), ("bogus",), ("plan",), ("plan", "a", "b"), ("plan", "x", "--nope"), ("apply", "x", "--parallelism", "many"),
    ("apply", "x", "--parallelism", "0"), ("apply", "x", "--on-failure", "panic"), ("graph", "x", "--format", "png"),
    ("plan", "x", "--var", "novalue"), ("plan", "x", "--target", "nonsense["), ("plan", "x", "--json", "--markdown"),
    ("show",), ("version", "extra"), ("--nope",), ("init", "--name", "1 2"),
])
def test_wrong_usage_is_64(args: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, *args)
    assert code == 64
    assert "--json" in args or "error" in err


@pytest.mark.parametrize("args", [("apply", "x"), ("destroy", "x"), ("resume", "x"), ("rollback", "x")])
def test_nobody_to_approve_is_64(args: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, *args)
    assert code == 64
    assert "--auto-approve" in err


@pytest.mark.parametrize("args", [*((name,) for name in commands.LATER if name not in commands.plugins()),
                                  ("rehearse", "--help"), ("import", "x", "--any", "thing")])
def test_commands_of_a_later_version_say_so(args: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, *args)
    assert code == 1
    assert "not supported in this version" in err


@pytest.mark.parametrize("args", [("plan", "x", "--html", "f"), ("show", "x", "--html", "f")])
def test_html_is_of_a_later_version(args: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, *args)[0] == 1


@pytest.mark.parametrize(("error", "code"), [
    (FleetError("a"), 1), (Stale("a"), 5), (Locked("a"), 6), (Denied("a"), 7), (KeyboardInterrupt(), 130),
])
def test_exit_codes(failing: Any, error: BaseException, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    failing(error)
    assert run(capsys, "version")[0] == code


def test_a_diagnostic_says_where_what_and_what_to_do(failing: Any, capsys: pytest.CaptureFixture[str]) -> None:
    failing(FleetError(Diagnostic("error", "no such key", "mtuu\nis \x1b[31mred", Mark("lab.yaml", 3, 7),
                                  Address("host", "a"), "write mtu"), Diagnostic("warning", "soft")))
    code, out, err = run(capsys, "version")
    assert (code, out) == (1, "")
    assert err.splitlines() == [
        "lab.yaml:3:7: error: host.a: no such key", "    mtuu", "    is \\u001b[31mred", "    do: write mtu",
        "warning: soft"]


def test_json_errors_go_to_stdout(failing: Any, capsys: pytest.CaptureFixture[str]) -> None:
    failing(Stale(Diagnostic("error", "moved", mark=Mark("a", 1, 2))))
    code, out, err = run(capsys, "version", "--json")
    found = json.loads(out)
    assert (code, err, found["exit_code"]) == (5, "", 5)
    assert found["diagnostics"][0]["line"] == 1


def test_the_unexpected_is_short_and_hints_at_the_trace(failing: Any, monkeypatch: pytest.MonkeyPatch,
                                                        capsys: pytest.CaptureFixture[str]) -> None:
    failing(RuntimeError("x" * 5000))
    code, _, err = run(capsys, "version")
    assert code == 1
    assert "FLEET_TRACEBACK=1" in err
    assert "Traceback" not in err
    assert len(err) < 1000
    monkeypatch.setenv("FLEET_TRACEBACK", "1")
    with pytest.raises(RuntimeError):
        main.main(["version"])


def test_every_listed_module_is_there() -> None:
    for name in OURS:
        assert isinstance(importlib.import_module(commands.COMMANDS[name].module).app, typer.Typer)


def fleet(*args: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "planner.cli.main", *args], capture_output=True, text=True,
                          check=False, cwd=Path(__file__).parents[3], **more)


def test_a_reader_that_goes_away_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-m", "planner.cli.main", "version"], stdout=write, stderr=subprocess.PIPE,
                          check=False, cwd=Path(__file__).parents[3])
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


def test_sigterm_is_an_interrupt() -> None:
    script = ("import os, signal, sys, planner.cli.version as v, typer\n"
              "app = typer.Typer()\n"
              "@app.command()\n"
              "def command() -> None:\n"
              "    os.kill(os.getpid(), signal.SIGTERM)\n"
              "    signal.pause()\n"
              "v.app = app\n"
              "from planner.cli.main import main\n"
              "sys.exit(main(['version']))\n")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False,
                          cwd=Path(__file__).parents[3])
    assert done.returncode == 130
    assert "nothing was changed" in done.stderr


def test_help_imports_nothing_heavy() -> None:
    script = ("import sys\nfrom planner.cli.main import main\nmain(['--help'])\n"
              "print('LOADED', *(m for m in sys.modules if m.split('.')[0] in "
              "('rich', 'pyVmomi', 'deepdiff', 'aiohttp', 'cryptography', 'msgspec', 'tabulate', 'yaml')))")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True,
                          cwd=Path(__file__).parents[3])
    assert done.stdout.splitlines()[-1].strip() == "LOADED"


def test_a_wrong_choice_is_said_in_our_words(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "apply", "x", "--on-failure", "panic")
    assert (code, "Value error" in err) == (64, False)
    assert "'panic' is not one of 'stop', 'rollback', 'continue'" in err


def test_validate_looks_at_images(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    fleet = tmp_path / "lab.yaml"
    fleet.write_text("fleet: {name: lab}\nimage: {a: {source: nowhere}}\nprovider: {vsphere: {server: twin}}\n")
    code, _, err = run(capsys, "validate", str(fleet))
    assert (code, f"{fleet}:2:9: error: an image folder does not exist" in err) == (1, True), err


def test_many_errors_of_one_place_are_shown_for_a_few(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    fleet = tmp_path / "lab.yaml"
    fleet.write_text("fleet: {name: lab}\nhost:\n  h:\n    for_each: [a, b, c, d, e, f, g]\n"
                     "    name: '${each.key}.lab.example'\n    mac: 'no-${each.key}'\n")
    code, _, err = run(capsys, "validate", str(fleet))
    assert code == 1
    assert err.count("not a MAC address") == 3
    assert "… and 4 more like these" in err
    assert run(capsys, "validate", str(fleet), "--json")[1].count("not a MAC address") == 7


def test_a_file_that_cannot_be_used_is_no_defect(failing: Any, capsys: pytest.CaptureFixture[str]) -> None:
    failing(NotADirectoryError(20, "Not a directory", "/x/twin"))
    code, _, err = run(capsys, "version")
    assert (code, "/x/twin: Not a directory" in err, "defect" in err) == (1, True, False)


def test_a_process_of_its_own_looks_for_garbage_seldom_and_a_caller_keeps_its_ways(
        monkeypatch: pytest.MonkeyPatch) -> None:
    import gc

    before = gc.get_threshold()
    try:
        gc.set_threshold(701, 11, 12)
        main.main(["version"])
        assert gc.get_threshold() == (701, 11, 12)
        monkeypatch.setattr(sys, "argv", ["fleet", "version"])
        main.main()
        assert gc.get_threshold() == (50_000, 11, 12)
    finally:
        gc.set_threshold(*before)
