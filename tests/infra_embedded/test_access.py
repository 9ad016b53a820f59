"""Who gets an answer from the ports that trust loopback: programs of this machine, and no page of a browser."""

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
import requests

from infra.embedded.gateway_errors import GatewayError
from infra.embedded.gateway_users import Users
from infra.embedded.ports import free_port
from infra.embedded.tether import tethered
from infra.settings import load
from tests.conftest import await_answer

pytestmark = [pytest.mark.clickhouse, pytest.mark.kafka]
WRITES = [
    "CREATE TABLE taken (x UInt8) ENGINE = Memory", "DROP TABLE IF EXISTS held", "INSERT INTO held VALUES (1)", "SET a = 1",
    "SELECT 1; DROP TABLE held", "SELECT 1 INTO OUTFILE 'x'", "KILL QUERY WHERE 1", "/**/ TRUNCATE TABLE held",
    "SYSTEM FLUSH LOGS",
]  # fmt: skip
FOREIGN = [
    {"Origin": "https://example.org"}, {"Origin": "null"}, {"Origin": "http://127.0.0.1:1"}, {"Origin": "https://{host}"},
    {"Origin": "http://localhost"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "anything"}, {"Host": "rebound.example.org:{port}"}, {"Host": "rebound.example.org"},
    {"Host": "127.0.0.1"}, {"Host": "127.0.0.1:1"}, {"Host": "localhost"}, {"Host": "127.0.0.1.example.org:{port}"},
    {"Host": "user@127.0.0.1:{port}"}, {"Host": "127.0.0.1:{port}/x"}, {"Host": "localhost.example.org:{port}"},
    {"Host": ""}, {"Host": "127.0.0.1:{port}, example.org"}, {"Host": "127.0.0.1:port"},
]  # fmt: skip
OWN = [
    {"Host": "LOCALHOST:{port}"}, {"Host": "localhost.:{port}"}, {"Host": "[::1]:{port}"}, {"Host": "127.0.0.2:{port}"},
    {"Origin": "http://{host}", "Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"},
]  # fmt: skip


def fill(headers: dict[str, str], url: str) -> dict[str, str]:
    host = urlsplit(url).netloc
    return {name: value.format(host=host, port=host.partition(":")[2]) for name, value in headers.items()}


def held(url: str) -> list[str]:
    return requests.post(url, data="SHOW TABLES LIKE '%'", timeout=10).text.split()


@pytest.fixture(scope="module")
def url(clickhouse_url: str) -> str:
    requests.post(clickhouse_url, data="CREATE TABLE IF NOT EXISTS held (x UInt8) ENGINE = Memory", timeout=10)
    return clickhouse_url


@pytest.mark.parametrize("sql", WRITES)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_get_and_head_only_read(url: str, method: str, sql: str) -> None:
    before = held(url)
    answer = requests.request(method, url, params={"query": sql, "session_id": "page"}, timeout=10)
    assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (403, "164")
    assert held(url) == before and "held" in before


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "TRACE"])
def test_other_methods_run_nothing(url: str, method: str) -> None:
    before = held(url)
    assert requests.request(method, url, params={"query": WRITES[0]}, timeout=10).status_code == 405
    assert held(url) == before


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_pages_and_other_names_are_refused(url: str, registry_url: str, headers: dict[str, str], method: str) -> None:
    for server, path in (
        (url, "/?query=SELECT+1"),
        (url, "/ping"),
        (registry_url, "/subjects"),
        (registry_url, "/nowhere"),
    ):
        answer = requests.request(method, server + path, headers=fill(headers, server), timeout=10)
        assert answer.status_code in (400, 403), (server, path, answer.status_code)
        assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("headers", OWN, ids=str)
def test_own_names_are_answered(url: str, registry_url: str, headers: dict[str, str]) -> None:
    assert requests.get(f"{url}/?query=SELECT+1", headers=fill(headers, url), timeout=10).text == "1\n"
    assert requests.get(f"{registry_url}/subjects", headers=fill(headers, registry_url), timeout=10).status_code == 200


@pytest.mark.parametrize(
    "head",
    [
        "GET /?query=SELECT+1 HTTP/1.0\r\n\r\n",
        "GET http://rebound.example.org/?query=SELECT+1 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n",
        "GET http://127.0.0.1:{port}/?query=SELECT+1 HTTP/1.1\r\nHost: rebound.example.org\r\n\r\n",
        "GET /?query=SELECT+1 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nHost: rebound.example.org\r\n\r\n",
        "GET /?query=SELECT+1 HTTP/1.1\r\n\r\n",
    ],
)
def test_requests_without_one_plain_host_are_refused(url: str, head: str) -> None:
    port = urlsplit(url).port
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(head.format(port=port).encode())
        assert connection.recv(4096).split(b" ")[1] in (b"400", b"403")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_the_registry_takes_no_body_that_a_form_can_send(registry_url: str, kind: str) -> None:
    body = '{"schema": "\\"string\\""}'
    path = f"{registry_url}/subjects/by-form/versions"
    answer = requests.post(path, data=body, headers={"Content-Type": kind}, timeout=10)
    assert (answer.status_code, answer.json()["error_code"]) == (415, 415)
    assert "by-form" not in requests.get(f"{registry_url}/subjects", timeout=10).json()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path, int]]:
    """A store as `footlights up` starts it: URL, file of its password, process id."""
    folder, port = tmp_path_factory.mktemp("guarded"), free_port()
    file, log = folder / "keys" / "clickhouse.password", folder / "log"
    words = ["--path", str(folder / "store"), "--port", str(port), "--password-file", str(file)]
    with log.open("wb") as out:
        process = subprocess.Popen(
            tethered([sys.executable, "-m", "infra.embedded.gateway", *words]), stdout=out, stderr=out
        )
    url = f"http://127.0.0.1:{port}"
    try:
        await_answer(process, f"{url}/ping", log)
        yield url, file, process.pid
    finally:
        process.kill()
        process.wait()


def three_ways(url: str, key: str) -> Iterator[requests.Response]:
    """What is answered to a password in each place where one may stand."""
    yield requests.post(url, data="SELECT 1", timeout=10, auth=("default", key.encode().decode("latin-1")))
    yield requests.post(url, data="SELECT 1", timeout=10, params={"password": key})
    yield requests.post(url, data="SELECT 1", timeout=10, headers={"X-ClickHouse-Key": key.encode()})


def test_only_the_password_writes(guarded: tuple[str, Path, int]) -> None:
    url, file, pid = guarded
    password = file.read_text().strip()
    assert len(password) == 64 and stat.S_IMODE(file.stat().st_mode) == 0o600
    for key in ("", "guess", password[:-1], f"{password}x", "pässwort"):
        for answer in three_ways(url, key):
            assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (401, "516"), key
            assert not key or key not in answer.text
    assert [answer.text for answer in three_ways(url, password)] == ["1\n"] * 3
    assert requests.post(url, data="SELECT 1", auth=("reader", ""), timeout=10).text == "1\n"
    words = psutil.Process(pid).cmdline() + [w for c in psutil.Process(pid).children() for w in c.cmdline()]
    assert password not in " ".join(words)
    assert password not in (file.parents[1] / "log").read_text()


def test_settings_give_the_password_of_the_data_folder_to_all(tmp_path: Path) -> None:
    settings = load({"FOOTLIGHTS_DATA_DIR": str(tmp_path)})
    password = settings.store_password()
    assert settings.store_password_file().read_text().strip() == password
    assert load({"FOOTLIGHTS_DATA_DIR": str(tmp_path)}).store_password() == password
    elsewhere = {"FOOTLIGHTS_DATA_DIR": str(tmp_path), "FOOTLIGHTS_CLICKHOUSE": "http://clickhouse:8123"}
    assert load(elsewhere).store_password() == "", "a store of one's own is asked with what was set"
    assert load({**elsewhere, "FOOTLIGHTS_CLICKHOUSE_PASSWORD": "x"}).store_password() == "x"


def test_no_user_but_the_two() -> None:
    for name, key in (("nobody", ""), ("", ""), ("reader", "x"), ("Default", "p"), ("default", "")):
        with pytest.raises(GatewayError, match="516"):
            Users("p").check(name, key)
    assert Users("p").check("default", "p") == "default" and Users("p").check("reader", "") == "reader"
    assert os.environ.get("FOOTLIGHTS_CLICKHOUSE_PASSWORD") is None
