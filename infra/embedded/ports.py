"""Ports for the embedded servers, chosen once and kept.

In: a file in which a server keeps its port.
Out: a port that is free now, the kept one where possible.
Never: a port of the system's ephemeral range: while a server restarts, a client that dials its port could be given that very
port as its source, connect to itself, and keep the server from coming back.
"""

import random
import socket
from pathlib import Path

_LOWEST = 10_240
_USUAL_EPHEMERAL_START = 32_768
_RANGE_FILE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen on the port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port below the ephemeral range that nobody listens on.

    Raises
    ------
    OSError
        When 200 random ports were all taken.
    """
    for _ in range(200):
        port = random.randrange(_LOWEST, _ephemeral_start())
        if is_free(port, host):
            return port
    raise OSError("no free port was found on this machine; close some servers and try again")


def kept_port(file: Path, host: str = "127.0.0.1") -> int:
    """Return the port kept in the file, or a fresh one, then kept there, when that is taken or none is kept."""
    if file.exists():
        text = file.read_text().strip()
        if text.isdigit() and is_free(int(text), host):
            return int(text)
    port = free_port(host)
    keep_port(file, port)
    return port


def keep_port(file: Path, port: int) -> None:
    """Write the port to the file, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial")
    partial.write_text(f"{port}\n")
    partial.replace(file)


def _ephemeral_start() -> int:
    try:
        start = int(_RANGE_FILE.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return _USUAL_EPHEMERAL_START
    return start if start > _LOWEST + 1_000 else _USUAL_EPHEMERAL_START
