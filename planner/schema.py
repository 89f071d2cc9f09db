"""Field declarations of resource types. Validation, JSON Schema and the reference page are read off them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from planner.model import Value

Kind = Literal["string", "int", "float", "bool", "scalar", "list", "map", "object", "ref", "secret", "image"]
Check = Literal["", "ip", "ipv4", "netmask", "mac", "mtu", "vlan", "hostname", "fqdn", "url", "syslog_target", "port",
                "path"]
"""Formats of text and ranges of numbers. `path`: a relative one becomes absolute, from the declaring file's folder."""


@dataclass(frozen=True, slots=True)
class Field:
    """One attribute of a resource type.

    `default` is what a *created* object gets where the file is silent; with `always` it also holds for an
    existing object (otherwise unset attributes of a declared object are left as they are).
    `unordered`: a list that compares and is normalised as a sorted set. `replace`: a change of it is a
    replacement. `computed`: only live knows it; files refer to it and cannot set it. `observed` is False for
    what cannot be read back (a password): it is compared with state, never with live. `lone`: a list of one item may
    be written without brackets. A string with `to` takes a reference to one of these types as well as text.
    """

    kind: Kind
    doc: str
    required: bool = False
    default: Value = None
    always: bool = False
    items: Field | None = None  # of a list, or the values of a map
    fields: Mapping[str, Field] = field(default_factory=dict)  # of an object
    enum: tuple[str, ...] = ()
    minimum: int | None = None
    maximum: int | None = None
    check: Check = ""
    to: tuple[str, ...] = ()  # a ref's allowed resource types
    unordered: bool = False
    replace: bool = False
    computed: bool = False
    observed: bool = True
    lone: bool = False


def string(doc: str, *, required: bool = False, default: Value = None, always: bool = False, check: Check = "",
           enum: tuple[str, ...] = (), replace: bool = False) -> Field:
    return Field("string", doc, required, default, always, check=check, enum=enum, replace=replace)


def integer(doc: str, *, required: bool = False, default: Value = None, always: bool = False, check: Check = "",
            minimum: int | None = None, maximum: int | None = None) -> Field:
    return Field("int", doc, required, default, always, check=check, minimum=minimum, maximum=maximum)


def boolean(doc: str, *, required: bool = False, default: Value = None, always: bool = False) -> Field:
    return Field("bool", doc, required, default, always)


def strings(doc: str, *, required: bool = False, default: Value = None, always: bool = False, check: Check = "",
            enum: tuple[str, ...] = (), unordered: bool = False, lone: bool = False) -> Field:
    """A list of strings; unique, and sorted where `unordered`. `lone`: one of them may stand without brackets."""
    return Field("list", doc, required, default, always, items=Field("string", doc, check=check, enum=enum),
                 unordered=unordered, lone=lone)


def reference(doc: str, *to: str, required: bool = False, replace: bool = False) -> Field:
    """An expression that names another resource; its value is that resource's address as text."""
    return Field("ref", doc, required, to=to, replace=replace)


def secret(doc: str, *, required: bool = False) -> Field:
    """Only a `secret("…")` reference is accepted, never a literal."""
    return Field("secret", doc, required, observed=False)


def names_root(field: Field | None, value: object) -> bool:
    """Whether this value of a field is the address of another resource, as text."""
    if field is None or not isinstance(value, str) or not value or value.startswith("path:"):
        return False
    return field.kind == "ref" or any(value.startswith(f"{kind}.") for kind in field.to)


def computed(doc: str) -> Field:
    return Field("string", doc, computed=True)
