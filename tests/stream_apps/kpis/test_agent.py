"""What the agent does when the process stands still, or a rebalance comes, between two of its steps."""

import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from stream_apps import kpis
from stream_apps.batch_transport import RecordBatch
from stream_apps.compute.kpi.stage import KpiStage
from stream_apps.compute.records import Records
from stream_apps.config import StreamConfig
from tests.stream_apps.kpis.test_stage import START, head, tickets

pytestmark = pytest.mark.asyncio
NOW = (START + 5) * 60_000


class Broker:
    """Takes what is sent, and does something at a given send."""

    def __init__(self, at: int, happens: Callable[[], Any]) -> None:
        self.sends, self._at, self._happens = 0, at, happens

    async def send(self, records: list[Any]) -> list[int]:
        self.sends += 1
        if self.sends == self._at:
            self._happens()
        return list(range(len(records)))


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> kpis.KpisStage:
    monkeypatch.setattr(
        kpis, "Changelog", lambda *_: SimpleNamespace(topic="changelog", note=lambda _: None, items=list)
    )
    monkeypatch.setattr(kpis, "Publisher", lambda _: None)
    config = StreamConfig("127.0.0.1:1", "http://127.0.0.1:1", tmp_path, b"k" * 32)
    app: Any = SimpleNamespace(consumer_generation_id=1)
    made = kpis.KpisStage(app, config)
    made._generation, made._stage = 1, KpiStage(Records(), 1)
    made._stage.take(tickets(1, START, 5), 0, NOW)
    made._stage.take(head(1, START + 1), 1, NOW)
    made._batch, made._fresh = cast(RecordBatch, SimpleNamespace()), True
    return made


@pytest.mark.parametrize("step", [1, 2, 3])
async def test_a_stall_inside_a_checkpoint_ends_it_without_an_ack(
    agent: kpis.KpisStage, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    stalled, acked = [False], list[int]()

    async def ack() -> None:
        acked.append(1)

    monkeypatch.setattr(kpis, "is_current", lambda *_: True)
    monkeypatch.setattr(kpis, "loop_stalled", lambda _: stalled[0])
    broker = Broker(step, lambda: stalled.__setitem__(0, True))
    agent._publisher = cast(Any, broker)
    agent._acks.append((1, ack))
    with pytest.raises(kpis.Stalled):
        await agent._write(cast(Any, lambda point: point))
    assert (broker.sends, acked) == (step, [])


async def test_an_undisturbed_checkpoint_acks(agent: kpis.KpisStage, monkeypatch: pytest.MonkeyPatch) -> None:
    acked = list[int]()

    async def ack() -> None:
        acked.append(1)

    monkeypatch.setattr(kpis, "is_current", lambda *_: True)
    monkeypatch.setattr(kpis, "loop_stalled", lambda _: False)
    agent._publisher = cast(Any, Broker(0, lambda: None))
    agent._acks.append((1, ack))
    await agent._write(cast(Any, lambda point: point))
    assert acked == [1]


@pytest.mark.parametrize(("current", "taken"), [(True, True), (False, False)])
async def test_a_batch_that_a_rebalance_overtook_is_not_taken(
    agent: kpis.KpisStage, monkeypatch: pytest.MonkeyPatch, current: bool, taken: bool
) -> None:
    monkeypatch.setattr(kpis, "is_current", lambda *_: current)
    monkeypatch.setattr(agent, "_decoder", lambda *_: SimpleNamespace(bad=[], frame=_Frame()))
    batch: Any = SimpleNamespace(last_offset=0, values=list, offsets=list)
    before = agent._batch
    assert await agent._take(batch) is taken
    assert (agent._batch is before) is not taken


@pytest.mark.parametrize("overtaken", [False, True])
async def test_a_start_leaves_the_loop_alone_and_holds_for_its_generation_only(
    agent: kpis.KpisStage, monkeypatch: pytest.MonkeyPatch, overtaken: bool
) -> None:
    loop, made_on = threading.get_ident(), list[int]()

    def slow(*arguments: Any) -> KpiStage:
        made_on.append(threading.get_ident())
        if overtaken and len(made_on) == 1:
            app.consumer_generation_id = 3
        return KpiStage(*arguments)

    app: Any = agent._app
    monkeypatch.setattr(kpis, "KpiStage", slow)
    app.consumer_generation_id = 2
    stage = await agent._current_stage()
    if overtaken:
        assert stage is None and agent._stage is None
        stage = await agent._current_stage()
    assert stage is agent._stage is await agent._current_stage() and agent._batch is None
    assert stage is not None and stage.generation == app.consumer_generation_id
    assert len(made_on) == 1 + overtaken and loop not in made_on


class _Frame(dict[str, Any]):
    """No rows."""

    def __missing__(self, _: str) -> Any:
        return SimpleNamespace(to_list=list)

    def iter_rows(self, *, named: bool) -> list[Any]:
        return []
