"""A file's bytes to an asyncio transport by sendfile(2), noticing progress and the end of the connection.

`loop.sendfile` does the same and falls short twice: its future never ends when the connection is aborted from our
side, and it asks epoll anew for every piece. This one works on a duplicate of the socket, registered once.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

PIECE = 1 << 21
"""Most bytes for one call: others want their turn."""


async def send_file(transport: asyncio.Transport, descriptor: int, start: int, end: int,
                    moved: Callable[[int], None]) -> None:
    """Send the bytes [start, end). `moved(position)` is called after every piece.

    Raises OSError: the connection has ended, or the file is shorter than `end` (the caller must then cut it off).
    """
    if start >= end:
        return
    loop = asyncio.get_running_loop()
    while transport.get_write_buffer_size():  # the headers, to a peer that reads nothing
        if transport.is_closing():
            raise ConnectionResetError("the machine has gone")
        await asyncio.sleep(0.01)
    if transport.is_closing():
        raise ConnectionResetError("the machine has gone")
    done: asyncio.Future[None] = loop.create_future()
    out = os.dup(transport.get_extra_info("socket").fileno())
    at = start

    def piece() -> None:
        nonlocal at
        try:
            sent = os.sendfile(out, descriptor, at, min(PIECE, end - at))
        except BlockingIOError:
            return
        except OSError as error:
            _fail(done, error)
            return
        if sent == 0:
            _fail(done, OSError(f"the file has become shorter: {at} of {end} bytes"))
            return
        at += sent
        moved(at)
        if at >= end and not done.done():
            done.set_result(None)

    reading = transport.is_reading()
    transport.pause_reading()  # one request after the other; the peer's end shows when we write
    try:
        loop.add_writer(out, piece)
        try:
            await done
        finally:
            loop.remove_writer(out)
    finally:
        os.close(out)
        if reading and not transport.is_closing():
            transport.resume_reading()


def _fail(done: asyncio.Future[None], error: OSError) -> None:
    if not done.done():
        done.set_exception(error)
