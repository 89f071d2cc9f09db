"""The command line on a terminal, beside another one at work, and stopped by signals: real processes."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.places import quick_folder
from tests.support.process import SECONDS, Site

pytestmark = pytest.mark.slow

HOST = 'host.esx["esx01"]'


@pytest.fixture
def site() -> Iterator[Site]:
    with quick_folder() as folder:
        yield Site(folder)


# --- terminals ----------------------------------------------------------------------------------------------


def terminal(site: Site, *arguments: str, typed: str = "", wait_for: str = "", **env: str) -> tuple[int, str]:
    """Run on a terminal of 120 columns; type something once `wait_for` is shown. Exit code, and all it showed."""
    from fcntl import ioctl
    from struct import pack
    from termios import TIOCSWINSZ

    master, slave = pty.openpty()
    ioctl(slave, TIOCSWINSZ, pack("HHHH", 50, 120, 0, 0))
    process = site.start(*arguments, stdin=slave, stdout=slave, stderr=slave, env={"TERM": "xterm-256color", **env})
    os.close(slave)
    shown, left, end = "", typed, time.monotonic() + SECONDS
    while time.monotonic() < end:
        if not select.select([master], [], [], 0.1)[0]:
            continue
        try:
            data = os.read(master, 65536)
        except OSError:  # EIO: the other side is closed
            break
        if not data:
            break
        shown += data.decode("utf-8", "replace")
        if left and wait_for in shown:
            os.write(master, left.encode())
            left = ""
    os.close(master)
    return process.wait(SECONDS), shown


COLOUR, MOVE = re.compile(r"\x1b\[[0-9;]*m"), re.compile(r"\x1b\[[0-9;?]*[A-HJKhl]")


def test_a_terminal_asks_and_shows_bars(site: Site) -> None:
    site.run("init")
    code, shown = terminal(site, "apply", "fleet.yaml", typed="no\n", wait_for="Only 'yes'")
    assert (code, "not approved; nothing was changed" in shown) == (1, True)
    assert not list(site.folder.glob(".fleet/*/state.json"))
    code, shown = terminal(site, "apply", "fleet.yaml", typed="yes\n", wait_for="Only 'yes'")
    assert code == 0, shown
    assert COLOUR.search(shown)
    assert MOVE.search(shown)  # bars are drawn over and over
    assert "━" in shown
    code, shown = terminal(site, "plan", "fleet.yaml", "--detailed-exitcode")
    assert code == 0


@pytest.mark.parametrize("variable", ["NO_COLOR", "CI"])
def test_no_colour_where_it_is_not_wanted(site: Site, variable: str) -> None:
    site.run("init")
    value = {"NO_COLOR": "1", "CI": "true"}[variable]
    code, shown = terminal(site, "plan", "fleet.yaml", "--detailed-exitcode", **{variable: value})
    assert (code, COLOUR.findall(shown)) == (2, [])
    code, shown = terminal(site, "apply", "fleet.yaml", "--auto-approve", **{variable: value})
    assert (code, [c for c in COLOUR.findall(shown) if re.search(r"[34][0-7]|9[0-7]", c)]) == (0, [])
    if variable == "CI":
        assert not MOVE.search(shown)
        assert re.search(r"\d+/34 done", shown)


# --- two at once --------------------------------------------------------------------------------------------


def test_two_at_once(site: Site) -> None:
    """While one works, nobody else may: they are told who, and take nothing away from it. Looking is free."""
    site.run("init")
    loader = site.folder / "images/demo/mboot.efi"
    whole = loader.read_bytes()
    loader.write_bytes(b"")  # the machines stop before their birth: the apply waits for ever
    with site.start("apply", "fleet.yaml", "--auto-approve", "--reason", "CHG-7") as process:
        waiting(process)
        effects = site.folder / ".fleet/lab/twin/effects.jsonl"
        number = effects.stat().st_ino
        for command in ("apply", "resume", "rollback", "destroy"):
            refused = site.run(command, "fleet.yaml", "--auto-approve", code=6)
            assert re.search(rf"by \S+ \(process {process.pid}\) since \S+, for apply: CHG-7", refused.err), refused.err
        pressed = site.run("twin", "power", "fleet.yaml", HOST, "off", code=6)
        assert f"(process {process.pid})" in pressed.err
        assert site.run("state", "list", "fleet.yaml", "--json").json["complete"] is False
        for _ in range(3):
            planned = site.run("plan", "fleet.yaml", "--detailed-exitcode", code=2)
            assert re.search(rf"at work now: .* by \S+ \(process {process.pid}\) since \S+, for apply: CHG-7",
                             planned.err), planned.err
            assert "fleet resume" not in planned.err
        assert effects.stat().st_ino == number  # what it writes is where the next one reads
        process.kill()
        process.communicate()
    planned = site.run("plan", "fleet.yaml", "--detailed-exitcode", code=2)
    assert "is not complete; `fleet resume` or `fleet rollback` comes before an apply" in planned.err
    site.run("rollback", "fleet.yaml", "--auto-approve")
    loader.write_bytes(whole)
    site.run("apply", "fleet.yaml", "--auto-approve")
    site.run("plan", "fleet.yaml", "--detailed-exitcode")


def test_looking_while_another_works(site: Site) -> None:
    """`plan`, `drift`, `state` and `show` read a fleet in the middle of an apply: never an error, never a torn file."""
    site.run("init")
    seen = set()
    with site.start("apply", "fleet.yaml", "--auto-approve", "--json", stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            seen.add(len(site.look("state", "list", "fleet.yaml", "--json").json["resources"]))
            planned = site.look("plan", "fleet.yaml", "--json").json
            assert planned["kind"] == "fleet.plan"
            site.look("drift", "fleet.yaml", "--json")
            site.look("state", "verify", "fleet.yaml")
            journal = site.newest()
            if journal is not None and journal.stat().st_size:
                site.look("show", str(journal), "--json")
        process.communicate()
        assert process.returncode == 0
    assert len(seen) > 1
    site.look("plan", "fleet.yaml", "--detailed-exitcode")


# --- Ctrl-C -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_after_the_running_steps(site: Site, number: signal.Signals) -> None:
    """First Ctrl-C, or SIGTERM: running steps end, none starts, exit 3; then `resume` finishes."""
    site.run("init")
    process = site.start("apply", "fleet.yaml", "--auto-approve", "--parallelism", "1")
    while site.count() < 20:
        assert process.poll() is None
        time.sleep(0.001)
    process.send_signal(number)
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 3, err
    assert "Stopping: running steps end, waits are broken off, none starts" in err
    assert "`fleet resume` or `fleet rollback` ends the run" in out
    records = records_of(site)
    assert records[-1] | {"kind": "end", "outcome": "incomplete"} == records[-1]
    begun = {r["step"] for r in records if r["kind"] == "begin"}
    assert begun == {r["step"] for r in records if r["kind"] == "done" and r["step"] in begun}
    site.run("resume", "fleet.yaml", "--auto-approve")
    site.run("plan", "fleet.yaml", "--detailed-exitcode")


def test_a_signal_breaks_a_wait_off(site: Site) -> None:
    """A host that never comes up: nothing is lost by not waiting. No failure: nothing is rolled back by itself."""
    site.run("init")
    (site.folder / "images/demo/mboot.efi").write_bytes(b"")  # no loader: the machine stops before its birth
    for command in ("apply", "resume"):  # the second one waits anew
        process = site.start(command, "fleet.yaml", "--auto-approve", "--on-failure", "rollback")
        waiting(process)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=SECONDS)
        assert process.returncode == 3, out + err
        assert re.search(r"stopped +host.*birth.wait: stopped while waiting for a birth", err)
        assert "FAILED" not in err
        assert "`fleet resume` or `fleet rollback` ends the run" in out
    assert {r["kind"] for r in records_of(site)} == {"head", "begin", "done", "stopped", "end", "resume"}
    shown = site.run("show", str(site.newest())).out
    assert re.search(r"stopped +birth\.wait .* stopped while waiting for a birth", shown), shown
    site.run("rollback", "fleet.yaml", "--auto-approve")
    assert site.run("state", "list", "fleet.yaml", "--json").json["resources"] == []


def waiting(process: subprocess.Popen[str]) -> None:
    """Until stderr says that a birth is waited for."""
    assert process.stderr is not None
    for line in process.stderr:
        if "waiting" in line:
            return
    raise AssertionError("it never waited")


def records_of(site: Site) -> list[dict[str, Any]]:
    path = site.newest()
    assert path is not None
    return [json.loads(line) for line in path.read_text().splitlines()]
