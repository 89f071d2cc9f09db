"""Who is calling: the session, the client's stub and the method of the call in progress, per thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from providers.twin.core.sessions import Session


@dataclass(slots=True)
class Context:
    """One call. `stub` is what MoRefs in the answer are bound to: the client's in-process stub, None over the wire."""

    session: Session | None = None
    stub: Any = None
    address: str = "127.0.0.1"
    agent: str = ""
    issued: str = ""  # session key that this call created: the door hands it to the client
    version: str = ""  # API version (pyVmomi's name) of a call that came over the wire


_local = threading.local()
_NOBODY = Context()


def current() -> Context:
    """The call in progress on this thread; an empty one outside of calls."""
    return getattr(_local, "context", _NOBODY)


@contextmanager
def calling(context: Context) -> Iterator[Context]:
    """Makes `context` current for this thread."""
    before = getattr(_local, "context", _NOBODY)
    _local.context = context
    try:
        yield context
    finally:
        _local.context = before
