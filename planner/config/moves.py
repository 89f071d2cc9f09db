"""`moved` and `removed`: what happens to objects whose address left the file."""

from __future__ import annotations

from planner.config.bodies import Bodies
from planner.config.files import Document
from planner.config.nodes import Map, Node, Scalar, is_null, literal
from planner.config.problems import suggest
from planner.config.typed import describe
from planner.config.world import World
from planner.model import Address


def moved(document: Document, world: World, bodies: Bodies) -> tuple[tuple[Address, Address], ...]:
    """`moved: [{from: ADDRESS, to: ADDRESS}]`; of a `for_each` block that was renamed, every instance."""
    found: dict[Address, Address] = {}
    for node in document.moved:
        pair = _addresses(node, "moved", ("from", "to"), world)
        if pair is None:
            continue
        (old, old_at), (new, new_at) = pair["from"], pair["to"]
        block = bodies.blocks.get(new.type, {}).get(new.label)
        if block is not None and block.several and not (new.key or old.key or new.child_type) and old.type == new.type \
                and old.label != new.label and not bodies.blocks[old.type].get(old.label):
            for key, instance in bodies.expand(block).items():  # a whole for_each block has a new label
                found[Address(old.type, old.label, key)] = instance.address
        elif old.rtype != new.rtype or old.type != new.type:
            world.problems.error("moved between types", f"{old} is a {old.rtype}, {new} is a {new.rtype}", new_at,
                                 "an object keeps its type")
        elif old == new or old in found or new in found.values():
            world.problems.error("moved twice", f"{old} to {new}", old_at,
                                 "each address moves once, to a place of its own")
        elif is_declared(bodies, old):
            world.problems.error("moved from an address that is still declared", f"{old}", old_at,
                                 "rename its block, or remove the `moved:` entry")
        elif not is_declared(bodies, new):
            world.problems.error("moved to an address that is not declared", f"{new}", new_at, "declare it")
        else:
            found[old] = new
    return tuple(found.items())


def removed(document: Document, world: World, bodies: Bodies) -> dict[Address, bool]:
    """`removed: [{from: ADDRESS, destroy: false}]`: address → whether it is destroyed too."""
    found: dict[Address, bool] = {}
    for node in document.removed:
        one = _addresses(node, "removed", ("from",), world, "destroy")
        if one is None or not isinstance(node, Map):
            continue
        address, at = one["from"]
        item = node.items.get("destroy")
        destroy = literal(item) if isinstance(item, Scalar) else item is not None
        if not isinstance(destroy, bool) or (item is not None and not isinstance(item, Scalar)):
            world.problems.error("wrong type", "removed.destroy: true or false is expected",
                                 item.at if item is not None else at)
            continue
        if is_declared(bodies, address):
            world.problems.error("removed, and still declared", f"{address}", at,
                                 "remove its block, or the `removed:` entry")
        elif address in found:
            world.problems.error("removed twice", f"{address}", at, "remove one of the two")
        else:
            found[address] = destroy
    return found


def _addresses(node: Node, kind: str, keys: tuple[str, ...], world: World,
               *optional: str) -> dict[str, tuple[Address, int]] | None:
    problems = world.problems
    if not isinstance(node, Map):
        if not is_null(node):
            problems.error("wrong type", f"{kind}: a list of maps is expected, {describe(node)} found", node.at,
                           f"write {kind}: [{{{', '.join(f'{k}: ADDRESS' for k in keys)}}}]")
        return None
    found: dict[str, tuple[Address, int]] = {}
    for key in node.items:
        if key not in keys and key not in optional:
            problems.error("unknown key", f"{kind}.{key}", node.key_at(key), suggest(key, (*keys, *optional)))
    for key in keys:
        item = node.items.get(key)
        if item is None:
            problems.error("a required key is missing", f"{kind}.{key}", node.at, f"add {key}: ADDRESS")
            continue
        try:
            if not isinstance(item, Scalar):
                raise ValueError(f"{describe(item)} found")
            text = item.text.removeprefix("${").removesuffix("}") if item.text.startswith("${") else item.text
            address = Address.parse(text.strip())
            if address.type not in world.types or address.rtype not in world.catalog.types:
                raise ValueError(f"{text!r}: there is no resource type {address.rtype!r}")
            found[key] = (address, item.at)
        except ValueError as error:
            problems.error("not an address", f"{kind}.{key}: {error}", item.at,
                           'write TYPE.LABEL or TYPE.LABEL["KEY"], in quotes inside { } and [ ]')
    return found if len(found) == len(keys) else None


def is_declared(bodies: Bodies, address: Address) -> bool:
    """Whether the fleet declares an address."""
    block = bodies.blocks.get(address.type, {}).get(address.label)
    if block is None:
        return False
    instance = bodies.expand(block).get(address.key)
    if instance is None:
        return False
    return not address.child_type or address.child in instance.hanging.get(address.child_type, {})


