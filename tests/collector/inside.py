"""A collector in the process of a test, without Kafka: what it took is read from its spool.

In: requests. Out: answers, and the records that were stored.
Never: a broker; the registry's answers come from the disk.
"""

import asyncio
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import fastavro
from footlights import HmacPseudonymiser
from footlights.collector.app import Collector
from footlights.collector.geo import Cities, Places
from footlights.collector.keys import KeyFile
from footlights.collector.lanes import Lanes
from footlights.frames import Framed, parse
from footlights.registry import copies_of
from footlights.spool import Limits

from schemas.topics import TOPICS

NOWHERE = "127.0.0.1:1"
SCHEMAS = {name: fastavro.parse_schema(json.loads(topic.record.text)) for name, topic in TOPICS.items()}


class Told(NamedTuple):
    """What a request was answered, and what was stored of it."""

    status: int
    body: Any
    stored: list[dict[str, Any]]

    @property
    def results(self) -> list[tuple[str, str]]:
        """Status and code of each event."""
        told = self.body["data"]["results"] if "data" in self.body else self.body["results"]
        return [(one["status"], one.get("error_code", "")) for one in told]


class Inside:
    """The collector and its spool."""

    def __init__(self, folder: Path, loop: asyncio.AbstractEventLoop) -> None:
        copies = copies_of(folder, f"http://{NOWHERE}")
        copies.mkdir(parents=True)
        for number, topic in enumerate(TOPICS.values(), 1):
            held = {"subject": topic.subject, "schema_id": number, "text": topic.record.text}
            (copies / f"{topic.subject}.json").write_text(json.dumps(held))
        self.lanes = Lanes(
            bootstrap_servers=NOWHERE, schema_registry=f"http://{NOWHERE}", folder=folder,
            pseudonymise=HmacPseudonymiser(b"k" * 32), limits=Limits(1 << 30, 3_600.0), kafka_config={"log_level": 0},
        )  # fmt: skip
        keys = KeyFile(folder / "keys.json")
        self.token, _ = keys.create("write", name="web", source="web", rate_per_s=1e9)
        self.app = Collector(self.lanes, keys, Places(None), Cities(10), self.lanes.letters(b"d" * 32))
        self._folder, self._loop, self._read = folder / "spool", loop, dict[Path, int]()

    def post(self, path: str, value: Any, query: str = "", **headers: str) -> Told:
        """Post a value as JSON, or bytes as they are."""
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        return self._loop.run_until_complete(self._post(path, body, query, headers))

    async def _post(self, path: str, body: bytes, query: str, headers: dict[str, str]) -> Told:
        asked = {"content_type": "application/json", "authorization": f"Bearer {self.token}", **headers}
        pairs = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in asked.items()]
        scope = {"type": "http", "method": "POST", "path": path, "query_string": query.encode(), "headers": pairs}
        sent = list[Any]()

        async def receive() -> Any:
            return {"type": "http.request", "body": body}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        return Told(sent[0]["status"], json.loads(sent[1]["body"]), list(self._stored()))

    def _stored(self) -> Iterator[dict[str, Any]]:
        """Records that were stored since the last look."""
        for segment in sorted(self._folder.glob("*/*.seg")):
            raw = segment.read_bytes()
            for frame in parse(raw, self._read.get(segment, 0)):
                assert isinstance(frame, Framed)
                self._read[segment] = frame.end
                record: Any = fastavro.schemaless_reader(io.BytesIO(frame.payload[5:]), SCHEMAS[frame.topic], None)
                yield {**record, "key": frame.key, "properties": json.loads(record["properties"])}


@contextmanager
def inside(folder: Path) -> Iterator[Inside]:
    """A collector that is closed in the end."""
    loop = asyncio.new_event_loop()
    made = Inside(folder, loop)
    try:
        yield made
    finally:
        made.lanes.close(0.05)
        loop.close()
