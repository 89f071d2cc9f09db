"""Addresses: how every object is named."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

LABEL = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")
_PART = re.compile(r"""\.?([A-Za-z][A-Za-z0-9_]*)|\.?\["((?:[^"\\]|\\.)*)"\]""")


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """`cluster.prod`, `host.esx["esx01"]`, `host.esx["esx01"].portgroup["VM Network"]`, `host.esx["esx01"].dns`."""

    type: str
    label: str
    key: str = ""  # for_each key; "" where the block has none
    child_type: str = ""
    child: str = ""  # "" for a root, and for a singleton child (dns)

    @property
    def root(self) -> Address:
        """The root resource (the host) that this object hangs on; itself for a root."""
        return Address(self.type, self.label, self.key) if self.child_type else self

    @property
    def rtype(self) -> str:
        """Name of the resource type in the catalogue."""
        return self.child_type or self.type

    @property
    def name(self) -> str:
        """The innermost name: what live calls this object unless an attribute says otherwise."""
        return self.child or self.child_type or self.key or self.label

    def under(self, child_type: str, child: str = "") -> Address:
        """The address of an object that hangs on this root."""
        return Address(self.type, self.label, self.key, child_type, child)

    def __str__(self) -> str:
        text = f"{self.type}.{self.label}"
        if self.key:
            text += f"[{_quote(self.key)}]"
        if self.child_type:
            text += f".{self.child_type}"
            if self.child:
                text += f".{self.child}" if LABEL.match(self.child) else f"[{_quote(self.child)}]"
        return text

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read an address as printed by `str`. Raises ValueError that says what is wrong."""
        parts: list[tuple[str, bool]] = []
        at = 0
        while at < len(text):
            found = _PART.match(text, at)
            if found is None:
                raise ValueError(f"not an address: {text!r} (unexpected text at column {at + 1})")
            quoted = found.group(2) is not None
            parts.append((json.loads(f'"{found.group(2)}"') if quoted else found.group(1), quoted))
            at = found.end()
        if len(parts) < 2 or parts[0][1] or parts[1][1]:
            raise ValueError(f'not an address: {text!r} (write TYPE.LABEL, or TYPE.LABEL["KEY"])')
        head, rest = parts[:2], parts[2:]
        key = rest.pop(0)[0] if rest and rest[0][1] else ""
        if len(rest) > 2 or (rest and rest[0][1]):
            raise ValueError(f"not an address: {text!r} (too many parts)")
        child_type = rest[0][0] if rest else ""
        child = rest[1][0] if len(rest) == 2 else ""
        return cls(head[0][0], head[1][0], key, child_type, child)
