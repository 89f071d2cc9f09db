"""One SOAP session that many threads share: logs in again when it expired, repeats what is safe to repeat.

Hooked in at the stub, below every pyVmomi object: a session may expire between any two calls of an operation.
"""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from planner.model import StepFailed

_READS = ("Retrieve", "Continue", "Cancel", "Query", "Find", "Fetch", "Has", "Wait", "Check", "CurrentTime", "Session")
_OWN = frozenset({"CreateContainerView", "CreateFilter", "CreatePropertyCollector", "DestroyView",
                  "DestroyPropertyFilter", "DestroyPropertyCollector", "Login", "Logout", "EvcManager"})
_NOT_READS = frozenset({"CancelTask"})
_BOUND = frozenset({"DestroyView", "ContinueRetrievePropertiesEx", "CancelRetrievePropertiesEx"})
"""Calls on what the session itself made: they cannot be repeated in a new session."""

NETWORK = (OSError, http.client.HTTPException)
"""What a broken connection raises (TimeoutError, ConnectionError and ssl.SSLError are OSErrors)."""


def mutates(method: str) -> bool:
    """Whether a method, by wire name, changes something that others can see."""
    return method in _NOT_READS or not (method in _OWN or method.startswith(_READS))


class Sent:
    """Which object each thread made its last mutating call on. Shared by all links of a session, hosts' doors too."""

    def __init__(self) -> None:
        self._local = threading.local()

    def note(self, obj: Any) -> None:
        self._local.target = obj

    @contextmanager
    def watched(self) -> Iterator[Callable[[], Any]]:
        """Gives a function that says on which object this thread made a mutating call inside the block, or None."""
        before = getattr(self._local, "target", None)
        self._local.target = None
        try:
            yield lambda: self._local.target
        finally:
            self._local.target = before


RENEWALS = 3
"""How often one call logs in again: another thread's session may expire in between."""


class Link:
    """A stub with a log-in. `login(content)` is called under a lock; `connect()` opens the session."""

    def __init__(self, stub: Any, login: Callable[[Any], None], sent: Sent | None = None) -> None:
        self.stub = stub
        self.sent = sent or Sent()
        self.content: Any = None
        self._login = login
        self._raw: Callable[..., Any] = stub.InvokeMethod
        self._lock = threading.Lock()
        self._generation = 0
        stub.InvokeMethod = self._invoke  # pyVmomi objects call their stub's attribute

    def connect(self, content: Any) -> None:
        self.content = content
        self._login(content)

    def _invoke(self, mo: Any, info: Any, args: Any, *more: Any, **named: Any) -> Any:
        from pyVmomi import vim

        method, changing = info.wsdlName, mutates(info.wsdlName)
        alone = self.content is None or method in ("Login", "Logout")
        renewals = 0 if alone else RENEWALS
        repeated = alone or changing
        if changing:
            self.sent.note(mo)
        while True:  # a restart of vCenter breaks the connection, and then the session is unknown, too
            generation = self._generation
            try:
                return self._raw(mo, info, args, *more, **named)
            except vim.fault.NotAuthenticated:
                # no effect took place, so even a mutating call may be repeated
                if not renewals:
                    raise
                renewals -= 1
                self._renew(generation)
                if method in _BOUND:
                    raise
            except NETWORK:
                if repeated:
                    raise
                repeated = True

    def _renew(self, generation: int) -> None:
        from pyVmomi import vim

        with self._lock:
            if generation != self._generation:
                return
            try:
                self._login(self.content)
            except vim.fault.InvalidLogin as problem:
                raise StepFailed("the session expired, and logging in again was refused", "InvalidLogin",
                                 "check user and password (they were right before), then resume") from problem
            self._generation += 1

    def close(self) -> None:
        """Log out and drop the connections; a server that is gone is no reason to fail."""
        from pyVmomi import vmodl

        try:
            if self.content is not None:
                self._raw_logout()
        except (*NETWORK, vmodl.MethodFault):
            pass
        self.stub.DropConnections()

    def _raw_logout(self) -> None:
        content, self.content = self.content, None  # from here on nothing logs in again
        content.sessionManager.Logout()
