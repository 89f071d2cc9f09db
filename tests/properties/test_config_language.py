"""Properties of the fleet language: nothing crashes it, values survive it, expressions stay inside their fence."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from planner.config import load_fleet
from planner.config.expression import compile_expression
from planner.config.nodes import Map, Node, Scalar, Seq, Sources, literal
from planner.config.parse import parse
from planner.config.problems import Problems
from planner.config.values import MAX_ITEMS, ExprError, weigh
from planner.config.world import World
from planner.model import Address, Diagnostic, Fleet, FleetError, SecretRef, Unknown
from tests.support.config_catalog import BLOCKS, catalog
from tests.unit.config.test_cases import CASES

CATALOG = catalog()
SEEDS = [path.read_text() for path in CASES]
PIECES = ["${", "}", "{", "}", "[", "]", ": ", "\n", "  ", "'", '"', " #", "null", "- ", "*a", "&a ", "<<: ",
"each.value",
          "secret(", "host.a", "\t", "'${cluster.prod}'", "for_each: ", "profile: ", "depends_on: ", "1e999",
          "|\n", "é",
          "\u2028", "!!str ", "!x ", "lifecycle: ", "{}", "[]", "host:\n", "\x00", "0755", "~", "---\n", "$${", "%"]


def load(text: str) -> Fleet:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fleet.yaml"
        path.write_text(text)
        return load_fleet(path, CATALOG, BLOCKS)


def complaints(text: str) -> tuple[Diagnostic, ...]:
    """What loading says; only FleetError may be raised, and never without a reason."""
    try:
        return load(text).warnings
    except FleetError as error:
        return error.diagnostics or (Diagnostic("error", ""),)


@st.composite
def broken_fleets(draw: st.DrawFn) -> str:
    """A case file with pieces put in, cut out or repeated."""
    text = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, len(text)))
        if draw(st.booleans()):
            text = text[:at] + draw(st.sampled_from(PIECES)) + text[at:]
        else:
            text = text[:at] + text[at + draw(st.integers(1, 30)):]
    return text


@settings(max_examples=300, deadline=None, derandomize=True)
@given(broken_fleets())
def test_any_text_is_a_fleet_or_a_list_of_placed_errors(text: str) -> None:
    lines = text.count("\n") + 2 + text.count("\u2028") + text.count("\x85")
    for found in complaints(text):
        assert found.summary
        assert found.mark is None or (1 <= found.mark.line <= lines and found.mark.column >= 1)


TEXT = st.text(st.characters(exclude_categories=("Cs",
"Cc"), exclude_characters="\ue000\ufffe\uffff\ufeff"), max_size=20)
PLAIN: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-2**53, 2**53), TEXT.map(lambda t: t.replace("${", "$ {"))),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXT.filter(bool), inner, max_size=4)),
    max_leaves=12)
KEYS = TEXT.filter(lambda t: bool(t) and t.isprintable() and "${" not in t)


def value_of(node: Node) -> Any:
    if isinstance(node, Map):
        return {key: value_of(item) for key, item in node.items.items()}
    if isinstance(node, Seq):
        return [value_of(item) for item in node.items]
    assert isinstance(node, Scalar)
    return literal(node)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(PLAIN.filter(lambda v: "${" not in json.dumps(v)))
def test_json_is_read_as_json(value: Any) -> None:
    sources = Sources()
    sources.add("x", Path("/"))
    problems = Problems(sources)
    node = parse(json.dumps(value, ensure_ascii=False).encode(), 0, problems)
    assert problems.found == []
    assert node is not None
    assert value_of(node) == value


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(KEYS, min_size=1, max_size=5, unique=True))
def test_keys_of_for_each_become_addresses_that_parse_back(keys: list[str]) -> None:
    fleet = load(json.dumps({"fleet": {"name": "t"}, "datacenter": {"d": {"for_each": keys}}}, ensure_ascii=False))
    assert [a.key for a in fleet.resources] == keys
    for address, resource in fleet.resources.items():
        assert Address.parse(str(address)) == address
        assert resource.attributes["name"] == address.key


NAMES = ["each.key", "each.value.n", "each.value.u", "each.value.s", "each.value.l", "each.value.m", "1", "'a'",
"0", "[]", "true",
         "null", "2.5", "'%d'", "9223372036854775807", "var.x", "host.a"]
FUNCTIONS = ["upper", "join", "split", "format", "length", "merge", "concat", "range", "cidrhost", "sort", "min",
"coalesce",
             "tonumber", "flatten", "zipmap", "lookup", "secret", "replace", "distinct", "jsonencode", "contains",
             "nope"]


def _grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operators = st.sampled_from(["+", "-", "*", "//", "%", "==", "!=", "<", ">=", "and", "or", "in", "not in",
    "**", "/", "if"])
    return st.one_of(
        st.tuples(inner, operators, inner).map(" ".join),
        st.tuples(st.sampled_from(FUNCTIONS), st.lists(inner, max_size=3)).map(lambda p: f"{p[0]}({', '.join(p[1])})"),
        st.tuples(inner, inner).map(lambda p: f"{p[0]}[{p[1]}]"), inner.map(lambda t: f"({t})"),
        inner.map(lambda t: f"-{t}"),
        inner.map(lambda t: f"not {t}"), st.tuples(inner, inner, inner).map(lambda p: f"{p[0]} if {p[1]} else {p[2]}"),
        st.tuples(inner, st.sampled_from(["x", "_y", "__class__", "key"])).map(".".join),
        st.lists(inner, max_size=3).map(lambda p: f"[{', '.join(p)}]"), inner.map(lambda t: f"{{'k': {t}}}"))


EXPRESSIONS = st.recursive(st.sampled_from(NAMES), _grown, max_leaves=8)


@settings(max_examples=500, deadline=None, derandomize=True)
@given(st.one_of(EXPRESSIONS, st.text(max_size=40)))
def test_an_expression_has_a_bounded_plain_value_or_one_clear_error(text: str) -> None:
    sources = Sources()
    sources.add("x", Path("/"))
    world = World(CATALOG, Problems(sources), {})
    scope = world.scope(("k", {"n": 3, "u": Unknown("u"), "s": SecretRef("env:S"), "l": ["b", "a"], "m": {"x": 1}}))
    try:
        value = compile_expression(text, frozenset())(scope)
    except ExprError as error:
        value = error.summary or NotImplemented
    assert weigh(value) <= MAX_ITEMS
    stack = [value]
    while stack:
        item = stack.pop()
        assert item is None or isinstance(item, (bool, int, float, str, list, dict, Unknown, SecretRef))
        stack.extend(item.values() if isinstance(item, dict) else item if isinstance(item, list) else [])
