"""Plain requests to the gateway, without any client for ClickHouse."""

import re
from typing import Any

import requests


def ask(
    url: str, sql: str | bytes = "", *, user: str = "default", data: Any = None, **options: Any
) -> requests.Response:
    """Send a statement, in the body or, when there are data, in the address."""
    headers = {"X-ClickHouse-User": user, "Accept-Encoding": "identity", **options.pop("headers", {})}
    if data is not None:
        options["query"] = sql
    body = sql.encode() if data is None and isinstance(sql, str) else sql if data is None else data
    return requests.post(url, params=options, data=body, headers=headers, timeout=60)


def answer(url: str, sql: str | bytes = "", **options: Any) -> str:
    """Return the text of a statement's answer, which is no error."""
    asked = ask(url, sql, **options)
    assert asked.status_code == 200, asked.text
    return asked.text


def code(asked: requests.Response) -> int:
    """Return the code of ClickHouse's error, 0 for none; the header and the text agree."""
    found = re.search(r"Code: (\d+)\. DB::Exception: ", asked.text)
    told = int(asked.headers.get("X-ClickHouse-Exception-Code", 0))
    assert told == (int(found.group(1)) if found else 0), asked.text
    return told
