"""What a person is told instead of a stack trace.

In: an exception that reached the edge of the command line.
Out: one sentence that says what to do, and the exit code; nothing for what only a developer can mend.
Never: a library imported for it: an exception of a library that was not loaded cannot have been raised.
"""

import re
import sys

WRAPPING = re.compile(r"^.*?DB::Exception: |\s*\(for url [^)]*\)\s*$", re.DOTALL)
PLACE = re.compile(r"host='([^']+)', port=(\d+)")
START = "start it with `footlights up --detach`, or look at `footlights doctor`"
#: Exceptions by the name of their class, where they or a parent are declared.
KINDS: tuple[tuple[str, str, str], ...] = (
    ("clickhouse_connect.driver.exceptions", "OperationalError", "ClickHouse cannot be reached"),
    ("cimpl", "KafkaException", "Kafka cannot be reached"),
    ("confluent_kafka.schema_registry.error", "SchemaRegistryError", "the schema registry refuses"),
    ("httpx", "TransportError", "the schema registry cannot be reached"),
    ("requests.exceptions", "ConnectionError", "the schema registry cannot be reached"),
)


def sentence(problem: BaseException) -> tuple[str, int] | None:
    """The sentence and exit code of a problem that a person can mend; None for any other."""
    from infra.addresses import NotRunning
    from infra.settings import BadSetting

    if isinstance(problem, (BadSetting, NotRunning)):
        return str(problem), 2
    if said := engine_said(problem):
        return said, 1
    for module, name, meaning in KINDS:
        if any((c.__module__, c.__name__) == (module, name) for c in type(problem).__mro__):
            return f"{meaning}: {_short(problem)}; {START}", 1
    for name, kind in (("schemas.topics", "TopicsDiffer"), ("infra.migrate", "MigrationFailed")):
        loaded = sys.modules.get(name)
        if loaded is not None and isinstance(problem, getattr(loaded, kind)):
            return str(problem), 1
    return None


def engine_said(problem: BaseException) -> str | None:
    """What ClickHouse answered, without the driver's wrapping; None when it is no answer of ClickHouse."""
    driver = sys.modules.get("clickhouse_connect.driver.exceptions")
    if driver is None or not isinstance(problem, driver.DatabaseError) or "DB::Exception" not in str(problem):
        return None
    return WRAPPING.sub("", str(problem)).strip()


def _short(problem: BaseException) -> str:
    if place := PLACE.search(str(problem)):
        return f"nothing answers at {place[1]}:{place[2]}"
    text = getattr(problem.args[0], "str", None) if problem.args else None
    words = str(text() if callable(text) else problem).strip().splitlines()
    return words[0][:200] if words else type(problem).__name__
