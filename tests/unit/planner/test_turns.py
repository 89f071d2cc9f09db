"""The order of hosts where some of them get another image: one of a cluster at a time, whatever else there is."""

from __future__ import annotations

from itertools import combinations
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from planner.catalog import Program
from planner.graph import closure, topological
from planner.model import Address, Roll
from planner.turns import Chain, in_turn

CLUSTERS = ("prod", "edge")


def chain(number: int) -> Chain:
    return Address("host", "esx", f"esx{number:02}"), "up"


def program(number: int, clusters: tuple[str, ...], *, rolls: bool) -> Program:
    address = chain(number)[0]
    return Program(groups=clusters, roll=Roll(address, clusters[0], "esxi9", "old", "new") if rolls else None)


def order(rolls: dict[int, bool], needs: dict[int, set[int]] | None = None) -> dict[Chain, set[Chain]]:
    chains = {chain(n): () for n in rolls}
    given_needs = {chain(n): {chain(w) for w in (needs or {}).get(n, ())} for n in rolls}
    return in_turn(chains, given_needs, {chain(n)[0]: program(n, ("prod",), rolls=r) for n, r in rolls.items()})


def test_without_another_image_nobody_waits() -> None:
    assert order({1: False, 2: False}) == {chain(1): set(), chain(2): set()}


def test_each_waits_for_the_one_before_only() -> None:
    assert order({1: True, 2: True, 3: True}) == {chain(1): set(), chain(2): {chain(1)}, chain(3): {chain(2)}}


def test_others_of_the_cluster_go_first_and_at_once() -> None:
    assert order({1: True, 2: False, 3: False, 4: True}) == {
        chain(1): {chain(2), chain(3)}, chain(2): set(), chain(3): set(), chain(4): {chain(1)}}


def test_what_depends_on_a_rolled_host_comes_after_it() -> None:
    assert order({1: False, 2: True, 3: True}, {1: {2}}) == {
        chain(1): {chain(2)}, chain(2): set(), chain(3): {chain(2), chain(1)}}


@st.composite
def plans(draw: st.DrawFn) -> tuple[dict[int, Program], dict[int, set[int]]]:
    size = draw(st.integers(1, 8))
    programs = {n: program(n, draw(st.sampled_from([("prod",), ("edge",), CLUSTERS])), rolls=draw(st.booleans()))
                for n in range(size)}
    shuffled = draw(st.permutations(range(size)))  # any order without cycles
    needs = {n: {w for w in shuffled[:i] if draw(st.integers(0, 4)) == 0} for i, n in enumerate(shuffled)}
    return programs, needs


@given(plans())
def test_two_of_a_cluster_are_never_out_at_once_where_one_gets_another_image(given_plan: Any) -> None:
    programs, needs = given_plan
    found = in_turn({chain(n): () for n in programs}, {chain(n): {chain(w) for w in ws} for n, ws in needs.items()},
                    {chain(n)[0]: p for n, p in programs.items()})
    topological(found, found)  # raises where there is a cycle
    for n, wanted in needs.items():
        assert {chain(w) for w in wanted} <= found[chain(n)]
    before = {c: closure([c], found) for c in found}
    for one, other in combinations(programs, 2):
        shared = set(programs[one].groups) & set(programs[other].groups)
        if shared and (programs[one].roll or programs[other].roll):
            assert chain(one) in before[chain(other)] or chain(other) in before[chain(one)]
