"""Many hosts that are alike, served from one: the XML of a property is a template with holes for what is a host's own.

A template is learned from an answer that was made the long way, and is used for a host only when everything that the
twin keeps of that host is the same as of the one it was learned from, but for the names and numbers in the holes. It
is compared with the long way for the second host that it would serve, and for every fiftieth; where it differs (a value
is computed from an identity), that property is made the long way from then on. Any change to the twin drops them all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import msgspec
from pyVmomi import Iso8601

from providers.twin import san
from providers.twin.core.base import World
from providers.twin.core.context import Context
from providers.twin.core.meta import MethodFault, data, vim_type
from providers.twin.core.paths import Compiled, not_simulated, read_compiled
from providers.twin.core.selection import Selection
from providers.twin.objects.host import moment
from providers.twin.objects.host_vcenter import VcenterHost
from providers.twin.soap.answer import Written, write_value
from providers.twin.views import inquiry, stacks, storage

EVERY, TRIES = 50, 3
_HOLE = re.compile("\x01([0-9]+)\x02")
_MOST = 4096


@dataclass(slots=True)
class _Template:
    """One property. `parts`: text and numbers of holes in turn. `uses`: hosts that asked since it was learned."""

    parts: list[Any]
    uses: int = 1
    failed: int = 0

    def filled(self, values: tuple[str, ...]) -> str:
        return "".join([values[part] if type(part) is int else part for part in self.parts])


@dataclass(slots=True)
class Templates:
    """The templates of one world, for answers over the wire. Called under the world's lock."""

    world: World
    _known: dict[tuple[str, str, bytes], _Template] = field(default_factory=dict)
    _version: int = -1

    def content(self, selection: Selection, context: Context, obj: Any) -> Any:
        """The ObjectContent of a host, written already; None where it has to be made the long way."""
        if not isinstance(obj, VcenterHost) or not context.version or context.session is None:
            return None
        wanted = selection.wanted(type(obj))
        if wanted is None or wanted.everything:
            return None
        if self._version != self.world.version or len(self._known) > _MOST:
            self._known, self._version = {}, self.world.version
        values = own_values(obj)
        likeness = likeness_of(obj, values)
        try:
            for privilege in {compiled.privilege for _, compiled in wanted.paths}:
                self.world.sessions.require(context, obj, privilege)
            props = [self._property(context.version, likeness, values, obj, *each) for each in wanted.paths]
        except MethodFault:
            return None
        return Written(f'<objects><obj type="HostSystem">{obj.moid}</obj>{"".join(props)}</objects>')

    def _property(self, version: str, likeness: bytes, values: tuple[str, ...], obj: VcenterHost, path: str,
                  compiled: Compiled) -> str:
        key = (version, path, likeness)
        found = self._known.get(key)
        if found is None or found.failed >= TRIES:
            made = written(obj, path, compiled, version)
            if found is None:
                self._known[key] = _Template(_parts(made, values))
            return made
        found.uses += 1
        filled = found.filled(values)
        if found.uses == 2 or not found.uses % EVERY:
            made = written(obj, path, compiled, version)
            if made != filled:  # a name of the other host's was by chance in what all share: learn from this one
                self._known[key] = _Template(_parts(made, values), failed=found.failed + 1)
            return made
        return filled


def written(obj: Any, path: str, compiled: Compiled, version: str) -> str:
    """`<propSet>…</propSet>`, made the long way; "" where the property is unset. Raises MethodFaults."""
    if not compiled.attr:
        raise not_simulated(obj, path)
    value = read_compiled(obj, compiled, path)
    if value is None:
        return ""
    made = write_value(data("DynamicProperty", name=path, val=value), "propSet", vim_type("DynamicProperty"), version)
    return made.replace(' xmlns="urn:vim25"', "", 1)


def own_values(obj: VcenterHost) -> tuple[str, ...]:
    """What is a host's own, longest first where one may be in another; the same place means the same for all hosts."""
    box, doc = obj.box, obj.doc
    disk = san.local_disk(box)
    running = box.running
    ports = [str(port) for hba in storage.adapters(obj.house.inventory.site.san, box, obj.shown().config)
             for port in (getattr(hba, "portWorldWideName", None), getattr(hba, "nodeWorldWideName", None)) if port]
    told = [f"<data>{'</data><data>'.join(map(str, inquiry.signed(page)))}</data>" for page in inquiry.pages(disk)[1:3]]
    vnics = [text for nic in obj.shown().config.vnics.values() for text in (
        stacks.link_local(nic.mac) if nic.mac else "", nic.mac, nic.ip)]
    return (
        *told, san.default_name(box), doc.name, box.name, box.name.partition(".")[0], doc.uuid, box.uuid, doc.serial,
        box.serial, storage.lun_uuid(disk, 0), disk, disk.partition(".")[2], *ports, *box.nics, box.mac, *vnics, doc.ip,
        box.ip, _moment(running.boot_time if running else 0.0), obj.moid, obj.moid.removeprefix("host-"))


def _moment(seconds: float) -> str:
    return str(Iso8601.ISO8601Format(moment(seconds)))


def likeness_of(obj: VcenterHost, values: tuple[str, ...]) -> bytes:
    """Everything that the twin keeps of a host, with holes for what is its own."""
    encode, replace = msgspec.json.encode, msgspec.structs.replace
    box, doc, shown = obj.box, obj.doc, obj.shown()
    running = replace(shown, accounts={}, boot_time=0.0, issued=0.0, called="", certificate="")
    told = (replace(box, running=None, disk=None), box.disk is not None, replace(doc, seen=None, thumbprint=""),
            doc.seen is not None, running)
    text = encode(told).decode()
    return _with_holes(text, values[:-1]).encode()


def _with_holes(text: str, values: tuple[str, ...]) -> str:
    for number, value in enumerate(values):
        if value and value in text:
            text = text.replace(value, f"\x01{number}\x02")
    return text


def _parts(text: str, values: tuple[str, ...]) -> list[Any]:
    """Text and holes in turn. The bare number of a host is a hole only in ids of its managers."""
    *named, number = values
    text = _with_holes(text, tuple(named))
    text = re.sub(rf"-{number}(?=[<\"])", f"-\x01{len(named)}\x02", text)
    pieces: list[Any] = _HOLE.split(text)
    pieces[1::2] = map(int, pieces[1::2])
    return pieces


