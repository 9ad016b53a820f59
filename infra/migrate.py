"""Topics, schemas and tables as the contract declares them.

In: the settings, the addresses of Kafka, the schema registry and ClickHouse.
Out: every topic with its settings, every schema under its subject, every table and view.
Never: a change of a topic's number of partitions.
"""

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.cimpl import NewTopic
from confluent_kafka.schema_registry import ConfigCompatibilityLevel, Schema, SchemaRegistryClient, ServerConfig

from infra.addresses import Addresses
from infra.settings import Settings
from infra.store import connect
from schemas.families import versions
from schemas.topics import COMPATIBILITY, TOPICS, Found, Topic, TopicsDiffer, differences
from sinks.migrate import migrate as migrate_tables


def migrate(settings: Settings, addresses: Addresses) -> list[str]:
    """Bring topics, schemas and tables to what is declared, in the settings' reporting zone; returns what was done.

    Raises
    ------
    MigrationFailed, schemas.topics.TopicsDiffer, sinks.errors.MigrationError
        What is there and what is declared do not go together; the message says what to do.
    """
    done = migrate_topics(addresses.kafka, settings["FOOTLIGHTS_REPLICATION"])
    done += migrate_schemas(addresses.schema_registry)
    with connect(settings, addresses) as client:
        zone = settings["FOOTLIGHTS_REPORTING_ZONE"]
        return done + migrate_tables(client, settings["ANALYTICS_RETENTION_DAYS"], zone=zone)


class MigrationFailed(RuntimeError):
    """A topic or schema cannot be brought to what is declared; the message says which and why."""


def migrate_topics(bootstrap: str, replication: int = 1) -> list[str]:
    """Create the topics that are missing and set the others' settings; returns what was done."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 2})
    there = admin.list_topics(timeout=5).topics
    done = []
    forms = {
        t.name: Found(len(there[t.name].partitions) if t.name in there else t.partitions, t.cleanup)
        for t in TOPICS.values()
    }
    if wrong := differences(forms):  # what is missing is made, what is set otherwise is set anew
        raise TopicsDiffer("; ".join(wrong))
    missing = [
        NewTopic(t.name, t.partitions, replication, config=t.config) for t in TOPICS.values() if t.name not in there
    ]
    if missing:
        for name, created in admin.create_topics(missing).items():
            _wait(name, created)
            done.append(f"topic {name}")
    _configure(admin, [t for t in TOPICS.values() if t.name in there])
    return done


def _wait(name: str, created: object) -> None:
    try:
        created.result(30)  # type: ignore[attr-defined]
    except KafkaException as problem:
        if problem.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:  # another process migrates at the same time
            raise MigrationFailed(f"topic {name} cannot be created: {problem.args[0].str()}") from problem


def _configure(admin: AdminClient, topics: list[Topic]) -> None:
    resources = [
        ConfigResource(
            ConfigResource.Type.TOPIC,
            t.name,
            incremental_configs=[
                ConfigEntry(k, v, incremental_operation=AlterConfigOpType.SET) for k, v in t.config.items()
            ],
        )
        for t in topics
    ]
    if resources:
        for future in admin.incremental_alter_configs(resources).values():
            future.result(30)


def migrate_schemas(url: str) -> list[str]:
    """Register every version of every schema, oldest first; returns what was new."""
    registry, done = SchemaRegistryClient({"url": url, "timeout": 20}), []
    with registry:
        known = set(registry.get_subjects())
        for topic in TOPICS.values():
            if topic.subject not in known:
                registry.set_config(topic.subject, ServerConfig(compatibility=ConfigCompatibilityLevel(COMPATIBILITY)))
            before = len(registry.get_versions(topic.subject)) if topic.subject in known else 0
            for _, text in versions(topic.record.name):
                registry.register_schema(topic.subject, Schema(text, "AVRO"))
            after = len(registry.get_versions(topic.subject))
            done += [f"schema {topic.subject} version {n}" for n in range(before + 1, after + 1)]
    return done
