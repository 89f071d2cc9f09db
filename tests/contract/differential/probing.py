"""What a probe is: a function of a peer, whose answer is plain data without MoRefs or times."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from pyVmomi import vmodl

from tests.contract.differential.peers import Peer

Ask = Callable[[Peer], Any]
PROBES: dict[str, Ask] = {}
"""Name → probe, in the order of the script."""

UNREACHED = "not reached: an earlier probe made nothing to ask"


def probe(function: Ask) -> Ask:
    PROBES[function.__name__.replace("_", " ")] = function
    return function


def answers(peer: Peer) -> dict[str, Any]:
    """Every probe's answer; a fault by name. A probe whose subject an earlier one did not make is UNREACHED."""
    return {name: _answer(ask, peer) for name, ask in PROBES.items()}


def _answer(ask: Ask, peer: Peer) -> Any:
    try:
        return ask(peer)
    except vmodl.MethodFault as fault:
        return f"fault {type(fault)._wsdlName}"
    except _Unmade:
        return UNREACHED


class _Unmade(Exception):
    """Something that an earlier probe should have made is not there."""


def made(peer: Peer, name: str) -> Any:
    if peer.things.get(name) is None:
        raise _Unmade(name)
    return peer.things[name]


def done(task: Any) -> Any:
    """The task's result; its error raised. Both peers end their tasks at once, or nearly so."""
    for _ in itertools.repeat(None, 2000):
        info = task.info
        if info.state == "error":
            raise info.error
        if info.state == "success":
            return info.result
    raise AssertionError("a task does not end")
