"""What others write to the topics of the stream stops no worker: it is left out, named, and what follows counts."""

import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import fastavro
import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from schemas.avro_batch import frame_header
from schemas.families import INTERNAL
from tests.stream_apps.kpis.test_worker import STAGES
from tests.stream_apps.measures.cluster import MeasuresCluster
from tests.stream_apps.measures.traffic import rows

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


@pytest.fixture
def cluster(kafka: str, registry_url: str, tmp_path: Path) -> Iterator[MeasuresCluster]:
    with MeasuresCluster(kafka, registry_url, tmp_path) as made:
        yield made


def committed(cluster: MeasuresCluster, topic: str) -> int:
    asked = ConsumerGroupTopicPartitions(cluster.app_id, [TopicPartition(topic, 0)])
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap, "log_level": 2})
    answer = admin.list_consumer_group_offsets([asked])[cluster.app_id].result(10)
    return int(answer.topic_partitions[0].offset)


def until(cluster: MeasuresCluster, true: Callable[[], bool]) -> None:
    deadline, worker = time.monotonic() + 60, cluster.workers[-1]
    while not true():
        assert worker.poll() is None and time.monotonic() < deadline, cluster.log_of(worker)[-3000:]
        time.sleep(0.3)


def points(cluster: MeasuresCluster) -> int:
    """How many points of the KPI `orders` there are."""
    schema = fastavro.parse_schema(INTERNAL["kpi_point"].schema)
    found = [fastavro.schemaless_reader(io.BytesIO(v[5:]), schema, None) for _, v in cluster.consume("kpi-points")]
    return sum(point["kpi"] == "orders" for point in found)  # type: ignore[call-overload, index]


def partial(cluster: MeasuresCluster, **values: object) -> bytes:
    buffer, told = io.BytesIO(), {"kind": "additive", "family": "commerce", "topic": "events.commerce", "partition": 0}
    told |= {"level": 0, "bucket": 29_000_000, "piece": "", "offset": 5, "generation": 1, "body": b"\xc1 no state"}
    fastavro.schemaless_writer(buffer, fastavro.parse_schema(INTERNAL["partial"].schema), told | values)
    return frame_header(cluster.ids["measures"]) + buffer.getvalue()


def test_foreign_records_and_transactions_on_inner_topics(cluster: MeasuresCluster) -> None:
    worker = cluster.start(stages=STAGES)
    cluster.produce("commerce", rows("commerce", 200, seed=3))
    until(cluster, lambda: points(cluster) > 0)
    foreign = Producer({"bootstrap.servers": cluster.bootstrap, "transactional.id": cluster.app_id})
    foreign.init_transactions(30)
    unknown_schema = frame_header(99_999) + b"\x02"
    for topic, values in {
        "measures": [b"hello", unknown_schema, partial(cluster), partial(cluster, kind="nobody's", level=9)],
        "consents": [b"hello", unknown_schema],
    }.items():
        foreign.begin_transaction()
        for value in values:
            foreign.produce(topic, value, b"foreign", partition=0)
        foreign.commit_transaction(30)
    before = points(cluster)
    cluster.produce("commerce", rows("commerce", 200, seed=4))
    until(cluster, lambda: points(cluster) > before)
    until(cluster, lambda: committed(cluster, "measures") >= len(cluster.consume("measures")))
    assert worker.poll() is None
    assert cluster.log_of(worker).count("foreign_partial_passed_over") == 4
    worker.kill()
    worker.wait()
    again = cluster.start(stages=STAGES)  # and a start that reads them all once more
    before = points(cluster)
    cluster.produce("commerce", rows("commerce", 200, seed=5))
    until(cluster, lambda: points(cluster) > before)
    assert again.poll() is None
