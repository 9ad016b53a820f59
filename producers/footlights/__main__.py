"""What waits in a spool, and sending it without the service: `python -m footlights spool DIR [--drain …]`.

In: a spool's folder; to drain it, the addresses of Kafka and of the schema registry.
Out: a line for each process's folder; exit 1 when something stays.
Never: a record of a process that lives.
"""

import argparse
import sys
from pathlib import Path

from footlights.client import Client
from footlights.spool import META, SEGMENT


def main(words: list[str] | None = None) -> int:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m footlights", description=__doc__)
    commands = parser.add_subparsers(required=True)
    spool = commands.add_parser("spool", help="show what waits in a spool, or send it")
    spool.add_argument("folder", type=Path)
    spool.add_argument("--drain", action="store_true", help="send what dead processes left")
    spool.add_argument("--bootstrap-servers", default="", help="Kafka, host:port")
    spool.add_argument("--schema-registry", default="", help="URL of the schema registry")
    spool.add_argument("--timeout", type=float, default=60.0, help="seconds to wait for the acknowledgements")
    asked = parser.parse_args(words)
    if asked.drain:
        if not asked.bootstrap_servers or not asked.schema_registry:
            parser.error("--drain needs --bootstrap-servers and --schema-registry")
        # Nothing is recorded by this client: its pseudonym key is never used.
        with Client(
            bootstrap_servers=asked.bootstrap_servers, schema_registry=asked.schema_registry, source="footlights-drain",
            pseudonym_key="nothing is recorded", spool_dir=asked.folder, enabled=True,
        ) as client:  # fmt: skip
            client.take_over(asked.timeout)
    left = [folder for folder in sorted(asked.folder.glob("*")) if (folder / META).exists()]
    for folder in left:
        sizes = [segment.stat().st_size for segment in folder.glob(f"*{SEGMENT}")]
        print(f"{folder.name}  {len(sizes)} segments, {sum(sizes):,} bytes")
    if not left:
        print("nothing waits")
    return bool(left)


if __name__ == "__main__":
    sys.exit(main())
