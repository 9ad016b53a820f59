"""ClickHouse over its HTTP protocol, the embedded engine's gateway and a server alike.

In: statements, data in a format that the engine reads.
Out: rows, raw bytes; or one of three meanings of a failure.
Never: an error text of the engine in a log, since it may quote a row's values.
"""

import json
import re
from typing import Any
from urllib.parse import urlencode

import urllib3

from sinks.errors import Fenced, SinkError, Transient

FENCED = "another sink owns this partition"
INSERT_TIMEOUT_S = 300.0
#: Codes that say "not now": timeouts, memory, too many queries or parts, network, keeper, cancelled, shutting down.
_TRANSIENT = frozenset({3, 159, 198, 202, 203, 209, 210, 225, 236, 241, 242, 243, 252, 279, 319, 373, 394, 425, 999})
_THROWN, _NO_TABLE, _NO_DATABASE, _REFUSED = 395, 60, 81, {192, 193, 194, 497, 516}
_CODE = re.compile(rb"Code: (\d+)\.")

#: One insert is one block of each table partition, so its token stands for all of its rows.
INSERT_SETTINGS = {
    "max_threads": "1",
    "max_insert_threads": "1",
    "min_insert_block_size_rows": "16000000",
    "min_insert_block_size_bytes": "4000000000",
    "deduplicate_blocks_in_dependent_materialized_views": "1",
    "insert_deduplicate": "1",
}


class Store:
    """A client of one store; threads may share it."""

    def __init__(self, url: str, *, user: str = "default", password: str = "") -> None:
        self._url = url.rstrip("/") + "/"
        self._headers = {"X-ClickHouse-User": user}
        if password:
            self._headers["X-ClickHouse-Key"] = password
        self._http = urllib3.PoolManager(maxsize=8, retries=False)

    def rows(self, sql: str) -> list[list[Any]]:
        """Rows of a query, whole numbers as int."""
        settings = {"output_format_json_quote_64bit_integers": "0"}
        answer = self._post(settings, f"{sql} FORMAT JSONCompactEachRow".encode())
        return [json.loads(line) for line in answer.splitlines() if line]

    def binary(self, sql: str) -> bytes:
        """Rows of a query as RowBinary."""
        return self._post({}, f"{sql} FORMAT RowBinary".encode())

    def command(self, sql: str, query_id: str = "") -> None:
        """Run a statement without an answer."""
        self._post({"query_id": query_id} if query_id else {}, sql.encode())

    def insert(self, sql: str, data: bytes, *, token: str, query_id: str) -> None:
        """Run an `INSERT … FORMAT x` with its data, once in effect for its token.

        Raises
        ------
        Transient
            The store did not answer or cannot just now; the insert may have landed all the same.
        Fenced
            The statement's own condition says that another owns the rows.
        SinkError
            It will never work.
        """
        identity = {"query": sql, "query_id": query_id, "log_comment": query_id, "insert_deduplication_token": token}
        self._post({**identity, **INSERT_SETTINGS}, data)

    def _post(self, options: dict[str, str], body: bytes) -> bytes:
        try:
            answer = self._http.request(
                "POST",
                f"{self._url}?{urlencode({**options, 'wait_end_of_query': '1'})}",
                body=body,
                headers=self._headers,
                timeout=urllib3.Timeout(connect=5, read=INSERT_TIMEOUT_S),
            )
        except (urllib3.exceptions.HTTPError, OSError) as problem:
            raise Transient(f"the store does not answer ({type(problem).__name__})") from problem
        # Known by its tag alone: rows may hold any text, the mark of an exception too.
        tag = answer.headers.get("X-ClickHouse-Exception-Tag", "").encode()
        if answer.status == 200 and not (tag and b"__exception__\r\n%s\r\n" % tag in answer.data[-65536:]):
            return answer.data
        raise failure_of(answer.status, answer.data)


def failure_of(status: int, text: bytes) -> Exception:
    """What an answer of the store means, without the values that it may quote.

    Examples
    --------
    >>> failure_of(500, b"Code: 241. DB::Exception: Memory limit exceeded")
    Transient('the store cannot just now (code 241)')
    """
    found = _CODE.search(text)
    code = int(found.group(1)) if found else 0
    if code == _THROWN and FENCED.encode() in text:
        return Fenced("another sink has taken over a partition of this one; it stops and starts anew")
    if code in _TRANSIENT or (not code and status >= 500) or (not code and status == 200):
        return Transient(f"the store cannot just now (code {code})")
    if code in {_NO_TABLE, _NO_DATABASE}:
        return SinkError("the store lacks a table; run `footlights migrate`")
    if code in _REFUSED:
        return SinkError("the store refuses this user; check the settings of the store's user and password")
    return SinkError(f"the store refuses a statement for good (code {code}, status {status})")
