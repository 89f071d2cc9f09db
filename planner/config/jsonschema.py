"""JSON Schema (2020-12) of fleet files, for completion and first checks in editors.

Never stricter than the loader: every value may be an expression or null ("not set", and what takes away a
profile's value), and nothing is required of bodies that a profile may complete.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from planner.catalog import Catalog, ResourceType
from planner.config.checks import PATTERNS, RANGES
from planner.config.world import LATER
from planner.schema import Field

Schema: TypeAlias = dict[str, Any]

LABEL = "^[A-Za-z][A-Za-z0-9_]*$"
EXPRESSION: Schema = {"type": "string", "pattern": r"\$\{", "description": "an expression: ${…}"}
ANY: Schema = {}


def json_schema(catalog: Catalog, blocks: Mapping[str, Mapping[str, Field]]) -> Schema:
    """The schema of one fleet file. `blocks`: schema of each provider's block."""
    roots = [t for t in catalog.types.values() if not t.parent]
    definitions: Schema = {"expression": EXPRESSION, "lifecycle": _lifecycle()}
    properties: Schema = {
        "fleet": _fleet(), "include": _doc({"anyOf": [{"type": "string"}, _list({"type": "string"})]},
                                           "more files or folders, relative to this file"),
        "variable": _labelled(_variable(), "inputs: --var NAME=VALUE, --var-file FILE"),
        "locals": _labelled(ANY, "named values"),
        "provider": _object({n: _object(_fields(f), required=_required(f)) for n, f in blocks.items()},
                            "settings of providers"),
        "image": _labelled(_image(), "boot images"),
        "output": _labelled(_object({"value": ANY, "sensitive": {"type": "boolean"}, "description": {"type": "string"}},
                                    required=["value"]), "values that `fleet output` prints"),
        "check": _labelled(_object({"assert": _or({"type": "boolean"}), "message": {"type": "string"}},
                                   required=["assert"]), "assertions"),
        "moved": _some(_object({"from": {"type": "string"}, "to": {"type": "string"}}, required=["from", "to"]),
                       "objects that have a new address"),
        "removed": _some(_object({"from": {"type": "string"}, "destroy": {"type": "boolean"}}, required=["from"]),
                         "objects that left the file: forgotten, or destroyed"),
    }
    for rtype in roots:
        kids = catalog.children(rtype.name)
        for kid in kids:
            definitions[kid.name] = _child(kid)
        definitions[rtype.name] = _body(rtype, kids)
        properties[rtype.name] = _labelled({"$ref": f"#/$defs/{rtype.name}"}, rtype.doc)
        if kids:
            properties["profile"] = _labelled(_body(rtype, kids, profile=True),
                                              f"bodies that a {rtype.name} can build on")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema", "title": "A fleet file", "type": "object",
        "properties": {k: v for k, v in properties.items() if k not in LATER or k in catalog.types},
        "additionalProperties": False,
        "$defs": definitions,
    }


def _doc(schema: Schema, text: str) -> Schema:
    return {**schema, "description": text} if text else schema


def _object(properties: Schema, doc: str = "", *, required: list[str] | None = None, null: bool = False) -> Schema:
    schema: Schema = {"type": ["object", "null"] if null else "object", "properties": properties,
                      "additionalProperties": False}
    if required:
        schema["required"] = required
    return _doc(schema, doc)


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _some(item: Schema, doc: str) -> Schema:
    return _doc({"anyOf": [item, _list(item)]}, doc)


def _labelled(body: Schema, doc: str) -> Schema:
    return _doc({"type": ["object", "null"], "patternProperties": {LABEL: body}, "additionalProperties": False}, doc)


def _or(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"$ref": "#/$defs/expression"}, {"type": "null"}]}


def _fleet() -> Schema:
    return _object({
        "name": _doc({"type": "string", "pattern": r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"}, "name of the fleet"),
        "requires": _doc({"type": "string"}, 'versions of fleet that it works with: ">=0.1"'),
        "state": _doc({"type": ["string", "object"]}, "folder of state, or settings of a state back end"),
    }, "the fleet itself", required=["name"])


def _variable() -> Schema:
    return _object({
        "type": _doc({"type": "string"}, "string, number, int, bool, any, list(…), set(…), map(…)"),
        "default": ANY, "sensitive": _doc({"type": "boolean"}, "only references to secrets are accepted"),
        "description": {"type": "string"},
    }, null=True)


def _image() -> Schema:
    from planner.config.outcome import IMAGE

    return _object(_fields(IMAGE), required=["source"])


def _lifecycle() -> Schema:
    from planner.config.blocks import LIFECYCLE

    return _object(_fields(LIFECYCLE), "what plans may do with it")


def _body(rtype: ResourceType, kids: list[ResourceType], *, profile: bool = False) -> Schema:
    from planner.config.blocks import META

    properties = _fields(rtype.fields)
    for kid in kids:
        ref: Schema = {"$ref": f"#/$defs/{kid.name}"}
        if kid.singleton:
            properties[kid.name] = _doc(ref, kid.doc)
        else:
            properties[kid.name] = _doc({"anyOf": [{"type": ["object", "null"], "additionalProperties": ref},
                                                   {"$ref": "#/$defs/expression"}]}, kid.doc)
    properties["lifecycle"] = {"$ref": "#/$defs/lifecycle"}
    properties["depends_on"] = _doc({"anyOf": [{"type": "string"}, _list({"type": "string"})]}, META["depends_on"])
    if kids:
        properties["profile"] = _doc({"type": "string"}, META["profile"])
        properties["exclusive"] = _doc(_or({"type": "boolean"}), META["exclusive"])
    if not profile:
        properties["for_each"] = _doc({"type": ["object", "array", "string"]}, META["for_each"])
    return _object(properties, rtype.doc, null=True)


def _child(rtype: ResourceType) -> Schema:
    properties = _fields(rtype.fields)
    properties.setdefault("lifecycle", {"$ref": "#/$defs/lifecycle"})
    properties.setdefault("depends_on", {"anyOf": [{"type": "string"}, _list({"type": "string"})]})
    body = _object(properties, rtype.doc)
    shapes: list[Schema] = [body, {"$ref": "#/$defs/expression"}, {"type": "null"}]
    if rtype.shorthand:
        shapes.insert(1, _field(rtype.fields[rtype.shorthand]))
    return {"anyOf": shapes, "description": rtype.doc}


def _fields(fields: Mapping[str, Field]) -> Schema:
    return {name: _field(field) for name, field in fields.items() if not field.computed}


def _required(fields: Mapping[str, Field]) -> list[str]:
    return [name for name, field in fields.items() if field.required and not field.computed]


def _field(field: Field) -> Schema:
    schema = _typed(field)
    if isinstance(field.default, (str, int, float, bool)):
        schema["default"] = field.default
    return _doc(schema, field.doc)


def _typed(field: Field) -> Schema:
    kind = field.kind
    if kind in ("ref", "image", "secret"):
        return {"anyOf": [{"$ref": "#/$defs/expression"}, {"type": "null"}]}
    if kind == "bool":
        return _or({"type": "boolean"})
    if kind == "scalar":
        return {"type": ["string", "number", "boolean", "null"]}
    if kind in ("int", "float"):
        number: Schema = {"type": "integer" if kind == "int" else "number"}
        low, high = RANGES.get(field.check, (None, None))
        for key, limit, default in (("minimum", field.minimum, low), ("maximum", field.maximum, high)):
            if limit is not None or default is not None:
                number[key] = limit if limit is not None else default
        return _or(number)
    if kind == "list":
        item = _field(field.items) if field.items else ANY
        return _or({"anyOf": [item, _list(item)]} if field.lone else _list(item))
    if kind == "map":
        return _or({"type": "object", "additionalProperties": _field(field.items) if field.items else ANY})
    if kind == "object":
        return _or(_object(_fields(field.fields)))
    if field.enum:
        numbers = [int(e) if e.isdigit() else float(e) for e in field.enum if e.replace(".", "", 1).isdigit()]
        return _or({"enum": [*field.enum, *numbers]})
    if field.check in PATTERNS:
        return _or({"type": "string", "pattern": PATTERNS[field.check]})
    return {"type": ["string", "number", "null"]}
