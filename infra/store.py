"""Clients of the store.

In: settings, addresses.
Out: clickhouse-connect clients: one that writes, one that only reads.
Never: an analyst's query with the rights of the writer.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import clickhouse_connect

from infra.addresses import Addresses
from infra.settings import Settings
from sinks.migrate import reporting_zone

DATABASE = "footlights"
#: The driver logs each exception that it raises; whoever catches it tells it once.
DRIVER_LOG = logging.getLogger("clickhouse_connect")


def zone_of(client: Any) -> str:
    """The reporting zone that the store's figures were made with: whoever asks may have other settings than the stack."""
    return reporting_zone(client) or "UTC"


@contextmanager
def connect(settings: Settings, addresses: Addresses, *, read_only: bool = False) -> Iterator[Any]:
    """A client of the store; `read_only` is the analysts' user and their database."""
    DRIVER_LOG.setLevel(logging.CRITICAL)
    url = urlsplit(addresses.clickhouse)
    user = "FOOTLIGHTS_CLICKHOUSE_READER" if read_only else "FOOTLIGHTS_CLICKHOUSE_USER"
    client = clickhouse_connect.get_client(
        host=url.hostname,
        port=url.port or (8443 if url.scheme == "https" else 8123),
        interface=url.scheme,
        username=settings[user],
        password=settings["FOOTLIGHTS_CLICKHOUSE_READER_PASSWORD"] if read_only else settings.store_password(),
        database=DATABASE if read_only else "default",
        autogenerate_session_id=False,
        connect_timeout=5,
    )
    try:
        yield client
    finally:
        client.close()
