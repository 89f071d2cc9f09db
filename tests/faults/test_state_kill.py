"""SIGKILL at random moments of a writer: what was acknowledged is there, what is there is whole."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.unit.state.kit import head, store_in

# Eight threads journal (each acknowledged record is printed), the main thread replaces the state again and again.
WRITER = """
import dataclasses, os, sys, threading
from pathlib import Path
from planner.model import Address, State, StateResource
from state.local import LocalStore

store = LocalStore(Path(sys.argv[1]), "lab")
run = sys.argv[2]
say = lambda text: os.write(1, text.encode() + b"\\n")
with store.lock("apply", "kill me"):
    journal = store.begin(run, b"plan")
    journal.append({"kind": "head", "run": run, "lineage": "lin-1", "serial": 0, "who": "alice"})

    def work(name):
        for number in range(10**6):
            journal.append({"kind": "done", "step": f"{name}-{number}", "facts": {"id": "host-1", "note": "x" * 50}})
            say(f"r {name}-{number}")

    for name in range(8):
        threading.Thread(target=work, args=(name,), daemon=True).start()
    resources = {}
    for number in range(200):
        address = Address("host", "esx", f"h{number}")
        resources[address] = StateResource(address, "created", {"name": f"h{number}"}, f"host-{number}")
    before = store.read()
    serial = before.serial if before else 0
    while True:
        serial += 1
        for merged in range(3):
            store.write(State("lin-1", serial, "lab", "vc", resources, run=run, merged=merged, complete=merged == 2))
        say(f"s {serial}")
"""


@pytest.mark.parametrize("seed", range(4))
def test_sigkill_at_random_moments(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    store = store_in(tmp_path)
    for attempt in range(9):
        run = f"run-{attempt}"
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(store.folder), run], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        with writer.stdout as stream:
            said = stream.readline()  # it writes
            time.sleep(chance.random() * 0.06)
            writer.kill()
            said += stream.read()
        assert writer.wait() == -9
        lines = [line.split() for line in said.decode().splitlines()[:-1]]  # the last line may be cut
        steps = {line[1] for line in lines if line[0] == "r" and len(line) == 2}
        serials = [int(line[1]) for line in lines if line[0] == "s" and len(line) == 2]

        with store.lock("look"):  # the dead process holds no lock
            found = store.records(run)
            assert steps <= {r.get("step") for r in found}
            assert [r["n"] for r in found] == list(range(len(found)))
            state = store.read()
            if serials:
                assert state is not None
                assert state.serial >= serials[-1]
            kept = [s.serial for s in store.history()]
            assert kept == list(range(1, (state.serial if state else 0) + 1))
            journal = store.journal(run)
            journal.append({"kind": "resume"})
            journal.close()
        assert [d for d in store.verify() if "shorter" not in d.summary] == []


def test_kill_between_begin_and_the_first_record(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    store.begin("r1", b"plan").close()
    assert list(store.runs()) == []
    journal = store.journal("r1")
    journal.append(head())
    journal.close()
    assert len(store.runs()) == 1
