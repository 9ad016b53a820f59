"""How commands talk to a running supervisor: one JSON line each way over a Unix socket.

In: requests such as {"do": "status"}.
Out: answers.
Never: a wait for a client; the supervisor's loop goes on.
"""

import hashlib
import json
import os
import socket
import tempfile
from pathlib import Path
from typing import Any

#: Unix socket paths are limited to about a hundred bytes.
LONGEST_PATH = 95


def socket_path(folder: Path) -> Path:
    """Where the supervisor of a folder listens: in the folder, or in the temporary folder when its path is too long."""
    inside = folder / "control.sock"
    if len(os.fsencode(inside)) <= LONGEST_PATH:
        return inside
    return Path(tempfile.gettempdir()) / f"footlights-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]}.sock"


def listen(folder: Path) -> socket.socket:
    """A listening socket; what a dead supervisor left is removed."""
    path = socket_path(folder)
    path.unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(str(path))
    path.chmod(0o600)
    server.listen(16)
    server.setblocking(False)
    return server


def receive(connection: socket.socket) -> dict[str, Any]:
    """One request; an empty one for anything that is none."""
    connection.settimeout(1.0)
    try:
        line = connection.makefile("rb").readline(65_536)
        request = json.loads(line)
    except (OSError, ValueError):
        return {}
    return request if isinstance(request, dict) else {}


def reply(connection: socket.socket, answer: dict[str, Any]) -> None:
    """One answer; a client that left is no matter."""
    try:
        connection.sendall(json.dumps(answer).encode() + b"\n")
    except OSError:
        return


def ask(folder: Path, request: dict[str, Any], timeout: float = 5.0) -> dict[str, Any] | None:
    """The answer of the folder's supervisor, None when none listens."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(timeout)
    with client:
        try:
            client.connect(str(socket_path(folder)))
            client.sendall(json.dumps(request).encode() + b"\n")
            line = client.makefile("rb").readline()
            answer: dict[str, Any] = json.loads(line)
        except (OSError, ValueError):
            return None
    return answer
