"""Stock Faust with a table counter, as its documentation shows it: the case that footlights exists to beat.

In: `python -m benchmarks.stock_faust BOOTSTRAP TOPIC PARTITIONS EVENTS FAMILY`.
Out: one JSON line with the CPU seconds of the process from the first event to the last.
Never: our transport; the broker address is Faust's own scheme.
"""

import asyncio
import io
import json
import os
import sys
import tempfile
import time
import uuid
from typing import Any

import fastavro
import faust

from schemas.avro_batch import MAGIC_BYTES
from schemas.families import FAMILIES


def build(bootstrap: str, topic: str, partitions: int, events: int, family: str) -> Any:
    """The app: an agent that decodes Avro and counts per user in a table."""
    app = faust.App(
        f"stock-{uuid.uuid4().hex[:8]}", broker=f"kafka://{bootstrap}", store="memory://", web_enabled=False,
        datadir=tempfile.mkdtemp(), consumer_auto_offset_reset="earliest", topic_partitions=partitions,
    )  # fmt: skip
    source = app.topic(topic, value_type=bytes, value_serializer="raw", key_type=bytes, key_serializer="raw")
    counts = app.Table("counts", default=int, partitions=partitions)
    schema = fastavro.parse_schema(FAMILIES[family].schema)
    seen, began = 0, 0.0

    @app.agent(source)  # type: ignore[untyped-decorator]
    async def count(stream: Any) -> None:
        nonlocal seen, began
        async for payload in stream:
            if not seen:
                began = time.process_time()
            record = fastavro.schemaless_reader(io.BytesIO(payload[MAGIC_BYTES:]), schema, None)
            counts[record["user_id"]] += 1
            seen += 1
            if seen == events:
                print(
                    json.dumps({"cpu_s": time.process_time() - began, "events": seen}), file=sys.__stdout__, flush=True
                )
                await asyncio.sleep(0)
                os._exit(0)

    return app


if __name__ == "__main__":
    faust.Worker(
        build(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]), loglevel="ERROR", quiet=True
    ).execute_from_commandline()
