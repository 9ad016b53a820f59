"""The jars of Apache Kafka, by a lock file.

In: kafka.lock (Maven path and SHA-256 of each jar), the address of a Maven repository.
Out: the jars' paths in a per-user cache, every one checked against its hash.
Never: a jar that the lock does not name, nor one whose bytes differ; nothing is resolved at run time.
"""

import logging
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path

import platformdirs
import pooch
import requests
from jgo.constants import MAVEN_CENTRAL_URL

LOCK = Path(__file__).with_name("kafka.lock")
_THREADS = 8
_CONNECT_S, _READ_S = 10, 60
Progress = Callable[[int, int], None]


class JarsUnavailable(RuntimeError):
    """Kafka's jars are neither in the cache nor to be had; the message says what to do."""


def default_cache() -> Path:
    """Return the per-user folder in which jars are kept."""
    return Path(platformdirs.user_cache_dir("footlights")) / "maven"


def fetch_jars(
    *, cache: Path | None = None, maven_url: str | None = None, on_progress: Progress | None = None
) -> list[Path]:
    """Return the locked jars, downloading those that the cache lacks.

    Parameters
    ----------
    cache
        Folder of the jars; the per-user one by default.
    maven_url
        Address of a repository in Maven's layout; Maven Central by default.
    on_progress
        Called from this thread with (jars at hand, jars in all) as they arrive.

    Raises
    ------
    JarsUnavailable
        When a jar cannot be fetched, or is not the one that the lock names.
    """
    folder = cache or default_cache()
    url = (maven_url or MAVEN_CENTRAL_URL).rstrip("/") + "/"
    store = pooch.create(path=folder, base_url=url, registry=None, retry_if_failed=2)
    store.load_registry(LOCK)
    pooch.get_logger().setLevel(logging.WARNING)
    download = pooch.HTTPDownloader(timeout=(_CONNECT_S, _READ_S))
    total = len(store.registry)
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="jars") as threads:
        pending = {threads.submit(store.fetch, name, downloader=download) for name in store.registry}
        jars: list[Path] = []
        while pending:
            done, pending = wait(pending, return_when=FIRST_EXCEPTION, timeout=0.1)
            try:
                jars += [Path(job.result()) for job in done]
            except (requests.RequestException, OSError, ValueError) as error:
                threads.shutdown(cancel_futures=True)
                raise JarsUnavailable(_advice(folder, url, error)) from error
            if on_progress is not None and done:
                on_progress(len(jars), total)
    return sorted(jars)


def _advice(folder: Path, url: str, error: Exception) -> str:
    if isinstance(error, ValueError):
        return f"A jar of Apache Kafka from {url} is not the one that kafka.lock names ({error}). Use another address."
    return (
        f"Apache Kafka's jars could not be fetched from {url} into {folder} ({type(error).__name__}). "
        "Check the network, or set FOOTLIGHTS_MAVEN_URL to a repository that this machine reaches, "
        "or set FOOTLIGHTS_KAFKA to the address of a running broker."
    )
