"""Where requests may not go, and that none does."""

import hashlib
import hmac
import socket

import pytest

from sinks.forward.guard import Forbidden, Guard, public
from sinks.forward.targets import Webhook

PRIVATE = [
    "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "100.64.0.1",
    "192.0.0.8", "192.0.2.1", "198.18.0.1", "198.51.100.7", "203.0.113.7", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::1", "::",
    "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::ffff:a9fe:a9fe", "fc00::1", "fd12::1", "fe80::1", "fe80::1%eth0", "ff02::1",
    "2002:7f00:1::", "2002:a00:1::", "64:ff9b::7f00:1", "2001:db8::1", "2001::1", "100::1",
]  # fmt: skip
URLS = [
    "http://example.org/", "ftp://example.org/", "file:///etc/passwd", "gopher://example.org/", "https://", "https:///x",
    "//example.org",
    "https://user@example.org/", "https://user:word@example.org/", "https://example.org:99999/", "https://example.org\\@evil.example/",
    "https://[::1", "javascript:alert(1)", "https://exam\nple.org/", "https://example.org/\r\nX: y", "data:,x",
]  # fmt: skip
#: What the system's resolver makes of these is an address in one piece of clothing or another.
CLOTHED = [
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "127.1",
    "0x7f.1",
    "localhost",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "127.0.0.1.",
]


@pytest.fixture(autouse=True)
def nobody_is_called(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    called: list[object] = []
    monkeypatch.setattr(socket, "create_connection", lambda *words, **_: called.append(words))
    return called


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses(address: str, nobody_is_called: list[object]) -> None:
    assert not public(address)
    with pytest.raises(Forbidden, match="not public"):
        Guard(resolve=lambda host, port: [address]).post("https://innocent.example/", b"{}", {})
    with pytest.raises(Forbidden):
        Guard(resolve=lambda host, port: ["8.8.8.8", address]).post("https://innocent.example/", b"{}", {})
    assert not nobody_is_called


@pytest.mark.parametrize("url", URLS)
def test_urls(url: str, nobody_is_called: list[object]) -> None:
    with pytest.raises(Forbidden):
        Guard(resolve=lambda host, port: ["8.8.8.8"]).post(url, b"{}", {})
    assert not nobody_is_called


@pytest.mark.parametrize("host", CLOTHED)
def test_clothed_addresses(host: str, nobody_is_called: list[object]) -> None:
    with pytest.raises((Forbidden, OSError)):
        Guard().post(f"https://{host}/", b"{}", {})
    assert not nobody_is_called


def test_a_name_is_resolved_once_and_its_address_asked() -> None:
    answers = iter([["8.8.8.8"], ["127.0.0.1"]])
    assert Guard(resolve=lambda host, port: next(answers)).place("https://rebinding.example/x") == (
        "rebinding.example", "8.8.8.8", 443, True,
    )  # fmt: skip


def test_trusted_hosts_may_be_private() -> None:
    guard = Guard(frozenset({"posthog.internal"}), lambda host, port: ["10.0.0.9"])
    assert guard.place("http://posthog.internal:8000/batch/") == ("posthog.internal", "10.0.0.9", 8000, False)


def test_a_signature_can_be_checked() -> None:
    hook = Webhook("https://hooks.example/", b"shared secret", clock=lambda: 1_800_000_000.4)
    body = hook.body([{"message_id": "m", "event_name": "search"}])
    headers = hook.headers(body)
    wanted = hmac.new(b"shared secret", b"1800000000." + body, hashlib.sha256).hexdigest()
    assert headers == {"Footlights-Timestamp": "1800000000", "Footlights-Signature": f"v1={wanted}"}
