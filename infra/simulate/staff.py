"""What hosts, doors, refund clerks and bots do.

In: a World.
Out: actors and single records.
Never: a ticket let in twice by the same door.
"""

from typing import Final

from infra.replay.event import Event
from infra.simulate.program import HostedEvent, Order
from infra.simulate.texts import write
from infra.simulate.world import Actor, Who, World

_RATINGS: Final = (1, 2, 3, 4, 4, 4, 5, 5, 5, 5)
_BOTS: Final = 40
_NOBODY: Final[dict[str, str]] = {}


def hosting(world: World, hosted: HostedEvent) -> Actor:
    """Put a hosted event on sale, then cancel it or open its doors."""
    yield _listed(world, "hosted_event_created", hosted), world.pause(1)
    yield _listed(world, "hosted_event_published", hosted), world.pause(1)
    span = world.script.span_ms
    if hosted.cancelled is not None:
        world.later(hosted.cancelled * span, cancelling(world, hosted))
    else:
        world.later(hosted.begins * span, doors(world, hosted))


def cancelling(world: World, hosted: HostedEvent) -> Actor:
    """Cancel a hosted event and refund what was paid for it."""
    hosted.closed = True
    yield _listed(world, "hosted_event_cancelled", hosted), world.pause(5)
    orders, hosted.orders = hosted.orders, []
    for order in orders:
        yield _refund(world, hosted, order, "cancelled"), world.pause(3)


def doors(world: World, hosted: HostedEvent) -> Actor:
    """Let the guests in, some of them out, and hear what they say."""
    draw, span = world.random.random, world.script.span_ms
    hosted.closed = True
    orders, hosted.orders = hosted.orders, []
    step = 0.02 * span / max(1, sum(o.quantity for o in orders))
    yield _listed(world, "hosted_event_started", hosted), step
    for order in orders:
        for ticket in range(order.quantity):
            if draw() < 0.9:
                yield _gate(world, "ticket_checked_in", hosted, order, ticket), step
    for order in orders:
        if draw() < 0.3:
            yield _gate(world, "ticket_checked_out", hosted, order, 0), step
    yield _listed(world, "hosted_event_ended", hosted), step
    for order in orders:
        if draw() < 0.45:
            world.later(world.now_ms + world.random.expovariate(1.0) * 0.03 * span, opinion(world, hosted, order))


def opinion(world: World, hosted: HostedEvent, order: Order) -> Actor:
    """A rating, mostly with a text, sometimes with a likelihood to recommend."""
    draw = world.random.random
    rating = _RATINGS[int(draw() * len(_RATINGS))]
    fields: dict[str, object] = {"hosted_event_id": hosted.hosted_event_id, "rating": rating}
    if draw() < 0.8:
        fields["text"] = write(rating, world.random)
    if draw() < 0.3:
        fields["nps"] = min(10, rating * 2 + int(draw() * 2))
    yield world.record("feedback_given", _guest(order.user_id), fields), 0


def refund(world: World, hosted: HostedEvent, order: Order, reason: str) -> Actor:
    """Pay an order back."""
    yield _refund(world, hosted, order, reason), 0


def single(world: World, name: str, hosted: HostedEvent) -> Actor:
    """Say one thing about a hosted event."""
    yield _listed(world, name, hosted), 0


def bot_view(world: World) -> Event:
    """A page view of a crawler."""
    bot = Who(None, f"crawler-{int(world.random.random() * _BOTS)}", None, {"device": "bot"})
    path = f"/events/{int(world.random.random() * 500)}"
    return world.record("page_view", bot, {"path": path, "url": path}, automatic=True)


def _guest(user_id: str) -> Who:
    return Who(user_id, None, None, _NOBODY)


def _refund(world: World, hosted: HostedEvent, order: Order, reason: str) -> Event:
    fields = {
        "order_id": order.order_id,
        "hosted_event_id": hosted.hosted_event_id,
        "amount_minor": order.amount_minor,
        "currency": hosted.currency,
        "quantity": order.quantity,
        "reason": reason,
    }
    # The clerk's system acts, not the guest: a refund makes nobody active.
    return world.record("refund_issued", _guest(order.user_id), fields, automatic=True)


def _gate(world: World, name: str, hosted: HostedEvent, order: Order, ticket: int) -> Event:
    fields = {
        "hosted_event_id": hosted.hosted_event_id,
        "ticket_id": f"t-{order.order_id}-{ticket}",
        "gate": f"gate-{ticket % 4}",
    }
    return world.record(name, _guest(order.user_id), fields)


def _listed(world: World, name: str, hosted: HostedEvent) -> Event:
    start, span = world.script.start_ms, world.script.span_ms
    fields = {
        "hosted_event_id": hosted.hosted_event_id,
        "host_id": hosted.host_id,
        "capacity": hosted.capacity,
        "price_minor": hosted.price_minor,
        "currency": hosted.currency,
        "category": hosted.category,
        "city": hosted.city,
        "starts_at_ms": start + int(hosted.begins * span),
        "ends_at_ms": start + int(hosted.ends * span),
    }
    return world.record(name, _guest(hosted.host_id), fields)
