"""A worker process under test.

In: one JSON argument with the fields of `StreamConfig`; `transport` holds those of `TransportConfig`.
Out: the worker's exit code.
Never: a setting from elsewhere.
"""

import json
import sys
from pathlib import Path

import structlog

from stream_apps.app import run
from stream_apps.config import StreamConfig
from stream_apps.transport.config import TransportConfig

if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    options = json.loads(sys.argv[1])
    options["data_dir"] = Path(options["data_dir"])
    options["dead_letter_key"] = bytes.fromhex(options["dead_letter_key"])
    options["transport"] = TransportConfig(**options.get("transport", {}))
    options["stages"] = tuple(options.get("stages", ("measures",)))
    run(StreamConfig(**options))
