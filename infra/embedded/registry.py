"""The schema registry's process: `python -m infra.embedded.registry --bootstrap HOST:PORT --port PORT`.

In: the broker's address, the port to listen on.
Out: Confluent's REST API on loopback; it listens once the log is replayed, so an answer means ready.
Never: state of its own on disk; the log is the truth.
"""

import argparse
import asyncio
import sys

from aiohttp import web

from infra.embedded.registry_avro import Level
from infra.embedded.registry_log import LogUnavailable, RegistryLog
from infra.embedded.registry_routes import make_app
from infra.embedded.registry_service import RegistryService

_DRAIN_S = 5.0


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m infra.embedded.registry", description="Schema registry on Kafka")
    parser.add_argument("--bootstrap", required=True, help="address of Kafka, HOST:PORT")
    parser.add_argument("--port", type=int, required=True, help="port to listen on")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--topic", default="_schemas", help="compacted topic that holds the schemas")
    parser.add_argument(
        "--compatibility",
        default=Level.BACKWARD.value,
        choices=[level.value for level in Level],
        help="level of subjects that have none of their own",
    )
    options = parser.parse_args(arguments)
    service = RegistryService(RegistryLog(options.bootstrap, options.topic), Level(options.compatibility))
    try:
        web.run_app(
            _opened(service),
            host=options.host,
            port=options.port,
            print=None,
            access_log=None,
            shutdown_timeout=_DRAIN_S,
            loop=asyncio.new_event_loop(),
        )
    except LogUnavailable as error:
        print(f"The schema registry did not start: {error}.", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"The schema registry cannot listen on {options.host}:{options.port}: {error}.", file=sys.stderr)
        return 1
    return 0


async def _opened(service: RegistryService) -> web.Application:
    await service.open()
    return make_app(service)


if __name__ == "__main__":
    sys.exit(main())
