"""The state document, `format: 1`: State ↔ JSON bytes, with a checksum over its content.

Shape: `{"format": 1, "sum": HEX, "fleet", "lineage", "serial", "instance", "run", "merged", "complete", "outputs",
"resources": [{"address", "type", "origin", "id", "schema_version", "attributes", "facts"}, …]}`, one resource a
line, sorted by address. `sum` is SHA-256 over the canonical JSON (sorted keys, no spaces) of everything else, so
that reformatting is harmless and an edited value is noticed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec

from planner.model import Address, Diagnostic, FleetError, State, StateResource, decode, encode

FORMAT = 1

_json = msgspec.json.Encoder(order="sorted")


class _Resource(msgspec.Struct):
    address: str
    type: str
    origin: Literal["created", "adopted"]
    attributes: dict[str, Any]
    id: str = ""
    schema_version: int = 1
    facts: dict[str, Any] = {}


class _Document(msgspec.Struct):
    fleet: str
    lineage: str
    serial: int
    resources: list[_Resource]
    instance: str = ""
    run: str = ""
    merged: int = 0
    complete: bool = True
    outputs: dict[str, Any] = {}


class Encoder:
    """State → bytes. Resources that did not change since the last call are not encoded again."""

    def __init__(self) -> None:
        self._known: dict[Address, tuple[StateResource, str, bytes]] = {}

    def encode(self, state: State) -> list[bytes]:
        """The document in parts, ready to be written one after another."""
        known = self._known
        fresh: dict[Address, tuple[StateResource, str, bytes]] = {}
        for address, resource in state.resources.items():
            entry = known.get(address)
            if entry is None or entry[0] is not resource:
                entry = (resource, str(address), _resource_line(resource))
            fresh[address] = entry
        self._known = fresh
        lines = [line for _resource, _text, line in sorted(fresh.values(), key=lambda entry: entry[1])]
        head: dict[str, Any] = {
            "format": FORMAT, "fleet": state.fleet, "lineage": state.lineage, "serial": state.serial,
            "instance": state.instance, "run": state.run, "merged": state.merged, "complete": state.complete,
            "outputs": encode(state.outputs),
        }  # fmt: skip
        top = b"".join(b",\n%s: %s" % (_json.encode(key), _json.encode(value)) for key, value in head.items())
        start = b'{"sum": "%s"%s,\n"resources": [' % (_checksum(head, lines).encode(), top)
        return [start, b",".join(b"\n" + line for line in lines), b"\n]}\n"]


def _resource_line(resource: StateResource) -> bytes:
    return _json.encode({
        "address": str(resource.address), "type": resource.address.rtype, "origin": resource.origin,
        "id": resource.id, "schema_version": resource.schema_version, "attributes": encode(resource.attributes),
        "facts": encode(resource.facts),
    })  # fmt: skip


def _checksum(head: dict[str, Any], lines: Iterable[bytes]) -> str:
    total = hashlib.sha256(_json.encode(head))
    for line in lines:
        total.update(b"\n")
        total.update(line)
    return total.hexdigest()


def _damaged(source: str, detail: str, remedy: str) -> FleetError:
    return FleetError(Diagnostic("error", "the state file cannot be used", f"{source}: {detail}", remedy=remedy))


def load(data: bytes, source: str, *, remedy: str, edited: bool = False) -> State:
    """Bytes → State. `source` names the file in errors, `remedy` what to do about damage.

    `edited`: a document without `sum` is accepted (somebody edited it and means it). Raises FleetError where the
    document is truncated, edited, from a newer format, or not a state document.
    """
    try:
        document = msgspec.json.decode(data)
    except msgspec.DecodeError as error:
        raise _damaged(source, f"it is truncated or overwritten, no complete JSON ({error})", remedy) from None
    if not isinstance(document, dict) or not isinstance(document.get("format"), int):
        raise _damaged(source, "it is no state document (no `format`)", remedy)
    if document["format"] > FORMAT:
        raise FleetError(Diagnostic(
            "error", "the state was written by a newer fleet",
            f"{source}: its format is {document['format']}, this version reads up to {FORMAT}",
            remedy="Use the newer version of fleet; nothing was read or changed.",
        ))  # fmt: skip
    stated = document.pop("sum", None)
    if not (stated is None and edited):
        resources = document.get("resources")
        head = {key: value for key, value in document.items() if key != "resources"}
        if _checksum(head, map(_json.encode, resources if isinstance(resources, list) else ())) != stated:
            raise _damaged(source, "it was edited by hand or damaged: its checksum does not match", remedy)
    try:
        parsed = msgspec.convert(document, _Document)
        resources = _resources(parsed.resources)
    except (msgspec.ValidationError, ValueError) as error:
        raise _damaged(source, str(error), remedy) from None
    return State(
        lineage=parsed.lineage, serial=parsed.serial, fleet=parsed.fleet, instance=parsed.instance,
        resources=resources, outputs=decode(parsed.outputs), run=parsed.run, merged=parsed.merged,
        complete=parsed.complete,
    )  # fmt: skip


def _resources(entries: Sequence[_Resource]) -> dict[Address, StateResource]:
    found: dict[Address, StateResource] = {}
    for entry in entries:
        address = Address.parse(entry.address)
        if address in found:
            raise ValueError(f"{entry.address} is there twice")
        if address.rtype != entry.type:
            raise ValueError(f"{entry.address} is said to be a {entry.type!r}")
        found[address] = StateResource(
            address, entry.origin, decode(entry.attributes), entry.id, decode(entry.facts), entry.schema_version
        )
    return found
