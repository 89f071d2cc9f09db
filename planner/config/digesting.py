"""The digest of a configuration: equal where it means the same, on any machine that has the files.

Comments, the order of blocks and keys, and how a value is written do not matter; secrets count as references.
What refers to computed values counts by its source text and the values of variables and locals: the digest does not
depend on what state happens to know.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from typing import Any

import msgspec

from planner.config.nodes import canonical
from planner.config.values import ImageRef, Reference
from planner.config.world import World
from planner.model import NO_LIFECYCLE, Fleet, SecretRef


def fleet_digest(fleet: Fleet, world: World) -> str:
    """SHA-256, hex."""
    computed = world.computed
    here = fleet.folder + os.sep

    def portable(text: str) -> str:
        """A path below the fleet's folder does not depend on where the folder is."""
        prefix = "file:" if text.startswith("file:") else ""
        path = text[len(prefix):]
        return f"{prefix}./{path[len(here):]}" if path.startswith(here) else text

    def paths(value: Any) -> Any:
        if isinstance(value, str):
            return portable(value)
        if isinstance(value, SecretRef):
            return {"$secret": portable(value.reference)}
        if isinstance(value, Reference):
            return str(value.address)
        if isinstance(value, ImageRef):
            return value.name
        if isinstance(value, Mapping):
            return {key: paths(item) for key, item in value.items()}
        return [paths(item) for item in value] if isinstance(value, list) else value

    encode = msgspec.json.Encoder(order="sorted").encode
    lines: list[bytes] = []
    bodies: dict[int, bytes] = {}  # hosts share what they have from a profile
    for address, resource in fleet.resources.items():
        if computed and str(address) in computed:
            body = b"computed"
        else:
            attributes = resource.attributes
            known = bodies.get(id(attributes))
            if known is None:
                special = any(type(v) is SecretRef or type(v) is dict for v in attributes.values())
                known = bodies[id(attributes)] = encode(paths(attributes) if special else attributes)
            body = known
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
        "outputs": {n: [None if f"output.{n}" in computed else paths(o.value), o.sensitive]
                    for n, o in fleet.outputs.items()},
        "checks": {c.name: None if f"check.{c.name}" in computed else [c.passed, c.message] for c in fleet.checks},
        "computed": {n: [paths(canonical(node)), paths(each)] for n, (node, each) in computed.items()},
        "inputs": paths(world.inputs()) if computed else {},
    }))
    return sha.hexdigest()
