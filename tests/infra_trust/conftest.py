"""A migrated store."""

from collections.abc import Iterator
from urllib.parse import urlparse

import clickhouse_connect
import pytest

from sinks.migrate import migrate
from tests.infra_trust.stored import Stored


@pytest.fixture
def stored(clickhouse_url: str) -> Iterator[Stored]:
    """All tables, those of the test's family empty."""
    address = urlparse(clickhouse_url)
    client = clickhouse_connect.get_client(host=address.hostname, port=address.port, autogenerate_session_id=False)
    migrate(client)
    yield Stored(client)
    client.close()
