"""What ClickHouse's documentation of its HTTP interface says, one situation after another."""

import json
import threading
import time
from typing import Any
from urllib.parse import quote

import pytest
import requests

from infra.embedded.gateway_errors import GatewayError
from infra.embedded.gateway_sessions import Sessions
from tests.infra_embedded.asking import answer, ask, code

pytestmark = pytest.mark.clickhouse


@pytest.mark.parametrize(
    ("name", "media"),
    [
        ("TabSeparated", "text/tab-separated-values; charset=UTF-8"),
        ("CSV", "text/csv; charset=UTF-8; header=absent"),
        ("CSVWithNames", "text/csv; charset=UTF-8; header=present"),
        ("JSON", "application/json; charset=UTF-8"),
        ("JSONEachRow", "application/x-ndjson; charset=UTF-8"),
        ("Native", "application/octet-stream"),
        ("Parquet", "application/octet-stream"),
        ("XML", "application/xml; charset=UTF-8"),
    ],
)
def test_media_type_and_headers_of_an_answer(clickhouse_url: str, name: str, media: str) -> None:
    for asked in (
        ask(clickhouse_url, f"SELECT 1 FORMAT {name}"),
        ask(clickhouse_url, f"SELECT 1 /* x */ FORMAT {name} SETTINGS max_threads = 1; -- so"),
        ask(clickhouse_url, "SELECT 1", default_format=name),
        ask(clickhouse_url, "SELECT 1", headers={"X-ClickHouse-Format": name}),
    ):
        assert asked.headers["Content-Type"] == media
        assert asked.headers["X-ClickHouse-Format"] == name
        assert asked.headers["X-ClickHouse-Server-Display-Name"]
        assert asked.headers["X-ClickHouse-Timezone"] == answer(clickhouse_url, "SELECT timezone()").strip()


def test_headers_name_user_and_database_and_the_address_goes_first(clickhouse_url: str) -> None:
    answer(clickhouse_url, "CREATE DATABASE IF NOT EXISTS beside")
    headers = {"X-ClickHouse-Database": "beside"}
    assert answer(clickhouse_url, "SELECT currentDatabase()", headers=headers) == "beside\n"
    assert answer(clickhouse_url, "SELECT currentDatabase()", headers=headers, database="system") == "system\n"
    assert answer(clickhouse_url, "SELECT currentDatabase()", headers=headers, user="reader") == "beside\n"
    assert code(ask(clickhouse_url, "SELECT 1", headers={"X-ClickHouse-Database": "nowhere"})) == 81


def test_summary_counts_what_was_read_and_written(clickhouse_url: str) -> None:
    answer(clickhouse_url, "CREATE TABLE summed (n UInt64) ENGINE = MergeTree ORDER BY n")

    def summary(sql: str, **options: Any) -> dict[str, int]:
        asked = ask(clickhouse_url, sql, **options)
        assert asked.status_code == 200, asked.text
        return {name: int(value) for name, value in json.loads(asked.headers["X-ClickHouse-Summary"]).items()}

    written = summary("INSERT INTO summed FORMAT TSV", data=b"1\n2\n3\n")
    assert (written["written_rows"], written["result_rows"]) == (3, 3)
    assert written["written_bytes"] == 24
    assert summary("INSERT INTO summed SELECT number FROM numbers(7)")["written_rows"] == 7
    for options in ({}, {"wait_end_of_query": 1}, {"default_format": "JSON"}):
        read = summary("SELECT n FROM summed WHERE n < 3", **options)
        assert (read["read_rows"], read["written_rows"]) == (10, 0), options
        assert read["result_rows"] == 5
        assert read["read_bytes"] > 0
        assert read["elapsed_ns"] > 0


def test_progress_comes_in_headers_while_the_statement_runs(clickhouse_url: str) -> None:
    sql = "SELECT sleepEachRow(0.1) FROM numbers(10) SETTINGS max_block_size = 1"
    options = {"send_progress_in_http_headers": 1, "http_headers_progress_interval_ms": 50}
    asked = ask(clickhouse_url, sql, **options)
    progress = [json.loads(text) for text in asked.headers["X-ClickHouse-Progress"].split(", {")[:1]] or []
    assert progress[0]["total_rows_to_read"] == "10"
    assert 0 < int(progress[0]["read_rows"]) <= 10
    assert asked.text == "0\n" * 10
    assert "X-ClickHouse-Progress" not in ask(clickhouse_url, sql.replace("10)", "1)")).headers


def test_an_error_after_progress_has_its_code(clickhouse_url: str) -> None:
    sql = "SELECT throwIf(number = 8, 'boom'), sleepEachRow(0.1) FROM numbers(10) SETTINGS max_block_size = 1"
    asked = ask(clickhouse_url, sql, send_progress_in_http_headers=1, wait_end_of_query=1)
    assert (asked.status_code, code(asked)) == (200, 395)
    assert "boom" in asked.text


def test_an_error_before_much_is_sent_has_its_status_and_a_late_one_its_mark(clickhouse_url: str) -> None:
    failing = "SELECT throwIf(number = {at}, 'boom'), number FROM numbers(3000000) FORMAT TSV"
    early = ask(clickhouse_url, failing.format(at=70_000), max_block_size=10_000)
    assert (early.status_code, code(early)) == (500, 395)
    late = ask(clickhouse_url, failing.format(at=2_500_000), max_block_size=10_000)
    tag = late.headers["X-ClickHouse-Exception-Tag"]
    assert late.status_code == 200
    assert late.content.endswith(f" {tag}\r\n__exception__\r\n".encode())
    assert f"__exception__\r\n{tag}\r\nCode: 395. DB::Exception: boom".encode() in late.content
    waited = ask(clickhouse_url, failing.format(at=900_000), max_block_size=10_000, wait_end_of_query=1)
    assert (waited.status_code, code(waited)) == (500, 395)
    small = ask(clickhouse_url, failing.format(at=70_000), max_block_size=10_000, buffer_size=1_000)
    assert (small.status_code, "__exception__" in small.text) == (200, True)


@pytest.mark.parametrize("sql", ["1 + 1", "SELEC 1", "nonsense"])
def test_an_expression_alone_is_no_statement(clickhouse_url: str, sql: str) -> None:
    assert (ask(clickhouse_url, sql).status_code, code(ask(clickhouse_url, sql))) == (400, 62)
    assert code(ask(clickhouse_url, "1 + 1", implicit_select=1)) == 0


@pytest.mark.parametrize(
    "sql",
    [f"INSERT INTO unfilled FORMAT {name}" for name in ("JSONEachRow", "Native", "Parquet", "ArrowStream", "Avro")]
    + [
        "INSERT INTO unfilled VALUES",
        "INSERT INTO unfilled (n) VALUES;",
        "/* why */ INSERT INTO unfilled (n) FORMAT CSV\n",
    ]
    + ["INSERT INTO unfilled SELECT n FROM input('n UInt64') FORMAT RowBinaryWithNamesAndTypes"],
)
def test_an_insert_of_nothing_inserts_nothing(clickhouse_url: str, sql: str) -> None:
    answer(clickhouse_url, "CREATE TABLE IF NOT EXISTS unfilled (n UInt64) ENGINE = MergeTree ORDER BY n")
    assert answer(clickhouse_url, sql) == ""
    assert answer(clickhouse_url, sql, data=b"") == ""
    assert answer(clickhouse_url, "SELECT count() FROM unfilled") == "0\n"
    assert code(ask(clickhouse_url, sql.replace("unfilled", "nowhere"))) == 60


def test_an_insert_may_have_comments_before_it(clickhouse_url: str) -> None:
    answer(clickhouse_url, "CREATE OR REPLACE TABLE noted (n UInt64) ENGINE = MergeTree ORDER BY n")
    answer(clickhouse_url, "-- by hand\n/* twice */ INSERT INTO noted FORMAT CSV\n1\n2\n")
    answer(clickhouse_url, "/* x */ insert into noted format RowBinary", data=(3).to_bytes(8, "little"))
    assert answer(clickhouse_url, "SELECT groupArray(n) FROM (SELECT n FROM noted ORDER BY n)") == "[1,2,3]\n"


@pytest.mark.parametrize("user", ["default", "reader"])
def test_statements_that_are_not_utf8(clickhouse_url: str, user: str) -> None:
    wanted = b"\xff\xfe\n"
    assert ask(clickhouse_url, b"SELECT '\xff\xfe'", user=user).content == wanted
    address = f"{clickhouse_url}/?user={user}&query={quote(b'SELECT ' + repr('x').encode().replace(b'x', wanted[:2]))}"
    assert requests.get(address, timeout=10).content == wanted
    bad = ask(clickhouse_url, b"SELECT \xff", user=user)
    # The engine's own parser judges what the reader sends, before it runs.
    assert (bad.status_code, code(bad)) == ((400, 62) if user == "default" else (403, 497))
    assert "codec" not in bad.text
    parameter = requests.get(f"{clickhouse_url}/?user={user}&query=SELECT+1&param_x=%FF", timeout=10)
    assert (parameter.status_code, code(parameter)) == (400, 36)


def _external(url: str, sql: str, files: dict[str, Any], user: str = "default", **options: str) -> requests.Response:
    headers = {"X-ClickHouse-User": user}
    return requests.post(url, params={"query": sql, **options}, files=files, headers=headers, timeout=30)


class TestExternalTables:
    @pytest.mark.parametrize("user", ["default", "reader"])
    def test_are_there_for_their_statement(self, clickhouse_url: str, user: str) -> None:
        asked = _external(
            clickhouse_url,
            "SELECT s, n FROM one JOIN two ON one.k = two._1 ORDER BY n",
            {"one": ("one", b"1,a\n2,b\n"), "two": ("two", b"2\t20\n1\t10\n")},
            user,
            one_structure="k UInt8, s String",
            one_format="CSV",
            two_types="UInt8, Decimal(9, 2)",
        )
        assert code(asked) == 47  # `n` is no column: types alone give names by number.
        asked = _external(
            clickhouse_url,
            "SELECT s, _2 FROM one JOIN two ON one.k = two._1 ORDER BY s",
            {"one": ("one", b"1,a\n2,b\n"), "two": ("two", b"2\t20\n1\t10\n")},
            user,
            one_structure="k UInt8, s String",
            one_format="CSV",
            two_types="UInt8, Decimal(9, 2)",
        )
        assert asked.text == "a\t10\nb\t20\n"
        assert code(ask(clickhouse_url, "SELECT * FROM one", user=user)) == 60

    def test_take_settings_and_more_than_a_mebibyte(self, clickhouse_url: str) -> None:
        rows = b"".join(b"%d\n" % n for n in range(400_000)) + b"bad\n"
        asked = _external(
            clickhouse_url,
            "SELECT count(), sum(x) FROM big",
            {"big": ("big", rows)},
            big_structure="x UInt64",
            input_format_allow_errors_num="1",
        )
        assert asked.text == "400000\t79999800000\n"

    def test_leave_a_session_as_it_was(self, clickhouse_url: str) -> None:
        for _ in range(2):
            asked = _external(
                clickhouse_url, "SELECT x FROM t", {"t": ("t", b"7\n")}, t_structure="x UInt8", session_id="external"
            )
            assert asked.text == "7\n"
        assert code(ask(clickhouse_url, "SELECT x FROM t", session_id="external")) == 60

    @pytest.mark.parametrize(
        ("name", "options", "wanted"),
        [
            ("t", {}, 36),
            ("a`b", {"a`b_structure": "x UInt8"}, 36),
            ("t", {"t_structure": "x UInt8", "t_format": "Nonsense"}, 73),
            ("t", {"t_structure": "x UInt8') FROM file('/etc/passwd"}, 62),
        ],
    )
    def test_that_cannot_be_are_refused(
        self, clickhouse_url: str, name: str, options: dict[str, str], wanted: int
    ) -> None:
        asked = _external(clickhouse_url, "SELECT 1", {name: ("f", b"7\n")}, "reader", **options)
        assert 400 <= asked.status_code < 500
        assert code(asked) == wanted

    def test_a_form_brings_statement_and_parameters_too(self, clickhouse_url: str) -> None:
        fields = {"query": (None, "SELECT {x:String}"), "param_x": (None, "é" * 100_000)}
        asked = requests.post(clickhouse_url, files=fields, timeout=30)
        assert asked.content.decode() == "é" * 100_000 + "\n"


class TestSessions:
    def test_keep_tables_settings_and_the_database(self, clickhouse_url: str) -> None:
        session = {"session_id": "kept"}
        answer(clickhouse_url, "CREATE TEMPORARY TABLE mine (x UInt8)", **session)
        answer(clickhouse_url, "SET max_threads = 3", **session)
        answer(clickhouse_url, "USE system", **session)
        asked = "SELECT getSetting('max_threads'), currentDatabase()"
        assert answer(clickhouse_url, asked, **session, max_threads=1, database="default") == "1\tdefault\n"
        assert answer(clickhouse_url, asked, **session) == "3\tsystem\n"
        assert answer(clickhouse_url, "SELECT count() FROM mine", **session) == "0\n"

    def test_read_only_is_for_one_request(self, clickhouse_url: str) -> None:
        session = {"session_id": "readonly once"}
        create = "CREATE TEMPORARY TABLE mine (x UInt8)"
        assert code(ask(clickhouse_url, create, **session, readonly=1)) == 164
        assert answer(clickhouse_url, "SELECT 1", **session, readonly=1) == "1\n"
        answer(clickhouse_url, create, **session)

    def test_must_exist_when_that_is_asked(self, clickhouse_url: str) -> None:
        asked = ask(clickhouse_url, "SELECT 1", session_id="none yet", session_check=1)
        assert (asked.status_code, code(asked)) == (404, 372)
        answer(clickhouse_url, "SELECT 1", session_id="none yet")
        answer(clickhouse_url, "SELECT 1", session_id="none yet", session_check=1)

    def test_end_after_their_time(self, clickhouse_url: str) -> None:
        session = {"session_id": "short", "session_timeout": 1}
        answer(clickhouse_url, "CREATE TEMPORARY TABLE mine (x UInt8)", **session)
        time.sleep(0.5)
        answer(clickhouse_url, "SELECT * FROM mine", **session)
        time.sleep(1.5)
        assert code(ask(clickhouse_url, "SELECT * FROM mine", **session, session_check=1)) == 372
        assert code(ask(clickhouse_url, "SELECT * FROM mine", **session)) == 60

    def test_live_an_hour_at_most(self, clickhouse_url: str) -> None:
        assert code(ask(clickhouse_url, "SELECT 1", session_id="long", session_timeout=3601)) == 374
        assert code(ask(clickhouse_url, "SELECT 1", session_id="long", session_timeout="soon")) == 72

    def test_run_one_statement_at_a_time(self, clickhouse_url: str) -> None:
        slow = threading.Thread(target=answer, args=(clickhouse_url, "SELECT sleep(2)"), kwargs={"session_id": "busy"})
        slow.start()
        time.sleep(0.5)
        asked = ask(clickhouse_url, "SELECT 1", session_id="busy")
        assert (asked.status_code, code(asked)) == (409, 373)
        slow.join()
        answer(clickhouse_url, "SELECT 1", session_id="busy")

    def test_close_their_handles_when_their_time_is_over(self) -> None:
        closed: list[int] = []
        now = 0.0

        class Handle:
            def close(self) -> None:
                closed.append(1)

        sessions = Sessions(Handle, clock=lambda: now)
        with sessions.take("default", "a", timeout_s=60, must_exist=False):
            now = 1_000.0
            sessions.close_expired()
            assert not closed  # it is used
        now = 1_060.0
        sessions.close_expired()
        assert not closed
        now = 1_060.1
        sessions.close_expired()
        assert closed == [1]
        with (
            pytest.raises(GatewayError, match="not found"),
            sessions.take("default", "a", timeout_s=1, must_exist=True),
        ):
            pass


def test_a_statement_is_found_by_its_clients_id_while_it_runs_and_afterwards(clickhouse_url: str) -> None:
    slow = "SELECT sleepEachRow(0.5) FROM numbers(4) SETTINGS max_block_size = 1"
    run = threading.Thread(target=answer, args=(clickhouse_url, slow), kwargs={"query_id": "mine-1"})
    run.start()
    running = "SELECT query_id, initial_query_id FROM system.processes WHERE query_id = 'mine-1'"
    deadline = time.monotonic() + 10
    while (seen := answer(clickhouse_url, running)) == "" and time.monotonic() < deadline:
        time.sleep(0.05)
    run.join()
    assert seen == "mine-1\tmine-1\n"
    answer(clickhouse_url, "SYSTEM FLUSH LOGS")
    logged = "SELECT type, query FROM system.query_log WHERE query_id = 'mine-1' ORDER BY type"
    assert answer(clickhouse_url, logged) == f"QueryStart\t{slow}\nQueryFinish\t{slow}\n"
    assert answer(clickhouse_url, "SELECT 'FROM system.processes'") == "FROM system.processes\n"


def test_roles_are_not_there(clickhouse_url: str) -> None:
    asked = ask(clickhouse_url, "SELECT 1", role="analyst")
    assert (asked.status_code, code(asked)) == (404, 511)


@pytest.mark.parametrize(
    "name",
    [
        "TSVWithNames",
        "TSVWithNamesAndTypes",
        "RowBinaryWithNames",
        "RowBinaryWithNamesAndTypes",
        "TSVRaw",
        "MsgPack",
        "JSONCompactEachRow",
        "JSONCompactEachRowWithNames",
        "JSONCompactEachRowWithNamesAndTypes",
        "JSONEachRow",
        "CSV",
    ],
)
@pytest.mark.parametrize("rows", [0, 1, 100_000])
def test_a_stream_is_the_same_as_the_whole(clickhouse_url: str, name: str, rows: int) -> None:
    sql = f"SELECT number AS `a b`, [toString(number)] AS s FROM numbers({rows})"
    whole = ask(clickhouse_url, f"SELECT * FROM ({sql}) ORDER BY 1", default_format=name, max_block_size=1_000_000)
    stream = ask(clickhouse_url, f"SELECT * FROM ({sql}) ORDER BY 1", default_format=name, max_block_size=10_000)
    assert stream.status_code == 200
    assert stream.content == whole.content
    assert stream.content or not rows


def test_totals_and_extremes_are_part_of_an_answer(clickhouse_url: str) -> None:
    sql = "SELECT number % 2 AS k, count() FROM numbers(10) GROUP BY k WITH TOTALS ORDER BY k"
    assert answer(clickhouse_url, sql) == "0\t5\n1\t5\n\n0\t10\n"
    assert answer(clickhouse_url, "SELECT number FROM numbers(3)", extremes=1) == "0\n1\n2\n\n0\n2\n"
