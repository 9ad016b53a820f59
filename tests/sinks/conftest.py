"""A migrated store for the tests of the sinks."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlparse

import clickhouse_connect
import pytest

from sinks.migrate import migrate


def connect(url: str) -> Any:
    address = urlparse(url)
    return clickhouse_connect.get_client(host=address.hostname, port=address.port, autogenerate_session_id=False)


@pytest.fixture(scope="session")
def store(clickhouse_url: str) -> Iterator[Any]:
    """A client of a store with all tables."""
    client = connect(clickhouse_url)
    migrate(client)
    yield client
    client.close()
