"""clickhouse-connect, with and without asyncio: reads and writes.

In: the store's address and users from the environment, the columns of a table as the first argument.
Out: a line `ok NAME` for each check.
Never: a check that is passed over.
"""

import asyncio
import datetime as dt
import ipaddress
import sys
import uuid
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError
from clickhouse_connect.driver.external import ExternalData
from store import HOST, PORT, READER, ROWS, WRITER, connect

ROW = (
    2**64 - 1,
    "naïve\t'quoted'\n",
    "vip",
    "gate",
    None,
    2**256 - 1,
    -(2**127),
    Decimal("-1234567.8912"),
    dt.datetime(2024, 2, 29, 23, 59, 59, 999_000, tzinfo=ZoneInfo("Asia/Tokyo")),
    dt.datetime(2024, 7, 1, 12, 0, tzinfo=ZoneInfo("America/New_York")),
    dt.date(2026, 11, 25),
    uuid.UUID("0190163d-8694-739b-aea5-966c26f8ad90"),
    ipaddress.IPv4Address("192.0.2.1"),
    True,
    0.1,
    ["x", "", "z"],
    {"a": 1},
    ("left", -7),
)


def refusal(call: Callable[[], object]) -> int | None:
    """Return ClickHouse's code of the error that the call ends with."""
    try:
        call()
    except DatabaseError as error:
        return error.code
    return 0


def types(client: Client, columns: str) -> None:
    client.command(f"CREATE OR REPLACE TABLE clients_connect ({columns}) ENGINE = MergeTree ORDER BY n")
    client.insert("clients_connect", [ROW])
    (found,) = client.query("SELECT * FROM clients_connect").result_rows
    assert found == ROW, found
    # A moment is equal in every zone: the zones of the columns are to come along, too.
    assert [str(value.tzinfo) for value in found[8:10]] == ["Asia/Tokyo", "America/New_York"], found[8:10]


def stream(client: Client) -> None:
    client.command("CREATE OR REPLACE TABLE clients_connect_many (n UInt64, s String) ENGINE = MergeTree ORDER BY n")
    names = [f"row {n}" for n in range(ROWS)]
    summary = client.insert("clients_connect_many", [range(ROWS), names], column_oriented=True)
    assert summary.written_rows == ROWS, summary.summary
    with client.query_row_block_stream("SELECT n, s FROM clients_connect_many ORDER BY n") as blocks:
        rows = [row for block in blocks for row in block]
    assert rows == list(zip(range(ROWS), names, strict=True))


def external(client: Client) -> None:
    data = ExternalData(
        file_name="wanted", data=b"1\n3\n", fmt="CSV", structure="n UInt64", mime_type="application/octet-stream"
    )
    query = "SELECT s FROM clients_connect_many WHERE n IN (SELECT n FROM wanted) ORDER BY n"
    assert client.query(query, external_data=data).result_rows == [("row 1",), ("row 3",)]


async def asynchronous() -> None:
    client = await clickhouse_connect.get_async_client(host=HOST, port=PORT, **WRITER)
    answers = await asyncio.gather(*(client.query("SELECT {n:UInt8}", parameters={"n": n}) for n in range(8)))
    assert [answer.result_rows for answer in answers] == [[(n,)] for n in range(8)]
    slow = client.query("SELECT sum(sleepEachRow(0.5)) FROM numbers(60) SETTINGS max_block_size = 1")
    try:
        await asyncio.wait_for(slow, 0.5)
    except TimeoutError:
        await client.close()
    else:
        raise AssertionError("not cancelled")


def main() -> None:
    client = connect(WRITER, tz_mode="aware")
    assert client.ping()
    print("ok ping")
    types(client, Path(sys.argv[1]).read_text())
    print("ok types")
    for compress in (False, "lz4", "zstd", "gzip"):
        stream(connect(WRITER, compress=compress))
        print("ok stream", compress)
    assert refusal(lambda: client.query("SELECT * FROM nowhere")) == 60
    print("ok error")
    assert client.query("SELECT {s:String}", parameters={"s": "O'Hara é"}).result_rows == [("O'Hara é",)]
    print("ok parameters")
    client.command("CREATE TEMPORARY TABLE mine (x UInt8)")
    client.insert("mine", [[1], [2]], column_names=["x"], column_type_names=["UInt8"])
    assert client.query("SELECT sum(x) FROM mine").result_rows == [(3,)]
    print("ok session")
    external(client)
    print("ok external")
    asyncio.run(asynchronous())
    print("ok asynchronous")
    reader = connect(READER, settings={"max_execution_time": 600, "async_insert": 1, "result_overflow_mode": "break"})
    external(reader)
    assert refusal(lambda: reader.command("CREATE TABLE clients_no (n UInt8) ENGINE = Memory")) == 497
    assert refusal(lambda: reader.insert("clients_connect_many", [[1, "a"]], column_names=["n", "s"])) == 497
    print("ok reader")


if __name__ == "__main__":
    main()
