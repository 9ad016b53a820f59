"""Both shops for as long as their visitors stay: `python -m examples.shop.run --visits 40`.

In: SHOP_KAFKA, SHOP_SCHEMA_REGISTRY, SHOP_FOLDER; with SHOP_COLLECTOR and SHOP_COLLECTOR_KEY also the browser snippet.
Out: one JSON object on stdout: what the visitors of each shop saw happen.
Never: a shop that goes on running, or events left in its spool when it ended well.
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from examples.shop.drive import browse, visits

ROOT = Path(__file__).parents[2]
START_S, STOP_S = 40.0, 20.0
DJANGO = {"DJANGO_SETTINGS_MODULE": "examples.shop.django_shop.settings"}


def _port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _process(*words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is asked to end with the block."""
    with (Path(os.environ["SHOP_FOLDER"]) / "shop.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *words], cwd=ROOT, env={**os.environ, **DJANGO}, stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _up(shop: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            with urllib.request.urlopen(f"{shop}/health", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the shop does not start; see {os.environ['SHOP_FOLDER']}/shop.log") from None
            time.sleep(0.05)


def _django(*words: str) -> None:
    """A management command of the Django shop, to its end."""
    with _process("django", *words) as command:
        if command.wait(START_S):
            raise RuntimeError(f"django {words[0]} failed; see {os.environ['SHOP_FOLDER']}/shop.log")


def run(number: int, browser: int, seed: int) -> dict[str, Counter[str]]:
    """Start both shops, let visitors in, stop; returns what these saw by shop."""
    fastapi, django = _port(), _port()
    seen: dict[str, Counter[str]] = {}
    _django("migrate", "--run-syncdb", "--verbosity", "0")
    _django("analytics_relay", "--once")  # makes the outbox's table
    with ExitStack() as stack:
        one = stack.enter_context(_process("uvicorn", "examples.shop.fastapi_shop:app", "--port", str(fastapi)))
        bind = ("--bind", f"127.0.0.1:{django}", "--workers", "2")
        two = stack.enter_context(_process("gunicorn", "examples.shop.django_shop.wsgi", *bind))
        for name, port, process in (("shop-fastapi", fastapi, one), ("shop-django", django, two)):
            shop = f"http://127.0.0.1:{port}"
            _up(shop, process)
            seen[name] = visits(shop, number, seed) + browse(shop, browser)
    _django("analytics_relay", "--once")
    return seen


def main() -> None:
    """Run, and tell."""
    parser = argparse.ArgumentParser(description="Both shops, with visitors.")
    parser.add_argument("--visits", type=int, default=40, help="visits over HTTP of each shop")
    parser.add_argument("--browser", type=int, default=3, help="visits with a browser of each shop")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    print(json.dumps(run(asked.visits, asked.browser, asked.seed)))


if __name__ == "__main__":
    main()
