"""A link that loses requests and replies: the journal at the midwife is what was acknowledged, in order, once."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from planner.model import FleetError
from planner.ports import Journal
from providers.midwife.remote import client as clients
from providers.midwife.remote.client import Answer, Client
from state.remote import RemoteStore
from state.remote_journal import Undecided
from tests.support.state_server import StateServer, serving
from tests.unit.state.kit import head, small_state

FATES = st.sampled_from(["whole", "whole", "request lost", "reply lost", "twice"])
"""Of one exchange. "twice": the network delivers a request again, after its reply."""

ACTS = st.sampled_from(["append", "append", "append", "state", "reopen", "another"])


@dataclass
class Fates:
    """What becomes of the exchanges to come; whole where nothing is said."""

    left: Iterator[str]
    late: list[Any] = field(default_factory=list)


class Lossy(Client):
    """A client whose exchanges meet their fates."""

    def __init__(self, fates: Fates, *parts: Any) -> None:
        super().__init__(*parts)
        object.__setattr__(self, "fates", fates)

    def _exchange(self, link: Any, method: str, target: str, body: bytes | None, headers: Mapping[str, str],
                  seconds: float) -> Answer:
        fates: Fates = self.fates  # type: ignore[attr-defined]
        fate = next(fates.left, "whole")
        if fate == "request lost":
            raise OSError("cut before the request")
        answer = super()._exchange(link, method, target, body, headers, seconds)
        if fate == "twice" and method != "GET":
            self._idle.clear()
            super()._exchange(link, method, target, body, headers, seconds)
        if fate == "reply lost":
            self._idle.clear()
            link.close()
            raise OSError("cut before the reply")
        return answer


@pytest.fixture(scope="module")
def server() -> Iterator[StateServer]:
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as found:
        yield found


NAMES = itertools.count()


def opened(server: StateServer, name: str, fates: list[str], patience: float = 900.0) -> RemoteStore:
    return server.store(name, link=partial(Lossy, Fates(iter(fates))), patience=patience)


def steps(server: StateServer, name: str, run: str) -> list[str]:
    return [str(r.get("step", r["kind"])) for r in server.shelf.room(name).store.records(run)]


@settings(max_examples=60)
@given(acts=st.lists(ACTS, min_size=1, max_size=12), fates=st.lists(FATES, max_size=40))
def test_what_was_acknowledged_is_there_once(server: StateServer, acts: list[str], fates: list[str]) -> None:
    name = f"patient-{next(NAMES)}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clients, "PAUSES", (0.0,))
        store = opened(server, name, fates)
        said = ["head"]
        with store.lock("apply"):
            journal, serial = store.begin("r1", b"plan"), 0
            journal.append(head())
            for act in acts:
                if act == "state":
                    serial += 1
                    store.write(small_state(serial, fleet=name))
                elif act == "reopen":
                    journal.close()
                    journal = store.journal("r1")
                elif act == "another":
                    store.begin(f"other-{len(said)}-{next(NAMES)}", b"").close()
                else:
                    said.append(f"s{len(said)}")
                    journal.append({"kind": "done", "step": said[-1]})
                assert steps(server, name, "r1") == said
            assert (store.read() or small_state(0)).serial == serial
        assert store.holder() == ""
        assert list(store.verify()) == []
        store.close()


@settings(max_examples=60)
@given(fates=st.lists(FATES, min_size=1, max_size=12))
@example(fates=["whole", "request lost", "request lost"])
@example(fates=["whole", "reply lost", "reply lost"])
def test_a_runner_that_gives_up_leaves_at_most_one_record_in_doubt(server: StateServer, fates: list[str]) -> None:
    """Without patience: the first loss ends it. Whoever goes on finds what was acknowledged, and maybe one more."""
    name = f"hasty-{next(NAMES)}"
    calm = server.store(name)
    with calm.lock("apply"):
        first = calm.begin("r1", b"plan")
        first.append(head())
        first.close()
    store, said = opened(server, name, [], patience=0.0), ["head"]
    try:
        with store.lock("apply"):
            journal = store.journal("r1")
            store._link.fates.left = iter(fates)  # type: ignore[attr-defined]
            lost = _until_lost(journal, said)
            store._link.fates.left = iter(())  # type: ignore[attr-defined]
            if lost:
                with pytest.raises(FleetError, match="does not answer"):  # the link is back, the doubt stays
                    journal.append({"kind": "done", "step": "after"})
                with pytest.raises(FleetError, match="does not answer"):
                    journal.held()
    finally:
        store.close()
    found = steps(server, name, "r1")
    assert found[:len(said)] == said
    assert len(found) - len(said) in (0, 1)
    with calm.lock("resume"):
        journal = calm.journal("r1")
        journal.append({"kind": "done", "step": "resumed"})
        journal.close()
    assert steps(server, name, "r1") == [*found, "resumed"]
    assert [d for d in calm.verify() if d.severity == "error"] == []
    calm.close()


def _until_lost(journal: Journal, said: list[str]) -> bool:
    for number in range(12):
        try:
            journal.append({"kind": "done", "step": f"s{number}"})
        except Undecided:
            return True
        said.append(f"s{number}")
    return False
