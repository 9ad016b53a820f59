"""A store with rows of many tenants, each a case of its own, and the figures of their cohort metrics.

In: rows by tenant, as (family, name, user, at, fields).
Out: what the metrics and views say of each tenant.
Never: a row that passes a materialised view by.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import clickhouse_connect

from schemas.cohorts import COHORTS
from sinks.migrate import migrate
from tests.catalogue.test_cohorts import DAY, At, row

Row = tuple[str, str, str | None, At, dict[str, Any]]
Figures = dict[tuple[str, str], float | None]


@contextmanager
def filled(url: str, cases: Mapping[str, Sequence[Row]]) -> Iterator[Any]:
    """A client of a store that holds the rows of all cases, each under a tenant of its name; rows go in one by one family."""
    client = clickhouse_connect.get_client(dsn=f"{url}/default")
    client.command("DROP DATABASE IF EXISTS footlights")
    migrate(client)
    insert(client, cases)
    yield client
    client.command("DROP DATABASE footlights")
    migrate(client)
    client.close()


def insert(client: Any, cases: Mapping[str, Sequence[Row]]) -> None:
    """Put the rows of the cases into the events tables, in their order."""
    rows: dict[str, list[dict[str, Any]]] = {}
    number = 0
    for tenant, held in cases.items():
        for family, name, user, at, fields in held:
            number += 1
            rows.setdefault(family, []).append(row(family, name, user, at, number, {"tenant_id": tenant, **fields}))
    for family, found in rows.items():
        lines = "\n".join(map(json.dumps, found))
        client.raw_insert(
            f"footlights.events_{family}", column_names=list(found[0]), insert_block=lines, fmt="JSONEachRow"
        )


def figures(client: Any, name: str, day: int = 0, zone: str = "UTC") -> Figures:
    """A metric's values on a day, counted from the cases' first, by tenant and dimension."""
    found = client.query(COHORTS[name].sql(DAY + day, zone)).result_rows
    return {(tenant, by.removeprefix("hosted_event_id=")): value for tenant, by, value, _ in found}
