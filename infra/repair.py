"""The way back for topics that are not as declared: their records are put aside, the topic is made anew, and they are put back.

In: what stands in the way, the broker, the store; a folder for what is put aside.
Out: topics as declared; what was read at the offset that it had, all else behind it, in the partition of its key.
Never: a record deleted before it is on disk, or one put back while a worker or a sink reads.
"""

import base64
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from infra import broker
from infra.broker import Place
from schemas.topics import TOPICS, Topic

#: Marks what was put back, or only takes an offset, so that an interrupted repair does not take it for news.
MARK = "footlights_restored"
#: How far behind the greatest known position the records of a topic that was made anew begin: the stream may have read beyond it.
SPARE = 10_000
QUIET_S, LEAVE_S, DELETED_S = 3.0, 40.0, 30.0


class CannotRepair(RuntimeError):
    """The message says why, and what to do instead."""


@dataclass(frozen=True)
class Damage:
    """A topic that is to be made anew, and what is known of it.

    `anew`: it is not the topic that was read before, so its offsets mean nothing. `stored` and `reached`: the next offset of the
    store, and of whoever is furthest, by partition. `commits`: offsets that its readers committed, by group.
    """

    topic: Topic
    anew: bool
    stored: dict[int, int]
    reached: dict[int, int]
    commits: dict[str, dict[int, int]] = field(default_factory=dict)
    #: Id of the topic as it was found, "" when it was not there.
    topic_id: str = ""

    def save(self, file: Path) -> None:
        """Keep it: once the topic is made anew nobody can tell any more how it was."""
        told = [self.topic_id, self.topic.name, self.anew, list(self.stored.items()), list(self.reached.items())]
        partial = file.with_suffix(".partial-plan")
        partial.write_text(json.dumps([*told, {g: list(held.items()) for g, held in self.commits.items()}]))
        partial.replace(file)


def load(file: Path) -> Damage:
    """What `save` kept."""
    topic_id, name, anew, stored, reached, commits = json.loads(file.read_text())
    return Damage(
        TOPICS[name], anew, dict(stored), dict(reached), {g: dict(held) for g, held in commits.items()}, topic_id
    )


def damages(seen: broker.Broker, stored: broker.Taken, counted: dict[Place, int]) -> list[Damage]:
    """Topics that must be made anew.

    Raises
    ------
    CannotRepair
        Kafka's data is gone as a whole, or the store has rows of partitions that must not be.
    """
    if beyond := sorted(p for p in stored.positions if p[0] in TOPICS and p[1] >= TOPICS[p[0]].partitions):
        raise CannotRepair(
            f"the store has rows of {beyond[0][0]}/{beyond[0][1]}, a partition that is not declared: begin with a new data "
            "folder and publish again from your sources (docs/topics.md)"
        )
    lost = {t for t, known in stored.ids.items() if seen.ids.get(t) != known}
    if len(lost) > 1 and lost == set(stored.ids):
        raise CannotRepair(
            "all topics were made anew: Kafka's data is gone, and the state of the stream with it; restore the backup of the "
            "data folder, or begin with a new one and publish again from your sources (docs/topics.md)"
        )
    out = []
    for name, topic in TOPICS.items():
        kept = {p: at for (t, p), at in stored.positions.items() if t == name}
        mine = [(p, at) for held in (stored.positions, counted) for (t, p), at in held.items() if t == name]
        reached = {p: max(at for q, at in mine if q == p) for p, _ in mine}
        there = seen.topics.get(name)
        past = any(at > seen.ranges.get((name, p), (0, 0))[1] for p, at in reached.items())
        if name in lost or past or (there is not None and there.partitions != topic.partitions):
            out.append(Damage(topic, name in lost, kept, reached, topic_id=seen.ids.get(name, "")))
    return out


def busy(admin: AdminClient) -> list[str]:
    """Groups that read, with members."""
    names = [g.group_id for g in admin.list_consumer_groups().result(10).valid if g.group_id.startswith("footlights-")]
    if not names:
        return []
    told = {name: future.result(10) for name, future in admin.describe_consumer_groups(names).items()}
    return sorted(name for name, group in told.items() if group.members)


class Repair:
    """Makes one topic anew; what is interrupted goes on from the file when it runs again."""

    def __init__(self, bootstrap: str, folder: Path, replication: int) -> None:
        self._bootstrap, self._folder, self._replication = bootstrap, folder, replication
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 2})

    def run(self, damage: Damage) -> tuple[int, str, dict[int, int]]:
        """Repair a topic; returns how many records were put back, its new id, and the least offset that a reader may go on from.

        Raises
        ------
        CannotRepair
            Somebody publishes meanwhile, or Kafka does not do what it must; nothing is lost, and it may run again.
        """
        name = damage.topic.name
        aside, plan = self._folder / f"{name}.jsonl", self._folder / f"{name}.plan"
        found = broker.forms(self._admin)[1].get(name, "")
        if not plan.exists() or (found and found == damage.topic_id):  # nothing was deleted yet
            aside.unlink(missing_ok=True)
            self._put_aside(damage, aside)
            damage = replace(damage, commits=self._commits(name))  # a topic takes the commits of its readers with it
            damage.save(plan)
        else:
            self._put_aside(damage, aside)
        self._make_anew(damage.topic)
        count, starts = self._put_back(damage, aside)
        self._commit(damage, starts)
        return count, broker.forms(self._admin)[1][name], starts

    def forget(self, name: str) -> None:
        """Remove what was put aside, once the store knows the new topic."""
        (self._folder / f"{name}.plan").unlink()
        (self._folder / f"{name}.jsonl").unlink()

    def _put_aside(self, damage: Damage, aside: Path) -> None:
        """Copy all records to the file; of an interrupted repair's topic only those that came since."""
        begun = aside.exists()
        if damage.topic.name not in self._admin.list_topics(timeout=10).topics:
            aside.touch()
            return
        partial = aside.with_suffix(".partial")
        with partial.open("w") as out:
            if begun:
                out.write(aside.read_text())
            ends = self._copy(damage, out, begun=begun)
            out.flush()
            os.fsync(out.fileno())
        partial.replace(aside)
        time.sleep(QUIET_S)
        if self._read_ends(damage.topic.name) != ends:
            raise CannotRepair(
                f"somebody publishes to {damage.topic.name} now: stop its producers (their SDK keeps events in its spool), then "
                "run it again"
            )

    def _copy(self, damage: Damage, out: IO[str], *, begun: bool) -> dict[Place, int]:
        consumer = Consumer({
            "bootstrap.servers": self._bootstrap, "group.id": "footlights-repair", "enable.auto.commit": False,
            "auto.offset.reset": "earliest", "isolation.level": "read_committed", "log_level": 2,
        })  # fmt: skip
        try:
            held = broker.ranges(consumer, [damage.topic.name])
            consumer.assign([TopicPartition(t, p, low) for (t, p), (low, end) in held.items() if end > low])
            left = {p: end for (_, p), (low, end) in held.items() if end > low}
            quiet = time.monotonic()
            while left:
                batch = consumer.consume(10_000, 1.0)
                for message in batch:
                    if message.error() is None:
                        _write(out, message, damage, fresh=begun)
                quiet = time.monotonic() if batch else quiet
                for place in consumer.position([TopicPartition(damage.topic.name, p) for p in left]):
                    if place.offset >= left[place.partition]:
                        del left[place.partition]
                if time.monotonic() - quiet > LEAVE_S:
                    raise CannotRepair(
                        f"records of {damage.topic.name} cannot be read to their end: partitions {list(left)}"
                    )
            return {place: end for place, (_, end) in held.items()}
        finally:
            consumer.close()

    def _read_ends(self, name: str) -> dict[Place, int]:
        consumer = Consumer({"bootstrap.servers": self._bootstrap, "group.id": "footlights-repair", "log_level": 2})
        try:
            return {place: end for place, (_, end) in broker.ranges(consumer, [name]).items()}
        finally:
            consumer.close()

    def _commits(self, name: str) -> dict[str, dict[int, int]]:
        """Committed offsets of the topic, by group."""
        out: dict[str, dict[int, int]] = {}
        for group in self._admin.list_consumer_groups().result(10).valid:
            request = [ConsumerGroupTopicPartitions(group.group_id)]
            answer = self._admin.list_consumer_group_offsets(request)[group.group_id].result(10)
            mine = {t.partition: t.offset for t in answer.topic_partitions if t.topic == name and t.offset >= 0}
            if mine:
                out[group.group_id] = mine
        return out

    def _commit(self, damage: Damage, starts: dict[int, int]) -> None:
        """Readers go on where they were, or where what was moved begins; in a topic that was made anew they begin at its start."""
        for group, held in damage.commits.items():
            places = [TopicPartition(damage.topic.name, p, min(at, starts[p])) for p, at in held.items() if p in starts]
            if places and not damage.anew:
                request = [ConsumerGroupTopicPartitions(group, places)]
                self._admin.alter_consumer_group_offsets(request)[group].result(10)

    def _make_anew(self, topic: Topic) -> None:
        if topic.name in self._admin.list_topics(timeout=10).topics:
            self._admin.delete_topics([topic.name])[topic.name].result(30)
        deadline = time.monotonic() + DELETED_S
        while topic.name in self._admin.list_topics(timeout=10).topics:
            if time.monotonic() > deadline:
                raise CannotRepair(f"Kafka does not delete {topic.name}; see its log, then run it again")
            time.sleep(0.2)
        made = NewTopic(topic.name, topic.partitions, self._replication, config=topic.config)
        self._admin.create_topics([made])[topic.name].result(30)
        while (
            len(getattr(self._admin.list_topics(timeout=10).topics.get(topic.name), "partitions", ()))
            != topic.partitions
        ):
            time.sleep(0.1)

    def _put_back(self, damage: Damage, aside: Path) -> tuple[int, dict[int, int]]:
        writer = _Writer(self._bootstrap, damage.topic.name)
        kept = dict.fromkeys(range(damage.topic.partitions), 0)
        lows: dict[int, int] = {}
        count = 0
        for record in _records(aside):
            p, offset = record["p"], record["o"]
            if offset >= 0 and p in kept:
                lows.setdefault(p, offset)
                writer.fill(p, kept[p], offset)
                writer.put(p, offset, record)
                kept[p], count = offset + 1, count + 1
        for p, end in kept.items():
            # Behind all that was read before, and never before the end that the partition had.
            floor = damage.reached.get(p, 0) + (SPARE if damage.anew else 0)
            goal = max(end, floor)
            writer.fill(p, end, goal)
            kept[p] = goal
            lows.setdefault(p, goal)
        writer.finish()
        places = [TopicPartition(damage.topic.name, p, low) for p, low in lows.items() if low]
        for future in self._admin.delete_records(places).values() if places else ():
            future.result(30)
        for record in _records(aside):
            if record["o"] < 0 or record["p"] not in kept:
                # Without a key it was sent to this very partition.
                writer.put(record["p"] if record["k"] is None and record["p"] in kept else -1, None, record)
                count += 1
        writer.finish()
        return count, kept


class _Writer:
    """Records at offsets that are told beforehand."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._topic, self._wrong, self._sent, self._done = topic, "", 0, 0
        self._producer = Producer({
            "bootstrap.servers": bootstrap, "enable.idempotence": True, "acks": "all", "partitioner": "murmur2_random",
            "linger.ms": 20, "compression.type": "zstd", "log_level": 2,
        })  # fmt: skip

    def fill(self, partition: int, start: int, end: int) -> None:
        """Take offsets that hold nothing."""
        for offset in range(start, end):
            self._send(partition, offset, None, None, [(MARK, b"nothing")])

    def put(self, partition: int, offset: int | None, record: dict[str, Any]) -> None:
        """Put a record back, at its offset or, without one, where its key belongs."""
        headers: list[tuple[str, str | bytes | None]] = [(name, _bytes(value)) for name, value in record["h"]]
        headers.append((MARK, b"record"))
        self._send(partition, offset, _bytes(record["k"]), _bytes(record["v"]), headers)

    def _send(
        self,
        partition: int,
        offset: int | None,
        key: bytes | None,
        value: bytes | None,
        headers: list[tuple[str, str | bytes | None]],
    ) -> None:
        def delivered(error: Any, message: Any) -> None:
            self._done += error is None
            if error is not None:
                self._wrong = str(error)
            elif offset is not None and message.offset() != offset:
                self._wrong = (
                    f"a record of another producer came between, at offset {message.offset()}; stop all producers"
                )

        while True:
            try:
                self._producer.produce(self._topic, value, key, partition, delivered, headers=headers)
                break
            except BufferError:
                self._producer.poll(0.1)
        self._sent += 1
        self._producer.poll(0)

    def finish(self) -> None:
        """Wait for all; raises CannotRepair unless each is where it must be."""
        self._producer.flush(120)
        if self._wrong or self._done != self._sent:
            said = self._wrong or "Kafka did not take all"
            raise CannotRepair(f"{self._topic} is not put back yet: {said}. All records are on disk; run it again")


def _write(out: IO[str], message: Any, damage: Damage, *, fresh: bool) -> None:
    """A line of the file; `fresh`: only what an earlier run did not write, with no offset of its own."""
    headers = message.headers() or []
    mark = dict(headers).get(MARK)
    if mark == b"nothing" or (fresh and mark):
        return
    told = [[name, _text(value)] for name, value in headers if name != MARK]
    unread = message.offset() >= damage.reached.get(message.partition(), 0)
    offset = -1 if damage.anew or fresh or unread else message.offset()
    line = {"p": message.partition(), "o": offset, "k": _text(message.key()), "v": _text(message.value()), "h": told}
    out.write(json.dumps(line) + "\n")


def _records(aside: Path) -> Iterator[dict[str, Any]]:
    with aside.open() as lines:
        for line in lines:
            yield json.loads(line)


def _text(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)
