"""What an analyst's statement may reach: the store's tables, and nothing else of the machine or the network.

`{secret}` is a file with a canary in it, `{out}` one that must not come to be, `{port}` a listener that nobody may call.
"""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from infra.embedded import reader_functions
from infra.embedded.gateway_errors import GatewayError
from infra.embedded.reader_tree import SOURCES, check_function
from tests.schemas.engine import Engine

pytestmark = pytest.mark.clickhouse
CANARY = "canary-5b1d"
#: A function under another name is every time the same trick: here it stands for each place where an expression may stand.
PLACES = [
    "SELECT {0}", "SELECT 1 WHERE {0} != ''", "SELECT 1 HAVING {0} != ''", "SELECT count() GROUP BY {0}",
    "SELECT 1 ORDER BY {0}", "SELECT 1 LIMIT length({0})", "SELECT 1 LIMIT 1 OFFSET length({0})",
    "SELECT 1 AS a LIMIT 1 BY {0}", "WITH {0} AS x SELECT x", "WITH (SELECT {0}) AS x SELECT x",
    "WITH x AS (SELECT {0} AS y) SELECT y FROM x", "SELECT (SELECT {0})", "SELECT 'a' IN ({0}, 'b')",
    "SELECT 'a' IN (SELECT {0})", "SELECT EXISTS(SELECT {0})", "SELECT sum(1) OVER (PARTITION BY {0})",
    "SELECT sum(1) OVER w WINDOW w AS (ORDER BY {0})", "SELECT sumIf(1, {0} != '')", "SELECT sum(1) FILTER (WHERE {0} != '')",
    "SELECT groupArray({0})", "SELECT arrayMap(x -> {0}, [1])", "WITH x -> {0} AS f SELECT f(1)",
    "SELECT if(1, {0}, '')", "SELECT CASE WHEN 1 THEN {0} END", "SELECT toUInt8({0})", "SELECT throwIf(1, {0})",
    "SELECT ({0}, 1).1", "SELECT [{0}][1]", "SELECT CAST({0} AS UInt8)", "SELECT a FROM (SELECT 1) ARRAY JOIN [{0}] AS a",
    "SELECT 1 FROM (SELECT 1 AS a) AS l JOIN (SELECT 1 AS b) AS r ON l.a = r.b AND {0} != ''",
    "SELECT * REPLACE ({0} AS a) FROM (SELECT '' AS a)", "SELECT 1 UNION ALL SELECT {0}", "SELECT 1 QUALIFY {0} != ''",
    "SELECT 1 AS n ORDER BY n WITH FILL FROM length({0}) TO 9", "SELECT 1 GROUP BY GROUPING SETS (({0}))",
    "SELECT * FROM view(SELECT {0})", "SELECT * FROM viewIfPermitted(SELECT {0} ELSE null('a String'))",
    "SELECT * FROM numbers(length({0}))", "SELECT * FROM format(TSV, 'a String', {0})", "SELECT * FROM values('a String', {0})",
    "EXPLAIN SELECT {0}", "EXPLAIN SYNTAX SELECT {0}", "EXPLAIN QUERY TREE SELECT {0}", "EXPLAIN PLAN SELECT {0}",
    "EXPLAIN PIPELINE SELECT {0}", "EXPLAIN ESTIMATE SELECT {0}", "EXPLAIN AST SELECT {0}", "DESCRIBE (SELECT {0})",
    "DESC TABLE (SELECT {0})", "SELECT * FROM (EXPLAIN SELECT {0})", "SHOW TABLES WHERE {0} != ''",
    "SHOW COLUMNS FROM one FROM system WHERE {0} != ''", "({0})", "SELECT {0} FORMAT JSON", "FROM system.one SELECT {0}",
    "WITH RECURSIVE r AS (SELECT {0} AS y UNION ALL SELECT y FROM r WHERE 0) SELECT y FROM r",
    "SELECT if((SELECT rand() % 2), {0}, '')", "SELECT 1 FROM system.one PREWHERE {0} != ''",
]  # fmt: skip
#: Ways to name the function that reads a file.
NAMES = [
    "file('{secret}')", "FiLe /* x */ ('{secret}')", "`file`('{secret}')", '"file"(\'{secret}\')', "`f\\x69le`('{secret}')",
    "arrayMap(file, ['{secret}'])[1]", "arrayMap((file), ['{secret}'])[1]", "arrayMap(`fi\\x6ce`, ['{secret}'])[1]",
    "arrayFilter(file, ['{secret}'])[1]", "arrayFirst(file, ['{secret}'])", "arrayFold((a, b) -> file(b), ['{secret}'], '')",
    "arraySort(x -> file(x), ['{secret}'])[1]", "mapApply((k, v) -> (k, file(v)), map(1, '{secret}'))[1]",
    "arrayMap({{f:Identifier}}, ['{secret}'])[1]", "arrayMap({{g:Identifier}}, ['{secret}'])[1]",
]  # fmt: skip
TABLES = [
    "file('{secret}', LineAsString)", "FILE('{secret}', 'CSV', 'a String')", "`{secret}`", "'{secret}'", '"{secret}"',
    "default.`{secret}`", "`default`.`\\x2f{bare}`", "{{t:Identifier}}", "{{d:Identifier}}.{{t:Identifier}}",
    "fileCluster('default', '{secret}')", "url('http://127.0.0.1:{port}/', CSV, 'a String')",
    "urlCluster('default', 'http://127.0.0.1:{port}/', CSV, 'a String')", "s3('http://127.0.0.1:{port}/a/b', CSV, 'a String')",
    "gcs('http://127.0.0.1:{port}/a/b', CSV, 'a String')", "oss('http://127.0.0.1:{port}/a/b', CSV, 'a String')",
    "hdfs('hdfs://127.0.0.1:{port}/a', CSV, 'a String')", "azureBlobStorage('http://127.0.0.1:{port}/', 'a', 'b', 'c', 'ZA==')",
    "deltaLake('http://127.0.0.1:{port}/a/')", "deltaLakeLocal('{secret}')", "iceberg('http://127.0.0.1:{port}/a/')",
    "icebergLocal('{secret}')", "hudi('http://127.0.0.1:{port}/a/')", "paimonLocal('{secret}')", "sqlite('{secret}', 't')",
    "remote('127.0.0.1:{port}', system.one)", "remoteSecure('127.0.0.1:{port}', system.one)",
    "remote('127.0.0.1:{port}', view(SELECT 1))", "cluster('default', system.one)", "clusterAllReplicas('default', system.one)",
    "mysql('127.0.0.1:{port}', 'd', 't', 'u', 'p')", "postgresql('127.0.0.1:{port}', 'd', 't', 'u', 'p')",
    "mongodb('127.0.0.1:{port}', 'd', 't', 'u', 'p', 'a String')", "redis('127.0.0.1:{port}', 'a', 'a String')",
    "jdbc('x', 'd', 't')", "odbc('x', 'd', 't')", "ytsaurus('127.0.0.1:{port}', '//a', 't', 'a String')",
    "bigquery('127.0.0.1:{port}', 't')", "arrowFlight('127.0.0.1:{port}', 't')", "prometheusQuery('d', 't', 'up', now())",
    "executable('cat {secret}', TSV, 'a String')", "python(x)", "Python(x)", "eval('SELECT 1')", "filesystem('{secret}')",
    "dictionary('d')", "input('a String')", "loop(numbers(3))", "loop('default', '{secret}')", "fuzzJSON('{secret}', 'a')",
    "mergeTreeIndex('default', 't')", "timeSeriesData('t')", "merge('system', '.*')", "merge(REGEXP('.*'), '.*')",
    "viewExplain('EXPLAIN', '', (SELECT 1))", "system.certificates", "system.named_collections", "system.stack_trace",
    "`system`.`certificat\\x65s`",
]  # fmt: skip
WHOLE = [
    "SELECT * APPLY(file) FROM (SELECT '{secret}')", "SELECT * APPLY(x -> file(x)) FROM (SELECT '{secret}')",
    "SELECT COLUMNS('.*') APPLY(file) FROM (SELECT '{secret}' AS a)", "SELECT t.* APPLY file FROM (SELECT '{secret}') AS t",
    "SELECT COLUMNS(a) APPLY(toString) APPLY(file) FROM (SELECT '{secret}' AS a)", "SELECT 'x' IN `{secret}`",
    "SELECT 'x' GLOBAL NOT IN `{secret}`", "SELECT 'x' IN {{t:Identifier}}", "SELECT joinGet('{secret}', 'a', 1)",
    "SELECT hasColumnInTable('default', '{secret}', 'c1')", "SELECT hasColumnInTable('127.0.0.1:{port}', 'u', 'p', 'd', 't', 'c')",
    "SELECT dictGet('d', 'a', 1)", "SELECT catboostEvaluate('{secret}', 1)", "SELECT aiGenerate('x', 'y')",
    "SELECT filesystemAvailable()", "SELECT getServerSetting('path')", "SELECT showCertificate()", "SELECT sleep(1)",
    "SELECT sleepEachRow(1) FROM numbers(3)", "SELECT logTrace('x')", "SELECT addressToSymbol(1)", "SELECT serverUUID()",
    "SELECT evalMLMethod(1, 2)", "SELECT __getScalar('x')", "SELECT 'x' INTO OUTFILE '{out}'", "SHOW TABLES INTO OUTFILE '{out}'",
    "SELECT 'x' /**/ into/**/outfile '{out}' FORMAT TSV", "SELECT 'x' INTO OUTFILE '{out}' TRUNCATE FORMAT TSV",
    "SELECT 'x' INTO OUTFILE '{out}' AND STDOUT", "EXPLAIN SELECT 1 INTO OUTFILE '{out}'", "DESCRIBE '{secret}'",
    "DESC (SELECT 1) INTO OUTFILE '{out}'", "EXISTS TABLE `{secret}`", "SHOW CREATE TABLE `{secret}`", "CHECK TABLE `{secret}`",
    "SHOW COLUMNS FROM `{secret}`", "SELECT 1 SETTINGS additional_result_filter = 'file(''{secret}'') = 1'",
    "SELECT 1 SETTINGS format_schema = '{secret}'", "SELECT 1 FORMAT Protobuf SETTINGS output_format_schema = '{out}'",
    "SELECT 1 SETTINGS dialect = 'prql'", "SELECT 1 SETTINGS readonly = 0", "SELECT 1 SETTINGS max_execution_time = 0",
    "SET readonly = 0", "SET allow_introspection_functions = 1", "CREATE FUNCTION f AS x -> file(x)",
    "CREATE TABLE f ENGINE = File(CSV, '{secret}') AS SELECT 1", "CREATE VIEW v AS SELECT file('{secret}')",
    "CREATE DICTIONARY d (a String) PRIMARY KEY a SOURCE(FILE(path '{secret}')) LAYOUT(FLAT())",
    "CREATE NAMED COLLECTION c AS a = 1", "ATTACH TABLE a FROM '{secret}' (a String)", "BACKUP DATABASE default TO File('{out}')",
    "RESTORE DATABASE default FROM File('{secret}')", "INSERT INTO FUNCTION file('{out}', CSV, 'a String') SELECT 'x'",
    "INSERT INTO t FROM INFILE '{secret}' FORMAT CSV", "SELECT 1; SELECT file('{secret}')", "SYSTEM SHUTDOWN",
    "SYSTEM RELOAD CONFIG", "KILL QUERY WHERE 1", "GRANT ALL ON *.* TO reader", "CREATE USER u", "USE system",
    "EXECUTE AS u SELECT 1", "SELECT 1 PARALLEL WITH SELECT file('{secret}')", "OPTIMIZE TABLE t", "TRUNCATE TABLE t",
    "RENAME TABLE t TO u", "EXCHANGE TABLES t AND u", "UNDROP TABLE t", "DETACH TABLE t", "DELETE FROM t WHERE 1",
    "UPDATE t SET a = 1 WHERE 1", "WATCH t", "BEGIN TRANSACTION", "SELECT 1 FROM system.one STREAM",
]  # fmt: skip
ATTEMPTS = [
    *(place.format(NAMES[0]) for place in PLACES),
    *(place.format(NAMES[5]) for place in PLACES),
    *(f"SELECT {name}" for name in NAMES),
    *(f"SELECT * FROM {table}" for table in TABLES),
    *(f"DESCRIBE TABLE {table}" for table in TABLES if not table.startswith("system.")),
    *(f"SELECT * FROM view(SELECT * FROM {table})" for table in TABLES[:12]),
    *WHOLE,
]


class Listener:
    """A port that counts who comes."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port, self.calls = self._server.getsockname()[1], 0
        threading.Thread(target=self._count, daemon=True).start()

    def _count(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self.calls += 1
            connection.close()

    def close(self) -> None:
        self._server.close()


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The file, the file that must not be, the listener."""
    folder = tmp_path_factory.mktemp("outside")
    (folder / "secret.csv").write_text(f"{CANARY}\n")
    listener = Listener()
    secret = str(folder / "secret.csv")
    yield {"secret": secret, "bare": secret[1:], "out": folder / "out", "port": listener.port, "listener": listener}
    listener.close()


def ask(url: str, sql: str, **options: str) -> requests.Response:
    return requests.post(url, data=sql.encode(), params=options, headers={"X-ClickHouse-User": "reader"}, timeout=60)


@pytest.mark.parametrize("sql", ATTEMPTS)
def test_an_attempt_reaches_nothing(clickhouse_url: str, outside: dict[str, Any], sql: str) -> None:
    names = {"param_f": "file", "param_g": "fi\\x6ce", "param_t": outside["secret"], "param_d": "default"}
    before = outside["listener"].calls
    answer = ask(clickhouse_url, sql.format(**outside), **names)
    assert answer.status_code >= 400 and CANARY not in answer.text, answer.text[:500]
    assert outside["listener"].calls == before and not outside["out"].exists()


@pytest.mark.parametrize("name", ["config.xml", "Makefile", "lock", "../config.xml", "."])
def test_no_file_beside_the_server_is_a_table(clickhouse_url: str, name: str) -> None:
    assert ask(clickhouse_url, f"SELECT * FROM `{name}`").status_code in (403, 404)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT version(), timezone(), currentUser(), hostName(), currentDatabase(), uptime() >= 0",
        "SELECT name, comment FROM system.databases ORDER BY name",
        "SELECT database, name, engine, total_rows FROM system.tables WHERE database NOT IN ('system') LIMIT 5",
        "SELECT table, name, type, default_kind, is_in_primary_key FROM system.columns WHERE database = 'system' LIMIT 5",
        "SELECT name, is_aggregate FROM system.functions WHERE name ILIKE 'arr%' LIMIT 5",
        "SELECT name, value, readonly FROM system.settings LIMIT 5",
        "SELECT * FROM information_schema.tables LIMIT 1",
        "SELECT * FROM information_schema.columns WHERE table_schema = 'system' LIMIT 1",
        "SELECT name FROM system.data_type_families UNION ALL SELECT name FROM system.formats UNION DISTINCT SELECT 'x'",
        "SHOW TABLES", "SHOW DATABASES", "SHOW TABLES FROM system LIKE 'one'", "SHOW CREATE TABLE information_schema.tables;",
        "SHOW COLUMNS FROM one FROM system", "SHOW FUNCTIONS LIKE 'sum'", "SHOW SETTINGS LIKE 'max_thr%'", "SHOW PROCESSLIST",
        "EXISTS TABLE system.one", "EXISTS nothing", "DESCRIBE TABLE system.one", "DESC system.one",
        "/* a tool */ DESCRIBE (SELECT 1 AS a, 'b' AS c)", "DESC TABLE numbers(3)", "-- a tool\nSELECT 1",
        "EXPLAIN SELECT 1", "EXPLAIN PLAN indexes = 1 SELECT 1", "EXPLAIN AST SELECT 1", "(SELECT 1) UNION ALL (SELECT 2)",
        "SELECT * EXCEPT (b) REPLACE (a + 1 AS a) FROM (SELECT 1 AS a, 2 AS b)", "SELECT COLUMNS('a') FROM (SELECT 1 AS a)",
        "SELECT arrayMap(x -> x + 1, [1, 2]), arrayMap(toString, [1]), arrayReduce('uniqExact', [1, 1])",
        "SELECT CASE number WHEN 1 THEN 'a' ELSE 'b' END, CASE WHEN number > 1 THEN 1 END FROM numbers(3)",
        "WITH x AS (SELECT number AS n FROM numbers(10)), (SELECT max(n) FROM x) AS m SELECT n, m FROM x WHERE n IN x",
        "SELECT sumIf(number, number > 2), countIf(1), quantilesTDigestIf(0.5, 0.9)(number, 1), uniqMerge(s) FROM "
        "(SELECT uniqState(number) AS s, 1 AS number FROM numbers(3) GROUP BY 2) GROUP BY ()",
        "SELECT number, sum(number) OVER (PARTITION BY number % 2 ORDER BY number ROWS BETWEEN 1 PRECEDING AND CURRENT ROW), "
        "row_number() OVER w, lagInFrame(number) OVER w FROM numbers(5) WINDOW w AS (ORDER BY number) QUALIFY 1",
        "SELECT toStartOfInterval(now(), INTERVAL 5 MINUTE), dateDiff('day', today(), now()), formatDateTime(now(), '%F')",
        "SELECT a.x, b.y FROM (SELECT 1 AS x) AS a ANY LEFT JOIN (SELECT 1 AS x, 2 AS y) AS b USING (x) ORDER BY 1 LIMIT 1 BY x",
        "SELECT number % 2 AS k, count() FROM numbers(9) GROUP BY k WITH TOTALS HAVING count() > 1 ORDER BY k WITH FILL TO 5",
        "SELECT JSONExtractString('{\"a\":\"b\"}', 'a'), extract('a1', '\\\\d'), 'x' LIKE '%', replaceRegexpAll('a', 'b', 'c')",
        "SELECT * FROM values('a UInt8, b String', (1, 'x'))", "SELECT t.file FROM (SELECT 1 AS file) AS t",
        "SELECT k, v FROM (SELECT map('a', 1) AS m) ARRAY JOIN mapKeys(m) AS k, mapValues(m) AS v",
        "SELECT * FROM generateRandom('a UInt8', 1) LIMIT 1",
        "SELECT * FROM view(SELECT 1 AS a)", "SELECT * FROM (VALUES (1, 2)) AS t", "SELECT 1 FORMAT JSONCompact",
        "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT sum(n) FROM r",
        "SELECT name FROM system.tables WHERE name IN (SELECT name FROM system.tables) AND database GLOBAL IN ('system') LIMIT 1",
        "SELECT grouping(number) FROM numbers(2) GROUP BY GROUPING SETS ((number), ())",
        "SELECT 'function name: file', 'C:\\\\x', 'a/b' AS `a/b`", 
        "SELECT {a:UInt8} + {b:UInt8}, {s:String}, {n:Identifier}.dummy FROM system.one AS one",
    ],
)  # fmt: skip
def test_what_analysts_and_their_tools_ask_is_answered(clickhouse_url: str, sql: str) -> None:
    answer = ask(clickhouse_url, sql, param_a="1", param_b="2", param_s="file", param_n="one")
    assert answer.status_code == 200, answer.text[:500]


def test_the_list_of_functions_is_that_of_the_engine(engine: Engine) -> None:
    written = Path(reader_functions.__file__).with_suffix(".txt").read_text()
    assert written == reader_functions.reviewed(engine.rows(reader_functions.FUNCTIONS_SQL)), (
        "the engine has other functions: look at them, then run `python -m infra.embedded.reader_functions --write`"
    )


def test_every_function_and_kind_that_is_left_out_exists(engine: Engine) -> None:
    rows = engine.rows(reader_functions.FUNCTIONS_SQL)
    assert set(reader_functions.KINDS_LEFT_OUT) <= {kind for *_, kind in rows}
    left_out = {name for names in reader_functions.LEFT_OUT.values() for name in names.split()}
    assert left_out <= {name for name, *_ in rows}
    assert not {name.lower() for name in left_out} & reader_functions.allowed()


@pytest.mark.parametrize(
    "name", ["brandNewFunction", "fileIf", "dictGetIf", "sleepState", "aiGenerate", "", "sumIfFile"]
)
def test_a_function_that_nobody_looked_at_is_refused(name: str) -> None:
    with pytest.raises(GatewayError):
        check_function(name)


def test_combinators_are_those_of_the_engine(engine: Engine) -> None:
    for (name,) in engine.rows("SELECT name FROM system.aggregate_function_combinators"):
        check_function(f"sum{name}")
    check_function("quantilesTDigestArrayIfOrNullState")


def test_sources_are_those_of_the_engine_without_the_ones_that_reach_out(engine: Engine) -> None:
    theirs = {name for (name,) in engine.rows("SELECT lower(name) FROM system.table_functions")}
    assert theirs >= SOURCES and not {"file", "url", "s3", "remote", "python", "executable", "loop", "eval"} & SOURCES
