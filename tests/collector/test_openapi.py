"""The collector keeps to its OpenAPI document, whatever is sent: no server error, no status that it does not name."""

from typing import Any

import pytest
import schemathesis
from footlights.collector.openapi import document
from hypothesis import HealthCheck, Phase, given, settings

from tests.collector.conftest import Served

pytestmark = pytest.mark.kafka
EXAMPLES = 40
KNOWN = schemathesis.openapi.from_dict(document())


@pytest.mark.parametrize("path", sorted(document()["paths"]))
def test_no_server_errors_and_no_unknown_status(shared: Served, path: str) -> None:
    token = shared.token("schemathesis", rate_per_s=1e9)
    operation = KNOWN[path]["POST"]
    told = {int(status) for status in document()["paths"][path]["post"]["responses"]}

    for generate in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
        )
        @given(case=operation.as_strategy(generation_mode=generate))
        def ask(case: Any) -> None:
            case.headers = {**(case.headers or {}), "Authorization": f"Bearer {token}"}
            answer = case.call(base_url=shared.url)
            assert answer.status_code in told, (answer.status_code, answer.text)
            assert answer.json()

        ask()


def test_every_route_is_in_the_document(shared: Served) -> None:
    from footlights.collector.app import ROUTES

    told = {path.rstrip("/") for path in document()["paths"]}
    # Other spellings of the same.
    spare = {"/e", "/track", "/v1/import", *(f"/v1/{letter}" for letter in "tipsgab")}
    assert told | spare == set(ROUTES)
    assert shared.ask("GET", "/openapi.json").body == document()
