"""ClickHouse's own clients, unmodified, against the gateway over the real engine."""

import asyncio
import datetime as dt
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import clickhouse_connect
import fastavro
import pandas as pd
import pyarrow as pa
import pytest
import requests
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, StreamFailureError

from infra.embedded.ports import free_port
from infra.embedded.tether import tethered

pytestmark = pytest.mark.clickhouse

UTC = dt.UTC
COLUMNS = {
    "s": ("String", "naïve\t'quoted'\n"),
    "lc": ("LowCardinality(String)", "gate"),
    "n": ("Nullable(Int64)", None),
    "i": ("Int64", -(2**63)),
    "u": ("UInt64", 2**64 - 1),
    "f": ("Float64", 0.1),
    "b": ("Bool", True),
    "t": ("DateTime64(3, 'UTC')", dt.datetime(2024, 2, 29, 23, 59, 59, 999_000, tzinfo=UTC)),
    "m": ("Map(String, UInt64)", {"a": 1, "b": 2}),
    "a": ("Array(String)", ["x", "", "z"]),
    "id": ("UUID", uuid.UUID("0190163d-8694-739b-aea5-966c26f8ad90")),
    "d": ("Date", dt.date(2026, 11, 25)),
}


def _connect(url: str, **options: Any) -> Client:
    parts = urlsplit(url)
    client: Client = clickhouse_connect.get_client(host=parts.hostname, port=parts.port, **options)
    return client


@pytest.fixture
def client(clickhouse_url: str) -> Iterator[Client]:
    client = _connect(clickhouse_url)
    yield client
    client.close()


@pytest.fixture
def reader(clickhouse_url: str) -> Iterator[Client]:
    client = _connect(clickhouse_url, username="reader")
    yield client
    client.close()


@pytest.fixture
def table(client: Client, request: pytest.FixtureRequest) -> str:
    name = "".join(letter if letter.isalnum() else "_" for letter in request.node.name)
    client.command(f"DROP TABLE IF EXISTS {name}")
    client.command(
        f"CREATE TABLE {name} (k UInt64, v String, o Int64) ENGINE = MergeTree ORDER BY k "
        "SETTINGS non_replicated_deduplication_window = 100"
    )
    return name


def _native(clickhouse_url: str, sql: str) -> bytes:
    return requests.post(clickhouse_url, data=f"{sql} FORMAT Native", timeout=60).content


@pytest.mark.parametrize("compress", ["zstd", "lz4", "gzip", False])
def test_every_column_type_round_trips(client: Client, clickhouse_url: str, compress: str | bool) -> None:
    packed = _connect(clickhouse_url, compress=compress, tz_mode="aware")
    name = f"types_{compress}".lower()
    columns = ", ".join(f"{column} {kind}" for column, (kind, _) in COLUMNS.items())
    client.command(f"CREATE TABLE {name} ({columns}) ENGINE = MergeTree ORDER BY i")
    row = [value for _, value in COLUMNS.values()]
    summary = packed.insert(name, [row] * 1_000, column_names=list(COLUMNS))
    assert summary.written_rows == 1_000
    result = packed.query(f"SELECT * FROM {name}")
    assert len(result.result_rows) == 1_000
    assert dict(zip(COLUMNS, result.result_rows[-1], strict=True)) == {
        column: value for column, (_, value) in COLUMNS.items()
    }
    assert result.result_rows[:-1] == result.result_rows[1:]
    assert [kind.name for kind in result.column_types][3] == "Int64"
    packed.close()


def test_frames_arrow_and_raw_inserts(client: Client, table: str) -> None:
    client.insert_df(table, pd.DataFrame({"k": [1, 2], "v": ["a", "b"], "o": [0, 0]}))
    client.insert_arrow(table, pa.table({"k": pa.array([3], pa.uint64()), "v": ["c"], "o": [0]}))
    client.raw_insert(table, ["k", "v"], b'{"k": 4, "v": "d"}\n{"k": 5, "v": "e"}', fmt="JSONEachRow")
    client.command(f"INSERT INTO {table} VALUES (6, 'f', 0)")
    assert client.query(f"SELECT groupArray(v) FROM (SELECT v FROM {table} ORDER BY k)").result_rows == [
        (["a", "b", "c", "d", "e", "f"],)
    ]
    assert client.query_df(f"SELECT * FROM {table}").shape == (6, 3)
    assert client.query_arrow(f"SELECT * FROM {table}").num_rows == 6


def test_token_makes_a_repeated_insert_one(client: Client, table: str, clickhouse_url: str) -> None:
    body = _native(clickhouse_url, "SELECT number AS k, toString(number) AS v FROM numbers(10)")
    for token in ("first", "first", "second"):
        for sql in (
            f"INSERT INTO {table} (k, v, o) SELECT k, v, 100 + k FROM input('k UInt64, v String') FORMAT Native",
            f"INSERT INTO {table} (k, v) FORMAT Native",
        ):
            kind = "input" if "input(" in sql else "plain"
            options = {"query": sql, "insert_deduplication_token": f"{kind}-{token}"}
            assert requests.post(clickhouse_url, params=options, data=body, timeout=60).status_code == 200
    assert client.query(f"SELECT count(), countIf(o >= 100), max(o) FROM {table}").result_rows == [(40, 20, 109)]


def test_input_takes_avro_and_arrow_with_the_statement_in_the_body(
    client: Client, table: str, clickhouse_url: str, tmp_path: Path
) -> None:
    schema = {"type": "record", "name": "R", "fields": [{"name": "k", "type": "long"}, {"name": "v", "type": "string"}]}
    with (tmp_path / "rows.avro").open("wb") as file:
        fastavro.writer(file, schema, [{"k": n, "v": str(n)} for n in range(3)])
    stream = pa.BufferOutputStream()
    rows = pa.table({"k": pa.array([7], pa.uint64()), "v": ["arrow"]})
    with pa.ipc.new_stream(stream, rows.schema) as writer:
        writer.write_table(rows)
    bodies = {"Avro": (tmp_path / "rows.avro").read_bytes(), "ArrowStream": stream.getvalue().to_pybytes()}
    for name, data in bodies.items():
        sql = f"INSERT INTO {table} (k, v, o) SELECT k, v, 1 FROM input('k UInt64, v String') FORMAT {name}\n"
        assert requests.post(clickhouse_url, data=sql.encode() + data, timeout=60).text == ""
    assert client.query(f"SELECT count(), sum(o) FROM {table}").result_rows == [(4, 4)]
    assert client.query(f"SELECT k FROM {table} WHERE v = 'arrow'").result_rows == [(7,)]


def test_bad_data_are_refused_whole(client: Client, table: str, clickhouse_url: str) -> None:
    good = _native(clickhouse_url, "SELECT number AS k, 'x' AS v FROM numbers(10)")
    answer = requests.post(
        clickhouse_url, params={"query": f"INSERT INTO {table} (k, v) FORMAT Native"}, data=good[:-5], timeout=60
    )
    assert answer.status_code >= 400
    assert int(answer.headers["X-ClickHouse-Exception-Code"]) > 0
    assert client.query(f"SELECT count() FROM {table}").result_rows == [(0,)]


@pytest.mark.parametrize(
    ("sql", "status", "code"),
    [("SELECT * FROM nowhere", 404, 60), ("SELEC", 400, 62), ("SELECT (", 400, 62), ("SELECT throwIf(1)", 500, 395)],
)
def test_errors_have_status_and_code(clickhouse_url: str, sql: str, status: int, code: int) -> None:
    answer = requests.post(clickhouse_url, data=sql, timeout=60)
    assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (status, str(code))
    assert f"Code: {code}." in answer.text
    assert "Traceback" not in answer.text


def test_authentication(clickhouse_url: str) -> None:
    assert requests.get(f"{clickhouse_url}/ping", timeout=10).text == "Ok.\n"
    for wrong in ({"X-ClickHouse-User": "nobody"}, {"X-ClickHouse-Key": "guess"}, {"Authorization": "Basic !"}):
        answer = requests.get(clickhouse_url, params={"query": "SELECT 1"}, headers=wrong, timeout=10)
        assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (401, "516")
    assert requests.get(clickhouse_url, params={"query": "SELECT 1"}, auth=("reader", ""), timeout=10).text == "1\n"


def test_parameters_settings_database_and_session(client: Client, clickhouse_url: str) -> None:
    assert client.query("SELECT {a:Array(UInt8)}, {s:String}", parameters={"a": [1, 2], "s": "é'"}).result_rows == [
        ([1, 2], "é'")
    ]
    assert client.query("SELECT getSetting('max_threads')", settings={"max_threads": 1}).result_rows == [(1,)]
    client.command("CREATE DATABASE IF NOT EXISTS elsewhere")
    assert _connect(clickhouse_url, database="elsewhere").query("SELECT currentDatabase()").result_rows == [
        ("elsewhere",)
    ]
    client.command("CREATE TEMPORARY TABLE mine (x UInt8)")
    client.insert("mine", [[1], [2]], column_names=["x"], column_type_names=["UInt8"])
    assert client.query("SELECT sum(x) FROM mine").result_rows == [(3,)]
    assert requests.post(clickhouse_url, data="SELECT * FROM mine", timeout=10).status_code == 404


def test_millions_of_rows_stream(client: Client) -> None:
    total = 0
    with client.query_column_block_stream("SELECT number FROM numbers(3000000)") as stream:
        for block in stream:
            total += len(block[0])
    assert total == 3_000_000


def test_error_in_the_middle_of_a_stream_reaches_the_client(client: Client) -> None:
    sql = "SELECT throwIf(number = 2000000, 'boom') FROM numbers(3000000)"
    with (
        pytest.raises((StreamFailureError, DatabaseError), match="boom"),
        client.query_column_block_stream(sql, settings={"max_block_size": 65_536}) as stream,
    ):
        for _ in stream:
            pass


def test_async_client(clickhouse_url: str) -> None:
    async def ask() -> list[object]:
        parts = urlsplit(clickhouse_url)
        client = await clickhouse_connect.get_async_client(host=parts.hostname, port=parts.port)
        await client.command("CREATE TABLE IF NOT EXISTS asynchronous (x UInt64) ENGINE = MergeTree ORDER BY x")
        await client.insert("asynchronous", [[n] for n in range(100)], column_names=["x"])
        answers = await asyncio.gather(*(client.query(f"SELECT sum(x) + {n} FROM asynchronous") for n in range(8)))
        await client.close()
        return [answer.result_rows[0][0] for answer in answers]

    assert asyncio.run(ask()) == [4_950 + n for n in range(8)]


def test_curl_reads_and_writes(clickhouse_url: str, table: str) -> None:
    write = ["curl", "-sS", f"{clickhouse_url}/?query=INSERT+INTO+{table}+FORMAT+CSV", "--data-binary", '1,"a",2\n']
    assert subprocess.run(write, capture_output=True, check=True).stdout == b""
    read = ["curl", "-sS", clickhouse_url, "-d", f"SELECT * FROM {table} FORMAT CSV"]
    assert subprocess.run(read, capture_output=True, check=True).stdout == b'1,"a",2\n'


def test_kill_query_by_the_clients_id(client: Client, clickhouse_url: str) -> None:
    answers: list[requests.Response] = []
    options = {
        "query": "SELECT sum(sleepEachRow(0.5)) FROM numbers(60) SETTINGS max_block_size = 1",
        "query_id": "slow-1",
    }
    slow = threading.Thread(target=lambda: answers.append(requests.get(clickhouse_url, params=options, timeout=60)))
    slow.start()
    deadline = time.monotonic() + 20
    running = "SELECT count() FROM system.processes WHERE Settings['log_comment'] = 'slow-1'"
    while not client.query(running).result_rows[0][0] and time.monotonic() < deadline:
        time.sleep(0.05)
    client.command("KILL QUERY WHERE query_id = 'slow-1'")
    slow.join(20)
    assert not slow.is_alive()
    assert answers[0].headers["X-ClickHouse-Query-Id"] == "slow-1"
    assert "Code: 394" in answers[0].text


def test_a_client_that_leaves_ends_its_query(client: Client, clickhouse_url: str) -> None:
    sql = "SELECT sum(sleepEachRow(0.5)) FROM numbers(60) SETTINGS max_block_size = 1"
    options = {"query": sql, "query_id": "left-1"}
    with pytest.raises(requests.Timeout):
        requests.get(clickhouse_url, params=options, timeout=1)
    running = "SELECT count() FROM system.processes WHERE Settings['log_comment'] = 'left-1'"
    deadline = time.monotonic() + 20
    while client.query(running).result_rows[0][0] and time.monotonic() < deadline:
        time.sleep(0.05)
    assert client.query(running).result_rows == [(0,)]


class TestReader:
    def test_reads_tables_system_numbers_and_merge(self, reader: Client, client: Client, table: str) -> None:
        client.command(f"INSERT INTO {table} VALUES (1, 'a', 0)")
        assert reader.query(f"SELECT v FROM {table}").result_rows == [("a",)]
        assert reader.query(f"SELECT count() FROM merge('default', '^{table}$')").result_rows == [(1,)]
        assert reader.query("SELECT sum(number) FROM numbers(5)").result_rows == [(10,)]
        assert reader.query("SELECT {n:UInt8}", parameters={"n": 4}).result_rows == [(4,)]
        assert reader.query("SELECT count() > 0 FROM system.tables").result_rows == [(1,)]
        assert reader.query_df(f"SELECT * FROM {table}").shape == (1, 3)

    @pytest.mark.parametrize(
        "sql",
        [
            "SELECT file('{secret}')",
            "SELECT FiLe /* x */ ('{secret}') FORMAT JSON",
            "SELECT file('{secret}')/**/FORMAT/**/Null",
            "WITH x AS (SELECT `file`('{secret}') AS y) SELECT y FROM x",
            "SELECT 1 WHERE 'canary' IN (SELECT file('{secret}'))",
            "EXPLAIN SELECT file('{secret}')",
            "SELECT * FROM file('{secret}', LineAsString)",
            "SELECT * FROM `{secret}`",
            "SELECT * FROM '{secret}'",
            "DESCRIBE TABLE file('{secret}', CSV)",
            "SELECT * FROM url('http://127.0.0.1:1/', CSV, 'a String')",
            "SELECT * FROM remote('127.0.0.1', system.one)",
            "SELECT * FROM executable('id', TSV, 'a String')",
            "SELECT * FROM Python(x)",
            "SELECT 'canary' INTO OUTFILE '{out}'",
            "SELECT 'canary' /**/ into/**/outfile '{out}' FORMAT TSV",
            "INSERT INTO FUNCTION file('{out}', CSV, 'a String') SELECT 'canary'",
            "INSERT INTO {table} VALUES (1, 'x', 0)",
            "CREATE TABLE more (x UInt8) ENGINE = Memory",
            "CREATE TEMPORARY TABLE more (x UInt8)",
            "DROP TABLE {table}",
            "ALTER TABLE {table} DELETE WHERE 1",
            "OPTIMIZE TABLE {table}",
            "SET readonly = 0",
            "SELECT 1 SETTINGS readonly = 0",
            "SELECT 1 SETTINGS max_execution_time = 0",
            "SELECT 1; DROP TABLE {table}",
            "KILL QUERY WHERE 1",
            "SYSTEM FLUSH LOGS",
            "BACKUP TABLE {table} TO File('{out}')",
        ],
    )
    def test_refuses_files_writes_and_wider_limits(
        self, client: Client, clickhouse_url: str, table: str, tmp_path: Path, sql: str
    ) -> None:
        secret, out = tmp_path / "secret.csv", tmp_path / "out"
        secret.write_text("canary\n")
        statement = sql.format(secret=secret, out=out, table=table)
        answer = requests.post(clickhouse_url, data=statement, headers={"X-ClickHouse-User": "reader"}, timeout=60)
        assert answer.status_code in {400, 403, 404}, answer.text
        assert "canary\n" not in answer.text
        assert not out.exists()
        assert client.query(f"SELECT count() FROM {table}").result_rows == [(0,)]

    def test_too_many_rows_is_an_error_that_the_client_sees(self, reader: Client) -> None:
        with pytest.raises((StreamFailureError, DatabaseError)):
            reader.query("SELECT number FROM numbers(2000000)")


def test_second_owner_gets_a_sentence_and_data_survive_sigkill(tmp_path: Path) -> None:
    store, port = tmp_path / "store", free_port()
    command = tethered(
        [
            sys.executable,
            "-m",
            "infra.embedded.gateway",
            "--path",
            str(store),
            "--port",
            str(port),
            "--without-password",
        ]
    )
    url = f"http://127.0.0.1:{port}"
    with _running(command, url) as first:
        second = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert second.returncode == 1
        assert f"{store} is in use by another process" in second.stderr
        assert "Traceback" not in second.stderr
        for sql in ("CREATE TABLE kept (x UInt8) ENGINE = MergeTree ORDER BY x", "INSERT INTO kept VALUES (7)"):
            assert requests.post(url, data=sql, timeout=30).status_code == 200
        first.kill()
    with _running(command, url) as third:
        assert requests.post(url, data="SELECT x FROM kept", timeout=30).text == "7\n"
        third.terminate()
        assert third.wait(20) == 0
    assert list((store / "incoming").iterdir()) == []


@contextmanager
def _running(command: list[str], url: str) -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(command) as process:
        try:
            _await(url)
            yield process
        finally:
            process.kill()


def _await(url: str) -> None:
    for _ in range(600):
        try:
            requests.get(f"{url}/ping", timeout=5)
            return
        except requests.ConnectionError:
            time.sleep(0.05)
    pytest.fail("the gateway does not answer")
