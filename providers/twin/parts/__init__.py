"""Parts of the twin's documents, a module a domain, and the base of all documents."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

Plain: TypeAlias = dict[str, Any]
"""A pyVmomi data object as JSON-like data: set properties only (see `plain.to_plain`)."""


class Document(msgspec.Struct, omit_defaults=True):
    """Anything that the store keeps. Mutable: whoever changes one tells the store (`Store.save`)."""
