"""Memory that a burst has freed goes back to the system.

In: nothing.
Out: a smaller process, where the C library is glibc; nothing elsewhere.
Never: a pause of the event loop.

glibc keeps freed memory in an arena for each of many threads. A replayed history, whose windows all change at once, left a worker
at several times of what it held.
"""

import asyncio
import contextlib
import ctypes
from typing import Final

EVERY_S: Final = 20.0
ARENAS: Final = 2
_M_ARENA_MAX: Final = -8


def few_arenas() -> None:
    """Have threads share two arenas; call it before they start."""
    if (libc := _glibc()) is not None:
        libc.mallopt(_M_ARENA_MAX, ARENAS)


async def give_back() -> None:
    """Give freed memory back every few seconds, on a thread, until cancelled."""
    if (libc := _glibc()) is not None:
        while True:
            await asyncio.sleep(EVERY_S)
            await asyncio.to_thread(libc.malloc_trim, 0)


def _glibc() -> ctypes.CDLL | None:
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        if libc.malloc_trim and libc.mallopt:
            return libc
    return None
