"""What live looks like now, as the planner compares it: digests per address, and drift."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from planner.catalog import Catalog
from planner.model import Address, Attrs, Drift, Live, LiveHost, LiveObject, Resource, State, StateResource, Unknown
from planner.model import digest as value_digest


def live_digest(catalog: Catalog, live: Live, address: Address) -> str:
    """Digest of what a plan depends on at one address: managed attributes, identity, connection.

    Counters, times, MoRefs and VM placement are not part of it.
    """
    host = live.hosts.get(address.root)
    facts: dict[str, Any] = {}
    if host is not None:
        facts["connection"] = host.connection
        if not address.child_type:
            facts["uuid"] = host.uuid
    if live.unknown(address):
        facts["unread"] = True
    found = live.objects.get(address)
    if found is not None and "unread" not in facts:
        fields = catalog.types[address.rtype].fields
        facts["attributes"] = {k: v for k, v in found.attributes.items() if k in fields and fields[k].observed}
    return value_digest(facts)


def live_digests(catalog: Catalog, live: Live, addresses: Iterable[Address]) -> dict[str, str]:
    """Digests of these addresses and of the roots that they hang on, by address text."""
    wanted = {a for address in addresses for a in (address, address.root)}
    return {str(a): live_digest(catalog, live, a) for a in sorted(wanted)}


def from_state(state: State | None) -> Live:
    """What live would be if it were exactly as state says (`--no-refresh`)."""
    if state is None:
        return Live("", {}, {})
    objects = {a: LiveObject(a, r.attributes, r.id) for a, r in state.resources.items()}
    hosts = {
        a: LiveHost(a, r.id, "connected", str(r.facts.get("uuid", "")), str(r.attributes.get("mac", "")),
                    str(r.facts.get("boot_time", "")))
        for a, r in state.resources.items() if a.type == "host" and not a.child_type
    }
    return Live(state.instance, objects, hosts)


def same(expected: Any, found: Any) -> bool:
    """Whether live has what is expected: nested maps by the expected keys, unknowns never equal anything."""
    if expected == found:
        return not isinstance(expected, Unknown)
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        return all(k in found and same(v, found[k]) for k, v in expected.items())
    if isinstance(expected, (list, tuple)) and isinstance(found, (list, tuple)):
        return list(expected) == list(found)
    return False


def restrict(wanted: Any, found: Any) -> Any:
    """`found`, reduced to the keys that `wanted` names (recursively through maps)."""
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        return {k: restrict(v, found.get(k)) for k, v in wanted.items()}
    return found


def mismatch(expected: Attrs | None, found: Attrs | None) -> str:
    """Words for the first way in which `found` is not `expected`; "" where it is. Unknowns match anything.

    Live's own unknown (a role that lockdown mode hides) is no contradiction either.
    """
    if expected is None:
        return "" if found is None else "it exists already"
    if found is None:
        return "it does not exist"
    for key, value in expected.items():
        if isinstance(value, Unknown):
            continue
        if key not in found:
            return f"{key} cannot be read"
        if not _fits(value, found[key]):
            return f"{key} is {found[key]!r}, expected {value!r}"
    return ""


def _fits(expected: Any, found: Any) -> bool:
    if isinstance(expected, Unknown) or isinstance(found, Unknown):
        return True
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        return all(_fits(v, found.get(k)) for k, v in expected.items())
    return same(expected, found)


def find_drift(catalog: Catalog, resources: Mapping[Address, StateResource], live: Live,
               desired: Mapping[Address, Resource], void: frozenset[Address]) -> tuple[Drift, ...]:
    """What live has that state does not expect. `void`: hosts whose attributes say nothing (gone, reborn)."""
    drift: list[Drift] = []
    for address, recorded in resources.items():
        if live.unknown(address) or (address.child_type and address.root in void):
            continue
        found = live.objects.get(address)
        if found is None:
            if address.child_type and address.root not in live.hosts:
                continue  # its host is gone: one line for the host says it
            drift.append(Drift(address, "", "present", "absent", resolved=address not in desired))
            continue
        if same(recorded.attributes, found.attributes):
            continue
        fields = catalog.types[address.rtype].fields
        wanted = desired[address].attributes if address in desired else {}
        for name, expected in recorded.attributes.items():
            if name not in fields or not fields[name].observed or isinstance(expected, Unknown):
                continue
            now = found.attributes.get(name)
            if not same(expected, now) and not isinstance(now, Unknown):
                now = restrict(expected, now)
                drift.append(Drift(address, name, expected, now, name in wanted and same(wanted[name], now)))
    return tuple(drift)
