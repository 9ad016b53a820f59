"""Each part of the platform, examined one by one.

In: settings, whatever runs.
Out: rows of part, ok, what was found, what to do.
Never: an exception; a part that cannot be examined is not ok.
"""

import os
import shutil
import sys
from collections.abc import Callable
from typing import Any

from infra.addresses import Addresses, NotRunning, resolve
from infra.settings import Settings

Found = tuple[bool, str, str]
LEAST_DISK_BYTES = 2 << 30


def examine(settings: Settings) -> list[dict[str, Any]]:
    """Look at everything; what needs a running stack says so when there is none."""
    checks: list[tuple[str, Callable[[], Found]]] = [
        ("python", _python),
        ("java", lambda: _java(settings)),
        ("kafka jars", lambda: _jars(settings)),
        ("data folder", lambda: _folder(settings)),
        ("disk", lambda: _disk(settings)),
    ]
    try:
        addresses = resolve(settings)
    except NotRunning as problem:
        checks.append(("stack", lambda sentence=str(problem): (False, "not running", sentence)))  # type: ignore[misc]
    else:
        checks += [
            ("kafka", lambda: _kafka(addresses)),
            ("topics", lambda: _topics(settings, addresses)),
            ("schema registry", lambda: _registry(addresses)),
            ("clickhouse", lambda: _clickhouse(settings, addresses)),
            ("processes", lambda: _processes(settings)),
        ]
    return [_row(part, check) for part, check in checks]


def _row(part: str, check: Callable[[], Found]) -> dict[str, Any]:
    try:
        ok, found, advice = check()
    except Exception as problem:  # whatever breaks an examination is what it finds
        ok, found, advice = (
            False,
            f"{type(problem).__name__}: {str(problem).splitlines()[0] if str(problem) else ''}",
            _ADVICE[part],
        )
    return {"part": part, "ok": ok, "found": found, "advice": "" if ok else advice}


_ADVICE = {
    "python": "install Python 3.11 or newer",
    "java": "set FOOTLIGHTS_JAVA to a Java 17 or newer",
    "kafka jars": "see FOOTLIGHTS_MAVEN_URL, or set FOOTLIGHTS_KAFKA to a broker of yours",
    "data folder": "set FOOTLIGHTS_DATA_DIR to a folder that you can write",
    "disk": "free some space, or set FOOTLIGHTS_DATA_DIR to another disk",
    "stack": "footlights up --detach",
    "kafka": "see logs in the data folder; `footlights up --detach` starts what is missing",
    "topics": "footlights up --detach, then footlights migrate",
    "schema registry": "footlights up --detach, then footlights migrate",
    "clickhouse": "footlights up --detach, then footlights migrate",
    "processes": "see the logs in the data folder; `footlights deadletters resume` releases a stopped worker",
}


def _python() -> Found:
    return sys.version_info >= (3, 11), sys.version.split()[0], _ADVICE["python"]


def _java(settings: Settings) -> Found:
    from infra.embedded.java import find_java

    if settings["FOOTLIGHTS_KAFKA"]:
        return True, "not needed", ""
    return True, str(find_java(settings["FOOTLIGHTS_JAVA"] or None).path), ""


def _jars(settings: Settings) -> Found:
    from infra.embedded.kafka_jars import fetch_jars

    if settings["FOOTLIGHTS_KAFKA"]:
        return True, "not needed", ""
    return True, f"{len(fetch_jars(maven_url=settings['FOOTLIGHTS_MAVEN_URL'] or None))} jars", ""


def _folder(settings: Settings) -> Found:
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    return os.access(settings.data_dir, os.W_OK), str(settings.data_dir), _ADVICE["data folder"]


def _disk(settings: Settings) -> Found:
    free = shutil.disk_usage(settings.data_dir).free
    return free > LEAST_DISK_BYTES, f"{free / 2**30:.1f} GiB free", _ADVICE["disk"]


def _kafka(addresses: Addresses) -> Found:
    from confluent_kafka.admin import AdminClient

    from schemas.topics import TOPICS

    there = AdminClient({"bootstrap.servers": addresses.kafka, "log_level": 2}).list_topics(timeout=5).topics
    missing = [name for name in TOPICS if name not in there]
    return (
        not missing,
        f"{addresses.kafka}, {len(there)} topics",
        f"footlights migrate creates {', '.join(missing[:3])}",
    )


def _topics(settings: Settings, addresses: Addresses) -> Found:
    from confluent_kafka.admin import AdminClient

    from infra.idle import misfits
    from infra.ledger import probe
    from schemas.topics import TOPICS

    consumer = probe(addresses.kafka)
    try:
        wrong = misfits(settings, consumer, AdminClient({"bootstrap.servers": addresses.kafka, "log_level": 2}))
    finally:
        consumer.close()
    return not wrong, "; ".join(wrong) or f"{len(TOPICS)} as declared", "docs/topics.md; `footlights topics repair`"


def _registry(addresses: Addresses) -> Found:
    from confluent_kafka.schema_registry import SchemaRegistryClient

    from schemas.topics import TOPICS

    with SchemaRegistryClient({"url": addresses.schema_registry, "timeout": 5}) as client:
        missing = {t.subject for t in TOPICS.values()} - set(client.get_subjects())
    return not missing, addresses.schema_registry, f"footlights migrate registers {len(missing)} schemas"


def _clickhouse(settings: Settings, addresses: Addresses) -> Found:
    from infra.query import json_rows
    from infra.store import connect

    with connect(settings, addresses) as client:
        rows = json_rows(
            client, "SELECT version() AS v, count() AS n FROM system.tables WHERE database = 'footlights'"
        )[1]
    return rows[0]["n"] > 0, f"ClickHouse {rows[0]['v']}, {rows[0]['n']} tables", "footlights migrate"


def _processes(settings: Settings) -> Found:
    from infra.cli.stack import current_status

    rows = current_status(settings)["processes"]
    wrong = [f"{p['name']} is {p['state']}" for p in rows if p["state"] != "running"]
    return not wrong, ", ".join(wrong) or f"{len(rows)} running", _ADVICE["processes"]
