"""The shop in FastAPI: `uvicorn examples.shop.fastapi_shop:app`.

In: SHOP_KAFKA, SHOP_SCHEMA_REGISTRY, SHOP_FOLDER; ANALYTICS_PSEUDONYM_KEY as every service of the platform has it.
Out: pages; events of requests by the middleware, of business by typed calls, of money in the transaction of its order.
Never: an order without its event, or an event without its order.
"""

import os
import sqlite3
import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qs

from fastapi import Cookie, FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from footlights import Client, Money, Outbox
from footlights.integrations.asgi import FootlightsMiddleware
from footlights.integrations.web import Person

from examples.shop import pages
from examples.shop.catalogue import CONCERTS, CURRENCY, Concert, authorised

FOLDER = Path(os.environ["SHOP_FOLDER"])
client = Client(
    bootstrap_servers=os.environ["SHOP_KAFKA"], schema_registry=os.environ["SHOP_SCHEMA_REGISTRY"], source="shop-fastapi",
    spool_dir=FOLDER / "spool",
)  # fmt: skip
outbox = Outbox(client)
User = Annotated[str | None, Cookie()]
Visitor = Annotated[str | None, Cookie()]


@contextmanager
def transaction() -> Iterator[sqlite3.Connection]:
    """A connection whose work is kept when the block ends well."""
    connection = connect()
    try:
        with connection:
            yield connection
    finally:
        connection.close()


def connect() -> sqlite3.Connection:
    """The shop's database."""
    return sqlite3.connect(FOLDER / "fastapi.sqlite", timeout=10)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Tables first; then the outbox moves on a thread; at the end everything is sent."""
    with transaction() as database:
        database.execute(
            "CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY, event TEXT, quantity INT, refunded INT)"
        )
        outbox.create(database)
    stop = threading.Event()
    relay = threading.Thread(target=outbox.run, args=(connect, stop, 0.1))
    relay.start()
    yield
    stop.set()
    relay.join()
    with transaction() as database:
        outbox.relay(database)
    client.close()


def who(scope: Any) -> Person:
    """The person of a request: a user once signed in, before that a visitor."""
    cookies = Request(scope).cookies
    return Person(user_id=cookies.get("user"), anonymous_id=cookies.get("visitor"))


app = FastAPI(lifespan=lifespan)
app.add_middleware(FootlightsMiddleware, client=client, who=who)


@app.middleware("http")
async def know_visitors(request: Request, call_next: Any) -> Response:
    """Give each browser an id of its own."""
    response: Response = await call_next(request)
    if "visitor" not in request.cookies:
        response.set_cookie("visitor", uuid.uuid4().hex, httponly=True, samesite="lax")
    return response


def concert_of(event_id: str) -> Concert:
    """The concert, or 404."""
    if event_id not in CONCERTS:
        raise HTTPException(404)
    return CONCERTS[event_id]


async def form(request: Request) -> dict[str, str]:
    """Fields of an HTML form."""
    return {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}


@app.get("/health")
async def health() -> str:
    """Whether it is up."""
    return "ok"


@app.get("/footlights.min.js")
async def snippet() -> Response:
    """The browser snippet."""
    return Response(pages.SNIPPET, media_type="text/javascript")


@app.get("/", response_class=HTMLResponse)
async def home(user: User = None) -> str:
    """All concerts."""
    return pages.home(user)


@app.post("/login")
async def login(request: Request, visitor: Visitor = None) -> Response:
    """Sign in: from now on the visitor is a user, and both are one person."""
    name = (await form(request))["name"]
    client.user_logged_in(user_id=name)
    if visitor:
        client.alias(name, visitor)
    response = RedirectResponse("/", 303)
    response.set_cookie("user", name, httponly=True, samesite="lax")
    return response


@app.get("/events/{event_id}", response_class=HTMLResponse)
async def event(event_id: str) -> str:
    """One concert."""
    return pages.event(concert_of(event_id))


@app.post("/events/{event_id}/buy")
async def buy(event_id: str, request: Request, user: User = None, visitor: Visitor = None) -> Response:
    """Check out, pay, and keep the order together with its event."""
    concert, fields, order_id = concert_of(event_id), await form(request), uuid.uuid4().hex
    quantity = int(fields["quantity"])
    amount = Money(concert.price_minor * quantity, CURRENCY)
    common: dict[str, Any] = {
        "user_id": user, "anonymous_id": visitor, "order_id": order_id, "hosted_event_id": event_id, "amount": amount,
    }  # fmt: skip
    client.checkout_started(quantity=quantity, **common)
    payment = {**common, "payment_id": f"p-{order_id}"}
    client.payment_attempted(**payment)
    if not authorised(fields["card"]):
        client.payment_failed(reason="card_declined", **payment)
        return HTMLResponse(pages.declined(), 402)
    client.payment_authorised(**payment)
    with transaction() as database:
        database.execute("INSERT INTO orders VALUES (?, ?, ?, 0)", (order_id, event_id, quantity))
        outbox.track(database, "ticket_purchased", quantity=quantity, **payment)
    client.checkout_completed(quantity=quantity, **common)
    return RedirectResponse(f"/orders/{order_id}", 303)


@app.get("/orders/{order_id}", response_class=HTMLResponse)
async def order(order_id: str) -> str:
    """An order."""
    concert, quantity, refunded = order_of(order_id)
    return pages.order(order_id, concert, quantity, concert.price_minor * quantity, refunded=refunded)


def order_of(order_id: str) -> tuple[Concert, int, bool]:
    """Concert, number of tickets, and whether they were given back; or 404."""
    with transaction() as database:
        row = database.execute("SELECT event, quantity, refunded FROM orders WHERE id = ?", (order_id,)).fetchone()
    if row is None:
        raise HTTPException(404)
    return CONCERTS[row[0]], row[1], bool(row[2])


@app.post("/orders/{order_id}/refund")
async def refund(order_id: str, user: User = None, visitor: Visitor = None) -> Response:
    """Give tickets back, once."""
    concert, quantity, _ = order_of(order_id)
    with transaction() as database:
        done = database.execute("UPDATE orders SET refunded = 1 WHERE id = ? AND refunded = 0", (order_id,))
        if done.rowcount:
            outbox.track(
                database, "refund_issued", user_id=user, anonymous_id=visitor, order_id=order_id, hosted_event_id=concert.id,
                amount=Money(concert.price_minor * quantity, CURRENCY), quantity=quantity, reason="given_back",
            )  # fmt: skip
    return RedirectResponse(f"/orders/{order_id}", 303)


@app.post("/events/{event_id}/feedback")
async def feedback(event_id: str, request: Request, user: User = None, visitor: Visitor = None) -> Response:
    """Rate a concert."""
    rating = int((await form(request))["rating"])
    client.feedback_given(user_id=user, anonymous_id=visitor, hosted_event_id=concert_of(event_id).id, rating=rating)
    return RedirectResponse("/", 303)
