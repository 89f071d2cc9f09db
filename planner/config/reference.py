"""What the catalogue says of each resource type, as plain data: `fleet reference --json`. Nothing here is by hand."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

from planner.catalog import Catalog, Operation, ResourceType
from planner.config.checks import RANGES
from planner.config.world import LATER
from planner.model import Attrs, Unknown
from planner.schema import Field

Data: TypeAlias = dict[str, Any]

PEERS = ("vcsim", "recording")
"""What a type may be tested against that nobody here wrote. A type with neither is labelled TWIN_ONLY."""
TWIN_ONLY = "twin only"

CHECKS: Mapping[str, str] = {
    "ip": "IP address", "ipv4": "IPv4 address", "netmask": "netmask", "mac": "MAC address", "hostname": "host name",
    "fqdn": "fully qualified name", "url": "URL", "syslog_target": "udp://…, tcp://… or ssl://…", "path": "path",
}
"""What a check of a text demands; those of numbers are ranges."""


def reference(catalog: Catalog) -> Data:
    """`{"types": […], "acts": […], "refused": {…}}`; see `_type`, `_operation`. Acts are steps of other providers."""
    types = list(catalog.types.values())
    of_types = {operation.name for rtype in types for operation in rtype.operations}
    return {
        "types": [_type(rtype, catalog) for rtype in types],
        "acts": [_operation(o, None) for name, o in catalog.operations.items() if name not in of_types],
        "refused": refused(catalog),
    }


def refused(catalog: Catalog) -> dict[str, str]:
    """Blocks and keys that are known and not supported → what they are for; those that types have by now left out."""
    known = set(catalog.types) | {name for t in catalog.types.values() for name in t.fields}
    found = {**LATER, **catalog.reserved}
    return {key: found[key] for key in sorted(found) if key not in known or key in catalog.reserved}


def _type(rtype: ResourceType, catalog: Catalog) -> Data:
    return {
        "name": rtype.name, "doc": rtype.doc, "address": address(rtype), "label": rtype.label_doc, "row": rtype.order,
        "life": "setting" if rtype.setting else "object", "attributes": list(_attributes(rtype.fields)),
        "rules": list(rules(rtype)), "newborn": sorted(rtype.baseline), "reads": list(rtype.paths),
        "operations": [_operation(o, rtype) for o in rtype.operations],
        "children": [child.name for child in catalog.children(rtype.name)] if not rtype.parent else [],
        "tested": list(rtype.tested), "twin_only": not set(PEERS) & set(rtype.tested),
    }


def address(rtype: ResourceType) -> str:
    """How an object of the type is written: `host.LABEL.vswitch["LABEL"]`."""
    if not rtype.parent:
        return f"{rtype.name}.LABEL"
    return f"{rtype.parent}.LABEL.{rtype.name}" + ("" if rtype.singleton else '["LABEL"]')


# --- attributes -------------------------------------------------------------------------------------------


def _attributes(fields: Mapping[str, Field], prefix: str = "") -> Iterator[Data]:
    """One row a field, what is inside of objects and lists after it: `ha.enabled`, `targets[].address`."""
    for name, field in fields.items():
        path = prefix + name
        yield {
            "name": path, "kind": kind(field), "required": field.required, "default": default(field),
            "takes": takes(field), "doc": field.doc, "notes": list(_notes(field)),
        }
        inner, mark = field, ""
        if field.kind in ("list", "map") and field.items is not None:
            inner, mark = field.items, "[]" if field.kind == "list" else ".*"
        if inner.kind == "object":
            yield from _attributes(inner.fields, f"{path}{mark}.")


def kind(field: Field) -> str:
    """`list of string`, `reference to cluster`; the kind alone for scalars."""
    if field.kind in ("list", "map") and field.items is not None:
        name = "set" if field.unordered and field.kind == "list" else field.kind
        return f"{name} of {kind(field.items)}"
    if field.kind == "ref":
        return f"reference to {' or '.join(field.to)}" if field.to else "reference"
    return field.kind


def default(field: Field) -> Any:
    """The default of a created object, where it has one; an unknown one is read after birth."""
    return None if isinstance(field.default, Unknown) else field.default


def takes(field: Field) -> str:
    """Which values are accepted: the words of an enumeration, a range, the name of a format; "" for any."""
    if field.enum:
        return " | ".join(field.enum)
    low, high = RANGES.get(field.check, (None, None))
    low, high = (field.minimum if field.minimum is not None else low), (
        field.maximum if field.maximum is not None else high)
    if low is not None and high is not None:
        return f"{low} to {high}"
    if low is not None or high is not None:
        return f"from {low}" if low is not None else f"up to {high}"
    if field.check:
        return CHECKS[field.check]
    return takes(field.items) if field.items is not None and field.items.kind != "object" else ""


def _notes(field: Field) -> Iterator[str]:
    if field.computed:
        yield "only read"
    if field.replace:
        yield "a change replaces the object"
    if field.always and field.default is not None:
        yield "the default holds for existing objects, too"
    if field.kind == "secret":
        yield "a secret(…) reference"
    if not field.observed:
        yield "cannot be read back: compared with state"


def rules(rtype: ResourceType) -> Iterator[str]:
    """The rules across objects, each as a sentence."""
    for name in dict.fromkeys(n for n in (rtype.key, *rtype.unique) if n):
        yield f"`{name}` is unique across the fleet"
    for name in rtype.distinct:
        yield f"no two of them on one {rtype.parent or 'parent'} share a value of `{name}`"
    for name, other in rtype.siblings.items():
        yield f"`{name}` names a {other} of the same {rtype.parent}"
    yield from (f"`{name}` is at most that of its {other}" for name, other in rtype.within.items())
    if rtype.shared:
        names = ", ".join(f"`{name}`" for name in rtype.shared)
        yield (f"one name is one object on all hosts of the {rtype.shared_within or 'fleet'}: "
               f"{names} must agree")
    for other, owned in rtype.owns.items():
        yield f"it owns the {other} {', '.join(owned)}: declaring both is an error"


# --- operations -------------------------------------------------------------------------------------------


def _operation(operation: Operation, rtype: ResourceType | None) -> Data:
    return {
        "name": operation.name, "kind": operation.kind, "call": operation.call, "does": operation.does,
        "doc": operation.doc, "provider": operation.provider,
        "attributes": [] if rtype is None else [n for n in operation.attributes if n in rtype.fields],
        "inverse": operation.inverse, "irreversible": words(operation.irreversible), "loses": operation.loses,
        "window": operation.window, "disruptive": words(operation.disruptive),
        "stopped": operation.stopped, "timeout": operation.timeout, "privileges": list(operation.privileges),
    }


def words(said: str | Callable[[Attrs | None, Attrs | None], str]) -> str:
    """A text, or what a predicate's docstring says of when it holds. A predicate without one says "by its values"."""
    if isinstance(said, str):
        return said
    doc = inspect.getdoc(said) or ""
    return " ".join(doc.split()).rstrip(".") or "by its values"
