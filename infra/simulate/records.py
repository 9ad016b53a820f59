"""The stream of records of a script, in the order of their arrival.

In: a Script.
Out: its records, exactly as many as it says.
Never: more in memory than who is on the platform now, what is late and what will be sent again.
"""

import heapq
from collections.abc import Iterator
from random import Random
from typing import Final

import numpy as np

from infra.replay.event import Event
from infra.simulate.config import Script
from infra.simulate.incidents import BOT_FLOOD, CRASH_WAVE, SCRIPTED
from infra.simulate.program import Program
from infra.simulate.rhythm import Flood, Rhythm
from infra.simulate.staff import bot_view, hosting
from infra.simulate.visitors import crash, visit
from infra.simulate.world import World

_CHUNK: Final = 8_192
_BOT_SHARE: Final = 0.03
_REPEAT_AFTER_MS: Final = 30_000


def records(script: Script) -> Iterator[Event]:
    """The records of a script by their time of arrival; a repeat is an equal record once more.

    The k-th record happens at the k-th moment of the rhythm. Whoever is due acts then; when nobody is, somebody arrives. So
    the number of records and the span are exact, and the people follow from them.
    """
    random = Random(script.seed)
    program = Program(script, random)
    world = World(script, program, random)
    for hosted in program.events:
        world.later(hosted.opens * script.span_ms, hosting(world, hosted))
    # (time of arrival, number, record) of what arrives later than it happened, and of repeats
    held: list[tuple[int, int, Event]] = []
    repeats: list[tuple[int, int, Event]] = []
    number = 0
    for now_ms in _moments(script, program):
        world.now_ms, world.place = now_ms, number
        number += 1
        if repeats and repeats[0][0] <= script.start_ms + now_ms:
            yield heapq.heappop(repeats)[2]
            continue
        event = _next(world)
        if script.repeat_share and random.random() < script.repeat_share:
            due = event.received_at_ms + int(random.random() * _REPEAT_AFTER_MS * world.pace)
            heapq.heappush(repeats, (due, number, event))
        if event.received_at_ms > event.occurred_at_ms:
            heapq.heappush(held, (event.received_at_ms, number, event))
        else:
            yield event
        while held and held[0][0] <= script.start_ms + now_ms:
            yield heapq.heappop(held)[2]
    while held:
        yield heapq.heappop(held)[2]


def _next(world: World) -> Event:
    """The record of this moment: of a bot, of a crash wave, of whoever is due, or of somebody who arrives."""
    draw = world.random.random
    if draw() < (world.strength(BOT_FLOOD) or _BOT_SHARE):
        return bot_view(world)
    if world.incidents and draw() < world.strength(CRASH_WAVE):
        return crash(world, world.somebody())
    while True:
        actor = world.due() or visit(world)
        step = next(actor, None)
        if step is not None:
            event, pause = step
            world.later(world.now_ms + pause, actor)
            return event


def _moments(script: Script, program: Program) -> Iterator[int]:
    """Milliseconds from the start of each record, ascending."""
    floods: tuple[Flood, ...] = ()
    if script.incidents:
        # What a flood adds comes on top: people's traffic goes on as usual.
        floods = tuple(Flood(i.begin, i.end, 1 / (1 - i.strength)) for i in SCRIPTED if i.kind == BOT_FLOOD)
    rhythm = Rhythm(script.events, script.span_ms, program.bursts(), floods)
    jitter = np.random.default_rng(script.seed)
    for first in range(0, script.events, _CHUNK):
        count = min(_CHUNK, script.events - first)
        places = np.arange(first, first + count, dtype=np.float64) + jitter.random(count)
        yield from rhythm.times(places)
