"""The twenty questions of docs/analysts.md on a big year: `python -m benchmarks.analysts --rows 100000000`.

In: the page; a number of rows that are generated inside the engine.
Out: seconds of each question (best and worst of three runs), written into the page between its marks.
Never: a server of another kind: the embedded engine behind its gateway, as `footlights up` runs it.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import clickhouse_connect

from benchmarks.generated_rows import fill
from infra.embedded.ports import free_port
from infra.embedded.tether import tethered
from sinks.migrate import migrate

PAGE = Path(__file__).resolve().parent.parent / "docs" / "analysts.md"
BEGIN, END = "<!-- timings -->", "<!-- /timings -->"
RUNS = 3


def main() -> int:
    """Generate, ask, write."""
    words = argparse.ArgumentParser(prog="python -m benchmarks.analysts", description=__doc__)
    words.add_argument("--rows", type=int, default=100_000_000)
    words.add_argument("--write", action="store_true", help="write the table into docs/analysts.md")
    given = words.parse_args()
    questions = re.findall(r"\*\*(\d+)\. (.*?)\*\*.*?```sql\n(.*?)```", PAGE.read_text(), re.DOTALL)
    with tempfile.TemporaryDirectory(prefix="footlights-analysts-") as folder:
        port = free_port()
        words_ = [sys.executable, "-m", "infra.embedded.gateway", "--path", f"{folder}/store", "--port", str(port)]
        words_.append("--without-password")
        process = subprocess.Popen(tethered(words_), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _await(f"http://127.0.0.1:{port}/ping")
            client = clickhouse_connect.get_client(host="127.0.0.1", port=port, send_receive_timeout=3_600)
            migrate(client)
            began = time.monotonic()
            counts = fill(client, given.rows, end_ms=int(time.time() * 1000) - 3_600_000)
            print(f"{sum(counts.values()):,} rows in {time.monotonic() - began:.0f} s", file=sys.stderr)
            [(size,)] = client.query(
                "SELECT formatReadableSize(sum(bytes_on_disk)) FROM system.parts WHERE active"
            ).result_rows
            lines = [f"| {number} | {title} | {_ask(client, sql)} |" for number, title, sql in questions]
        finally:
            process.terminate()
            process.wait(60)
    table = "\n".join(
        [
            f"{sum(counts.values()):,} rows over a year, {size} on disk, the embedded engine on two shared cores; seconds,",
            f"best and worst of {RUNS} runs. Written by `python -m benchmarks.analysts --write`.",
            "",
            "| | question | best | worst |",
            "|---|---|---|---|",
            *lines,
        ]
    )  # fmt: skip
    print(table)
    if given.write:
        head, _, rest = PAGE.read_text().partition(BEGIN)
        PAGE.write_text(f"{head}{BEGIN}\n\n{table}\n\n{END}{rest.partition(END)[2]}")
    return 0


def _ask(client: clickhouse_connect.driver.Client, sql: str) -> str:
    took = []
    for _ in range(RUNS):
        began = time.monotonic()
        try:
            client.query(sql, settings={"database": "footlights"})
        except Exception as problem:
            return f"{type(problem).__name__}: {str(problem)[:80]} | |"
        took.append(time.monotonic() - began)
    print(f"{min(took):.2f} {max(took):.2f} {sql[:60]!r}", file=sys.stderr)
    return f"{min(took):.2f} | {max(took):.2f}"


def _await(url: str) -> None:
    for _ in range(300):
        with suppress(OSError):
            if urllib.request.urlopen(url, timeout=1).status == 200:
                return
        time.sleep(0.1)
    raise TimeoutError(url)


if __name__ == "__main__":
    sys.exit(main())
