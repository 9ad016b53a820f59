"""How polars runs in a process of ours: on one thread, and keeping for ten seconds the memory that the next batch needs again.

In: nothing.
Out: environment variables, to be set before polars is imported; a C library that keeps freed memory likewise.
Never: a variable that an operator has set.
"""

import contextlib
import ctypes
import os
from typing import Final

#: jemalloc, polars' allocator, gives freed pages back after half a second by itself: a sink took them anew for every batch, two
#: fifths of all its page faults.
POLARS: Final = {"POLARS_MAX_THREADS": "1", "_RJEM_MALLOC_CONF": "dirty_decay_ms:10000,muzzy_decay_ms:10000"}


def set_polars() -> None:
    """Set them in this process."""
    for name, value in POLARS.items():
        os.environ.setdefault(name, value)


#: A sink's settings of glibc, each with the number that `mallopt` knows it by: blocks up to 32 MiB (the most that it takes) come
#: from the heap, which keeps up to 256 MiB that are free at its end.
_MALLOC: Final = (("MALLOC_MMAP_THRESHOLD_", -3, 32 << 20), ("MALLOC_TRIM_THRESHOLD_", -1, 256 << 20))


def keep_freed_memory() -> None:
    """Have glibc keep the buffers of a batch for the next one; without glibc nothing happens.

    By itself it takes each large one from the kernel, which clears its pages, and gives it back: a twentieth of a sink's CPU time.
    """
    with contextlib.suppress(OSError, AttributeError):
        tune = ctypes.CDLL(None).mallopt
        for name, number, size in _MALLOC:
            if name not in os.environ:
                tune(number, size)
