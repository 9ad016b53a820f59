"""Typed calls: each business event has one, its columns are the schema's, and what is wrong is said."""

import inspect
import typing
from pathlib import Path
from typing import Any

import pytest
from footlights import Money
from footlights.business import SHAPES, BusinessEvents, Envelope
from footlights.names import FAMILY_OF, family_of

from schemas.families import FAMILIES
from tests.producers.test_client_unit import cached, client

__all__ = ["cached"]
NOT_BUSINESS = {"operation_timed", "page_loaded", "crash"}
SAMPLES: dict[str, Any] = {
    "amount": Money(5_000, "USD"), "quantity": 2, "capacity": 100, "price_minor": 2_500, "currency": "USD", "rating": 5, "nps": 9,
    "starts_at_ms": 1_800_000_000_000, "ends_at_ms": 1_800_000_360_000, "required_fields": 8, "filled_fields": 3,
    "analytics_allowed": True,
}  # fmt: skip


def test_each_event_of_the_platform_has_a_typed_call_and_each_field_a_column() -> None:
    calls = {n for n, f in inspect.getmembers(BusinessEvents, inspect.isfunction) if not n.startswith("_")}
    assert calls == set(SHAPES) == set(FAMILY_OF) - NOT_BUSINESS
    for name, shape in SHAPES.items():
        columns = {"amount": "amount_minor"}
        for field in shape.__annotations__.keys() - Envelope.__annotations__.keys():
            assert columns.get(field, field) in FAMILIES[family_of(name)].kinds, (name, field)


@pytest.mark.parametrize("name", SHAPES)
def test_a_full_call_is_taken_and_each_required_field_is_asked_for(cached: Path, name: str) -> None:
    shape: Any = SHAPES[name]
    own = typing.get_type_hints(shape).keys() - Envelope.__annotations__.keys()
    values = {field: SAMPLES.get(field, "x1") for field in own}
    with client(cached, strict=False) as held:
        call = getattr(held, name)
        assert call(user_id="u1", **values), call(user_id="u1", **values)
        for field in shape.__required_keys__:
            outcome = call(user_id="u1", **{f: v for f, v in values.items() if f != field})
            assert (outcome.reason, outcome.detail) == ("INVALID_FIELD", f"{name} needs {field}")


def test_names_and_types_are_checked_at_the_call(cached: Path) -> None:
    with client(cached) as held:
        misspelt = held.rsvp_given(hosted_event="e1", user_id="u1")  # type: ignore[call-arg]
        assert misspelt.detail == "rsvp_given has no field hosted_event; did you mean hosted_event_id?"
        wrong = held.feedback_given(rating="five")  # type: ignore[arg-type]
        assert wrong.detail == "rating must be a whole number, not str"
        assert held.feedback_given(rating=9).detail == "rating must lie between 1 and 5"
        money = held.ticket_purchased(hosted_event_id="e1", quantity=1, amount=500)  # type: ignore[arg-type]
        assert money.detail.startswith("amount must be Money")


def test_aliases_want_two_ids(cached: Path) -> None:
    with client(cached) as held:
        assert held.alias("u1", "visitor-9") and held.unalias("u1", "visitor-9")
        for placeholder in ("null", "0", "anonymous", 0):
            assert held.alias("u1", placeholder).reason == held.alias(placeholder, "v1").reason == "INVALID_ID"
