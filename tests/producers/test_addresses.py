"""Addresses behind proxies: every form that the standards allow, and none that a client could have written itself."""

import pytest
from footlights.addresses import LISTS, SINGLES, Trust, address_in, client_address, trust_of
from hypothesis import given
from hypothesis import strategies as st

PEER = "10.0.0.1"


def address(trust: Trust, **headers: str | list[str]) -> str:
    pairs = [
        (name.replace("_", "-").encode(), line.encode())
        for name, lines in headers.items()
        for line in ([lines] if isinstance(lines, str) else lines)
    ]
    return client_address(pairs, PEER, trust)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("for=192.0.2.60", "192.0.2.60"),
        ("For=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60"),
        ('proto=https; FOR="192.0.2.60:8080" ;host=x', "192.0.2.60"),
        ('for="[2001:db8:cafe::17]:4711"', "2001:db8:cafe::17"),
        ('for="[2001:DB8:CAFE::17]"', "2001:db8:cafe::17"),
        ('for="[2001:db8:cafe::17]:_port"', "2001:db8:cafe::17"),
        ("for=198.51.100.1, for=192.0.2.60", "192.0.2.60"),
        ("for=198.51.100.1,for=192.0.2.60,", "192.0.2.60"),
        (["for=198.51.100.1", "for=192.0.2.60"], "192.0.2.60"),
        (r'for="192\.0.2.60"', "192.0.2.60"),
        ('for="1.1.1.1";x="a, for=2.2.2.2; \\" y", for=192.0.2.60', "192.0.2.60"),
        ('for="::ffff:192.0.2.60"', "192.0.2.60"),
        ("for=unknown", ""),
        ("for=198.51.100.1, for=_hidden", ""),
        ('for="_gazonk"', ""),
        ("for=192.0.2.60, proto=https", ""),
        ("by=203.0.113.43", ""),
        ("for=192.0.2.60;for=198.51.100.1", ""),
        ('for="198.51.100.9, for=192.0.2.60', ""),
        ('for=198.51.100.9;x=", for="[2001:db8::1]"', ""),
        ("nonsense", ""),
        ("", ""),
    ],
)
def test_forwarded(line: str | list[str], found: str) -> None:
    assert address(1, forwarded=line) == found


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("192.0.2.60", "192.0.2.60"),
        ("198.51.100.1 ,\t192.0.2.60 ", "192.0.2.60"),
        ("192.0.2.60:443", "192.0.2.60"),
        ("2001:db8::17", "2001:db8::17"),
        ("[2001:db8::17]", "2001:db8::17"),
        ("[2001:db8::17]:443", "2001:db8::17"),
        ('"[2001:db8::17]:443"', "2001:db8::17"),
        ("fe80::1%eth0", "fe80::1"),
        (["198.51.100.1, 198.51.100.2", "192.0.2.60"], "192.0.2.60"),
        ("198.51.100.1, 192.0.2.60,", "192.0.2.60"),
        ("198.51.100.1, unknown", ""),
        ("198.51.100.1, 192.0.2.600", ""),
        ("198.51.100.1, <script>", ""),
    ],
)
def test_x_forwarded_for(line: str | list[str], found: str) -> None:
    assert address(1, x_forwarded_for=line) == found


def test_nothing_is_believed_untold() -> None:
    told = dict.fromkeys((name.replace("-", "_") for name in (*LISTS, *SINGLES)), "192.0.2.60")
    assert address(0, **told) == address(False, **told) == PEER
    assert client_address([], "", 0) == "" and client_address([], "[::1]:80", 1) == "::1"


def test_of_several_proxies_each_wrote_the_one_before_it() -> None:
    chain = "6.6.6.6, 192.0.2.60, 10.0.0.9, 10.0.0.8"
    assert [address(trust, x_forwarded_for=chain) for trust in (1, 2, 3)] == ["10.0.0.8", "10.0.0.9", "192.0.2.60"]
    assert address(3, x_forwarded_for="192.0.2.60") == "192.0.2.60"  # from inside, past the outer proxies
    assert address(2, x_forwarded_for="192.0.2.60, 10.0.0.9", x_real_ip="10.0.0.9") == "192.0.2.60"
    assert address(2, forwarded=["for=6.6.6.6, for=192.0.2.60", "for=10.0.0.9"]) == "192.0.2.60"


def test_headers_that_contradict_each_other() -> None:
    assert address(1, x_forwarded_for="192.0.2.60", forwarded="for=192.0.2.60", x_real_ip="192.0.2.60") == "192.0.2.60"
    assert address(1, x_forwarded_for="192.0.2.60", forwarded="for=6.6.6.6") == ""
    assert address(1, x_forwarded_for="6.6.6.6", x_real_ip="192.0.2.60") == ""


def test_a_header_that_one_proxy_overwrites_is_trusted_by_its_name() -> None:
    for name in SINGLES:
        told = {name.replace("-", "_"): "2001:db8::17", "x_forwarded_for": "6.6.6.6"}
        assert address(trust_of(name.upper()), **(told if name != "x-forwarded-for" else {})) == "2001:db8::17"
        if name != "x-real-ip":
            assert address(1, **{name.replace("-", "_"): "6.6.6.6"}) == PEER
    assert address("cf-connecting-ip", cf_connecting_ip=["6.6.6.6", "192.0.2.60"]) == ""
    assert address("cf-connecting-ip", x_real_ip="6.6.6.6") == PEER
    assert address("forwarded", forwarded="for=192.0.2.60", x_forwarded_for="6.6.6.6") == "192.0.2.60"


@pytest.mark.parametrize("text", ["cf-connecting", "-1", "33", "yess", "host", "²"])
def test_what_cannot_be_trusted_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="x-forwarded-for"):
        trust_of(text)


@given(
    st.lists(st.tuples(st.sampled_from([*LISTS, "x-real-ip"]), st.binary(max_size=60))),
    st.sampled_from([1, 2, *LISTS, *SINGLES]),
)
def test_any_header_is_an_address_or_nothing(headers: list[tuple[str, bytes]], trust: Trust) -> None:
    found = client_address([(name.encode(), value) for name, value in headers], PEER, trust)
    assert found == address_in(found)


@given(st.text(alphabet='for=;:,"\\ []12.ab_x', max_size=60))
def test_what_a_client_writes_never_becomes_its_address(forged: str) -> None:
    """The proxy adds its element to the client's line: that element counts, or none does."""
    added = forged + ', for="[2001:db8::17]:4711"'
    assert address(1, forwarded=added) in ("2001:db8::17", "")
    assert address(1, forwarded=[forged, "for=192.0.2.60"]) == "192.0.2.60"
    assert address(1, x_forwarded_for=forged + ", 192.0.2.60") == "192.0.2.60"
