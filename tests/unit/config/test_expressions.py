"""Expressions: values, unknowns, secrets, and what they are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from planner.config import load_fleet
from planner.config.expression import compile_expression
from planner.config.functions import FUNCTIONS, LATER
from planner.config.nodes import Sources
from planner.config.problems import Problems
from planner.config.template import TemplateError, expression_end, split
from planner.config.values import ExprError, Scope
from planner.config.world import World
from planner.model import FleetError, SecretRef, Unknown
from tests.support.config_catalog import BLOCKS, catalog

UNKNOWN = Unknown("u")


def scope() -> Scope:
    """A scope whose `each.value` offers an unknown, a secret and plain values."""
    sources = Sources()
    sources.add("test", Path("/fleets"))
    world = World(catalog(), Problems(sources), {})
    return world.scope(("k", {"u": UNKNOWN, "s": SecretRef("env:S"), "n": 3, "t": "abc", "l": ["b", "a"],
                              "m": {"x": 1, "y": [2]}, "lu": ["a", UNKNOWN], "ls": [SecretRef("env:S")]}))


def value(text: str) -> Any:
    return compile_expression(text, frozenset({"host"}))(scope())


@pytest.mark.parametrize(("text", "expected"), [
    ("1 + 2 * 3", 7), ("7 // 2", 3), ("-7 % 3", 2), ("1.5 - 1", 0.5), ("'a' + 'b'", "ab"), ("[1] + [2]", [1, 2]),
    ("1 < 2 < 3", True), ("1 < 2 > 5", False), ("1 == 1.0", True), ("true == 1", False), ("'a' != \"b\"", True),
    ("[1, {'a': 2}] == [1, {'a': 2}]", True), ("[true] == [1]", False), ("'b' in each.value.l", True),
    ("'x' in each.value.m", True), ("'bc' in each.value.t", True), ("4 not in [1, 2]", True),
    ("not (true and false)", True), ("false or true", True), ("1 if each.value.n > 2 else 2", 1), ("null", None),
    ("each.key", "k"), ("each.value.m.y[0]", 2), ("each.value['m']['x']", 1), ("each.value.l[-1]", "a"),
    ("{'a': [1, 2]}.a[1]", 2), ("0x1f", 31), ("  1  ", 1), ("1 +\n 2", 3),
    ("upper('aB') + lower('aB') + title('ab cd')", "ABabAb Cd"), ("join('-', ['a', 1])", "a-1"),
    ("split(',', 'a,b')", ["a", "b"]), ("replace('aXbX', 'X', '')", "ab"), ("trim(' a ')", "a"),
    ("trim('xax', 'x')", "a"),
    ("trimprefix('abc', 'a')", "bc"), ("trimsuffix('abc', 'c')", "ab"), ("startswith('abc', 'a')", True),
    ("endswith('abc', 'c')", True), ("substr('abcd', 1, 2)", "bc"), ("substr('abcd', 1)", "bcd"),
    ("format('%02x:%s:%d%%', 255, 'a', 7)", "ff:a:7%"), ("format('%5.1f', 1.25)", "  1.2"), ("tostring(5)", "5"),
    ("tostring(true)", "true"), ("tonumber('12')", 12), ("tonumber('1.5')", 1.5),
    ("jsonencode({'b': [1, null], 'a': true})",
     '{"a":true,"b":[1,null]}'),
    ("length('abc') + length([1]) + length({'a': 1})", 5), ("keys({'b': 1, 'a': 2})", ["a", "b"]),
    ("values({'b': 1, 'a': 2})", [2, 1]), ("lookup({'a': 1}, 'a')", 1), ("lookup({'a': 1}, 'b', 9)", 9),
    ("merge({'a': 1}, {'b': 2, 'a': 3})", {"a": 3, "b": 2}), ("concat([1], [2, 3])", [1, 2, 3]),
    ("contains([1, 2], 2)", True), ("contains({'a': 1}, 'a')", True), ("element([1, 2], 3)", 2),
    ("flatten([1, [2, [3, []]]])", [1, 2, 3]), ("distinct([1, true, 1, [2], [2]])", [1, True, [2]]),
    ("reverse([1, 2])", [2, 1]), ("sort(['b', 'a'])", ["a", "b"]), ("toset([2, 1, 2])", [1, 2]),
    ("zipmap(['a', 'b'], [1, 2])", {"a": 1, "b": 2}), ("tolist({'a': 1})", [1]), ("coalesce(null, '', 'x')", "x"),
    ("range(3)", [0, 1, 2]), ("range(1, 7, 3)", [1, 4]), ("min(3, 1)", 1), ("max([3, 1])", 3), ("sum([1, 2])", 3),
    ("abs(-3)", 3), ("cidrhost('10.0.0.0/24', 5)", "10.0.0.5"), ("cidrhost('10.0.0.0/24', -1)", "10.0.0.255"),
    ("cidrsubnet('10.0.0.0/16', 8, 3)", "10.0.3.0/24"), ("cidrnetmask('10.0.0.0/20')", "255.255.240.0"),
    ("cidrprefix('10.0.0.0/20')", 20), ("cidrhost('2001:db8::/64', 1)", "2001:db8::1"),
])
def test_values(text: str, expected: object) -> None:
    found = value(text)
    assert found == expected
    assert type(found) is type(expected)


def test_every_function_is_tested_here() -> None:
    source = Path(__file__).read_text()
    assert [name for name in FUNCTIONS if f"{name}(" not in source.split("def test_values")[0]] == []
    assert not LATER & FUNCTIONS.keys()


@pytest.mark.parametrize("text", [
    "each.value.u", "each.value.u.x", "each.value.u[0]", "each.value.u + 1", "-each.value.u", "each.value.u == 1",
    "each.value.lu == []", "each.value.u < 1", "not each.value.u", "true and each.value.u", "each.value.u or false",
    "1 if each.value.u else 2", "upper(each.value.u)", "join('', each.value.lu)", "each.value.l[each.value.u]",
    "each.value.u in [1]", "'z' in each.value.lu", "coalesce(null, each.value.u)", "length(each.value.u)",
    "sort(each.value.lu)", "1 < each.value.u < 3", "lookup(each.value.m, each.value.u)",
])
def test_unknown_spreads(text: str) -> None:
    assert isinstance(value(text), Unknown)


@pytest.mark.parametrize(("text", "expected"), [
    ("false and each.value.u", False), ("each.value.u and false", False), ("true or each.value.u", True),
    ("2 < 1 < each.value.u", False), ("length(each.value.lu)", 2), ("'a' in each.value.lu", True),
    ("each.value.lu[0]", "a"), ("keys({'a': each.value.u})", ["a"]), ("coalesce('x', each.value.u)", "x"),
    ("lookup({'a': 1}, 'a', each.value.n)", 1),
])
def test_what_does_not_depend_on_the_unknown_is_known(text: str, expected: object) -> None:
    assert value(text) == expected


@pytest.mark.parametrize("text", [
    "each.value.s", "secret('env:S')", "each.value.ls[0]", "each.value.s if true else 1",
    "coalesce(null, each.value.s)",
    "lookup({'a': each.value.s}, 'a')", "merge({}, {'a': each.value.s}).a", "values({'a': each.value.s})[0]",
    "flatten([each.value.ls])[0]", "[each.value.s][0]",
])
def test_secrets_pass_whole(text: str) -> None:
    assert value(text) == SecretRef("env:S")


@pytest.mark.parametrize("text", [
    "each.value.s + 'x'", "each.value.s == 'x'", "[each.value.s] == ['x']", "each.value.s in ['x']",
    "'x' in each.value.s",
    "'x' in each.value.ls", "each.value.s < 'x'", "not each.value.s", "each.value.s and true",
    "1 if each.value.s else 2",
    "upper(each.value.s)", "join('', each.value.ls)", "jsonencode(each.value.ls)", "length(each.value.s)",
    "sort(each.value.ls)", "contains(each.value.ls, 'x')", "format('%s', each.value.s)", "tostring(each.value.s)",
    "-each.value.s", "each.value.s[0]", "each.value.s.x", "each.value.m[each.value.s]", "startswith(each.value.s, 'x')",
    "secret(each.value.s)", "distinct(each.value.ls)", "each.value.u == each.value.s",
])
def test_secrets_are_never_computed_with(text: str) -> None:
    with pytest.raises(ExprError) as caught:
        value(text)
    assert "secret" in caught.value.summary


@pytest.mark.parametrize("text", [
    "'a' * 10**9", "'a' * 1000000000", "[0] * 1000000000", "9 ** 9 ** 9", "2 << 100000",
    "9" * 3000, "'x'" + "+'x'" * 999,
    "-" * 3999 + "1", "(" * 199 + "1" + ")" * 199 + "+" * 60 + "1", "not " * 900 + "true", "[" * 150 + "]" * 150,
    "range(10 ** 9)", "range(0, 99999999)", "format('%999999999d', 1)", "1e308 * 1e308 * 10", "9223372036854775807 + 1",
    "x" * 5000, "[" + "1," * 1000 + "]", "().__class__", "each.__class__", "each.value.t.__len__", "each.value._m",
    "(lambda: 1)()",
    "[x for x in (1, 2)]", "open('x')", "eval('1')", "__import__('os')", "f'{each}'", "each.value.t.upper()",
    "1; 2", "a = 1",
    "yield 1", "await x", "*x", "x := 1", "each.value.l[0:1]", "...", "1j", "b'x'", "print", "self", "True.real",
    "each.value.m.keys()", "upper", "{1: 2}", "{**each.value.m}",
    "replace(join('', range(100000)), '1', join('', range(99999)))",
])
def test_bombs_and_escapes_are_refused(text: str) -> None:
    with pytest.raises(ExprError) as caught:
        value(text)
    assert caught.value.summary


def test_doubling_by_locals_ends_at_the_limit(tmp_path: Path) -> None:
    for first, doubled in (("[1, 2]", "[local.a{0}, local.a{0}]"), ("xx", "local.a{0} + local.a{0}")):
        lines = [f"  a{n + 1}: '${{{doubled.format(n)}}}'" for n in range(60)]
        path = tmp_path / "fleet.yaml"
        path.write_text("\n".join(["fleet: {name: t}", "locals:", f"  a0: {first}", *lines]))
        with pytest.raises(FleetError) as caught:
            load_fleet(path, catalog(), BLOCKS)
        assert caught.value.diagnostics[0].summary in ("a value becomes too large", "a text becomes too long")


@pytest.mark.parametrize(("text", "offset"), [
    ("each.valu", 0), ("1 + each.value.q", 4), ("  upper(nope)", 8), ("each.key.x", 0), ("min(1, uper('a'))", 7),
])
def test_errors_know_their_column(text: str, offset: int) -> None:
    with pytest.raises(ExprError) as caught:
        value(text)
    assert caught.value.offset == offset


@pytest.mark.parametrize(("text", "parts"), [
    ("plain", [("plain", 0, False)]), ("${a}", [("a", 2, True)]), ("x${a}y", [("x", 0, False), ("a", 3, True),
    ("y", 0, False)]),
    ("$${a}", [("${a}", 0, False)]), ("$${a}${b}", [("${a}", 0, False), ("b", 7, True)]),
    ("${ {'}': 1}['}'] }", [(" {'}': 1}['}'] ", 2, True)]), ("${'\\'}'}", [("'\\'}'", 2, True)]),
    ("a$b}", [("a$b}", 0, False)]),
    ("", []),
])
def test_templates(text: str, parts: list[tuple[str, int, bool]]) -> None:
    assert [tuple(part) for part in split(text)] == parts


@pytest.mark.parametrize("text", ["${", "a ${b", "${'}", "${a}${"])
def test_templates_that_never_close(text: str) -> None:
    with pytest.raises(TemplateError):
        split(text)


def test_expression_end_counts_braces_outside_of_quotes() -> None:
    assert expression_end("${a}", 2) == 4
    assert expression_end("${{'a': 1}} tail", 2) == 11
    assert expression_end("${'}'", 2) == -1


@pytest.mark.parametrize(("text", "expected"), [
    ("${1}", 1), ("${true}", True), ("${[1]}", [1]), ("a${1}b", "a1b"), ("${1}${2}", "12"), (" ${1}", " 1"),
    ("${true}!", "true!"), ("${1.5}!", "1.5!"), ("$${1}", "${1}"),
])
def test_a_scalar_that_is_one_expression_keeps_its_type(tmp_path: Path, text: str, expected: object) -> None:
    path = tmp_path / "fleet.yaml"
    path.write_text(f"fleet: {{name: t}}\noutput: {{o: {{value: '{text}'}}}}\n")
    assert load_fleet(path, catalog(), BLOCKS).outputs["o"].value == expected


@pytest.mark.parametrize("name", ["n", "t", "l"])
def test_attribute_access_never_reaches_python_objects(name: str) -> None:
    with pytest.raises(ExprError, match="no attributes here"):
        value(f"each.value.{name}.real")
