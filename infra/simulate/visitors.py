"""What people do on the platform: browse, search, buy, fail to pay, crash.

In: a World.
Out: actors that yield their records one by one.
Never: a record made before its moment: what it says depends on what is on when it happens.
"""

from collections.abc import Iterator
from functools import cache
from random import Random
from typing import Final

from infra.replay.event import Event
from infra.simulate.incidents import CRASH_WAVE, PAYMENT_OUTAGE, SLOW_PAGE
from infra.simulate.program import HostedEvent, Order
from infra.simulate.staff import refund, single
from infra.simulate.world import Actor, Who, World

_Steps = Iterator[tuple[Event, float]]
#: Typical milliseconds of an operation.
_TYPICAL_MS: Final = {
    "GET /": 60, "GET /events": 90, "GET /search": 140, "GET /events/{id}": 80, "POST /checkout": 220, "POST /payments": 450,
    "POST /login": 120, "home": 700, "event": 900,
}  # fmt: skip
_REASONS: Final = ("card_declined", "insufficient_funds", "timeout", "expired_card")
_SHARES: Final = {"fails": 0.03, "retries": 0.6, "refunds": 0.02, "errors": 0.003, "crashes": 0.003}


@cache
def _durations(typical_ms: int) -> tuple[int, ...]:
    """A thousand log-normal durations around a typical one, from which is drawn."""
    random = Random(typical_ms)
    return tuple(max(1, int(random.lognormvariate(0, 0.5) * typical_ms)) for _ in range(1_000))


def visit(world: World) -> Actor:
    """A session of one person."""
    draw, who = world.random.random, world.somebody()
    yield from _arrive(world, who)
    if draw() < 0.35:
        yield world.record("search", who, {"path": "/search"}, properties={"query": "music"}), world.pause(8)
        yield timed(world, who, "GET /search"), world.pause(6)
    hosted = world.program.choose(world.share, world.random)
    for _ in range(1 + int(draw() * 3)):
        yield from _look(world, who, hosted)
        if draw() < 0.5:
            hosted = world.program.choose(world.share, world.random)
    if draw() < 0.03:
        yield world.record("share", who, {"path": f"/events/{hosted.hosted_event_id}"}), world.pause(10)
    if draw() < _SHARES["crashes"]:
        yield crash(world, who), world.pause(5)
    if draw() < 0.28 and not hosted.closed:
        yield from _buy(world, _known(who), hosted)


def _known(who: Who) -> Who:
    """Whoever buys has signed in."""
    user = who.user_id or f"user-{(who.anonymous_id or '').rpartition('-')[2]}"
    return Who(user, who.anonymous_id, who.session_id, who.context)


def _arrive(world: World, who: Who) -> _Steps:
    draw = world.random.random
    if who.user_id and draw() < 0.15:
        yield world.record("user_logged_in", who, {}), world.pause(2)
        yield timed(world, who, "POST /login"), world.pause(2)
        chance = draw()
        if chance < 0.10:
            filled = {"required_fields": 8, "filled_fields": 3 + int(draw() * 6)}
            yield world.record("profile_updated", who, filled), world.pause(20)
        elif chance < 0.14:
            # Nobody refuses: the platform would withhold what follows, and a simulated figure could not be foretold.
            yield world.record("consent_changed", who, {"analytics_allowed": True}), world.pause(5)
    elif who.user_id and draw() < 0.03:
        yield world.record("user_registered", who, {"required_fields": 8, "filled_fields": 3}), world.pause(30)
        if draw() < 0.7:
            yield world.record("user_verified", who, {}), world.pause(5)
    yield world.record("page_view", who, {"path": "/", "url": "/", "title": "Home"}), world.pause(0.5)
    yield _loaded(world, who, "home"), world.pause(10)
    yield timed(world, who, "GET /events"), world.pause(10)


def _look(world: World, who: Who, hosted: HostedEvent) -> _Steps:
    path = f"/events/{hosted.hosted_event_id}"
    seen = {"path": path, "url": path, "title": "Event", "referrer": "/"}
    yield world.record("page_view", who, seen), world.pause(0.5)
    yield _loaded(world, who, "event"), world.pause(20)
    if world.random.random() < 0.5:
        yield timed(world, who, "GET /events/{id}"), world.pause(10)


def _buy(world: World, who: Who, hosted: HostedEvent) -> _Steps:
    draw = world.random.random
    quantity = 1 + int(draw() ** 2 * 6)
    order = Order(world.name("o"), who.user_id or "", quantity, quantity * hosted.price_minor)
    money = {
        "order_id": order.order_id,
        "hosted_event_id": hosted.hosted_event_id,
        "amount_minor": order.amount_minor,
        "currency": hosted.currency,
        "quantity": quantity,
    }
    yield world.record("checkout_started", who, money), world.pause(25)
    yield timed(world, who, "POST /checkout"), world.pause(5)
    if draw() < 0.25:  # left the checkout
        return
    for _ in range(3):
        payment = {**money, "payment_id": world.name("p")}
        yield world.record("payment_attempted", who, payment), world.pause(1)
        yield timed(world, who, "POST /payments"), world.pause(1)
        if draw() >= (world.strength(PAYMENT_OUTAGE) or _SHARES["fails"]):
            yield world.record("payment_authorised", who, payment), world.pause(0.5)
            yield from _bought(world, who, hosted, order, payment)
            return
        reason = _REASONS[int(draw() * len(_REASONS))]
        yield world.record("payment_failed", who, {**payment, "reason": reason}), world.pause(15)
        if draw() > _SHARES["retries"]:
            return


def _bought(world: World, who: Who, hosted: HostedEvent, order: Order, payment: dict[str, object]) -> _Steps:
    yield world.record("checkout_completed", who, payment), world.pause(0.2)
    hosted.sold += order.quantity
    if hosted.sold >= hosted.capacity and not hosted.closed:
        hosted.closed = True
        world.later(world.now_ms, single(world, "hosted_event_sold_out", hosted))
    if world.random.random() < _SHARES["refunds"]:
        due = world.now_ms + world.random.expovariate(1.0) * 0.04 * world.script.span_ms
        world.later(due, refund(world, hosted, order, "changed_mind"))
    else:
        hosted.keep(order)
    yield world.record("ticket_purchased", who, {**payment, "ticket_id": f"t-{order.order_id}"}), world.pause(1)


def timed(world: World, who: Who, operation: str) -> Event:
    """A timed operation of the API."""
    draw = world.random.random
    fails = draw() < (0.3 if world.strength(CRASH_WAVE) else _SHARES["errors"])
    values = _durations(_TYPICAL_MS[operation])
    fields: dict[str, object] = {
        "component": "api",
        "operation": operation,
        "response_time_ms": values[int(draw() * 1_000)],
        "status": 500 if fails else 200,
    }
    if fails:
        fields["error"] = "InternalError"
    return world.record("operation_timed", who, fields)


def _loaded(world: World, who: Who, page: str) -> Event:
    values = _durations(_TYPICAL_MS[page])
    slow = world.strength(SLOW_PAGE) if page == "event" else 0.0
    took = int(values[int(world.random.random() * 1_000)] * (slow or 1.0))
    return world.record("page_loaded", who, {"component": "web", "operation": page, "response_time_ms": took})


def crash(world: World, who: Who) -> Event:
    """A crash of the app."""
    fields = {"component": "app", "operation": "checkout", "error": "NullPointerException", "memory_mb": 212.5}
    return world.record("crash", who, fields)
