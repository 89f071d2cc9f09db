"""Blocks that are not resources: fleet, provider, image, output, check."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from planner.config.checks import Refused, quoted, url
from planner.config.files import Document
from planner.config.nodes import POISON, Map, Node, Scalar, Seq, is_null, literal
from planner.config.problems import Problems, suggest
from planner.config.typed import Fields, describe
from planner.config.values import ImageRef, Reference, words
from planner.config.world import World
from planner.model import Attrs, Check, Image, Mark, Output, Unknown
from planner.schema import Field, boolean, string

FLEET_KEYS = ("name", "requires", "state")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z")
_CONSTRAINT = re.compile(r"(>=|<=|==|!=|>|<)\s*([0-9]+(?:\.[0-9]+)*)\Z")
IMAGE = {
    "source": Field("string", "ISO, folder of boot files, or URL", required=True),
    "sha256": string("SHA-256 of the ISO, in hexadecimal"),
    "build": string("build number of the product, for adoption"),
}
OUTPUT = {"sensitive": boolean("show its name only"), "description": string("what it is")}


def header(node: Map, at: int, problems: Problems) -> tuple[str, Attrs, str]:
    """(name, state, requires) of a `fleet:` block; literals only. Reports what is wrong."""
    for key in node.items:
        if key not in FLEET_KEYS:
            problems.error("unknown key", f"fleet.{key}", node.key_at(key), suggest(key, FLEET_KEYS))
    for key in ("name", "requires"):
        item = node.items.get(key)
        if item is not None and not is_null(item) and (not isinstance(item, Scalar) or "${" in item.text):
            found = "an expression" if isinstance(item, Scalar) else describe(item)
            problems.error("wrong type", f"fleet.{key}: text is expected, {found} found", item.at,
                           "write it out: it is read before anything is evaluated")
    name_node = node.items.get("name")
    name = name_node.text if isinstance(name_node, Scalar) and not is_null(name_node) else ""
    if name_node is None or is_null(name_node):
        problems.error("a fleet needs a name", "fleet.name", at, "write fleet: {name: NAME}")
    elif isinstance(name_node, Scalar) and "${" not in name and (not _NAME.match(name) or ".." in name):
        problems.error("not a name for a fleet", f"{name!r}", name_node.at,
                       "letters, digits, - _ and . (at most 64); a folder is called so")
    requires = node.items.get("requires")
    return name, _state(node, problems), requires.text if isinstance(requires, Scalar) else ""


def _state(node: Map, problems: Problems) -> Attrs:
    """`state: FOLDER`, or `state: {backend: NAME, …}`: a relative `path` starts at the declaring file."""
    item = node.items.get("state")
    if item is None or is_null(item):
        return {}
    given = Map({"path": item}, [item.at], item.at) if isinstance(item, Scalar) else item
    if not isinstance(given, Map):
        problems.error("wrong type", f"fleet.state: a folder or a map is expected, {describe(item)} found", item.at)
        return {}
    values: dict[str, Any] = {}
    for key, one in given.items.items():
        if not isinstance(one, Scalar) or "${" in one.text:
            problems.error("wrong type", f"fleet.state.{key}: a literal is expected", one.at)
            continue
        values[key] = literal(one)
        if key == "path":
            values[key] = str((problems.sources.folder(one.at) / Path(one.text).expanduser()).resolve())
    return values


def check_version(requires: str, version: str, at: int, problems: Problems) -> None:
    """`requires: ">=0.1, <2"` against this tool's version."""
    have = _numbers(version)
    for part in requires.split(","):
        found = _CONSTRAINT.match(part.strip())
        if found is None:
            problems.error("not a version constraint", f"fleet.requires: {part.strip()!r}", at, 'write ">=0.1, <2"')
            return
        want = _numbers(found.group(2))
        size = max(len(have), len(want))
        a, b = have + (0,) * (size - len(have)), want + (0,) * (size - len(want))
        holds = {">=": a >= b, "<=": a <= b, "==": a == b, "!=": a != b, ">": a > b, "<": a < b}[found.group(1)]
        if not holds:
            problems.error("this fleet needs another version of fleet", f"it requires {requires}, this is {version}",
                           at, "install that version, or change fleet.requires")


def _numbers(version: str) -> tuple[int, ...]:
    found = re.match(r"[0-9]+(?:\.[0-9]+)*", version)
    return tuple(int(n) for n in found.group().split(".")) if found else (0,)


def providers(document: Document, world: World, blocks: Mapping[str, Mapping[str, Field]]) -> dict[str, Attrs]:
    """The `provider:` blocks, validated by each provider's own schema."""
    found: dict[str, Attrs] = {}
    for name, (node, at) in document.labelled["provider"].items():
        if name not in blocks:
            world.problems.error("unknown provider", f"provider.{name}", at, suggest(name, blocks, "installed"))
            continue
        body = _map(node, f"provider.{name}", at, world.problems)
        if body is not None:
            found[name] = Fields(blocks[name], f"provider.{name}").read(body, world.scope(), at)
    return found


def places(document: Document, problems: Problems) -> dict[str, Mark]:
    """Where the keys of the `provider:` blocks stand, by path: "provider.boot.ports.http", "….subnets[0]"."""
    found: dict[str, Mark] = {}

    def walk(path: str, node: Node, at: int) -> None:
        found[path] = problems.sources.mark(at)
        if isinstance(node, Map):
            for (key, inner), place in zip(node.items.items(), node.keys, strict=True):
                walk(f"{path}.{key}", inner, place)
        elif isinstance(node, Seq):
            for index, inner in enumerate(node.items):
                walk(f"{path}[{index}]", inner, inner.at)

    for name, (node, at) in document.labelled["provider"].items():
        walk(f"provider.{name}", node, at)
    return found


def _map(node: Node, name: str, at: int, problems: Problems) -> Map | None:
    if is_null(node):
        return Map({}, [], at)
    if isinstance(node, Map):
        return node
    problems.error("wrong type", f"{name}: a map is expected, {describe(node)} found", node.at)
    return None


def images(document: Document, world: World) -> None:
    """The `image:` blocks, into the world. Sources become absolute, from the declaring file's folder."""
    for name in document.labelled["image"]:
        world.images[name] = Image(name, "")  # references to it are good, even where its body is not
    for name, (node, at) in document.labelled["image"].items():
        body = _map(node, f"image.{name}", at, world.problems)
        if body is None:
            continue
        if "install" in body.items:
            world.problems.error("an image does not say where it is installed", f"image.{name}.install",
                                 body.key_at("install"), "write `install: {disk: first}` on the hosts that keep a disk")
            body = Map({k: v for k, v in body.items.items() if k != "install"},
                       [a for k, a in zip(body.items, body.keys, strict=True) if k != "install"], body.at)
        values = Fields(IMAGE, f"image.{name}").read(body, world.scope(), at)
        texts = {key: value if isinstance(value, str) else "" for key, value in values.items()}
        for key, value in values.items():
            if isinstance(value, Unknown) and value is not POISON:
                world.problems.error("an image must be known", f"image.{name}.{key} is known only after apply",
                                     body.items[key].at)
        digest = texts.get("sha256", "").lower()
        if digest and not re.fullmatch(r"[0-9a-f]{64}", digest):
            world.problems.error("not a SHA-256", f"image.{name}.sha256: 64 hexadecimal digits are expected",
                                 body.items["sha256"].at)
        source = texts.get("source", "")
        if source:
            source = _source(source, name, body.items["source"].at, world)
        world.images[name] = Image(name, source, digest, texts.get("build", ""), world.problems.sources.mark(at))


def _source(text: str, name: str, at: int, world: World) -> str:
    if "://" not in text:
        return world.path(text, at)
    try:
        if urlsplit(text).scheme not in ("http", "https"):
            raise Refused("not a URL", quoted(text), "images come from http://, https://, or a path")
        return url(text)
    except Refused as error:
        world.problems.error(error.summary, f"image.{name}.source: {error.detail}", at, error.remedy)
    except ValueError:
        world.problems.error("not a URL", f"image.{name}.source: {quoted(text)}", at, "check its port and brackets")
    return ""


def outputs(document: Document, world: World) -> dict[str, Output]:
    """The `output:` blocks: `{value: …, sensitive: false}`."""
    found: dict[str, Output] = {}
    fields = Fields(OUTPUT, "output")
    for name, (node, at) in document.labelled["output"].items():
        body = _map(node, f"output.{name}", at, world.problems)
        if body is None:
            continue
        meta = fields.read(body, world.scope(), at, {"value": None})
        if "value" not in body.items:
            world.problems.error("a required key is missing", f"output.{name}.value", at, "write {value: '${…}'}")
            continue
        scope = world.scope()
        found[name] = Output(shown(world.untyped(body.items["value"], scope)), meta.get("sensitive") is True)
        if scope.computed:
            world.computed[f"output.{name}"] = (body, None)
    return found


def shown(value: Any) -> Any:
    """A value without references: resources become addresses, images names."""
    if isinstance(value, Reference):
        return str(value.address)
    if isinstance(value, ImageRef):
        return value.name
    if isinstance(value, dict):
        return {key: shown(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shown(item) for item in value]
    return value


def checks(document: Document, world: World) -> tuple[Check, ...]:
    """The `check:` blocks: `{assert: '${…}', message: …}`."""
    found: list[Check] = []
    for name, (node, at) in document.labelled["check"].items():
        body = _map(node, f"check.{name}", at, world.problems)
        if body is None:
            continue
        for key in body.items:
            if key not in ("assert", "message"):
                world.problems.error("unknown key", f"check.{name}.{key}", body.key_at(key),
                                     suggest(key, ("assert", "message")))
        if "assert" not in body.items:
            world.problems.error("a required key is missing", f"check.{name}.assert", at, "write assert: '${…}'")
            continue
        condition = body.items["assert"]
        scope = world.scope()
        value = world.untyped(condition, scope)
        text = world.untyped(body.items["message"], scope) if "message" in body.items else ""
        if scope.computed:
            world.computed[f"check.{name}"] = (body, None)
        if not isinstance(value, (bool, Unknown)):
            world.problems.error("not true or false", f"check.{name}.assert is {words(value)}", condition.at,
                                 "write a comparison inside ${…}")
            continue
        if not isinstance(text, (str, Unknown)):
            world.problems.error("wrong type", f"check.{name}.message: text is expected, {words(text)} found",
                                 body.items["message"].at)
        message = text if isinstance(text, str) and text else f"check {name} failed"
        found.append(Check(name, value if isinstance(value, bool) else None, message, world.problems.sources.mark(at)))
    return tuple(found)
