"""A store for other people's clients.

In: the gateway that `tests/conftest.py` starts.
Out: the fixture `store`: its address and its users as the environment of a program.
Never: a client that was changed to fit.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

import pytest


@pytest.fixture(scope="session")
def store(clickhouse_url: str) -> Mapping[str, str]:
    """How a program reaches the store; the writer's password is empty where none was set."""
    address = urlsplit(clickhouse_url)
    return {
        "STORE_URL": clickhouse_url,
        "STORE_HOST": str(address.hostname),
        "STORE_PORT": str(address.port),
        "STORE_WRITER": "default",
        "STORE_WRITER_PASSWORD": "",
        "STORE_READER": "reader",
    }
