"""The parent's side of TFTP: starts the process that serves it, answers its questions, and starts it again.

The bound sockets stay open here and are inherited by every child, so that requests wait in the kernel while a new
one starts. A child that is killed, crashes or hangs costs its transfers a retry, and nothing else.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from planner.model import Diagnostic
from providers.boot import pair as wire
from providers.boot.tree import Content, Forbidden, Gone

if TYPE_CHECKING:
    from typing import TypeAlias

QUIET_BEATS = 5
"""So many beats without a sign of life mean that a child hangs."""
STARTING_BEATS = 60
MAX_DEATHS, DEATHS_SECONDS = 5, 60.0
BACK_OFF = (0.0, 0.2, 0.5, 1.0)
STOP_SECONDS = 2.0
FILE_NOT_FOUND, ACCESS_VIOLATION, NOT_DEFINED = 1, 2, 0

Find: TypeAlias = "Callable[[str, str], Content | None]"
"""`find(name, client)`: raises Forbidden, Gone, OSError."""
Log: TypeAlias = "Callable[[str, str, int, int, str], None]"
"""`log(client, path, status, bytes, mac)`."""


@dataclass(slots=True)
class _Child:
    process: subprocess.Popen[bytes]
    pair: socket.socket
    errors: int  # descriptor of a memory file: its stderr
    spoken: bool = False
    quiet: int = 0
    reason: str = ""


class TftpServer:
    """Serves on bound UDP sockets from `start` to `stop`. Constructing does no I/O.

    `trouble` gets a Diagnostic when the process died five times in a minute; it is then started once a minute.
    """

    def __init__(self, socks: Sequence[socket.socket], find: Find, log: Log,
                 trouble: Callable[[Diagnostic], None] = lambda _diagnostic: None, *,
                 settings: wire.Settings | None = None, command: Sequence[str] = ()) -> None:
        self._socks, self._find, self._log, self._trouble = socks, find, log, trouble
        self._settings = settings or wire.Settings()
        self._command = command or (sys.executable, "-P", "-m", "providers.boot.tftpd")
        self._held: dict[int, tuple[Content, str]] = {}
        self._deaths: deque[float] = deque(maxlen=MAX_DEATHS)
        self._child: _Child | None = None
        self._stopping = threading.Event()
        self._wake = -1
        # One thread for as long as there are children: the kernel takes the thread that started one for its parent.
        self._thread = threading.Thread(target=self._run, name="tftp", daemon=True)

    def start(self) -> None:
        """Returns at once: the first requests wait in the socket until the process serves."""
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._thread.start()

    def stop(self) -> None:
        """End the process and free the ports."""
        self._stopping.set()
        if self._wake >= 0:
            os.eventfd_write(self._wake, 1)
            self._thread.join(timeout=30)
            os.close(self._wake)
            self._wake = -1
        for sock in self._socks:
            sock.close()

    @property
    def active(self) -> int:
        """Transfers under way."""
        return len(self._held)

    @property
    def pid(self) -> int | None:
        """Of the process that serves now; None while there is none."""
        child = self._child
        return child.process.pid if child is not None else None

    # --- supervision ------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping.is_set():
            reason = ""
            try:
                child = self._child = self._spawn()
            except OSError as error:
                reason = f"it cannot be started: {error.strerror or error}"
            else:
                try:
                    self._converse(child)
                finally:
                    self._child = None
                    reason = self._bury(child)
            if not self._stopping.is_set():
                self._rest(self._died(reason))

    def _spawn(self) -> _Child:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        errors = os.memfd_create("tftp-errors")
        try:
            passed = (theirs.fileno(), *(sock.fileno() for sock in self._socks))
            arguments = (str(passed[0]), str(os.getpid()), msgspec.json.encode(self._settings).decode(),
                         *(str(number) for number in passed[1:]))
            # A process group of its own keeps a terminal's Ctrl-C away; the session stays ours.
            process = subprocess.Popen(  # noqa: S603  # our own interpreter
                (*self._command, *arguments), pass_fds=passed, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=errors, cwd="/", process_group=0, env=_environment())
        except BaseException:
            ours.close()
            os.close(errors)
            raise
        finally:
            theirs.close()
        ours.setblocking(False)
        return _Child(process, ours, errors)

    def _converse(self, child: _Child) -> None:
        """Answer the child until it ends, hangs, or is no longer wanted."""
        poll = select.poll()
        poll.register(child.pair, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        while not self._stopping.is_set():
            ready = poll.poll(self._settings.beat * 1000)
            if not ready:
                # Counted in waits, not in time: a laptop that slept, or Ctrl-Z, is not the child's fault.
                child.quiet += 1
                if child.quiet >= (QUIET_BEATS if child.spoken else STARTING_BEATS):
                    child.reason = "it no longer answers"
                    return
            if any(descriptor != self._wake for descriptor, _ in ready) and not self._listen(child):
                return

    def _listen(self, child: _Child) -> bool:
        """Take in what the child has said; False once it has ended."""
        for _ in range(64):
            try:
                message = wire.of_child(child.pair)
            except BlockingIOError:
                return True
            except (OSError, ValueError) as error:
                child.reason = f"its messages make no sense: {error}"
                return False
            if message is None:
                return False
            child.spoken, child.quiet = True, 0
            if not self._take(child, message):
                return False
        return True

    def _take(self, child: _Child, message: wire.FromChild) -> bool:
        if isinstance(message, wire.Ask):
            return self._answer(child, message)
        if isinstance(message, wire.Over):
            self._over(message.id, message.complete, message.bytes)
        elif isinstance(message, wire.Refused):
            self._log(message.client, message.name, message.status, 0, "")
        elif isinstance(message, wire.Failed):
            child.reason = message.reason
        return True

    def _bury(self, child: _Child) -> str:
        """End the child for good; why it ended."""
        process, stopped = child.process, self._stopping.is_set()
        with contextlib.suppress(OSError):
            child.pair.shutdown(socket.SHUT_WR)
        if stopped and child.spoken:  # it says what became of its transfers, and goes
            self._last_words(child)
        elif not stopped and not child.reason:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=STOP_SECONDS)  # it closed the pair: let it say how it ended
        if process.poll() is None:
            process.kill()
        process.wait()
        child.pair.close()
        written = os.pread(child.errors, 4096, max(0, os.fstat(child.errors).st_size - 4096))
        os.close(child.errors)
        for number in list(self._held):
            self._over(number, False, 0)
        last = written.decode(errors="replace").strip().rpartition("\n")[2][:300]
        code = process.returncode
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return child.reason or f"{how}: {last}".rstrip(": ")

    def _last_words(self, child: _Child) -> None:
        poll = select.poll()
        poll.register(child.pair, select.POLLIN)
        end = time.monotonic() + STOP_SECONDS
        while (left := end - time.monotonic()) > 0 and poll.poll(left * 1000):
            try:
                message = wire.of_child(child.pair)
            except (OSError, ValueError):
                return
            if message is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.process.wait(timeout=max(0.0, left))
                return
            if isinstance(message, wire.Over):
                self._over(message.id, message.complete, message.bytes)

    def _died(self, reason: str) -> float:
        """Write a death down; how many seconds to wait before the next start."""
        now = time.monotonic()
        self._deaths.append(now)
        recent = [at for at in self._deaths if now - at < DEATHS_SECONDS]
        if len(recent) < MAX_DEATHS:
            return BACK_OFF[min(len(recent) - 1, len(BACK_OFF) - 1)]
        self._deaths.clear()
        address, port = self._socks[0].getsockname()[:2]
        self._trouble(Diagnostic(
            "error", "the TFTP server does not stay up",
            f"its process for UDP port {port} at {address} died {MAX_DEATHS} times within a minute; last: {reason}",
            remedy="machines that boot by TFTP wait until it runs; it is started again once a minute"))
        return DEATHS_SECONDS

    def _rest(self, seconds: float) -> None:
        if seconds:
            self._stopping.wait(seconds)

    # --- answers ----------------------------------------------------------------------------------------

    def _answer(self, child: _Child, ask: wire.Ask) -> bool:
        """False where the child cannot be told."""
        content: Content | None = None
        try:
            content = self._find(ask.name, ask.client)
            if content is None:
                return self._refuse(child, ask, FILE_NOT_FOUND, 404)
            descriptor = _descriptor(content)
        except Forbidden:
            return self._refuse(child, ask, ACCESS_VIOLATION, 403)
        except Gone:
            return self._refuse(child, ask, NOT_DEFINED, 410)
        except Exception:  # a damaged record, a full disk: this request's trouble, never the server's
            return self._refuse(child, ask, NOT_DEFINED, 500)
        self._held[ask.id] = content, ask.client
        try:
            return self._tell(child, wire.Found(ask.id, content.size), descriptor)
        finally:
            os.close(descriptor)

    def _refuse(self, child: _Child, ask: wire.Ask, code: int, status: int) -> bool:
        self._log(ask.client, ask.name, status, 0, "")
        return self._tell(child, wire.Missing(ask.id, code))

    def _tell(self, child: _Child, message: wire.FromParent, descriptor: int | None = None) -> bool:
        for _ in range(QUIET_BEATS):
            try:
                wire.send(child.pair, message, descriptor)
            except BlockingIOError:
                poll = select.poll()
                poll.register(child.pair, select.POLLOUT)
                poll.poll(self._settings.beat * 1000)
            except OSError:
                return False
            else:
                return True
        child.reason = "it no longer listens"
        return False

    def _over(self, number: int, complete: bool, size: int) -> None:
        content, client = self._held.pop(number, (None, ""))
        if content is None:
            return
        self._log(client, content.label, 200 if complete else 499, size, content.mac)
        if not complete:
            return
        try:
            content.done()
        except Exception as error:  # a record that cannot be written costs no other machine its boot
            self._trouble(Diagnostic("error", "the end of a transfer could not be noted", f"{content.label}: {error}",
                                     remedy="make the fleet's folder writable, and free space there"))


def _descriptor(content: Content) -> int:
    """The content as an open descriptor of its own. Raises Gone, OSError."""
    if not isinstance(content.source, bytes):
        with content.open() as file:
            return os.dup(file.fileno())
    descriptor = os.memfd_create("tftp")
    try:
        left = memoryview(content.source)
        while left:
            left = left[os.write(descriptor, left):]
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _environment() -> dict[str, str]:
    """What an interpreter needs to start, and none of the secrets that this process may have been given.

    This package's place comes first; `-P` keeps the child from importing out of its working folder.
    """
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH", "")])])
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PYTHON", "LD_", "LC_", "LANG"))}
    return {**kept, "PYTHONPATH": path}
