"""What clients send along: bounded for the reader, as it came for the writer."""

import pytest

from infra.embedded.gateway_errors import GatewayError
from infra.embedded.gateway_settings import bounded
from tests.infra_embedded.asking import answer, ask, code

pytestmark = pytest.mark.clickhouse


@pytest.mark.parametrize(
    ("name", "sent", "held"),
    [
        ("max_execution_time", "5", "5"),
        ("max_execution_time", "0", "60"),
        ("max_execution_time", "3600", "60"),
        ("max_result_rows", "10", "10"),
        ("max_result_rows", "0", "1000000"),
        ("max_result_rows", "1000001", "1000000"),
        ("max_memory_usage", "1000000", "1000000"),
        ("max_memory_usage", "0", "2000000000"),
        ("max_memory_usage", "99000000000", "2000000000"),
        ("max_rows_to_read", "100", "100"),
        ("max_block_size", "1000", "1000"),
        ("readonly", "0", "1"),
        ("readonly", "2", "1"),
    ],
)
def test_a_limit_of_the_reader_can_be_narrowed_and_not_widened(
    clickhouse_url: str, name: str, sent: str, held: str
) -> None:
    asked = f"SELECT toString(getSetting('{name}'))"
    assert answer(clickhouse_url, asked, user="reader", **{name: sent}) == f"{held}\n"


@pytest.mark.parametrize("name", ["max_ast_depth", "max_query_size", "max_parser_depth"])
def test_the_engines_own_limits_hold_for_the_reader(clickhouse_url: str, name: str) -> None:
    asked = f"SELECT toString(getSetting('{name}'))"
    default = answer(clickhouse_url, asked, user="reader")
    assert answer(clickhouse_url, asked, user="reader", **{name: 10**9}) == default
    assert answer(clickhouse_url, asked, user="reader", **{name: int(default) // 2}) == f"{int(default) // 2}\n"


@pytest.mark.parametrize(
    "settings",
    [
        # What the clients of the documentation send without being asked.
        {"max_execution_time": "60", "async_insert": "1", "wait_for_async_insert": "1"},
        {"result_overflow_mode": "break", "max_result_rows": "100"},
        {"session_timezone": "Asia/Tokyo", "date_time_input_format": "best_effort"},
        {"output_format_json_quote_64bit_integers": "1", "output_format_binary_write_json_as_string": "1"},
        {"wait_end_of_query": "1", "buffer_size": "1000", "send_progress_in_http_headers": "1"},
        {
            "readonly": "1",
            "extremes": "0",
            "max_threads": "2",
            "join_use_nulls": "1",
            "allow_experimental_json_type": "1",
        },
        {
            "select_sequential_consistency": "1",
            "insert_quorum": "0",
            "database_replicated_enforce_synchronous_settings": "1",
        },
        {"cancel_http_readonly_queries_on_client_close": "1", "http_receive_timeout": "30", "receive_timeout": "30"},
        {"use_client_time_zone": "0", "log_queries": "1", "log_comment": "mine", "timeout_overflow_mode": "throw"},
        {"enable_http_compression": "1", "http_zlib_compression_level": "3", "network_compression_method": "LZ4"},
    ],
)
@pytest.mark.parametrize("user", ["default", "reader"])
def test_settings_that_clients_send_pass(clickhouse_url: str, user: str, settings: dict[str, str]) -> None:
    assert answer(clickhouse_url, "SELECT 1", user=user, **settings) == "1\n"


@pytest.mark.parametrize(
    "name",
    [
        "dialect",
        "additional_table_filters",
        "additional_result_filter",
        "implicit_select",
        "implicit_table_at_top_level",
        "format_schema",
        "format_template_row",
        "format_template_resultset",
        "output_format_schema",
        "allow_ddl",
        "allow_introspection_functions",
        "format_avro_schema_registry_url",
        "parallel_replicas_custom_key",
        "allow_experimental_eval_table_function",
        "url_base",
        "input_format_record_errors_file_path",
        "no_such_setting",
    ],
)
def test_dangerous_settings_are_refused_by_name(clickhouse_url: str, name: str) -> None:
    asked = ask(clickhouse_url, "SELECT 1", user="reader", **{name: "1"})
    assert (asked.status_code, code(asked)) == (403, 164)
    assert f"'{name}'" in asked.text


@pytest.mark.parametrize(
    "shortening",
    [
        {"max_result_rows": "1", "result_overflow_mode": "break"},
        {"max_result_bytes": "1", "result_overflow_mode": "break"},
        {"limit": "1", "offset": "1"},
        {"max_rows_to_read": "1", "read_overflow_mode": "break"},
        {"max_execution_time": "0.000001", "timeout_overflow_mode": "break"},
        {"output_format_tsv_crlf_end_of_line": "1", "extremes": "1"},
    ],
)
def test_a_narrow_limit_hides_nothing_from_the_gate(clickhouse_url: str, shortening: dict[str, str]) -> None:
    forbidden = "SELECT file('/etc/hostname') FROM (SELECT 1 AS a, 2 AS b) WHERE a = 1"
    asked = ask(clickhouse_url, forbidden, user="reader", **shortening)
    assert (asked.status_code, code(asked)) == (403, 497)
    few = "SELECT a FROM (SELECT 1 AS a, 2 AS b) WHERE a = 1"
    assert ask(clickhouse_url, few, user="reader", max_result_rows="1").text == "1\n"


def test_a_limit_that_is_no_number_is_an_error(clickhouse_url: str) -> None:
    for value in ("-1", "many", "1e9", ""):
        asked = ask(clickhouse_url, "SELECT 1", user="reader", max_result_rows=value)
        assert (asked.status_code, code(asked)) == (400, 72), value
    with pytest.raises(GatewayError, match="readonly"):
        bounded({"x = 1, readonly": "0"}, lambda _: "")


def test_unknown_settings_and_names_that_are_none(clickhouse_url: str) -> None:
    for name in ("no_such_setting", "max_threads = 1, max_block_size", ""):
        for user in ("default", "reader"):
            assert code(ask(clickhouse_url, "SELECT 1", user=user, **{name: "1"})) in {115, 164}


def test_the_reader_sees_settings_as_changeable(clickhouse_url: str) -> None:
    asked = "SELECT max(readonly) FROM system.settings"
    assert answer(clickhouse_url, asked, user="reader") == "0\n"


def test_a_time_limit_of_the_client_ends_the_readers_statement(clickhouse_url: str) -> None:
    slow = "SELECT sleepEachRow(1) FROM numbers(30) SETTINGS max_block_size = 1"
    assert code(ask(clickhouse_url, slow, max_execution_time=1)) == 159
