"""Creates changelog topics the way that recovery needs them.

In: the broker's address, table names with their partitions. Out: compacted topics.
Never: a changelog with another number of partitions than its source; that is an error, not a change.
"""

from collections.abc import Mapping

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

# A recovery reads the log from its start, so compaction has to be early: small segments (only closed ones are compacted),
# closed after a minute, compacted once a tenth is dirty. A tombstone lives for a day, longer than any recovery.
_CHANGELOG = {
    "cleanup.policy": "compact",
    "segment.bytes": str(16 * 1024 * 1024),
    "segment.ms": "60000",
    "min.cleanable.dirty.ratio": "0.1",
    "delete.retention.ms": str(24 * 3600 * 1000),
    "message.timestamp.type": "LogAppendTime",
}


class ChangelogError(RuntimeError):
    """A changelog topic exists with another number of partitions."""


def changelog_topic(app_id: str, table: str) -> str:
    """Return the topic that Faust uses for a table.

    >>> changelog_topic("measures", "state")
    'measures-state-changelog'
    """
    return f"{app_id}-{table}-changelog"


def ensure_changelogs(
    bootstrap: str, app_id: str, tables: Mapping[str, int], *, replication: int = 1, timeout_s: float = 30.0
) -> None:
    """Create the missing changelog topics of an app; idempotent, and safe when several workers call it at once.

    Parameters
    ----------
    tables
        Partitions by table name: those of the topic whose agent writes the table.

    Raises
    ------
    ChangelogError
        A topic exists with another number of partitions.
    confluent_kafka.KafkaException
        The broker refused or could not be reached.
    """
    wanted = {changelog_topic(app_id, table): partitions for table, partitions in tables.items()}
    # The client must outlive its futures, or they fail.
    admin = AdminClient({"bootstrap.servers": bootstrap})
    requests = [
        NewTopic(name, num_partitions=partitions, replication_factor=replication, config=_CHANGELOG)
        for name, partitions in wanted.items()
    ]
    for future in admin.create_topics(requests, request_timeout=timeout_s).values():
        try:
            future.result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
    topics = admin.list_topics(timeout=timeout_s).topics
    for name, partitions in wanted.items():
        if name in topics and len(topics[name].partitions) != partitions:
            raise ChangelogError(f"{name} has {len(topics[name].partitions)} partitions, {partitions} are needed")
