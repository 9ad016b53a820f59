"""The variants of access logs: which one a file is, who its visitors are, and how long answers took.

In: lines as Apache and nginx write them. Out: visitors, durations, refusals with a hint. Never: several visitors made one.
"""

from pathlib import Path

import pytest

from infra.replay.event import Event
from infra.replay.recognise import UnknownFormat
from infra.replay.run import ReplayConfig, replay
from tests.infra_collect.files import Parsed, parsed
from tests.infra_collect.memory_client import Connector

AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


def line(head: str, request: str = "GET /events/1 HTTP/1.1", tail: str = "", agent: str | None = AGENT) -> str:
    told = "" if agent is None else f' "-" "{agent}"'
    return f'{head} [10/Jul/2026:10:00:01 +0000] "{request}" 200 512{told}{tail}'


def read(folder: Path, *lines: str, form: str = "combined") -> Parsed:
    return parsed(folder, "\n".join(lines) + "\n", form)


def visitors(found: Parsed) -> list[str]:
    return [str(events[0].anonymous_id).split("|")[0] for events in found.events.values()]


def timed(found: Parsed) -> list[Event]:
    return [events[1] for events in found.events.values()]


@pytest.mark.parametrize(
    "host", ["tickets.example:443", "tickets.example", "127.0.0.1:80", "192.0.2.1", "[::1]:80", "-"]
)
@pytest.mark.parametrize("form", ["combined", "vhost_combined"])
def test_a_virtual_host_in_front_is_no_visitor(tmp_path: Path, host: str, form: str) -> None:
    addresses = ["192.0.2.10", "192.0.2.11", "2001:db8::12"]
    found = read(tmp_path, *(line(f"{host} {address} - john doe") for address in addresses), form=form)
    assert visitors(found) == addresses and not found.refused
    assert {e[0].properties["host"] for e in found.events.values()} == {host}


def test_the_format_with_hosts_needs_them(tmp_path: Path) -> None:
    found = read(tmp_path, line("tickets.example:443 192.0.2.10 - -"), line("192.0.2.11 - -"), form="vhost_combined")
    assert visitors(found) == ["192.0.2.10"] and found.refused == {2: "no virtual host in front"}


@pytest.mark.parametrize(
    "head", ["crawl-1.example.net - -", "tickets.example:443 crawl-1.example.net - -", "- - -", "unix: - -"]
)
def test_a_visitor_without_an_address_is_refused_with_a_hint(tmp_path: Path, head: str) -> None:
    found = read(tmp_path, line("192.0.2.10 - -"), line(head))
    assert visitors(found) == ["192.0.2.10"]
    assert "no IP address" in found.refused[2] and "vhost_combined" in found.refused[2]
    with pytest.raises(UnknownFormat, match="HostnameLookups"):
        read(tmp_path, line(head))


@pytest.mark.parametrize(
    "head",
    [
        "192.0.2.10 - -",
        "192.0.2.10 identd frank",
        "192.0.2.10 - john doe",
        '192.0.2.10 - ""',
        "192.0.2.10 - a@b.example",
    ],
)
def test_what_stands_between_address_and_time(tmp_path: Path, head: str) -> None:
    assert visitors(read(tmp_path, line(head))) == ["192.0.2.10"]


@pytest.mark.parametrize("address", ["2001:db8::7", "::ffff:192.0.2.7", "fe80::1%eth0", "2001:DB8:0:0:0:0:0:7"])
def test_addresses_of_version_six(tmp_path: Path, address: str) -> None:
    assert visitors(read(tmp_path, line(f"{address} - -"))) == [address]


@pytest.mark.parametrize(
    ("forwarded", "visitor"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7, 198.51.100.2", "203.0.113.7"),
        ("10.20.30.40, 203.0.113.7", "203.0.113.7"),
        ("203.0.113.7:4711", "203.0.113.7"),
        ("[2001:db8::9]:4711", "2001:db8::9"),
        ("unknown, 203.0.113.7", "203.0.113.7"),
        ("192.168.1.5", "192.168.1.5"),
        ("-", "10.0.0.1"),
        ("evil<script>", "10.0.0.1"),
    ],
)
def test_behind_a_proxy_the_client_is_the_visitor(tmp_path: Path, forwarded: str, visitor: str) -> None:
    found = read(
        tmp_path, line("10.0.0.1 - -", tail=f' "{forwarded}"'), line("10.0.0.1 - -", tail=f' "{forwarded}" rt=0.250')
    )
    assert visitors(found) == [visitor] * 2
    assert [e.fields["response_time_ms"] for e in timed(found)] == [None, 250]


def test_a_list_of_proxies_may_stand_in_front(tmp_path: Path) -> None:
    found = read(tmp_path, line("203.0.113.7, 10.0.0.1 - -"), line("h.example 203.0.113.8, 10.0.0.1 - -"))
    assert visitors(found) == ["203.0.113.7", "203.0.113.8"] and not found.refused


@pytest.mark.parametrize(
    ("tails", "durations"),
    [
        (["", ""], [None, None]),
        ([" 183500", " 50"], [183, 0]),  # microseconds, since one of them is too many for seconds
        ([" 0", " 3"], [0, 3_000]),  # seconds, since nothing answers within three microseconds
        ([" 0.005", " 1.250"], [5, 1_250]),
        ([" 0/183500", " 1/1183500"], [183, 1_183]),
        ([" 812 5120", " 700 4000"], [None, None]),  # bytes in and out
        ([" 362 0.003 [shop-80] [] 10.0.0.9:80 512 0.003 200 f00", ""], [3, None]),
        ([' rt=0.012 uct="0.001" uht="0.002" urt="0.012"', ""], [12, None]),
    ],
)
def test_durations(tmp_path: Path, tails: list[str], durations: list[int | None]) -> None:
    found = read(tmp_path, *(line("192.0.2.10 - -", tail=tail) for tail in tails))
    assert [e.fields["response_time_ms"] for e in timed(found)] == durations and not found.refused
    assert visitors(found) == ["192.0.2.10"] * 2


def test_the_common_format_is_told_by_the_first_lines(tmp_path: Path) -> None:
    common = [line(f"192.0.2.{i} - -", agent=None) for i in range(3)]
    for form in ("combined", "common"):
        found = read(tmp_path, *common, form=form)
        assert visitors(found) == ["192.0.2.0", "192.0.2.1", "192.0.2.2"] and not found.refused
    # In a file with agents such a line was cut, and its visitor would be another one.
    found = read(tmp_path, common[0], line("192.0.2.1 - -"), common[2])
    assert visitors(found) == ["192.0.2.1"] and set(found.refused.values()) == {"not a combined log line"}


@pytest.mark.parametrize(
    ("request_line", "name", "path"),
    [
        ("GET https://tickets.example/events/1?a=b HTTP/1.1", "page_view", "/events/1"),
        ("GET http://tickets.example HTTP/1.1", "page_view", "/"),
        ("GET /events/1 HTTP/2.0", "page_view", "/events/1"),
        ("GET /search?q=rock and roll HTTP/1.1", "page_view", "/search"),
        (r"GET /a?q=\"x\" HTTP/1.1", "page_view", "/a"),
        (r"GET /a?q=\x22x\x22 HTTP/1.1", "page_view", "/a"),
        ("-", "api_call", None),
        (r"\x16\x03\x01\x02\x00\x01", "api_call", None),
        ("", "api_call", None),
        ("CONNECT tickets.example:443 HTTP/1.1", "api_call", "tickets.example:443"),
    ],
)
def test_requests(tmp_path: Path, request_line: str, name: str, path: str | None) -> None:
    found = read(tmp_path, line("192.0.2.10 - -", request=request_line))
    assert (found.events[1][0].name, found.events[1][0].fields["path"]) == (name, path)


def test_agents_with_escaped_quotes(tmp_path: Path) -> None:
    found = read(
        tmp_path, line("192.0.2.10 - -", agent=r"a \"b\" \x22c\x22 \\"), line("192.0.2.10 - -", agent=r"cut \"")
    )
    assert not found.refused


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"remote_addr":"192.0.2.1","request":"GET / HTTP/1.1"}', "these lines are JSON"),
        ("#Software: Microsoft Internet Information Services 10.0", "W3C extended log"),
        ("Jul 10 10:00:01 web nginx: " + line("192.0.2.10 - -"), "none of the first"),
        ("order,when,customer", "none of the first"),
        ("\x16\x03\x01", "none of the first"),
    ],
)
def test_another_format_is_refused_at_once_with_a_hint(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "log").write_text(f"{text}\n" * 500)
    connector = Connector()
    with pytest.raises(UnknownFormat, match=sentence):
        replay(ReplayConfig(tmp_path / "log", "combined"), connector)
    assert not connector.calls
