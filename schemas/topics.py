"""Every Kafka topic as data: key, partitions, retention, cleanup and the record that it carries.

In: the families.
Out: TOPICS.
Never: a change of a topic's number of partitions in place; a new topic takes over.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from schemas.families import FAMILIES, INTERNAL, Record

DAY_MS = 86_400_000


@dataclass(frozen=True)
class Topic:
    """A topic and the Avro record registered under `<name>-value`."""

    name: str
    record: Record
    key: str
    partitions: int
    retention_ms: int
    cleanup: str = "delete"
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def subject(self) -> str:
        """Subject of the value schema in the registry."""
        return f"{self.name}-value"

    @property
    def config(self) -> dict[str, str]:
        """Kafka's topic settings.

        LogAppendTime, since with the producer's own timestamps a replayed history is deleted at the next retention check.
        """
        return {
            "cleanup.policy": self.cleanup,
            "retention.ms": str(self.retention_ms),
            "message.timestamp.type": "LogAppendTime",
            "compression.type": "producer",
            **self.extra,
        }


_EVENTS = [
    Topic(f.topic, f, "tenant_id, then user_id or anonymous_id or message_id", 4, 7 * DAY_MS) for f in FAMILIES.values()
]
_OTHERS = [
    Topic("measures", INTERNAL["partial"], "family, partition, level, bucket, piece", 1, 2 * DAY_MS),
    Topic("kpi-points", INTERNAL["kpi_point"], "tenant_id, kpi, window, by", 1, 7 * DAY_MS),
    Topic("dead-letters", INTERNAL["dead_letter"], "topic, partition, offset", 1, 30 * DAY_MS),
    Topic("producer-reports", INTERNAL["producer_report"], "producer_id", 1, 30 * DAY_MS),
    Topic("sessions", INTERNAL["session"], "tenant_id, person", 1, 7 * DAY_MS),
    # A history for as long as events can be read again, so that a replay decides as the first reading did; then what was last said.
    Topic(
        "consents", INTERNAL["consent"], "tenant_id, subject", 1, -1, "compact",
        {"min.compaction.lag.ms": str(8 * DAY_MS), "max.compaction.lag.ms": str(30 * DAY_MS)},
    ),
]  # fmt: skip

TOPICS: dict[str, Topic] = {topic.name: topic for topic in [*_EVENTS, *_OTHERS]}
COMPATIBILITY = "FULL_TRANSITIVE"
#: Exit code of a process that found a topic other than declared. A supervisor does not start it again by itself.
EXIT_TOPICS = 77
REMEDY = "docs/topics.md tells the way back"


class TopicsDiffer(RuntimeError):
    """A topic is not as declared, or not the one that was read before; the message says which, and where the way back is told."""


@dataclass(frozen=True)
class Found:
    """A topic as a broker has it."""

    partitions: int
    cleanup: str = "delete"


def differences(found: Mapping[str, Found]) -> list[str]:
    """A sentence for each way in which a broker's topics are not what is declared; topics of others do not matter.

    Examples
    --------
    >>> there = {t.name: Found(t.partitions, t.cleanup) for t in TOPICS.values()}
    >>> differences(there), differences(there | {"of-others": Found(9)})
    ([], [])
    >>> differences(there | {"sessions": Found(3)})
    ['topic sessions has 3 partitions, not 1: a repeat may no longer meet its first record; docs/topics.md tells the way back']
    """
    out = []
    for topic in TOPICS.values():
        there = found.get(topic.name)
        if there is None:
            out.append(f"topic {topic.name} is not there; {REMEDY}")
            continue
        if there.partitions != topic.partitions:
            out.append(_of_partitions(topic, there.partitions))
        if _policies(there.cleanup) != _policies(topic.cleanup):
            out.append(
                f"topic {topic.name} has cleanup.policy {there.cleanup}, not {topic.cleanup}: Kafka may delete what must stay; "
                f"{REMEDY}"
            )
    return out


def undeclared(places: Iterable[tuple[str, int]]) -> str:
    """The sentence about the first of these partitions that is beyond its topic's declared number; "" when none is.

    Examples
    --------
    >>> undeclared([("events.commerce", 3), ("of-others", 7)])
    ''
    >>> undeclared([("events.commerce", 3), ("events.commerce", 5)])[:49]
    'topic events.commerce has 6 partitions or more, n'
    """
    beyond = [(t, p) for t, p in places if t in TOPICS and p >= TOPICS[t].partitions]
    if not beyond:
        return ""
    topic = min(beyond)[0]
    return _of_partitions(TOPICS[topic], f"{max(p for t, p in beyond if t == topic) + 1}", " or more")


def _of_partitions(topic: Topic, there: int | str, more: str = "") -> str:
    return (
        f"topic {topic.name} has {there} partitions{more}, not {topic.partitions}: a repeat may no longer meet its first "
        f"record; {REMEDY}"
    )


def _policies(cleanup: str) -> set[str]:
    return {word.strip() for word in cleanup.split(",")}
