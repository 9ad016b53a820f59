"""What commands print and with what they end, where no stack runs.

In: the command line in a process of its own, an empty data folder.
Out: one JSON value on stdout, one sentence on stderr, an exit code.
Never: a stack trace.
"""

import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from infra.cli.problems import sentence
from infra.cli.roles import scratch
from infra.query import json_rows
from infra.telemetry import Repeats

DEAD = {
    "FOOTLIGHTS_KAFKA": "127.0.0.1:9",
    "FOOTLIGHTS_SCHEMA_REGISTRY": "http://127.0.0.1:9",
    "FOOTLIGHTS_CLICKHOUSE": "http://127.0.0.1:9",
}
COMMANDS = re.split(
    " ",
    "up down status wait demo doctor simulate replay query metrics ledger verify migrate deadletters worker sink bench",
)


def footlights(folder: Path, *words: str, **more: str) -> "subprocess.CompletedProcess[str]":
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("FOOTLIGHTS_", "ANALYTICS_"))}
    done = subprocess.run(
        [sys.executable, "-m", "infra.cli.main", *words],
        env=clean | {"FOOTLIGHTS_DATA_DIR": str(folder)} | more,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done


def test_help_shows_groups_and_every_command(tmp_path: Path) -> None:
    said = footlights(tmp_path, "--help", COLUMNS="200").stdout
    assert all(group in said for group in ("Run", "Bring events in", "Look", "Processes"))
    assert all(f" {name} " in said for name in COMMANDS)


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    text = (
        "import sys, infra.cli.main as m\ntry: m.app(['--help'])\nexcept SystemExit: pass\n"
        "print([n for n in sys.modules if n.split('.')[0] in "
        "('polars', 'numpy', 'faust', 'confluent_kafka', 'chdb', 'clickhouse_connect', 'aiohttp')], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr.strip() == "[]"


def test_status_of_nothing(tmp_path: Path) -> None:
    done = footlights(tmp_path, "status", "--json")
    assert done.returncode == 1 and done.stderr == ""
    assert json.loads(done.stdout) == {
        "ready": False,
        "addresses": {
            "kafka": None,
            "schema_registry": None,
            "clickhouse": None,
            "collector": None,
            "api": None,
            "metrics": [],
        },
        "processes": [{"name": "supervisor", "pid": None, "state": "stopped", "restarts": 0, "rss_bytes": None}],
    }
    assert footlights(tmp_path, "down").returncode == 0
    assert footlights(tmp_path, "wait", "--timeout", "0.2").returncode == 1


@pytest.mark.parametrize(
    "words",
    [
        ["query", "SELECT 1"],
        ["metrics"],
        ["ledger", "--json"],
        ["verify", "--json"],
        ["wait", "--idle"],
        ["deadletters", "list"],
        ["migrate"],
        ["simulate", "--events", "1"],
        ["replay", __file__],
        ["worker"],
        ["sink"],
    ],
)
def test_without_a_stack_the_sentence_says_how_to_start(tmp_path: Path, words: list[str]) -> None:
    done = footlights(tmp_path, *words)
    assert done.returncode == 2 and done.stdout == ""
    assert "footlights up --detach" in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("words", [["query", "SELECT 1"], ["metrics"], ["verify"], ["deadletters", "list"], ["ledger"]])
def test_a_store_that_is_down_is_one_sentence(tmp_path: Path, words: list[str]) -> None:
    done = footlights(tmp_path, *words, **DEAD)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("ClickHouse cannot be reached: nothing answers at 127.0.0.1:9")
    assert len(done.stderr.splitlines()) == 1


def test_a_wait_for_a_broker_that_is_down_ends_in_time_and_names_it(tmp_path: Path) -> None:
    done = footlights(tmp_path, "wait", "--idle", "--timeout", "0.5", **DEAD)
    assert done.returncode == 1 and "waiting for: Kafka does not answer" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_broker_that_is_down_is_one_sentence(tmp_path: Path) -> None:
    done = footlights(tmp_path, "migrate", **DEAD)
    assert done.returncode == 1 and done.stderr.startswith("Kafka cannot be reached") and "doctor" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("FOOTLIGHTS_KAFFKA", "x", "did you mean FOOTLIGHTS_KAFKA?"),
        ("FOOTLIGHTS_WORKERS", "many", "FOOTLIGHTS_WORKERS cannot be 'many'"),
        ("FOOTLIGHTS_CONFIG", "/nowhere.toml", "/nowhere.toml cannot be read"),
    ],
)
def test_a_bad_setting_ends_with_2(tmp_path: Path, setting: str, value: str, said: str) -> None:
    done = footlights(tmp_path, "status", **{setting: value})
    assert done.returncode == 2 and said in done.stderr and done.stdout == ""


@pytest.mark.parametrize(
    "words",
    [
        ["verify", "--from", "yesterday"],
        ["metrics", "--at", "noon"],
        ["simulate", "--start", "soon"],
        ["query", "SELECT 1", "--format", "xml"],
        ["dance"],
        ["status", "--jsno"],
    ],
)
def test_wrong_words_end_with_2(tmp_path: Path, words: list[str]) -> None:
    done = footlights(tmp_path, *words, **DEAD)
    assert done.returncode == 2 and done.stderr and done.stdout == ""


def test_up_without_java_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    for words in (["up"], ["up", "--detach"]):
        done = footlights(tmp_path, *words, FOOTLIGHTS_JAVA="/bin/false")
        assert done.returncode == 1 and "Java" in done.stderr
    assert json.loads(footlights(tmp_path, "status", "--json").stdout)["ready"] is False


def test_doctor_names_what_is_missing(tmp_path: Path) -> None:
    done = footlights(tmp_path, "doctor", "--json", **DEAD)
    found = {row["part"]: row for row in json.loads(done.stdout)}
    assert done.returncode == 1 and found["python"]["ok"] and found["data folder"]["ok"]
    for part in ("kafka", "schema registry", "clickhouse"):
        assert not found[part]["ok"] and found[part]["advice"]


def test_ctrl_c_ends_a_wait_without_a_word_of_python(tmp_path: Path) -> None:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("FOOTLIGHTS_")}
    with subprocess.Popen(
        [sys.executable, "-m", "infra.cli.main", "wait", "--timeout", "60"],
        env=clean | {"FOOTLIGHTS_DATA_DIR": str(tmp_path)},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        time.sleep(2)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=20)[1]
    assert process.returncode != 0 and "Traceback" not in said


def test_a_fault_of_ours_is_not_hidden() -> None:
    assert sentence(KeyError("x")) is None and sentence(AssertionError()) is None


def test_rows_keep_texts_that_look_like_ends_of_lines() -> None:
    class Client:
        def raw_query(self, sql: str, settings: object, fmt: str) -> bytes:
            return '["a","b"]\n["x\u2028y\x85z",1]\n["",9007199254740993]\n'.encode()

    columns, rows = json_rows(Client(), "SELECT")
    assert columns == ["a", "b"]
    assert rows == [{"a": "x\u2028y\x85z", "b": 1}, {"a": "", "b": 9007199254740993}]


def test_scratch_of_processes_that_are_gone_is_removed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pass
    for name in (f"worker-1-{gone.pid}", f"worker-1-{os.getppid()}", f"worker-11-{gone.pid}", "worker-1-notes"):
        (tmp_path / name / "v1").mkdir(parents=True)
    assert scratch(tmp_path, "worker-1") == tmp_path / f"worker-1-{os.getpid()}"
    left = {f"worker-1-{os.getppid()}", f"worker-11-{gone.pid}", "worker-1-notes"}
    assert {p.name for p in tmp_path.iterdir()} == left


def test_a_repeated_message_is_let_through_once_in_a_while() -> None:
    name = "library.of.this.test"
    logger, heard = logging.getLogger(name), []
    logger.addFilter(Repeats(every_s=60))
    handler = logging.Handler()
    handler.emit = lambda record: heard.append(record.getMessage())  # type: ignore[method-assign]
    logger.addHandler(handler)
    for i in range(5):
        logger.error("cannot reach %s", i)
        logger.error("something else")
    assert heard == ["cannot reach 0", "something else"]
