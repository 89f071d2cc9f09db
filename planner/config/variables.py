"""`variable:` blocks: types, defaults, and values from `--var` and `--var-file`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.config.checks import Refused
from planner.config.nodes import POISON, Given, Map, Node, Scalar, is_null, literal, pack, plain
from planner.config.parse import MAX_BYTES, parse
from planner.config.problems import Problems, suggest
from planner.config.values import ExprError, ImageRef, Reference, find, words
from planner.model import LABEL, FleetError, SecretRef, Unknown

if TYPE_CHECKING:
    from planner.config.values import Scope
    from planner.config.world import World

SIMPLE = ("string", "number", "int", "bool", "any")
_NESTED = re.compile(r"(list|set|map)\((.*)\)\Z", re.DOTALL)
KEYS = ("type", "default", "sensitive", "description")


@dataclass(frozen=True, slots=True)
class Type:
    """`string`, `number`, `int`, `bool`, `any`, or list/set/map of another type."""

    kind: str
    inner: Type | None = None

    def __str__(self) -> str:
        return f"{self.kind}({self.inner})" if self.inner else self.kind


ANY = Type("any")


def parse_type(text: str, depth: int = 0) -> Type:
    """Read a type. Raises Refused."""
    text = text.strip()
    if text in SIMPLE:
        return Type(text)
    if text in ("list", "set", "map"):
        return Type(text, ANY)
    found = _NESTED.match(text)
    if found is not None and depth < 10:
        return Type(found.group(1), parse_type(found.group(2), depth + 1))
    if text.startswith(("object(", "tuple(")):
        raise Refused("a type that is not supported in this version", text, "use map(any), or any")
    raise Refused("unknown type", repr(text),
                  suggest(text, SIMPLE) or "use string, number, int, bool, any, list(…), set(…) or map(…)")


def convert(kind: Type, value: Any) -> Any:
    """A value in the variable's type. Raises Refused whose detail never quotes the value."""
    if isinstance(value, (Unknown, SecretRef)) or kind.kind == "any":
        return value
    if kind.kind == "string" and type(value) in (int, float, str):
        return str(value)
    if (kind.kind == "bool" and isinstance(value, bool)) or \
            (kind.kind in ("int", "number") and type(value) is int) or \
            (kind.kind == "number" and type(value) is float):
        return value
    inner = kind.inner or ANY
    if kind.kind in ("list", "set") and isinstance(value, list):
        items = [convert(inner, item) for item in value]
        if kind.kind == "set" and all(isinstance(i, (str, int, float)) for i in items):
            return sorted(set(items), key=lambda i: (str(type(i)), i))
        return items
    if kind.kind == "map" and isinstance(value, dict):
        return {key: convert(inner, item) for key, item in value.items()}
    raise Refused("wrong type", f"{kind} is expected, {words(value)} found")


@dataclass(slots=True)
class Variable:
    """One declared variable, and the node or text that gives its value."""

    name: str
    at: int
    type: Type = ANY
    sensitive: bool = False
    value: Node | None = None
    text: str | None = None  # from --var
    source: str = ""  # "--var", a var file, or "" for the default


def declare(name: str, node: Node, at: int, problems: Problems) -> Variable:
    """Read one `variable:` body; reports what is wrong with it."""
    variable = Variable(name, at)
    if not LABEL.match(name):
        problems.error("not a label", f"variable {name!r}", at, "use letters, digits and _, a letter first")
    if is_null(node):
        return variable
    if not isinstance(node, Map):
        problems.error("the body of a variable must be a map", name, node.at, "write {type: string, default: …}")
        variable.value = Given(POISON, node.at)
        return variable
    for key, item in node.items.items():
        if key == "default":
            variable.value = item
        elif key == "type":
            _type(variable, item, problems)
        elif key == "sensitive":
            value = literal(item) if isinstance(item, Scalar) else None
            if not isinstance(value, bool):
                problems.error("wrong type", f"variable.{name}.sensitive: true or false is expected", item.at)
            variable.sensitive = value is True
        elif key == "validation":
            problems.error("not supported in this version", "validation of a variable", node.key_at(key),
                           "write a `check:` block with an assert")
        elif key != "description":
            problems.error("unknown key", f"variable.{name}.{key}", node.key_at(key), suggest(key, KEYS))
    return variable


def _type(variable: Variable, node: Node, problems: Problems) -> None:
    if not isinstance(node, Scalar):
        problems.error("a type must be text", f"variable.{variable.name}.type", node.at, "quote it: 'list(string)'")
        return
    try:
        variable.type = parse_type(node.text)
    except Refused as error:
        problems.error(error.summary, f"variable.{variable.name}: {error.detail}", node.at, error.remedy)


def override(declared: Mapping[str, Variable], given: Mapping[str, str], files: Sequence[Path],
             problems: Problems) -> None:
    """Let var files, then `--var`, replace defaults. Later files win."""
    for path in files:
        node = _var_file(path, problems)
        for name, item in node.items.items() if node is not None else ():
            if name in declared:
                declared[name].value, declared[name].source = item, str(path)
            else:
                problems.error("undeclared variable", name, node.key_at(name) if node else 0,
                               suggest(name, declared) or "declare it in a `variable:` block")
    for name, text in given.items():
        if name in declared:
            declared[name].text, declared[name].source = text, "--var"
        else:
            problems.error("undeclared variable", f"--var {name}", 0,
                           suggest(name, declared) or "declare it in a `variable:` block")


def _var_file(path: Path, problems: Problems) -> Map | None:
    try:
        if path.is_file() and path.stat().st_size > MAX_BYTES:
            raise FleetError(f"{path}: this variable file is too large")
        data = path.read_bytes()
    except OSError as error:
        problems.error("a variable file cannot be read", f"{path}: {error.strerror}", 0, "check --var-file")
        return None
    file = problems.sources.add(str(path), path.resolve().parent)
    node = parse(data, file, problems)
    if isinstance(node, Map):
        return node
    if node is not None and not is_null(node):
        problems.error("a variable file must be a map", f"{path}", node.at, "write NAME: VALUE on each line")
    return None


def evaluate(variable: Variable, world: World, scope: Scope) -> Any:
    """The value of a variable in its type; POISON after a report."""
    problems = world.problems
    at = variable.value.at if variable.value is not None else variable.at
    where = f"variable.{variable.name}" + (f" ({variable.source})" if variable.source else "")
    try:
        if variable.text is not None:
            at = variable.at
            value = _from_text(variable, world)
        elif variable.value is None:
            problems.error("a variable without a value", f"variable.{variable.name}", variable.at,
                           f"give it a default, or --var {variable.name}=VALUE")
            return POISON
        else:
            value = _from_node(variable, variable.value, world, scope)
        return _checked(variable, value)
    except Refused as error:
        problems.error(error.summary, f"{where}: {error.detail}", at, error.remedy or _example(variable))
        return POISON


def _example(variable: Variable) -> str:
    """How a value of the variable's type is written on a command line."""
    value = {"list": "[A, B]", "set": "[A, B]", "map": "{KEY: VALUE}", "bool": "true", "int": "1", "number": "1"}.get(
        variable.type.kind, "")
    return f"write --var {variable.name}='{value}'" if value and variable.text is not None else ""


def _checked(variable: Variable, value: Any) -> Any:
    if find(value, Reference) is not None or find(value, ImageRef) is not None:
        raise Refused("a variable cannot hold a resource", "variables are inputs", "use locals")
    if variable.sensitive:
        if value is not None and _has_plain(value):
            raise Refused("a sensitive variable must hold a reference to a secret", "a literal value",
                          'write \'${secret("env:NAME")}\', or --var NAME=env:VARIABLE')
    elif find(value, SecretRef) is not None:
        raise Refused("a secret in a variable that is not sensitive", "its value is a secret", "add `sensitive: true`")
    return value if value is None else convert(variable.type, value)


def _has_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_has_plain(v) for v in value.values())
    if isinstance(value, list):
        return any(_has_plain(v) for v in value)
    return not isinstance(value, (SecretRef, Unknown)) and value is not None


def _from_node(variable: Variable, node: Node, world: World, scope: Scope) -> Any:
    if variable.type.kind == "string" and isinstance(node, Scalar) and "${" not in node.text and not is_null(node) \
            and type(literal(node)) in (int, float):
        return node.text  # 4.10 stays as written
    return world.untyped(node, scope)


def _from_text(variable: Variable, world: World) -> Any:
    text = variable.text or ""
    if variable.sensitive:
        try:
            return world.secret_reference(text, Path.cwd())
        except ExprError:
            raise Refused("a sensitive variable must hold a reference to a secret", "a literal on the command line",
                          f"write --var {variable.name}=env:VARIABLE, or =file:PATH") from None
    if variable.type.kind == "string":
        return text
    if variable.type.kind in ("number", "int", "bool"):
        return plain(text)
    file = world.problems.sources.add(f"--var {variable.name}", Path.cwd())
    node = parse(text.encode(), file, world.problems)
    if node is None:
        return POISON if world.problems.failed else None
    if isinstance(node, Scalar):
        return plain(text)
    return world.untyped(node, world.scope()) if not isinstance(node, Given) else node.value


def starting_at(file: int) -> int:
    """The place of a file's first character."""
    return pack(file, 1, 1)
