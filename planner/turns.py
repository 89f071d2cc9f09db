"""Who goes when, where hosts get another image while their cluster goes on: one of its hosts is out at a time. Pure.

Every other host of the plan that is out of that cluster meanwhile (one that is born, revived, moved or removed) goes
before, so that the cluster is whole when the first host leaves it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from planner.catalog import Program
from planner.graph import topological
from planner.model import Address

Chain: TypeAlias = tuple[Address, str]


def in_turn(chains: Mapping[Chain, object], needs: Mapping[Chain, set[Chain]],
            programs: Mapping[Address, Program]) -> dict[Chain, set[Chain]]:
    """`needs`, and that each chain of a group waits for those before it. They stay free of cycles: what is added
    follows an order that they allow. Raises CycleError where they have a cycle already.
    """
    rolling = {group for program in programs.values() if program.roll is not None for group in program.groups}
    result = {chain: set(wanted) for chain, wanted in needs.items()}
    if not rolling:
        return result
    order = topological(sorted(chains, key=lambda chain: _rolls(chain, programs)), needs)
    for group in rolling:
        last: list[Chain] = []  # of those that get another image
        since: list[Chain] = []  # the others after it
        for chain in order:
            program = programs.get(chain[0])
            if program is None or group not in program.groups:
                continue
            result[chain].update(last)
            if _rolls(chain, programs):
                result[chain].update(since)
                last, since = [chain], []
            else:
                since.append(chain)
    return result


def _rolls(chain: Chain, programs: Mapping[Address, Program]) -> bool:
    program = programs.get(chain[0])
    return program is not None and program.roll is not None
