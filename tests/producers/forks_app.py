"""A service whose children track: `… forks_app HOW KAFKA REGISTRY FOLDER SOURCE`.

In: how it makes children: a name of WAYS; addresses, a folder.
Out: a file for each process in FOLDER/notes, with the ids of the events that it took; exit 0 when every child ended well.
Never: an event that is noted before `track` took it.
"""

import ctypes
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from footlights import Client
from footlights.client import _CHANGING
from footlights.native import Held
from footlights.spool import META
from footlights.wires import KafkaWire

CHILDREN, EACH, BUSY = 6, 60, 3
client: Client


def connect() -> None:
    """Make the client, as a module of the service does."""
    global client
    _, kafka, registry, folder, source = sys.argv[1:]
    client = Client(
        bootstrap_servers=kafka, schema_registry=registry, source=source, pseudonym_key="k" * 32, cache_dir=folder
    )


def track(count: int) -> None:
    """Track so many events, and note those that were taken."""
    with Path(sys.argv[4], "notes", str(os.getpid())).open("a") as notes:
        for number in range(count):
            outcome = client.track("search", user_id=f"u{number}")
            if outcome:
                notes.write(f"{outcome.message_id}\n")
                notes.flush()


def work(_: int) -> int:
    """What a child of `multiprocessing` does; it has a client already where it was forked."""
    if "client" not in globals():
        connect()
    track(EACH)
    return os.getpid()


def busy(stop: threading.Event) -> None:
    """Track all the time, so that a fork comes in the middle of it."""
    while not stop.is_set():
        track(1)


def holds(stop: threading.Event) -> None:
    """Hold every lock of the client, at rest: a thread inside the interpreter stops each child that Python is not told of."""
    state, wire = client._state, client._wire
    assert state.relay is not None and isinstance(wire, KafkaWire)
    with Held(state.lock), Held(state.relay._working), wire.schemas._lock.held(), _CHANGING.held():
        stop.wait()


def forked(
    fork: Callable[[], int], beside: Callable[[threading.Event], None], *, ends: Callable[[], object] | None = None
) -> bool:
    """Fork children while other threads do something."""
    stop = threading.Event()
    threads = [threading.Thread(target=beside, args=(stop,)) for _ in range(BUSY if beside is busy else 1)]
    for one in threads:
        one.start()
    pids = []
    for _ in range(CHILDREN):
        time.sleep(0.02)
        pid = fork()
        if not pid:
            code = 1
            try:
                track(EACH)
                code = 0 if (ends or (lambda: client.close(60)))() in (0, None) else 2
            finally:
                os._exit(code)
        pids.append(pid)
    time.sleep(0.02)
    stop.set()
    for one in threads:
        one.join()
    return not any(os.waitpid(pid, 0)[1] for pid in pids)


def twice() -> bool:
    """As a daemon starts: the child of a child, which ends without a word."""
    for _ in range(CHILDREN):
        if not os.fork():
            if not os.fork():
                track(EACH)
            os._exit(0)
        os.wait()
    done = time.monotonic() + 60
    while sum(len(file.read_text().split()) == EACH for file in Path(sys.argv[4], "notes").iterdir()) < CHILDREN:
        if time.monotonic() > done:
            return False
        time.sleep(0.05)
    return True


def alone() -> bool:
    """Whether the children have sent all of theirs before they ended: no folder but this process's own is in the spool."""
    return len([*Path(sys.argv[4]).rglob(META)]) == 1


def processes(method: str) -> bool:
    """Children of `multiprocessing`."""
    held = multiprocessing.get_context(method)
    children = [held.Process(target=work, args=(number,)) for number in range(CHILDREN)]
    for one in children:
        one.start()
    for one in children:
        one.join()
    return not any(one.exitcode for one in children) and alone()


def executor(method: str) -> bool:
    """Children of a pool."""
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method)) as pool:
        well = all(pool.map(work, range(CHILDREN)))
    return well and alone()


def terminated() -> bool:
    """Children that a pool ends by a signal, as it does at the end of its block."""
    with multiprocessing.get_context("fork").Pool(2) as pool:
        return all(pool.map(work, range(CHILDREN)))


def without_a_word() -> int:
    """A fork in C, as uWSGI does it: Python does not know of it, and no hook is called."""
    return int(ctypes.PyDLL(None).fork())


WAYS: dict[str, Callable[[], bool]] = {
    "fork": lambda: forked(os.fork, busy),
    "fork-in-c": lambda: forked(without_a_word, holds),
    "fork-in-c-and-leave": lambda: forked(without_a_word, holds, ends=lambda: None),
    "twice": twice,
    "multiprocessing-fork": lambda: processes("fork"),
    "multiprocessing-spawn": lambda: processes("spawn"),
    "multiprocessing-forkserver": lambda: processes("forkserver"),
    "executor-fork": lambda: executor("fork"),
    "executor-spawn": lambda: executor("spawn"),
    "pool-terminated": terminated,
}


def main() -> int:
    """Track, make children, track."""
    connect()
    track(1)
    well = WAYS[sys.argv[1]]()
    track(1)
    client.take_over(30)
    return int(client.close(60) != 0 or not well)


if __name__ == "__main__":
    sys.exit(main())
