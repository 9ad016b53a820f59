"""The ticket shop, in both variants, beside a stack: what its visitors saw is what the store says."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.demo import shop
from infra.settings import load
from infra.store import connect
from tests.torture.platform import Platform

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    made = Platform(tmp_path / "data", {"FOOTLIGHTS_WORKERS": "1", "FOOTLIGHTS_COLLECTOR": "true"})
    made.up()
    yield made
    made.down()


def test_visitors_and_store_agree(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in platform.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(shop, "VISITS", 15)
    monkeypatch.setattr(shop, "BROWSER", 1)
    settings = load()
    seen = shop.visit(settings)
    platform.run("wait", "--idle", "--timeout", "90", timeout=120)
    with connect(settings, shop.resolve(settings)) as client:
        held = shop.stored(client)
    assert set(seen) == {"shop-fastapi", "shop-django"}
    assert all(saw["bought"] > 3 and saw["declined"] and saw["signed_in"] > 3 for saw in seen.values()), seen
    assert not shop.differences(seen, held)
    assert all(held[source]["operation_timed"] > held[source]["page_view"] > 20 for source in seen), held
    assert held["shop-browser"]["page_view"] >= 6 and held["shop-browser"]["buy_clicked"] == 2, held
    (books,) = platform.rows(
        "SELECT count() AS sources, sum(missing) AS missing FROM ledger WHERE source LIKE 'shop-%'"
    )
    assert (books["sources"], books["missing"]) == (3, 0)
    links = platform.rows("SELECT count() AS n FROM identity_links")
    assert links[0]["n"] == seen["shop-fastapi"]["signed_in"]
