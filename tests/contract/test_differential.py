"""One script of calls against VMware's simulator and the twin: where they differ is written down, with a reason."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.differential.expected import EXPECTED
from tests.contract.differential.peers import simulator, twin
from tests.contract.differential.script import PROBES, answers
from tests.contract.vcsim.peer import build, running

pytestmark = [pytest.mark.vcsim, pytest.mark.timeout(900)]  # the first one waits for the build


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, Any]]:
    """Peer → probe → answer."""
    with running(build(), datacenters=0) as vcsim, simulator(vcsim) as theirs, twin() as ours:
        return {"vcsim": answers(theirs), "twin": answers(ours)}


def test_the_table_is_of_this_script() -> None:
    assert EXPECTED.keys() <= PROBES.keys()
    assert all(len(each.reason) > 20 for each in EXPECTED.values())


def test_no_difference_that_nobody_has_looked_at(found: dict[str, dict[str, Any]]) -> None:
    unlisted = {name: {peer: found[peer][name] for peer in found} for name in PROBES
                if found["vcsim"][name] != found["twin"][name] and name not in EXPECTED}
    assert unlisted == {}


def test_no_listed_difference_that_is_gone(found: dict[str, dict[str, Any]]) -> None:
    gone = [name for name in EXPECTED if found["vcsim"][name] == found["twin"][name]]
    assert gone == []


@pytest.mark.parametrize("name", EXPECTED)
def test_a_listed_difference_is_as_it_was_reviewed(found: dict[str, dict[str, Any]], name: str) -> None:
    assert (found["vcsim"][name], found["twin"][name]) == (EXPECTED[name].vcsim, EXPECTED[name].twin)
