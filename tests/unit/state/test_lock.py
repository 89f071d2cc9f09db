"""One writer at a time; a dead process holds no lock."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from planner.model import FleetError, Locked
from tests.unit.state.kit import store_in, text_of

HOLDER = """
import os, subprocess, sys, time
from pathlib import Path
from state.local import LocalStore
store = LocalStore(Path(sys.argv[1]), "lab")
with store.lock("apply", "CHG-7"):
    if sys.argv[2] == "helpers":
        sleeper = subprocess.Popen(["sleep", "60"], close_fds=False)
        forked = os.fork()
        if forked == 0:
            os.close(1)
            time.sleep(60)
            os._exit(0)
        print(sleeper.pid, forked, flush=True)
    else:
        print("held", flush=True)
    time.sleep(60)
"""


def _holder(folder: Path, mode: str = "plain") -> tuple[subprocess.Popen[str], list[str]]:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(folder), mode], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().split()


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def test_the_second_locker_is_told_who_since_when_and_why(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    process, _ = _holder(store.folder)
    try:
        with pytest.raises(Locked) as caught, store.lock("plan"):
            pass
        text = text_of(caught.value)
        assert caught.value.exit_code == 6
        assert f"process {process.pid}" in text
        assert "for apply: CHG-7" in text
        assert "since 20" in text
        assert "fleet state unlock" in text
    finally:
        _end(process)


def test_who_holds_it_is_told_to_whoever_only_looks(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    assert store.holder() == ""
    assert not (store.folder / "lock").exists()
    process, _ = _holder(store.folder)
    note = (store.folder / "lock").read_bytes()
    assert f"(process {process.pid}) since 20" in store.holder()
    assert store.holder().endswith(", for apply: CHG-7")
    _end(process)
    assert (store.folder / "lock").read_bytes() == note  # what a killed one wrote stays; the lock does not
    assert store.holder() == ""


def test_looking_takes_the_lock_from_nobody(tmp_path: Path) -> None:
    """Somebody who looks shares the lock for a moment: whoever wants it then just tries again."""
    store = store_in(tmp_path)
    with store.lock("apply"):
        pass
    looks = os.open(store.folder / "lock", os.O_RDONLY)
    fcntl.flock(looks, fcntl.LOCK_SH)
    timer = threading.Timer(0.1, os.close, (looks,))
    timer.start()
    with store.lock("apply"):
        assert "for apply" in store.holder()
    timer.join()


def test_a_killed_process_holds_no_lock(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    process, _ = _holder(store.folder)
    _end(process)
    with store.lock("apply"):
        pass
    assert store.unlock() == "There was no lock."


def test_helpers_that_outlive_a_killed_process_hold_no_lock(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    process, helpers = _holder(store.folder, "helpers")
    try:
        _end(process)
        for helper in helpers:
            os.kill(int(helper), 0)  # still there
        with store.lock("apply"):
            pass
    finally:
        for helper in helpers:
            os.kill(int(helper), signal.SIGKILL)


def test_a_lock_is_taken_once_and_given_back(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    with store.lock("apply"), pytest.raises(Locked), store_in(tmp_path).lock("apply"):
        pass
    with store.lock("apply"):
        pass
    with pytest.raises(ValueError, match="stop"), store.lock("apply"):
        raise ValueError("stop")
    with store_in(tmp_path).lock("rollback"):
        pass


def test_unlock_takes_the_lock_from_a_live_process(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    assert store.unlock() == "There was no lock."
    process, _ = _holder(store.folder)
    try:
        said = store.unlock()
        assert f"process {process.pid}" in said
        with store.lock("apply"):  # the old holder's end does not take the new lock away
            _end(process)
            with pytest.raises(Locked), store_in(tmp_path).lock("apply"):
                pass
    finally:
        _end(process) if process.poll() is None else None


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / ".fleet").write_text("a file")
    with pytest.raises(FleetError, match="cannot be locked"), store_in(tmp_path).lock("apply"):
        pass
