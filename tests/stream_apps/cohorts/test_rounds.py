"""A round is sent whole by the owner, or begun again from what the store holds."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from schemas.topics import TOPICS
from stream_apps.config import StreamConfig
from stream_apps.publisher import Outgoing
from stream_apps.rounds import FAILURES, Record, Rounds
from stream_apps.writer import RecordWriter

pytestmark = pytest.mark.asyncio
TARGET = TOPICS["producer-reports"]
REPORT: Record = {
    "tenant_id": "t", "source": "s", "producer_id": "p", "reported_at_ms": 1, "last_sequence": 2, "acked": 2, "failed": 0,
    "refused": "{}", "closing": False,
}  # fmt: skip


class Work(Rounds):
    """Finds what it is told to find, or the error."""

    def __init__(self) -> None:
        config = StreamConfig("127.0.0.1:1", "http://127.0.0.1:1", Path(), b"k" * 32)
        super().__init__(SimpleNamespace(consumer_generation_id=7), config, "tests", TARGET, "producer_id")  # type: ignore[arg-type]
        self.begun, self.noted, self.finds, self.error = 0, list[Record](), [REPORT], None
        self.owns, self.published = True, list[Outgoing]()
        self._publisher = SimpleNamespace(send=self._send)  # type: ignore[assignment]

    error: Exception | None

    async def _send(self, records: list[Outgoing]) -> None:
        self.published += records

    def begin(self) -> None:
        self.begun += 1

    def compute(self, client: Any, generation: int) -> list[Record]:
        assert generation == 7
        if self.error:
            raise self.error
        return self.finds

    def sent(self, records: list[Record]) -> None:
        self.noted += records

    def _owner(self) -> bool:
        return self.owns

    def _connect(self) -> Any:
        return SimpleNamespace(close=lambda: None)

    async def round(self) -> None:
        await self._round(RecordWriter(TARGET, 5, "producer_id"))


async def test_a_round_is_sent_and_noted() -> None:
    work = Work()
    await work.round()
    await work.round()
    assert work.begun == 1  # it is the first of its generation
    assert [(o.topic, o.key) for o in work.published] == [(TARGET.name, b"p")] * 2
    assert work.noted == [REPORT] * 2


async def test_what_is_found_by_an_owner_that_is_none_any_more_is_sent_by_nobody() -> None:
    work = Work()
    await work.round()
    work.owns = False
    await work.round()
    assert (len(work.published), work.begun) == (1, 2)


async def test_a_store_that_is_away_costs_a_round_and_what_it_had_found() -> None:
    work, before = Work(), FAILURES.labels("tests")._value.get()
    await work.round()
    work.error = ConnectionError("away")
    await work.round()
    assert (len(work.published), work.begun) == (1, 2)
    assert FAILURES.labels("tests")._value.get() == before + 1
    work.error = None
    await work.round()
    assert (len(work.published), work.begun) == (2, 2)


async def test_an_error_of_ours_is_no_error_of_the_store() -> None:
    work = Work()
    work.error = KeyError("a defect")
    with pytest.raises(KeyError):
        await work.round()
