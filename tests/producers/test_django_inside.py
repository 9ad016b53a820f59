"""Django's middleware and signals in a process: streams, sessions, transactions, models of people, hooks that raise."""

import asyncio
import gc
import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import django
import pytest
from django.conf import settings

from tests.producers.recorded import AGENT, Recorder, ask, call

CUT = [("api_call", 500, None), ("operation_timed", 500, "RuntimeError"), ("crash", None, "RuntimeError")]
PAGE = [("page_view", 200, None), ("operation_timed", 200, None)]
CALL = [("api_call", 200, None), ("operation_timed", 200, None)]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("django")
    database = {"ENGINE": "django.db.backends.sqlite3"}
    settings.configure(
        SECRET_KEY="not a secret: a test's", ALLOWED_HOSTS=["*"], ROOT_URLCONF="tests.producers.django_people.pages", USE_TZ=True,
        DATABASES={name: {**database, "NAME": str(folder / name)} for name in ("default", "other")},
        INSTALLED_APPS=[
            "django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions", "footlights.integrations.django",
            "tests.producers.django_people",
        ],
        MIDDLEWARE=[
            "footlights.integrations.django.middleware.FootlightsMiddleware",
            "django.contrib.sessions.middleware.SessionMiddleware", "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        AUTH_USER_MODEL="django_people.Person", ANALYTICS_RETENTION_DAYS=365,
        ANALYTICS_BATCH_SIZE=1000, ANALYTICS_SKIP_PATHS=["/internal"],
    )  # fmt: skip
    django.setup()
    return folder


@pytest.fixture
def tables(project: Path) -> Iterator[None]:
    from django.core.management import call_command
    from django.db import connections

    for alias in ("default", "other"):
        call_command("migrate", verbosity=0, run_syncdb=True, database=alias)
    yield
    for connection in connections.all():
        connection.close()
    for alias in ("default", "other"):
        (project / alias).unlink()


@pytest.fixture
def client(project: Path, monkeypatch: pytest.MonkeyPatch) -> Recorder:
    from footlights.integrations.django import client as held

    recorder = Recorder()
    monkeypatch.setattr(held, "_held", [recorder])
    return recorder


@pytest.fixture
def wsgi(client: Recorder) -> Callable[..., Any]:
    from django.core.handlers.wsgi import WSGIHandler

    handler = WSGIHandler()
    return lambda path, **more: call(handler, path, **more)


def over_asgi(path: str, **more: Any) -> list[dict[str, Any]]:
    from django.core.handlers.asgi import ASGIHandler

    async def run() -> list[dict[str, Any]]:
        return await ask(ASGIHandler(), path, **more)

    return asyncio.run(run())


@pytest.mark.parametrize("kind", ["sync", "generator-less", "file", "file-of-the-server"])
def test_a_stream_ends_with_its_last_byte(wsgi: Callable[..., Any], client: Recorder, kind: str) -> None:
    from wsgiref.util import FileWrapper

    more = {"wsgi.file_wrapper": FileWrapper} if kind == "file-of-the-server" else {}
    path = "file" if kind.startswith("file") else kind
    statuses, pieces, problem = wsgi(f"/stream/{path}", **more)
    assert (statuses, b"".join(pieces), problem) == (["200 OK"], b"row 0\nrow 1\n", None)
    assert client.told() == CALL
    assert client.of("operation_timed")[0]["response_time_ms"] >= 200


@pytest.mark.parametrize("kind", ["sync", "async", "file"])
@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume")
def test_a_stream_over_asgi(client: Recorder, kind: str) -> None:
    sent = over_asgi(f"/stream/{kind}")
    assert b"".join(message.get("body", b"") for message in sent) == b"row 0\nrow 1\n"
    assert client.told() == CALL
    assert client.of("operation_timed")[0]["response_time_ms"] >= 200


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # Django leaves the file of such a body open
def test_a_stream_that_fails_is_an_error_and_one_crash(wsgi: Callable[..., Any], client: Recorder) -> None:
    assert isinstance(wsgi("/fails/sync")[2], RuntimeError)
    assert client.told() == CUT
    client.events.clear()
    with pytest.raises(RuntimeError):
        over_asgi("/fails/async")
    gc.collect()
    assert client.told() == CUT


def test_a_client_that_leaves_a_stream(wsgi: Callable[..., Any], client: Recorder) -> None:
    wsgi("/stream/sync", read=1)
    assert client.told() == CALL
    assert client.of("operation_timed")[0]["response_time_ms"] < 150


def test_pages_and_what_django_answers_for_itself(wsgi: Callable[..., Any], client: Recorder) -> None:
    assert [wsgi(path)[0][0][:3] for path in ("/page", "/broken", "/nothing", "/denied", "/internal/x", "/style.css")] == [
        "200", "500", "404", "403", "404", "404",
    ]  # fmt: skip
    assert client.told() == [*PAGE, *CUT, ("api_call", 404, None), ("operation_timed", 404, None), ("api_call", 403, None),
                             ("operation_timed", 403, None)]  # fmt: skip
    client.events.clear()
    assert over_asgi("/async-broken")[0]["status"] == 500
    assert client.told() == CUT


def test_a_view_that_is_cancelled(client: Recorder) -> None:
    from footlights.integrations.django.middleware import FootlightsMiddleware

    async def view(request: Any) -> Any:
        raise asyncio.CancelledError

    async def run() -> None:
        from django.test import AsyncRequestFactory

        await FootlightsMiddleware(view)(AsyncRequestFactory().get("/slow", headers={"user-agent": AGENT}))

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(run())
    assert client.told() == [("api_call", 499, None), ("operation_timed", 499, None)]


def test_a_page_needs_no_database_and_no_session_for_us(wsgi: Callable[..., Any], client: Recorder) -> None:
    """No tables are there: a look at the user would fail."""
    from django.conf import settings
    from django.core.handlers.wsgi import WSGIHandler

    seen: list[Any] = []
    cookie = f"{settings.SESSION_COOKIE_NAME}=abcdefghijklmnopqrstuvwxyz012345"
    asked = {"PATH_INFO": "/page", "HTTP_USER_AGENT": AGENT, "HTTP_COOKIE": cookie, "REQUEST_METHOD": "GET", "SERVER_NAME": "x",
             "SERVER_PORT": "80", "wsgi.input": io.BytesIO(), "wsgi.url_scheme": "http"}  # fmt: skip
    answer = WSGIHandler()(asked, lambda status, headers, *_: seen.append((status, dict(headers))))
    assert b"".join(answer) and seen[0][0] == "200 OK"
    assert "Vary" not in seen[0][1] and "Set-Cookie" not in seen[0][1]
    assert over_asgi("/page", headers=[(b"cookie", cookie.encode())])[0]["status"] == 200
    assert client.told() == PAGE * 2
    assert {values["session_id"] for values in client.of("page_view")} == {"abcdefghijklmnopqrstuvwxyz012345"}


@pytest.mark.usefixtures("tables")
def test_the_person_is_known_where_the_page_has_looked(client: Recorder) -> None:
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    browser = Client(headers={"user-agent": AGENT})
    for path, queries in (("/in", None), ("/user", 2), ("/session", 1), ("/page", 0)):
        client.events.clear()
        with CaptureQueriesContext(connection) as asked:
            assert browser.get(path).status_code == 200
        assert queries is None or len(asked) == queries
        known = client.of("operation_timed")[0]["user_id"]
        assert known == (None if path == "/page" else "1")


@pytest.mark.usefixtures("tables")
def test_events_of_a_transaction_wait_for_its_commit(client: Recorder) -> None:
    from django.contrib.auth.signals import user_logged_in
    from django.db import transaction
    from footlights import Money
    from footlights.integrations.django import signals

    from tests.producers.django_people.models import Person

    def register(name: str, using: str = "default") -> Person:
        return Person.objects.db_manager(using).create(name=name)

    with pytest.raises(ValueError, match="card refused"), transaction.atomic():
        person = register("rosa")
        user_logged_in.send(Person, request=None, user=person)
        signals.ticket_purchased.send(None, user=person, hosted_event_id="e1", amount=Money(1, "USD"), quantity=1)
        raise ValueError("card refused")
    assert client.events == []
    with transaction.atomic():
        with pytest.raises(KeyError), transaction.atomic():  # a savepoint
            register("never")
            raise KeyError
        with transaction.atomic():
            person = register("gus")
        signals.ticket_purchased.send(None, user=person, hosted_event_id="e1", amount=Money(1, "USD"), quantity=1)
        assert client.events == []
    assert [(name, values["user_id"]) for name, values in client.events] == [
        ("user_registered", str(person.pk)), ("ticket_purchased", str(person.pk)),
    ]  # fmt: skip
    client.events.clear()
    with transaction.atomic():  # the other database commits by itself
        register("ada", using="other")
        assert len(client.of("user_registered")) == 1
    with pytest.raises(KeyError), transaction.atomic(), transaction.atomic(using="other"):
        user_logged_in.send(Person, request=None, user=person)
        signals.ticket_purchased.send(None, using="other", hosted_event_id="e1", amount=Money(1, "USD"), quantity=1)
        raise KeyError
    with transaction.atomic(), pytest.raises(KeyError), transaction.atomic(using="other"):
        user_logged_in.send(Person, request=None, user=person)
        raise KeyError
    assert [name for name, _ in client.events] == ["user_registered"]
    with transaction.atomic(), transaction.atomic(using="other"):
        user_logged_in.send(Person, request=None, user=person)
    assert [name for name, _ in client.events] == ["user_registered", "user_logged_in"]


@pytest.mark.usefixtures("tables")
def test_each_registration_counts_once(client: Recorder, tmp_path: Path) -> None:
    from django.core.management import call_command

    from tests.producers.django_people.models import Guest, Host, Person, Ticket

    def registered() -> list[Any]:
        found = [values["user_id"] for values in client.of("user_registered")]
        client.events.clear()
        return found

    rosa, gus, ada = (
        Person.objects.create(name="rosa"),
        Guest.objects.create(name="gus"),
        Host.objects.create(name="ada"),
    )
    assert registered() == [str(person.pk) for person in (rosa, gus, ada)]
    Ticket.objects.create()
    for person in (rosa, gus, ada):
        person.save()
    Host(person_ptr=rosa, name="rosa", city="Köln").save()
    Host(person_ptr_id=gus.pk, name="gus", city="Köln").save()
    assert registered() == []
    call_command("dumpdata", "django_people", output=str(tmp_path / "people.json"), verbosity=0)
    call_command("loaddata", str(tmp_path / "people.json"), database="other", verbosity=0)
    Person.objects.bulk_create([Person(name="zoe")])
    assert registered() == []


@pytest.mark.usefixtures("tables")
def test_signals_and_settings_that_raise_leave_the_host_alone(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.contrib.auth.signals import user_logged_in
    from django.core.handlers.wsgi import WSGIHandler
    from django.test import override_settings
    from footlights.integrations.django import client as held
    from footlights.integrations.django import signals

    from tests.producers.django_people.models import Person

    class Raises:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError("rosa@example.org")

        def __iter__(self) -> Any:
            raise RuntimeError("rosa@example.org")

    broken = {"ANALYTICS_SKIP_PATHS": Raises(), "ANALYTICS_USER_ID_FIELD": Raises(), "ANALYTICS_SOURCE": 7}
    away = {"ANALYTICS_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    monkeypatch.setattr(held, "_held", [])
    monkeypatch.setattr(held, "_failed_at", [])
    for told in (broken, away, {**away, **broken}):
        with override_settings(**told):
            assert call(WSGIHandler(), "/page")[0] == ["200 OK"]
            person = Person.objects.create(name=str(time.monotonic()))
            user_logged_in.send(Person, request=None, user=person)
            signals.ticket_purchased.send(None, user=Raises(), quantity="many")
            assert held.told()


def test_the_check_knows_the_settings_of_the_specification(project: Path) -> None:
    from django.test import override_settings
    from footlights.integrations.django.apps import check_settings

    assert [found.id for found in check_settings()] == ["footlights.W001"]
    with override_settings(ANALYTICS_RETENTION_DAY=1):
        (wrong, _) = check_settings()
        assert wrong.id == "footlights.E001" and "ANALYTICS_RETENTION_DAYS" in wrong.hint
    with override_settings(ANALYTICS_BOOTSTRAP_SERVERS="127.0.0.1:1"):
        (wrong,) = check_settings()
        assert wrong.id == "footlights.E002" and "schema_registry" in wrong.msg


def test_paths_to_skip_from_the_environment(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.test import override_settings
    from footlights.integrations.django import conf

    with override_settings(ANALYTICS_SKIP_PATHS=None):
        monkeypatch.setenv("ANALYTICS_SKIP_PATHS", "/internal, /admin/")
        assert conf.words("SKIP_PATHS") == ("/internal", "/admin/")
