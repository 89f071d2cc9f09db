"""The graph of a fleet's references, as dot and as mermaid. An arrow points at what is needed."""

from __future__ import annotations

from planner.catalog import Catalog
from planner.model import Address, Fleet


def edges(fleet: Fleet, catalog: Catalog) -> list[tuple[Address, Address]]:
    """Who needs whom: references, siblings that carry it (a port group's vSwitch), and else its host."""
    found: dict[tuple[Address, Address], None] = {}
    for address, resource in fleet.resources.items():
        if address.child_type:
            named = ((kind, resource.attributes.get(name))
                     for name, kind in catalog.types[address.rtype].siblings.items())
            below = [address.root.under(kind, value) for kind, value in named if isinstance(value, str)]
            for target in [b for b in below if b in fleet.resources] or [address.root]:
                found[address, target] = None
        for target in resource.references:
            if target != address and target in fleet.resources:
                found[address, target] = None
    return list(found)


def dot(fleet: Fleet, catalog: Catalog) -> str:
    """Graphviz; each host with what hangs on it is a cluster."""
    lines = [f"digraph {_quoted(fleet.name)} {{", "  rankdir=RL;", "  node [shape=box, fontname=\"sans-serif\"];"]
    hosts = dict.fromkeys(a.root for a in fleet.resources if a.root.type == "host")
    for number, host in enumerate(hosts):
        lines += [f"  subgraph cluster_{number} {{", f"    label={_quoted(str(host))};"]
        lines += [f"    {_quoted(str(a))} [label={_quoted(_short(a))}];" for a in fleet.resources if a.root == host]
        lines.append("  }")
    lines += [f"  {_quoted(str(a))};" for a in fleet.resources if a.root.type != "host"]
    lines += [f"  {_quoted(str(a))} -> {_quoted(str(b))};" for a, b in edges(fleet, catalog)]
    return "\n".join([*lines, "}"])


def mermaid(fleet: Fleet, catalog: Catalog) -> str:
    """Mermaid's flowchart, which repositories render in Markdown."""
    names = {address: f"n{number}" for number, address in enumerate(fleet.resources)}
    lines = ["flowchart RL"]
    hosts = dict.fromkeys(a.root for a in fleet.resources if a.root.type == "host")
    for number, host in enumerate(hosts):
        lines.append(f'  subgraph h{number} ["{_entities(str(host))}"]')
        lines += [f'    {names[a]}["{_entities(_short(a))}"]' for a in fleet.resources if a.root == host]
        lines.append("  end")
    lines += [f'  {names[a]}["{_entities(str(a))}"]' for a in fleet.resources if a.root.type != "host"]
    lines += [f"  {names[a]} --> {names[b]}" for a, b in edges(fleet, catalog)]
    return "\n".join(lines)


def _short(address: Address) -> str:
    return str(address)[len(str(address.root)):].lstrip(".") or str(address)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _entities(text: str) -> str:
    """Mermaid has no escapes: its entity codes stand for quotes and brackets."""
    return "".join(f"#{ord(c)};" if c in '"#[]<>|&;`' else c for c in text)
