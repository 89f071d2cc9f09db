"""Values that exist only while a fleet is evaluated, limits, and the one error of expressions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from planner.config.problems import suggest
from planner.model import Address, SecretRef, Unknown

if TYPE_CHECKING:
    from planner.config.world import World

MAX_TEXT = 1_000_000  # characters of one value
MAX_ITEMS = 500_000  # nodes of one value, nested ones included
MAX_DEPTH = 100  # maps and lists inside of each other
MAX_INTEGER = 2**63


class ExprError(Exception):
    """An expression that cannot be compiled or evaluated. `offset`: column inside the expression, -1 unknown."""

    def __init__(self, summary: str, detail: str = "", remedy: str = "", offset: int = -1) -> None:
        super().__init__(summary)
        self.summary, self.detail, self.remedy, self.offset = summary, detail, remedy, offset


@dataclass(frozen=True, slots=True)
class Reference:
    """A resource as a value: `${cluster.prod}`. Becomes the address's text in a reference attribute."""

    address: Address


@dataclass(frozen=True, slots=True)
class ImageRef:
    """An image as a value: `${image.esxi8}`."""

    name: str


class Family(dict[str, Any]):
    """The instances of a `for_each` block, or the children of one type on a host: key → Reference."""

    __slots__ = ("title",)

    def __init__(self, title: str, members: dict[str, Reference]) -> None:
        super().__init__(members)
        self.title = title


class Children(Family):
    """What hangs on one host, of one type: chosen by name, with or without brackets."""

    __slots__ = ()


class Scope:
    """What one evaluation may look at, and what it did look at.

    `each`: the instance's key and value; None outside `for_each`. `lint`: a profile that nobody uses is only
    checked: `each` is then unknown. `refs`, `used_each` and `computed` (a value that only live or state knows)
    record what the evaluation touched. `at`: the place of the scalar being evaluated.
    """

    __slots__ = ("at", "computed", "each", "lint", "refs", "used_each", "world")

    def __init__(self, world: World, each: tuple[str, Any] | None = None, lint: bool = False) -> None:
        self.world = world
        self.each = each
        self.lint = lint
        self.refs: dict[Address, None] = {}
        self.used_each = False
        self.computed = False
        self.at = 0


def weigh(value: Any) -> int:
    """Number of nodes of a value, counted no further than just beyond the limit; too deep counts as too large."""
    count, depth = 1, 0
    level = [value]
    while level and count <= MAX_ITEMS:
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                below.extend(item.values())
            elif isinstance(item, (list, tuple)):
                below.extend(item)
            if len(below) > MAX_ITEMS:
                return MAX_ITEMS + 1
        count += len(below)
        level = below
        depth += 1
        if depth > MAX_DEPTH:
            return MAX_ITEMS + 1
    return count


def bounded(value: Any) -> Any:
    """The value itself. Raises ExprError where it is too large."""
    kind = type(value)
    if kind is str:
        if len(value) > MAX_TEXT:
            raise ExprError("a text becomes too long", f"the limit is {MAX_TEXT} characters")
    elif kind is int:
        if not -MAX_INTEGER < value < MAX_INTEGER:
            raise ExprError("a number becomes too large", "whole numbers end at 2**63")
    elif kind is float:
        if value != value or value in (float("inf"), float("-inf")):
            raise ExprError("a number becomes too large", "the result is not a finite number")
    elif kind in (dict, list) and weigh(value) > MAX_ITEMS:
        raise ExprError("a value becomes too large", f"the limit is {MAX_ITEMS} items, nested ones included")
    return value


def find(value: Any, kind: type[Any]) -> Any:
    """The first value of that kind inside, the value itself included; None where there is none."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, kind):
            return item
        if isinstance(item, dict):
            stack.extend(item.values())
        elif isinstance(item, (list, tuple)):
            stack.extend(item)
    return None


def refuse_secret(value: Any, what: str) -> None:
    """Raises ExprError where a secret would be computed with: its value must never come into a plan."""
    if isinstance(value, SecretRef) or (isinstance(value, (dict, list)) and find(value, SecretRef) is not None):
        raise ExprError("a secret can only be passed on whole", f"{what} would need its value",
                        "put everything that depends on it into the secret itself")


def attribute(value: Any, name: str, scope: Scope) -> Any:
    """`value.name`."""
    kind = type(value)
    if kind is dict:
        if name in value:
            return value[name]
        raise ExprError("no such key", f"{name!r} is not in this map", suggest(name, value, "it has"))
    if kind is Reference:
        return scope.world.read(value.address, name, scope)
    if kind is Unknown:
        return value
    if kind is Children:
        return index(value, name, scope)
    if kind is Family:
        raise ExprError("an instance must be chosen", f"{value.title} has several",
                        f'write {value.title}["KEY"].{name}')
    if kind is ImageRef:
        return scope.world.image_field(value.name, name)
    if kind is SecretRef:
        refuse_secret(value, f".{name}")
    raise ExprError("no attributes here", f"{name!r} is asked of {words(value)}")


def index(value: Any, key: Any, scope: Scope) -> Any:
    """`value[key]`."""
    refuse_secret(key, "an index")
    if isinstance(value, SecretRef):
        refuse_secret(value, "an index")
    if isinstance(value, Unknown):
        return value
    if isinstance(key, Unknown):
        return key
    if isinstance(value, dict):
        name = str(key) if type(key) is int else key
        if not isinstance(name, str):
            raise ExprError("not a key", f"{words(key)} cannot choose from a map", "use text")
        if name in value:
            return value[name]
        if isinstance(value, Family):
            raise ExprError("undeclared resource", f"{value.title} has no {name!r}", suggest(name, value, "it has"))
        raise ExprError("no such key", f"{name!r} is not in this map", suggest(name, value, "it has"))
    if isinstance(value, (list, tuple)):
        if type(key) is not int:
            raise ExprError("not an index", f"{words(key)} cannot choose from a list", "use a whole number, from 0")
        if not -len(value) <= key < len(value):
            raise ExprError("no such item", f"[{key}] of a list of {len(value)}", "items count from 0")
        return value[key]
    if isinstance(value, Reference):
        raise ExprError("no for_each here", f"{value.address} is one resource", f"write {value.address} without [ ]")
    raise ExprError("no items here", f"[ ] is asked of {words(value)}", "only maps and lists have items")


def words(value: Any) -> str:
    """The kind of a value, for people."""
    if isinstance(value, Reference):
        return "a resource"
    if isinstance(value, ImageRef):
        return "an image"
    for kind, word in ((type(None), "null"), (bool, "true or false"), (int, "a whole number"), (float, "a number"),
                       (str, "text"), (list, "a list"), (dict, "a map"), (SecretRef, "a secret"),
                       (Unknown, "a value known after apply")):
        if isinstance(value, kind):
            return word
    return "another kind of value"


def as_text(value: Any) -> str | Unknown:
    """A value in the middle of text."""
    kind = type(value)
    if kind is str:
        return str(value)
    if kind is int:
        return str(value)
    if kind is bool:
        return "true" if value else "false"
    if kind is float:
        return repr(value)
    if isinstance(value, Unknown):
        return value
    refuse_secret(value, "text around it")
    remedy = ""
    if isinstance(value, Reference):
        remedy = f"name an attribute: {value.address}.name"
    elif isinstance(value, (list, dict)):
        remedy = "use join() or jsonencode(), or let ${…} be the whole value"
    raise ExprError("this cannot be part of text", f"{words(value)} stands in the middle of text", remedy)
