"""The store's address and users, from the environment."""

import os
from typing import Any
from urllib.parse import quote

import clickhouse_connect
from clickhouse_connect.driver.client import Client

HOST, PORT = os.environ["STORE_HOST"], int(os.environ["STORE_PORT"])
WRITER = {"username": os.environ["STORE_WRITER"], "password": os.environ["STORE_WRITER_PASSWORD"]}
READER = {"username": os.environ["STORE_READER"], "password": ""}
ROWS = 100_000


def connect(user: dict[str, str], **options: Any) -> Client:
    """Return a client of ClickHouse's own Python library."""
    return clickhouse_connect.get_client(host=HOST, port=PORT, **user, **options)


def url(scheme: str, user: dict[str, str]) -> str:
    """Return the address in the form that most tools take."""
    return f"{scheme}://{user['username']}:{quote(user['password'], safe='')}@{HOST}:{PORT}/default"
