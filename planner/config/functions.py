"""The functions of the fleet language: a fixed list, bounded, without I/O."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from planner.config import addressing, collections_
from planner.config.values import MAX_TEXT, ExprError, ImageRef, Reference, as_text, find, words


class Function(NamedTuple):
    """`structural`: looks at the shape of its arguments only, so unknowns and secrets may be inside of them."""

    call: Callable[..., Any]
    least: int
    most: int  # -1: any number of arguments
    doc: str
    structural: bool = False


def text(value: Any, position: str = "the first argument") -> str:
    """The argument as text. Raises ExprError."""
    if isinstance(value, str):
        return value
    if type(value) in (int, float):
        return str(as_text(value))
    raise ExprError("wrong argument", f"{position} must be text, not {words(value)}")


def _short(length: int) -> None:
    if length > MAX_TEXT:
        raise ExprError("a text becomes too long", f"the limit is {MAX_TEXT} characters")


def _join(separator: Any, items: Any) -> str:
    glue = text(separator)
    if not isinstance(items, list):
        raise ExprError("wrong argument", f"the second argument must be a list, not {words(items)}")
    parts = [text(i, "an item of the list") for i in items]
    _short(sum(map(len, parts)) + len(glue) * max(len(parts) - 1, 0))
    return glue.join(parts)


def _split(separator: Any, value: Any) -> list[str]:
    glue = text(separator)
    if not glue:
        raise ExprError("wrong argument", "the separator must not be empty")
    return text(value, "the second argument").split(glue)


def _replace(value: Any, old: Any, new: Any) -> str:
    source, before, after = text(value), text(old, "the second argument"), text(new, "the third argument")
    if not before:
        raise ExprError("wrong argument", "the text to replace must not be empty")
    _short(len(source) + source.count(before) * max(len(after) - len(before), 0))
    return source.replace(before, after)


_SPEC = re.compile(r"%(?:%|[-+0 #]{0,3}(\d{0,3})(?:\.(\d{1,2}))?([sdxXofeg]))")


def _format(pattern: Any, *arguments: Any) -> str:
    """printf-like: %s %d %x %X %o %f %e %g with flags, width up to 999 and precision up to 99."""
    source, rest = text(pattern), list(arguments)
    out: list[str] = []
    at = 0
    for found in _SPEC.finditer(source):
        between = source[at:found.start()]
        if "%" in between:
            break
        out.append(between)
        at = found.end()
        if found.group() == "%%":
            out.append("%")
            continue
        if not rest:
            raise ExprError("wrong argument", "format() has fewer values than its text has places")
        value = rest.pop(0)
        if found.group(3) == "s":
            value = as_text(value)
        elif type(value) not in (int, float) or (found.group(3) in "xXo" and type(value) is not int):
            raise ExprError("wrong argument", f"{found.group()} needs a number, not {words(value)}",
                            "convert it with tonumber()" if isinstance(value, str) else "")
        out.append(found.group() % value)
    if "%" in source[at:]:
        raise ExprError("wrong argument", "format() knows %s %d %x %X %o %f %e %g and %%")
    if rest:
        raise ExprError("wrong argument", "format() has more values than its text has places")
    result = "".join(out) + source[at:]
    _short(len(result))
    return result


def _tonumber(value: Any) -> int | float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    source = text(value).strip()
    if re.fullmatch(r"[-+]?[0-9]{1,18}", source):
        return int(source)
    if re.fullmatch(r"[-+]?[0-9]{0,18}\.?[0-9]{1,18}", source):
        return float(source)
    raise ExprError("not a number", "tonumber() needs text that spells a number")


def _jsonencode(value: Any) -> str:
    for kind in (Reference, ImageRef):
        if find(value, kind) is not None:
            raise ExprError("wrong argument", "a resource cannot be encoded", "name its attributes")
    result = json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    _short(len(result))
    return result


def _substr(value: Any, start: Any, length: Any = None) -> str:
    source = text(value)
    for number in (start, length):
        if number is not None and type(number) is not int:
            raise ExprError("wrong argument", "substr(TEXT, START, LENGTH) needs whole numbers")
    end = len(source) if length is None else start + length
    return source[start:end]


TEXT: Mapping[str, Function] = {
    "upper": Function(lambda s: text(s).upper(), 1, 1, "upper-case text"),
    "lower": Function(lambda s: text(s).lower(), 1, 1, "lower-case text"),
    "title": Function(lambda s: text(s).title(), 1, 1, "text with capital initials"),
    "trim": Function(lambda s, c=None: text(s).strip(c), 1, 2, "text without white space, or given characters, around"),
    "trimprefix": Function(lambda s, p: text(s).removeprefix(text(p)), 2, 2, "text without a prefix"),
    "trimsuffix": Function(lambda s, p: text(s).removesuffix(text(p)), 2, 2, "text without a suffix"),
    "startswith": Function(lambda s, p: text(s).startswith(text(p)), 2, 2, "whether text begins so"),
    "endswith": Function(lambda s, p: text(s).endswith(text(p)), 2, 2, "whether text ends so"),
    "substr": Function(_substr, 2, 3, "part of a text: substr(TEXT, START, LENGTH)"),
    "join": Function(_join, 2, 2, "items of a list with a separator between: join(SEPARATOR, LIST)"),
    "split": Function(_split, 2, 2, "parts of a text: split(SEPARATOR, TEXT)"),
    "replace": Function(_replace, 3, 3, "replace(TEXT, OLD, NEW)"),
    "format": Function(_format, 1, -1, 'format("%02x", N)'),
    "tostring": Function(lambda v: as_text(v), 1, 1, "a number or boolean as text"),
    "tonumber": Function(_tonumber, 1, 1, "text as a number"),
    "jsonencode": Function(_jsonencode, 1, 1, "a value as JSON text"),
}

FUNCTIONS: Mapping[str, Function] = {
    **TEXT,
    **{name: Function(*row) for name, row in collections_.TABLE.items()},
    **{name: Function(*row) for name, row in addressing.TABLE.items()},
}
"""All functions by name; `secret` is built into the compiler."""

LATER: frozenset[str] = frozenset({
    "regex", "regexall", "regexreplace", "file", "filebase64", "fileexists", "fileset", "templatefile", "jsondecode",
    "yamldecode", "yamlencode", "csvdecode", "base64encode", "base64decode", "sha256", "md5", "uuid", "timestamp",
    "formatdate", "timeadd", "cidrsubnets", "setproduct", "transpose", "chunklist", "try", "can", "one", "env",
})
"""Functions that a user may expect and this version does not have."""
