"""Small applications of each framework, instrumented as the guides say; addresses come from the environment.

In: KAFKA, REGISTRY, FOLDER.
Out: `fastapi_app`, `flask_app`, `celery_app`.
Never: a line that a user of the framework would not write.
"""

import os

from footlights import Client
from footlights.integrations import asgi, wsgi
from footlights.integrations.web import Person


def client_of(source: str) -> Client:
    """A client of the test's platform."""
    return Client(
        bootstrap_servers=os.environ["KAFKA"], schema_registry=os.environ["REGISTRY"], source=source, pseudonym_key="k" * 32,
        cache_dir=os.environ["FOLDER"],
    )  # fmt: skip


def fastapi_app() -> object:
    """A FastAPI application."""
    from fastapi import FastAPI
    from fastapi.responses import HTMLResponse, StreamingResponse

    app = FastAPI()
    user = asgi.FootlightsMiddleware
    app.add_middleware(
        user, client=client_of("fastapi-app"), who=lambda scope: Person(user_id="rosa"), skip=("/internal",)
    )

    @app.get("/", response_class=HTMLResponse)
    async def home() -> str:
        return "<h1>home</h1>"

    @app.get("/events/{event_id}")
    async def event(event_id: str) -> dict[str, str]:
        return {"id": event_id}

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(iter([b"a", b"b"]), media_type="text/plain")

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("the card number is 4111 1111 1111 1111")

    @app.get("/health")
    @app.get("/static/site.css")
    @app.get("/internal/queue")
    async def quiet() -> str:
        return "ok"

    return app


def flask_app() -> object:
    """A Flask application."""
    from flask import Flask, Response

    app = Flask(__name__)
    app.wsgi_app = wsgi.FootlightsMiddleware(  # type: ignore[method-assign]
        app.wsgi_app, client=client_of("flask-app"), who=lambda environ: Person(user_id="rosa"), skip=("/internal",)
    )

    @app.get("/")
    def home() -> str:
        return "<h1>home</h1>"

    @app.get("/events/<event_id>")
    def event(event_id: str) -> dict[str, str]:
        return {"id": event_id}

    @app.get("/stream")
    def stream() -> Response:
        return Response(iter([b"a", b"b"]), mimetype="text/plain")

    @app.get("/broken")
    def broken() -> str:
        raise RuntimeError("the card number is 4111 1111 1111 1111")

    @app.get("/health")
    @app.get("/static-like/site.css")
    @app.get("/internal/queue")
    def quiet() -> str:
        return "ok"

    app.config["PROPAGATE_EXCEPTIONS"] = True
    return app


def celery_app() -> object:
    """A Celery application on a broker of files."""
    from celery import Celery
    from footlights.integrations.celery import instrument

    folder = os.environ["FOLDER"]
    app = Celery("shop", broker="filesystem://")
    places = {"data_folder_in": f"{folder}/q", "data_folder_out": f"{folder}/q", "control_folder": f"{folder}/c"}
    app.conf.update(broker_transport_options=places, worker_prefetch_multiplier=1)
    instrument(client_of("celery-app"))

    @app.task(name="send_ticket")
    def send_ticket(number: int) -> int:
        return number

    @app.task(name="fails")
    def fails() -> None:
        raise ValueError("4111 1111 1111 1111")

    return app
