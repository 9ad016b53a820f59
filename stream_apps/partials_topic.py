"""The records of the `measures` topic.

In: records of a partition's state, heads.
Out: framed `Partial` records: states, heads, requests to restate.
Never: a body that differs from the changelog's.
"""

import io

import fastavro

from schemas.avro_batch import frame_header
from schemas.families import FAMILIES, INTERNAL
from schemas.partials import HEAD, HEAD_LEVEL, RESTATEMENT, Head, Restatement, pack_head, pack_restatement
from schemas.topics import TOPICS
from stream_apps.changelog import Place
from stream_apps.compute.records import Record
from stream_apps.publisher import Outgoing

TOPIC = TOPICS["measures"]


class Partials:
    """Writes partials; the topic has one partition, so the KPI stage reads each checkpoint in the order of its writing."""

    def __init__(self, schema_id: int) -> None:
        self._schema = fastavro.parse_schema(INTERNAL["partial"].schema)
        self._header = frame_header(schema_id)

    def record(self, place: Place, record: Record, generation: int) -> Outgoing:
        """A bucket's additive record or sketch piece."""
        return self._framed(
            place, record.kind, record.level, record.bucket, record.piece, record.offset, generation, record.body
        )

    def head(self, place: Place, head: Head) -> Outgoing:
        """Where the partition stands."""
        return self._framed(place, HEAD, HEAD_LEVEL, 0, "", head.offset, head.generation, pack_head(head))

    def restatement(self, restatement: Restatement) -> Outgoing:
        """A request to the owner of the revisions."""
        place = Place(RESTATEMENT, 0)
        piece = f"{restatement.request}/{restatement.kpi}/{restatement.window}/{'/'.join(restatement.key)}"
        first = restatement.windows[0].window
        return self._framed(place, RESTATEMENT, HEAD_LEVEL, first, piece, 0, 0, pack_restatement(restatement))

    def _framed(
        self, place: Place, kind: str, level: int, bucket: int, piece: str, offset: int, generation: int, body: bytes
    ) -> Outgoing:
        partial = {
            "kind": kind,
            "family": place.family,
            "topic": FAMILIES[place.family].topic if place.family in FAMILIES else "",
            "partition": place.partition,
            "level": level,
            "bucket": bucket,
            "piece": piece,
            "offset": offset,
            "generation": generation,
            "body": bytes(body),
        }
        buffer = io.BytesIO()
        buffer.write(self._header)
        fastavro.schemaless_writer(buffer, self._schema, partial)
        key = f"{place.family}|{place.partition}|{level}|{bucket}|{kind}|{piece}"
        return Outgoing(TOPIC.name, 0, key.encode(), buffer.getvalue())
