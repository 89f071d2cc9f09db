"""The JSON Schema for editors: complete, well-formed, and never stricter than the loader."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from planner.config import json_schema
from planner.config.nodes import plain
from tests.support.config_catalog import BLOCKS, catalog
from tests.unit.config.test_cases import CASES, expected
from tests.unit.config.test_load import CONTRACT

SCHEMA = json_schema(catalog(), BLOCKS)
TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}


class Core(yaml.SafeLoader):
    """YAML 1.2 core scalars, as editors that follow the contract read them."""


def _scalar(_loader: Any, node: Any) -> Any:
    return node.value if node.style else plain(node.value)


Core.yaml_implicit_resolvers = {}
Core.add_implicit_resolver("tag:yaml.org,2002:merge", re.compile("<<$"), ["<"])
Core.add_constructor("tag:yaml.org,2002:str", _scalar)


def matches(schema: Any, value: Any) -> bool:
    """The part of JSON Schema that ours uses."""
    if "$ref" in schema:
        return matches(SCHEMA["$defs"][schema["$ref"].removeprefix("#/$defs/")], value)
    if "anyOf" in schema and not any(matches(s, value) for s in schema["anyOf"]):
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    if "type" in schema and not any(_is(t, value) for t in _list(schema["type"])):
        return False
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        return False
    if isinstance(value, (int, float)) and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        return False
    if isinstance(value, list):
        return all(matches(schema.get("items", {}), item) for item in value)
    return not isinstance(value, dict) or _object(schema, value)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _is(name: str, value: Any) -> bool:
    if name in ("integer", "number"):
        return not isinstance(value, bool) and isinstance(value, int if name == "integer" else (int, float))
    return isinstance(value, TYPES[name])


def _object(schema: Any, value: dict[str, Any]) -> bool:
    if any(key not in value for key in schema.get("required", ())):
        return False
    for key, item in value.items():
        found = [schema["properties"][key]] if key in schema.get("properties", {}) else []
        found += [s for p, s in schema.get("patternProperties", {}).items() if re.search(p, key)]
        extra = schema.get("additionalProperties", True)
        if not found and extra is False:
            return False
        if not all(matches(s, item) for s in found or ([extra] if isinstance(extra, dict) else [])):
            return False
    return True


def nodes(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        yield schema
        for item in schema.values():
            yield from nodes(item)
    elif isinstance(schema, list):
        for item in schema:
            yield from nodes(item)


def read(text: str) -> Any:
    return yaml.load(text, Core)


def test_it_is_json_with_good_references_and_patterns() -> None:
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    for node in nodes(SCHEMA):
        if isinstance(node.get("$ref"), str):
            assert node["$ref"].removeprefix("#/$defs/") in SCHEMA["$defs"]
        if isinstance(node.get("pattern"), str):
            re.compile(node["pattern"])


def test_every_type_field_and_provider_is_in_it_with_its_description() -> None:
    for rtype in catalog().types.values():
        body = SCHEMA["$defs"][rtype.name]
        body = body if "properties" in body else body["anyOf"][0]
        for name, field in rtype.fields.items():
            assert (name in body["properties"]) is not field.computed
            if not field.computed:
                assert body["properties"][name]["description"] == field.doc
    for provider, fields in BLOCKS.items():
        assert set(SCHEMA["properties"]["provider"]["properties"][provider]["properties"]) == set(fields)


@pytest.mark.parametrize("path", [p for p in CASES if not any("# error" in line for line in expected(p))],
                         ids=lambda p: p.stem)
def test_it_takes_every_valid_case(path: Path) -> None:
    assert matches(SCHEMA, read(path.read_text()))


def test_it_takes_the_contracts_example() -> None:
    assert matches(SCHEMA, read(CONTRACT))


@pytest.mark.parametrize(("old", "new"), [
    ("cluster:\n", "clutser:\n"), ("dns: {servers:", "dns: {server:"), ("mtu: 1500", "mtu: 15000"), ("vlan: 20",
    "vlan: x"),
    ("readOnly", "readonly"), ("provider:\n", "provider:\n  vspere: {}\n"), ("uplinks: [vmnic0]", "uplinks: vmnic0"),
    ("name: lab\n", "nam: lab\n"), ("'${secret(\"env:ESX_ROOT_PASSWORD\")}'", "hunter2"),
    ("cluster: ${cluster.prod}", "cluster: prod"), ("netmask: 255.255.255.0", "netmask: 255.255.255"),
])
def test_it_refuses_what_the_loader_refuses(old: str, new: str) -> None:
    assert old in CONTRACT
    assert not matches(SCHEMA, read(CONTRACT.replace(old, new)))
