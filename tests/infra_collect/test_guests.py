"""Events without a person: a guest's purchase is taken, and only what says something of a person needs one.

In: rows and calls without ids. Out: records without a user and a visitor. Never: a quarter of a shop's sales refused.
"""

import json
from pathlib import Path

import pytest

from infra.replay.run import ReplayConfig, replay
from tests.infra_collect.files import HEADER, ORDERS, order, parsed
from tests.infra_collect.memory_client import Connector


@pytest.mark.parametrize("customer", ["", " ", "0", "null", "NaN", "guest", "undefined"])
def test_a_row_of_a_guest_is_taken(tmp_path: Path, customer: str) -> None:
    found = parsed(tmp_path, f"{HEADER}\n{order(1)}\n{order(2).replace(',c2,', f',{customer},')}\n")
    [event] = found.events[3]
    assert (event.user_id, event.anonymous_id, event.fields["amount_minor"]) == (None, None, 4_500)
    assert found.events[2][0].user_id == "c1" and not found.refused


def test_a_file_may_know_no_people_at_all(tmp_path: Path) -> None:
    mapping = ORDERS.replace('user_id = "customer"\n', "")
    assert parsed(tmp_path, f"{HEADER}\n{order(1)}\n", mapping=mapping).events[2][0].user_id is None


@pytest.mark.parametrize("name", ["profile_updated", "identity_linked", "identity_unlinked"])
def test_what_is_said_of_a_person_needs_one(tmp_path: Path, name: str) -> None:
    mapping = f'[event]\nname = "{name}"\n[time]\ncolumn = "when"\n[ids]\nuser_id = "customer"\n'
    found = parsed(tmp_path, f"{HEADER}\n{order(1)}\n{order(2).replace(',c2,', ',,')}\n", mapping=mapping)
    assert list(found.events) == [2] and found.refused == {3: f"{name} with neither user_id nor anonymous_id"}


def test_calls_of_guests_are_published(tmp_path: Path) -> None:
    call = {"event": "ticket_purchased", "timestamp": "2026-07-10T10:00:00Z", "properties": {"quantity": 2}}
    types = ("track", "page", "screen", "group", "identify", "alias")
    (tmp_path / "calls").write_text("\n".join(json.dumps({**call, "type": kind}) for kind in types))
    connector = Connector()
    result = replay(ReplayConfig(tmp_path / "calls", "segment"), connector)
    assert [line.line for line in result.named] == [5, 6]
    assert result.reasons == {"neither userId nor anonymousId": 2}
    assert [c["event_name"] for c in connector.calls] == ["ticket_purchased", "page_view", "screen", "group"]
    assert all(c["user_id"] is None and c["anonymous_id"] is None for c in connector.calls)
    assert len({c["message_id"] for c in connector.calls}) == 4
