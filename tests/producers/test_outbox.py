"""The outbox in each kind of connection: events follow their transaction, leave in order, and come once after a crash."""

import errno
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy.orm
from footlights import Client, Money, Outbox
from footlights.outbox import database

from tests.producers.reading import read

pytestmark = pytest.mark.kafka
Make = Callable[..., Client]
KINDS = ("dbapi", "sqlalchemy", "django")
TOPICS = ["events.commerce", "events.interaction"]


@pytest.fixture(params=KINDS)
def connect(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Any]]:
    """Opens connections to one database, with a table of the service's own."""
    file = tmp_path / "shop.sqlite"
    with sqlite3.connect(file) as first:
        first.execute("CREATE TABLE orders (id TEXT)")
    first.close()
    made: list[Any] = []
    engine = sqlalchemy.create_engine(f"sqlite:///{file}", poolclass=sqlalchemy.pool.NullPool)

    def open_one() -> Any:
        if request.param == "dbapi":
            made.append(sqlite3.connect(file, timeout=10, check_same_thread=False))
        elif request.param == "sqlalchemy":
            made.append(sqlalchemy.orm.Session(engine))
        else:
            made.append(_django(file))
        return made[-1]

    yield open_one
    for one in made:
        one.close()
    engine.dispose()


def _django(file: Path) -> Any:
    import django
    from django.conf import settings

    if not settings.configured:
        settings.configure()
        django.setup()
    from django.db.backends.sqlite3.base import DatabaseWrapper
    from django.db.utils import ConnectionHandler

    handler = ConnectionHandler({"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(file)}})
    connection = DatabaseWrapper({**handler.settings["default"], "OPTIONS": {"check_same_thread": False}}, "default")
    connection.inc_thread_sharing()
    connection.set_autocommit(False)
    return connection


def buy(outbox: Outbox, connection: Any, order: str) -> None:
    database(connection).execute("INSERT INTO orders (id) VALUES (?)", (order,))
    assert outbox.track(
        connection, "ticket_purchased", user_id="rosa", amount=Money(5_000, "USD"), quantity=1, order_id=order,
        hosted_event_id="e1",
    )  # fmt: skip


def noting(connection: Any, notes: list[str]) -> Any:
    """A connection that notes its commits."""

    class Noting:
        def __getattr__(self, name: str) -> Any:
            if name == "commit":
                notes.append("committed")
            return getattr(connection, name)

    Noting.__module__ = type(connection).__module__
    return Noting()


def dying(connection: Any) -> Any:
    """The connection of a process that dies before it commits."""

    class Dying:
        def __getattr__(self, name: str) -> Any:
            return (lambda: None) if name == "commit" else getattr(connection, name)

    Dying.__module__ = type(connection).__module__
    return Dying()


def relayed(client: Client, outbox: Outbox, connection: Any) -> int:
    moved = outbox.relay(connection)
    assert client.flush(30) == 0
    return moved


def orders(platform: tuple[str, str], source: str) -> list[str]:
    return [r.record["order_id"] for r in read(platform[0], TOPICS, source)]


def source_of(request: pytest.FixtureRequest) -> str:
    return request.node.name


def test_events_live_and_die_with_their_transaction_and_keep_their_order(
    request: pytest.FixtureRequest, client: Make, connect: Callable[[], Any], platform: tuple[str, str]
) -> None:
    held = client(source=source_of(request))
    outbox, connection = Outbox(held), connect()
    outbox.create(connection)
    for number in range(20):
        buy(outbox, connection, f"o{number}")
        connection.rollback() if number % 3 == 2 else connection.commit()
    assert relayed(held, outbox, connect()) == 14
    assert relayed(held, outbox, connect()) == 0
    found = read(platform[0], TOPICS, source_of(request))
    assert [r.record["order_id"] for r in found] == [f"o{n}" for n in range(20) if n % 3 != 2]
    assert {(r.record["amount_minor"], r.record["currency"]) for r in found} == {(5_000, "USD")}


def test_a_crash_between_spool_and_delete_repeats_the_message_id(
    request: pytest.FixtureRequest, client: Make, connect: Callable[[], Any], platform: tuple[str, str]
) -> None:
    held = client(source=source_of(request))
    outbox, connection = Outbox(held), connect()
    outbox.create(connection)
    buy(outbox, connection, "o1")
    connection.commit()
    victim = connect()
    outbox.relay(dying(victim))
    victim.rollback()
    assert relayed(held, outbox, connect()) == 1
    found = read(platform[0], TOPICS, source_of(request))
    assert len(found) == 2 and len({r.record["message_id"] for r in found}) == 1


def test_the_disk_has_it_before_the_database_forgets_it(
    request: pytest.FixtureRequest,
    client: Make,
    connect: Callable[[], Any],
    platform: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held = client(source=source_of(request), spool_sync_s=3_600.0)
    outbox, connection, notes = Outbox(held), connect(), list[str]()
    outbox.create(connection)
    for number in range(3):
        buy(outbox, connection, f"o{number}")
    connection.commit()
    assert held.track("search", user_id="rosa")
    relay, deadline = held._state.relay, time.monotonic() + 30
    assert relay is not None
    while not relay._due[relay._sync]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    with relay._working:  # its own first sync is done, the next comes in an hour
        pass
    fdatasync, broken = os.fdatasync, [True]

    def noted(descriptor: int) -> None:
        if broken:
            broken.clear()
            raise OSError(errno.EIO, "the disk is broken")
        notes.append("on the disk")
        fdatasync(descriptor)

    monkeypatch.setattr(os, "fdatasync", noted)
    same = noting(connect(), notes)
    with pytest.raises(OSError, match="broken"):
        outbox.relay(same)
    assert notes == []
    assert outbox.relay(same) == 3, "the rows are still there, for the same connection too"
    assert notes == ["on the disk", "committed"]
    assert held.flush(30) == 0
    found = read(platform[0], TOPICS, source_of(request))
    assert len({r.record["message_id"] for r in found}) == 4 and len(found) == 7


def test_what_track_refuses_never_enters_and_what_the_database_refuses_is_raised(
    request: pytest.FixtureRequest, client: Make, connect: Callable[[], Any]
) -> None:
    held = client(source=source_of(request))
    outbox, connection = Outbox(held), connect()
    with pytest.raises(Exception, match="no such table"):
        outbox.track(connection, "search")
    connection.rollback()
    outbox.create(connection)
    assert outbox.track(connection, "search", user_id="null").reason == "INVALID_ID"
    connection.commit()
    assert outbox.relay(connect()) == 0
    with pytest.raises(ValueError, match="letters"):
        Outbox(held, "a; DROP TABLE orders")


def test_a_relay_on_a_thread_bears_a_database_that_is_away(
    request: pytest.FixtureRequest, client: Make, connect: Callable[[], Any], platform: tuple[str, str]
) -> None:
    held = client(source=source_of(request))
    outbox, connection, stop = Outbox(held), connect(), threading.Event()
    outbox.create(connection)
    connection.commit()
    tries: list[int] = []

    def sometimes() -> Any:
        tries.append(1)
        if len(tries) < 3:
            raise OSError("away")
        return connect()

    thread = threading.Thread(target=outbox.run, args=(sometimes, stop, 0.02))
    thread.start()
    buy(outbox, connection, "o1")
    connection.commit()
    reader = connect()
    for _ in range(1_000):
        if not database(reader).execute("SELECT 1 FROM footlights_outbox"):
            break
        reader.rollback()
        stop.wait(0.02)
    stop.set()
    thread.join()
    assert held.flush(30) == 0
    assert orders(platform, source_of(request)) == ["o1"]
