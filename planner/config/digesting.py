"""The digest of a configuration: equal where it means the same, on any machine that has the files.

Comments, the order of blocks and keys, and how a value is written do not matter; secrets count as references. What refers to
computed values counts by its source text, so that the digest does not depend on what state happens to know.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from typing import Any

import msgspec

from planner.config.files import Document
from planner.config.nodes import Node, canonical
from planner.model import NO_LIFECYCLE, Address, Fleet, SecretRef, Unknown


def fleet_digest(fleet: Fleet, document: Document, computed: Mapping[Address, Node]) -> str:
    """SHA-256, hex. `computed`: sources of the resources that are made from computed values."""
    here = fleet.folder + os.sep

    def portable(text: str) -> str:
        """A path below the fleet's folder does not depend on where the folder is."""
        prefix = "file:" if text.startswith("file:") else ""
        path = text[len(prefix):]
        return f"{prefix}./{path[len(here):]}" if path.startswith(here) else text

    def other(value: Any) -> Any:
        if isinstance(value, SecretRef):
            return {"$secret": portable(value.reference)}
        if isinstance(value, Unknown):
            return {"$unknown": value.why}
        raise TypeError(f"cannot encode {type(value).__name__}")

    def paths(value: Any) -> Any:
        if isinstance(value, str):
            return portable(value)
        if isinstance(value, Mapping):
            return {key: paths(item) for key, item in value.items()}
        return [paths(item) for item in value] if isinstance(value, list) else value

    encode = msgspec.json.Encoder(enc_hook=other, order="sorted").encode
    lines: list[bytes] = []
    bodies: dict[int, bytes] = {}  # hosts share what they have from a profile
    for address, resource in fleet.resources.items():
        source = computed.get(address) if computed else None
        if source is not None:
            body = encode({"source": canonical(source)})
        else:
            known = bodies.get(id(resource.attributes))
            body = known if known is not None else bodies.setdefault(
                id(resource.attributes), encode(resource.attributes))
        lines.append(encode((address.type, address.label, address.key, address.child_type, address.child)) + body)
        if resource.references or resource.exclusive or resource.lifecycle is not NO_LIFECYCLE:
            lifecycle = resource.lifecycle
            lines[-1] += encode([sorted(map(str, resource.references)), resource.exclusive, lifecycle.prevent_destroy,
                                 lifecycle.ignore_changes])
    lines.sort()
    sha = hashlib.sha256(b"\n".join(lines))
    sha.update(encode({
        "name": fleet.name, "state": paths(fleet.state), "providers": paths(fleet.providers),
        "images": {n: [portable(i.source), i.sha256, i.build] for n, i in fleet.images.items()},
        "moved": [[str(a), str(b)] for a, b in fleet.moved],
        "removed": {str(a): destroy for a, destroy in fleet.removed.items()},
        "outputs": {n: canonical(node) for n, (node, _) in document.labelled["output"].items()},
        "checks": {n: canonical(node) for n, (node, _) in document.labelled["check"].items()},
    }))
    return sha.hexdigest()
