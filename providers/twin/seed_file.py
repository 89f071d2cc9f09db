"""Reading a seed file: YAML with the place of every node, checked against `seed_format`, all mistakes at once.

Cheap to import: `fleet validate` reads seeds, too.
"""

from __future__ import annotations

import difflib
import hashlib
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec

from planner.model import Diagnostic, FleetError, Mark
from providers.twin.seed_format import Seed

Where = tuple[str, ...]
"""A path inside the file: ("hosts", "esx03.lab.example", "config"); items of lists by number."""

SUMMARY = "the twin's seed has a mistake"
MOST_NODES = 1_000_000  # aliases of aliases grow without end


class SeedError(Exception):
    """Something at one place of a seed that does not fit."""

    def __init__(self, where: Where, problem: str, remedy: str = "") -> None:
        super().__init__(problem)
        self.where, self.problem, self.remedy = where, problem, remedy


@dataclass(frozen=True, slots=True)
class SeedFile:
    """A seed as read. `digest`: SHA-256 of its text; `places`: path → place of the key, or of the list's item."""

    seed: Seed
    digest: str
    places: Mapping[Where, Mark]

    def mark(self, where: Where) -> Mark | None:
        """The place of that path, or of the nearest one above that the file has."""
        for length in range(len(where), 0, -1):
            if where[:length] in self.places:
                return self.places[where[:length]]
        return None

    def diagnostic(self, error: SeedError) -> Diagnostic:
        """What is wrong, with its place."""
        path = ".".join(error.where)
        return Diagnostic("error", SUMMARY, f"{path}: {error.problem}" if path else error.problem,
                          self.mark(error.where), remedy=error.remedy)


def read_seed(path: Path) -> SeedFile:
    """Raises FleetError with every mistake, each with file:line:column."""
    try:
        return parse_seed(path.read_text(encoding="utf-8"), shown(path))
    except OSError as error:
        raise FleetError(Diagnostic("error", "the twin's seed cannot be read", f"{path}: {error.strerror}",
                                    remedy="check provider.vsphere.seed")) from error
    except UnicodeDecodeError as error:
        raise FleetError(Diagnostic("error", "the twin's seed is no text", f"{path}: {error}",
                                    remedy="write it as UTF-8")) from error


def shown(path: Path) -> str:
    """A path as a person would write it here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def parse_seed(text: str, name: str = "seed") -> SeedFile:
    """Scalars are text (a MAC is never a number); the format gives the types. Raises FleetError."""
    tree = _Tree(name)
    raw = tree.read(text)
    if raw is None or raw == "":
        raw = {}
    file = SeedFile(Seed(), hashlib.sha256(text.encode()).hexdigest(), tree.places)
    found = [*tree.errors, *_mistakes(raw, Seed, ())]
    if found:
        raise FleetError(*map(file.diagnostic, found))
    return SeedFile(msgspec.convert(raw, Seed, strict=False), file.digest, tree.places)


class _Tree:
    """YAML nodes → text, lists and maps, and the place of each."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.places: dict[Where, Mark] = {}
        self.errors: list[SeedError] = []
        self._count = 0

    def read(self, text: str) -> Any:
        import yaml

        loader: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)  # both make nothing but text, lists and maps
        try:
            node = yaml.compose(text, Loader=loader)
        except yaml.YAMLError as error:
            at = getattr(error, "problem_mark", None)
            raise FleetError(Diagnostic("error", "the twin's seed is not YAML",
                                        str(getattr(error, "problem", "") or error), self._mark(at))) from error
        return None if node is None else self._value(node, (), ())

    def _mark(self, at: Any) -> Mark | None:
        return None if at is None else Mark(self.name, at.line + 1, at.column + 1)

    def _value(self, node: Any, where: Where, above: tuple[int, ...]) -> Any:
        self._count += 1
        if id(node) in above or self._count > MOST_NODES:
            raise FleetError(Diagnostic("error", SUMMARY, f"{'.'.join(where)}: an alias that has no end",
                                        self._mark(node.start_mark), remedy="write out what it stands for"))
        if isinstance(node.value, str):
            return node.value
        if node.id == "sequence":
            return [self._item(each, (*where, str(number)), (*above, id(node)))
                    for number, each in enumerate(node.value)]
        found: dict[str, Any] = {}
        for key, value in node.value:
            name = str(key.value)
            here = (*where, name)
            if here in self.places:
                self.errors.append(SeedError(here, "it is there twice", "remove one of the two"))
            self._place(here, key)
            found[name] = self._value(value, here, (*above, id(node)))
        return found

    def _item(self, node: Any, where: Where, above: tuple[int, ...]) -> Any:
        self._place(where, node)
        return self._value(node, where, above)

    def _place(self, where: Where, node: Any) -> None:
        mark = self._mark(node.start_mark)
        if mark is not None:
            self.places[where] = mark


# --- the format -------------------------------------------------------------------------------------------


def _mistakes(raw: Any, kind: Any, where: Where) -> Iterator[SeedError]:
    """Everything in which a value is not of a type of `seed_format`."""
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        kind = next(each for each in get_args(kind) if each is not type(None))
        origin = get_origin(kind)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield from _struct(raw, kind, where)
    elif origin is dict:
        yield from _each(raw, dict, where, "a map", lambda: raw.items(), get_args(kind)[1])
    elif origin is list:
        yield from _each(raw, list, where, "a list", lambda: enumerate(raw), get_args(kind)[0])
    else:
        try:
            msgspec.convert(raw, kind, strict=False)
        except msgspec.ValidationError:
            yield SeedError(where, f"{_words(raw)} is not {_KINDS.get(kind, kind)}")


def _each(raw: Any, kind: type, where: Where, words: str, items: Callable[[], Any], inner: Any) -> Iterator[SeedError]:
    if not isinstance(raw, kind):
        yield SeedError(where, f"{words} is expected, {_words(raw)} found")
        return
    for key, value in items():
        yield from _mistakes(value, inner, (*where, str(key)))


def _struct(raw: Any, kind: type[msgspec.Struct], where: Where) -> Iterator[SeedError]:
    if not isinstance(raw, dict):
        yield SeedError(where, f"a map is expected, {_words(raw)} found")
        return
    hints = get_type_hints(kind)
    for key, value in raw.items():
        if key in hints:
            yield from _mistakes(value, hints[key], (*where, key))
        else:
            near = difflib.get_close_matches(key, hints, 1)
            yield SeedError((*where, key), "there is no such key",
                            f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(hints)}")
    fields = msgspec.structs.fields(kind)
    missing = [f.name for f in fields if f.required and f.name not in raw]
    if missing:
        yield SeedError(where, f"{' and '.join(missing)} must be set")


_KINDS: Mapping[Any, str] = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


def _words(raw: Any) -> str:
    return "a map" if isinstance(raw, dict) else "a list" if isinstance(raw, list) else repr(raw) if raw else "nothing"
