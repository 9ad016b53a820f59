"""What waits in a spool, and sending it without the service: `python -m footlights spool DIR [--drain …]`.

In: a spool's folder; to drain it, the addresses of Kafka and of the schema registry, or of a collector.
Out: a line for each process's folder; exit 1 when something stays.
Never: a record of a process that lives.
"""

import argparse
import os
import sys
from pathlib import Path

from footlights.client import Client
from footlights.spool import META, SEGMENT

KEY = "ANALYTICS_API_KEY"


def main(words: list[str] | None = None) -> int:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m footlights", description=__doc__)
    commands = parser.add_subparsers(required=True)
    spool = commands.add_parser("spool", help="show what waits in a spool, or send it")
    spool.add_argument("folder", type=Path)
    spool.add_argument("--drain", action="store_true", help="send what dead processes left")
    spool.add_argument("--bootstrap-servers", default="", help="Kafka, host:port")
    spool.add_argument("--schema-registry", default="", help="URL of the schema registry")
    spool.add_argument(
        "--collector", default="", help=f"URL of a collector, instead of those two; its write key in {KEY}"
    )
    spool.add_argument("--timeout", type=float, default=60.0, help="seconds to wait for the acknowledgements")
    asked = parser.parse_args(words)
    if asked.drain:
        if not asked.collector and not (asked.bootstrap_servers and asked.schema_registry):
            parser.error("--drain needs --bootstrap-servers and --schema-registry, or --collector")
        if asked.collector and not os.environ.get(KEY):
            parser.error(f"--collector needs its write key in {KEY}")
        with Client(
            bootstrap_servers=asked.bootstrap_servers, schema_registry=asked.schema_registry, collector=asked.collector,
            api_key=os.environ[KEY] if asked.collector else "", source="footlights-drain",
            # Nothing is recorded by this client: its pseudonym key is never used.
            pseudonym_key=None if asked.collector else "nothing is recorded", spool_dir=asked.folder, enabled=True,
        ) as client:  # fmt: skip
            client.take_over(asked.timeout)
    left = sorted(meta.parent for pattern in ("*", "http/*") for meta in asked.folder.glob(f"{pattern}/{META}"))
    for folder in left:
        sizes = [segment.stat().st_size for segment in folder.glob(f"*{SEGMENT}")]
        print(f"{folder.name}  {len(sizes)} segments, {sum(sizes):,} bytes")
    if not left:
        print("nothing waits")
    return bool(left)


if __name__ == "__main__":
    sys.exit(main())
