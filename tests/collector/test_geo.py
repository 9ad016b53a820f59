"""A city is named when enough people came from it."""

from pathlib import Path

import netaddr
from footlights.collector.geo import Cities, Places

VIENNA = {"city": "Wien", "region": "Vienna", "country": "AT"}


def test_a_rare_city_is_its_region() -> None:
    cities = Cities(3)
    ann, ben = ("t", "ann", None), ("t", None, "visitor-2")
    for who in (ann, ben, ann, ben, ("t", None, None)):
        assert cities.shown(VIENNA, who) == {"city": "Vienna (region)", "country": "AT"}
    assert cities.shown(VIENNA, ("t", "cat", None)) == {"city": "Wien", "country": "AT"}
    assert cities.shown(VIENNA, ann) == {"city": "Wien", "country": "AT"}
    assert cities.shown({**VIENNA, "city": "Graz"}, ann) == {"city": "Vienna (region)", "country": "AT"}
    assert cities.shown({"city": "Graz", "country": "AT"}, ann) == {"country": "AT"}  # no region is known
    assert cities.shown({"country": "AT", "region": "Styria"}, ann) == {"country": "AT"}


def test_a_place_has_its_region(tmp_path: Path) -> None:
    import mmdb_writer

    writer = mmdb_writer.MMDBWriter(4, "GeoLite2-City", languages=["en"])
    names = {
        "city": {"names": {"en": "Wien"}},
        "country": {"iso_code": "AT"},
        "subdivisions": [{"names": {"en": "Vienna"}}],
    }
    writer.insert_network(netaddr.IPSet(["203.0.113.0/24"]), names)
    writer.to_db_file(str(tmp_path / "cities.mmdb"))
    assert Places(tmp_path / "cities.mmdb").of("203.0.113.9") == VIENNA
    assert Places(tmp_path / "cities.mmdb").of("not an address") == {}
