"""Every Kafka topic as data: key, partitions, retention, cleanup and the record that it carries.

In: the families.
Out: TOPICS.
Never: a change of a topic's number of partitions in place; a new topic takes over.
"""

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
