"""What journals say of hosts, as they grow: real plans, real records, and records that came through a lease."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from planner.model import Address, Plan, Step
from planner.plan import encode_plan
from planner.ports import Journal, Record
from providers.midwife.service import journals as module
from providers.midwife.service.journals import Journals
from state.journal import FileJournal
from state.local import LocalStore
from state.records import payload, seal_all
from state.shelf import Shelf

TOKEN = "t" * 32
A, B = "lab host.a", "lab host.b"
STEPS = ("power.boot", "host.add", "dns.update")


def plan_of(*hosts: str, operations: tuple[str, ...] = STEPS) -> Plan:
    steps = [Step(f"{host}{n}", Address("host", host, "", "dns" if name == "dns.update" else ""), name, None, None)
             for host in hosts for n, name in enumerate(operations)]
    return Plan("lab", "", "", 0, "vc", "", {}, {}, (), (), tuple(steps))


class Site:
    """The fleets of a midwife, and a view of them that always looks."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.time = folder / "fleets", 0.0
        self.store = LocalStore(self.folder / "lab", "lab")
        self.view = Journals(self.folder, self._now)

    def _now(self) -> float:
        self.time += 1.0
        return self.time

    def begin(self, run: str, *hosts: str, **more: tuple[str, ...]) -> Journal:
        journal = self.store.begin(run, encode_plan(plan_of(*hosts, **more), compress=True))
        journal.append({"kind": "head", "who": "me"})
        return journal

    def stages(self, host: str) -> list[str]:
        return sorted(self.view.reached(host))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def does(journal: Journal, *steps: str, kinds: tuple[str, ...] = ("begin", "done")) -> None:
    for step in steps:
        for kind in kinds:
            journal.append({"kind": kind, "step": step})


def test_a_host_is_powered_cleaned_and_configured(site: Site) -> None:
    assert site.stages(A) == []  # nothing was ever applied
    run = site.begin("r1", "a", "b")
    assert site.stages(A) == []
    does(run, "a0")
    assert site.stages(A) == ["powered"]
    does(run, "a1", "a2")
    assert site.stages(A) == ["cleaned", "configured", "powered"]
    assert site.stages(B) == []
    assert site.view.reached("edge host.a") == {}  # another fleet's
    times = site.view.reached(A)
    assert all(len(at) == 32 and at.endswith("000+00:00") for at in times.values())  # as births are written
    does(run, "a2", kinds=("undoing", "undone"))
    assert site.stages(A) == ["cleaned", "powered"]
    does(run, "a1", kinds=("void",))
    assert site.stages(A) == ["powered"]
    does(run, "a1", "a2")
    assert site.stages(A) == ["cleaned", "configured", "powered"]


def test_what_stopped_a_host_is_said_until_it_goes_on(site: Site) -> None:
    run = site.begin("r1", "a", "b")
    run.append({"kind": "failed", "step": "a0", "error": "no birth before the deadline"})
    run.append({"kind": "failed", "step": "b0", "error": "it is on fire"})
    assert (site.view.problem(A), site.view.problem(B)) == ("no birth before the deadline", "it is on fire")
    run.append({"kind": "begin", "step": "a0"})
    assert site.view.problem(A) == ""
    run.append({"kind": "end", "outcome": "incomplete"})
    assert site.view.problem(B) == "it is on fire"
    later = site.begin("r2", "a")  # has nothing to do with the other one
    does(later, "a0")
    assert site.view.problem(B) == "it is on fire"
    run.append({"kind": "end", "outcome": "rolled-back"})
    assert site.view.problem(B) == ""


def test_a_restore_of_the_midwife_s_own_counts_later(site: Site) -> None:
    does(site.begin("r1", "a"), "a0", "a1", "a2")
    before = site.view.reached(A)
    again = site.begin("r2", "a", operations=("host.reconnect", "dns.update"))
    assert site.view.reached(A) == before
    does(again, "a0", "a1")
    after = site.view.reached(A)
    assert after["powered"] == before["powered"]  # nobody powered it this time
    assert after["configured"] >= before["configured"]
    assert site.stages(A) == ["cleaned", "configured", "powered"]


def test_records_that_runners_append_through_a_lease(site: Site) -> None:
    shelf = Shelf(site.folder)
    room = shelf.room("lab")
    room.take(TOKEN, {"who": "me", "host": "runner", "purpose": "apply"})
    plan = encode_plan(plan_of("a"), compress=True)
    room.start(TOKEN, "r1", plan)
    import hashlib

    records: list[Record] = [{"kind": "head"}, {"kind": "begin", "step": "a0"}, {"kind": "done", "step": "a0"}]
    lines, _ = seal_all([payload(r) for r in records], 0, hashlib.sha256(plan).hexdigest())
    room.extend(TOKEN, "r1", 0, lines[0])
    assert site.stages(A) == []
    room.extend(TOKEN, "r1", 1, b"".join(lines[1:]))
    room.extend(TOKEN, "r1", 1, b"".join(lines[1:]))  # sent twice
    assert site.stages(A) == ["powered"]
    shelf.close()


def test_half_a_line_waits_for_its_other_half(site: Site) -> None:
    run = site.begin("r1", "a")
    does(run, "a0")
    path = site.folder / "lab/runs/r1.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-200])
    first = site.stages(A)
    path.write_bytes(whole)
    assert (first, site.stages(A)) == (["powered"], ["powered"])
    with path.open("ab") as file:
        file.write(b'{"kind":"failed","step":"a1","error":"half')
    assert site.view.problem(A) == ""
    with path.open("ab") as file:
        file.write(b' done"}\nnot JSON\n')
    assert site.view.problem(A) == "half done"


def test_a_plan_that_cannot_be_read_says_nothing(site: Site) -> None:
    run = site.begin("r1", "a")
    (site.folder / "lab/runs/r1.plan").write_bytes(b"\x1f\x8bbroken")
    does(run, "a0")
    assert site.stages(A) == []


def test_the_newest_runs_are_followed_and_older_ones_remembered(
        site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RUNS", 2)
    monkeypatch.setattr(module, "TICK_NS", 0)  # the folder's time tells at once
    old = site.begin("r1", "a")
    does(old, "a0", "a1", "a2")
    assert site.stages(A) == ["cleaned", "configured", "powered"]
    for name in ("r2", "r3", "r4"):
        does(site.begin(name, "b"), "b0")
        assert site.stages(B) == ["powered"]
    assert site.stages(A) == ["cleaned", "configured", "powered"]
    fresh = Journals(site.folder, site._now)  # a midwife that was started again looks at the newest only
    assert fresh.reached(A) == {}
    assert set(fresh.reached(B)) == {"powered"}
    monkeypatch.setattr(module, "AT_FIRST", 1)
    assert set(Journals(site.folder, site._now).reached(B)) == {"powered"}  # one run always


def test_a_look_reads_what_is_new_only(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    run = site.begin("r1", "a")
    does(run, "a0")
    site.stages(A)
    seen: list[bytes] = []
    decode: Callable[[bytes], module._Record] = module._record.decode

    class Counting:
        def decode(self, line: bytes) -> module._Record:
            seen.append(line)
            return decode(line)

    monkeypatch.setattr(module, "_record", Counting())
    site.stages(A)
    assert seen == []
    does(run, "a1")
    site.stages(A)
    assert len(seen) == 2
    assert isinstance(run, FileJournal)
    now = site.time
    monkeypatch.setattr(site.view, "_now", lambda: now)  # many hosts, one look
    does(run, "a2")
    site.stages(A)
    assert len(seen) == 2
