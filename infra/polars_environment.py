"""How polars runs in a process of ours: on one thread, and keeping for ten seconds the memory that the next batch needs again.

In: nothing.
Out: environment variables, to be set before polars is imported.
Never: a variable that an operator has set.
"""

import os
from typing import Final

#: jemalloc, polars' allocator, gives freed pages back after half a second by itself: a sink took them anew for every batch, two
#: fifths of all its page faults.
POLARS: Final = {"POLARS_MAX_THREADS": "1", "_RJEM_MALLOC_CONF": "dirty_decay_ms:10000,muzzy_decay_ms:10000"}


def set_polars() -> None:
    """Set them in this process."""
    for name, value in POLARS.items():
        os.environ.setdefault(name, value)
