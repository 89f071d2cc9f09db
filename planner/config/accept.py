"""Values of scalar fields: checked by type, range, enumeration and format, and brought into their normal form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from planner.config.checks import RANGES, TEXT, Refused
from planner.config.nodes import POISON, integer
from planner.config.problems import listed, suggest
from planner.config.values import ImageRef, Reference, Scope, words
from planner.model import LABEL, SecretRef, Unknown
from planner.schema import Field

Accept: TypeAlias = "Callable[[Any, int, Scope], Any]"
"""(value, place, scope) → the value in its normal form. Raises Refused."""

EXPECTED: Mapping[str, str] = {
    "string": "text", "int": "a whole number", "float": "a number", "bool": "true or false",
    "scalar": "text, a number, or true or false", "list": "a list", "map": "a map", "object": "a map",
    "ref": "a reference to a resource", "secret": "a secret", "image": "a reference to an image",
}


def wrong(field: Field, name: str, found: str, remedy: str = "") -> Refused:
    return Refused("wrong type", f"{name}: {EXPECTED[field.kind]} is expected, {found} found", remedy)


def must_be_expression(field: Field, name: str, text: str = "") -> Refused:
    """A literal where only an expression makes sense. A secret is never quoted."""
    if field.kind == "secret":
        return Refused("a secret must not stand in the file", f"{name}: a literal value",
                       'write \'${secret("env:NAME")}\' or \'${secret("file:PATH")}\'')
    kind = "image" if field.kind == "image" else field.to[0] if field.to else "TYPE"
    label = text.removeprefix(f"{kind}.")
    what = f"{kind}.{label if LABEL.match(label) else 'LABEL'}"
    return Refused("not a reference", f"{name}: {EXPECTED[field.kind]} is expected, a literal value found",
                   f"write '${{{what}}}'")


def text_check(field: Field, name: str) -> Callable[[str], str]:
    """Enumeration and format of a text field."""
    check = TEXT.get(field.check)
    if field.enum:
        allowed = frozenset(field.enum)

        def choose(text: str) -> str:
            if text in allowed:
                return text
            raise Refused("not one of the allowed values", f"{name}: {text!r}",
                          suggest(text, field.enum) or f"use one of: {listed(field.enum)}")
        return choose
    if check is None:
        return lambda text: text

    def verify(text: str) -> str:
        try:
            return check(text)
        except Refused as error:
            raise Refused(error.summary, f"{name}: {error.detail}", error.remedy) from None
    return verify


def accepts(field: Field, name: str) -> Accept:
    """Check and normalise a value that is not None."""
    kind = field.kind
    inner = _ACCEPT[kind](field, name)
    if kind == "secret":
        return inner

    def accept(value: Any, at: int, scope: Scope) -> Any:
        if isinstance(value, Unknown):
            if value is not POISON and kind in ("ref", "image"):
                raise Refused("a reference must be known", f"{name}: known only after apply")
            return value
        if isinstance(value, SecretRef):
            raise Refused("a secret cannot stand here", f"{name}: its value would become visible in plan and state",
                          "only fields for secrets take one")
        return inner(value, at, scope)
    return accept


def _accept_string(field: Field, name: str) -> Accept:
    verify = text_check(field, name)
    refer = _accept_ref(field, name)

    def accept(value: Any, at: int, scope: Scope) -> Any:
        if field.to and isinstance(value, Reference):
            return refer(value, at, scope)
        if isinstance(value, str):
            text = value
            if any(text.startswith(f"{kind}.") for kind in field.to):
                raise must_be_expression(replace(field, kind="ref"), name, text)
        elif type(value) in (int, float):
            text = str(value)
        else:
            remedy = f"name an attribute, such as {value.address}.name" if isinstance(value, Reference) else \
                "quote it, if text is meant" if isinstance(value, bool) else ""
            raise wrong(field, name, words(value), remedy)
        return scope.world.path(text, at) if field.check == "path" else verify(text)
    return accept


def _accept_number(field: Field, name: str) -> Accept:
    low, high = RANGES.get(field.check, (None, None))
    low = field.minimum if field.minimum is not None else low
    high = field.maximum if field.maximum is not None else high

    def accept(value: Any, at: int, scope: Scope) -> Any:
        if type(value) is not int and not (field.kind == "float" and type(value) is float):
            spelled = isinstance(value, str) and integer(value) is not None
            raise wrong(field, name, words(value), "remove the quotes, or use tonumber()" if spelled else "")
        if (low is not None and value < low) or (high is not None and value > high):
            limits = f"{low} to {high}" if low is not None and high is not None else \
                f"at least {low}" if low is not None else f"at most {high}"
            raise Refused("out of range", f"{name}: {value}", f"allowed: {limits}")
        return value
    return accept


def _accept_bool(field: Field, name: str) -> Accept:
    def accept(value: Any, at: int, scope: Scope) -> Any:
        if isinstance(value, bool):
            return value
        old = isinstance(value, str) and value.lower() in ("yes", "no", "on", "off", "y", "n", "true", "false")
        raise wrong(field, name, words(value), "write true or false, without quotes" if old else "")
    return accept


def _accept_scalar(field: Field, name: str) -> Accept:
    def accept(value: Any, at: int, scope: Scope) -> Any:
        if isinstance(value, (str, bool, int, float)):
            return value
        raise wrong(field, name, words(value))
    return accept


def _accept_ref(field: Field, name: str) -> Accept:
    def accept(value: Any, at: int, scope: Scope) -> Any:
        if not isinstance(value, Reference):
            raise wrong(field, name, words(value), f"write '${{{field.to[0] if field.to else 'TYPE'}.LABEL}}'")
        if field.to and value.address.rtype not in field.to:
            raise Refused("a reference to the wrong type", f"{name}: {value.address} is a {value.address.rtype}",
                          f"refer to a {' or '.join(field.to)}")
        scope.refs[value.address] = None
        return str(value.address)
    return accept


def _accept_image(field: Field, name: str) -> Accept:
    def accept(value: Any, at: int, scope: Scope) -> Any:
        if isinstance(value, ImageRef):
            return value.name
        raise wrong(field, name, words(value), "write '${image.NAME}'")
    return accept


def _accept_secret(field: Field, name: str) -> Accept:
    def accept(value: Any, at: int, scope: Scope) -> Any:
        if isinstance(value, SecretRef) or value is POISON:
            return value
        raise must_be_expression(field, name)
    return accept


_ACCEPT: Mapping[str, Callable[[Field, str], Accept]] = {
    "string": _accept_string, "int": _accept_number, "float": _accept_number, "bool": _accept_bool,
    "scalar": _accept_scalar, "ref": _accept_ref, "image": _accept_image, "secret": _accept_secret,
}
