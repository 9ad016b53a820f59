"""A process ends when the topics that it relies on are not, or are no longer, what is declared.

In: settings; the broker and, at the start, the store.
Out: one sentence as the last word of the process, and an exit code after which no supervisor starts it again by itself.
Never: an end because a service does not answer: that passes.
"""

import os
import sys
import threading
import time
from typing import NoReturn

from clickhouse_connect.driver.exceptions import ClickHouseError
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from infra import broker
from infra.addresses import resolve
from infra.idle import AGAIN_S, misfits
from infra.ledger import probe
from infra.settings import Settings
from schemas.topics import EXIT_TOPICS, REMEDY, differences

EVERY_S = 3.0
START_S = 5.0


def guard_topics(settings: Settings) -> None:
    """Refuse to start on topics that are not what they should be, then keep an eye on them from a thread of its own."""
    bootstrap = resolve(settings).kafka
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 2})
    if found := _at_start(settings, admin):
        leave(found[0])
    threading.Thread(target=_watch, args=(admin,), name="topics", daemon=True).start()


def leave(sentence: str) -> NoReturn:
    """End at once: no work is lost by it, since every process goes on where its last record was stored."""
    sys.stdout.flush()
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()
    os._exit(EXIT_TOPICS)


def _at_start(settings: Settings, admin: AdminClient) -> list[str]:
    """What two looks find, one after the other; nothing when a service is away or not migrated yet."""
    consumer = probe(resolve(settings).kafka)
    try:
        found = misfits(settings, consumer, admin, START_S)
        if not found or found == [broker.NOTHING]:
            return []
        time.sleep(AGAIN_S)
        return [line for line in misfits(settings, consumer, admin, START_S) if line in found]
    except KafkaException:
        return []
    except ClickHouseError:
        return _twice(admin)
    finally:
        consumer.close()


def _twice(admin: AdminClient) -> list[str]:
    """What two looks at the broker alone find."""
    try:
        found = differences(broker.forms(admin)[0])
        if found:
            time.sleep(AGAIN_S)
            found = [line for line in differences(broker.forms(admin)[0]) if line in found]
    except KafkaException:
        return []
    return found


def _watch(admin: AdminClient) -> NoReturn:
    known: dict[str, str] = {}
    while True:
        time.sleep(EVERY_S)
        try:
            _, ids = broker.forms(admin)
        except KafkaException:
            continue
        anew = [t for t, topic_id in ids.items() if known.get(t, topic_id) != topic_id]
        known |= ids
        if anew:
            leave(f"topic {anew[0]} was deleted and made anew; {REMEDY}")
        if known and (found := _twice(admin)):
            leave(found[0])
