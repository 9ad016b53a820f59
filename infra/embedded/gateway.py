"""ClickHouse's process: `python -m infra.embedded.gateway --path DIRECTORY --port PORT`.

In: the directory, the port to listen on.
Out: ClickHouse's HTTP protocol on loopback; user `default` reads and writes by a password, user `reader` reads within limits.
Never: a second owner of the directory.
"""

import argparse
import asyncio
import os
import sys
from pathlib import Path

from aiohttp import web

from infra.embedded.folders import BadFolder
from infra.embedded.gateway_engine import DirectoryInUse, Engine
from infra.embedded.gateway_http import make_app
from infra.embedded.gateway_users import Users
from infra.settings import kept_secret

_DRAIN_S = 3.0
_MIB = 1024 * 1024


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m infra.embedded.gateway", description="ClickHouse, embedded")
    parser.add_argument("--path", type=Path, required=True, help="directory of the data; one process owns it")
    parser.add_argument("--port", type=int, required=True, help="port to listen on")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--memory-mib", type=int, default=4096, help="memory that all queries together may take")
    parser.add_argument("--password-file", type=Path, help="file of the writer's password, made when it is missing")
    parser.add_argument(
        "--without-password", action="store_true", help="whoever reaches the port may write: for tests and benchmarks"
    )
    options = parser.parse_args(arguments)
    password = None if options.without_password else _password(options.password_file or options.path / "password")
    try:
        engine = Engine(options.path, max_memory=options.memory_mib * _MIB)
    except (DirectoryInUse, BadFolder) as error:
        print(error, file=sys.stderr)
        return 1
    # The engine takes a file for a table when no table has the name; here no relative name is one.
    os.chdir(engine.nowhere)
    try:
        web.run_app(
            make_app(engine, Users(password)),
            host=options.host,
            port=options.port,
            print=None,
            access_log=None,
            shutdown_timeout=_DRAIN_S,
            handler_cancellation=True,
            loop=asyncio.new_event_loop(),
        )
    except OSError as error:
        print(f"ClickHouse's gateway cannot listen on {options.host}:{options.port}: {error}.", file=sys.stderr)
        return 1
    return 0


def _password(file: Path) -> str:
    """The password as set for all processes, else the file's."""
    return os.environ.get("FOOTLIGHTS_CLICKHOUSE_PASSWORD") or kept_secret(file.resolve())


if __name__ == "__main__":
    sys.exit(main())
