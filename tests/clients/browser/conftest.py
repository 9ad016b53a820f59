"""Pages of other vendors' clients, as npm installs them, on a site of their own; a collector on another origin."""

import fcntl
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.browser.site import chromium, context
from tests.collector.conftest import platform, serve, shared

__all__ = ["chromium", "context", "platform", "serve", "shared"]
HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def modules() -> Path:
    """The clients at the versions of the lock file."""
    npm, installed = shutil.which("npm"), HERE / "node_modules" / ".package-lock.json"
    if npm is None:
        (pytest.fail if os.environ.get("REQUIRE_SERVICES") == "1" else pytest.skip)("npm is not installed")
    with (HERE / ".gitignore").open() as turn:  # of all files that are run at once
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not installed.exists() or installed.stat().st_mtime < (HERE / "package-lock.json").stat().st_mtime:
            subprocess.run(
                [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=HERE, check=True, timeout=300
            )
            installed.touch()
    return installed.parent


class Pages(SimpleHTTPRequestHandler):
    """Serves `node_modules`, and the page that a test wrote under every other path."""

    page = ""

    def do_GET(self) -> None:
        if self.path.startswith("/node_modules/"):
            super().do_GET()
            return
        body = type(self).page.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


Open = Callable[[str, str], tuple[Page, list[str]]]


@pytest.fixture
def open_page(modules: Path, context: BrowserContext) -> Iterator[Open]:
    """Opens a page with this body at a path: (the page, what its console complains of)."""
    handler = type("Handler", (Pages,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(modules.parent)))
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def go(path: str, body: str) -> tuple[Page, list[str]]:
        handler.page = f'<!doctype html><link rel="icon" href="data:,"><title>Shop</title>{body}'  # type: ignore[attr-defined]
        page, complaints = context.new_page(), list[str]()
        page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"http://127.0.0.1:{server.server_address[1]}{path}", referer="https://search.example/x")
        return page, complaints

    yield go
    server.shutdown()
    server.server_close()
