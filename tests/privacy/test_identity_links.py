"""An alias and its undoing are told to analysts."""

import pytest
from footlights import HmacPseudonymiser

from tests.privacy.conftest import KEY, client
from tests.torture.platform import Platform

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]


def test_an_alias_and_its_undoing_are_told_to_analysts(platform: Platform) -> None:
    with client(platform, "aliases") as service:
        service.track("search", anonymous_id="visitor-1")
        assert service.alias("rosa", "visitor-1") and service.alias("rosa", "visitor-2")
        assert service.unalias("rosa", "visitor-2")
    platform.run("wait", "--idle", "--timeout", "90", timeout=120)
    rows = platform.rows("SELECT user_id, anonymous_id, linked FROM identity_links")
    pseudonym = HmacPseudonymiser(KEY.encode())
    told = {(r["user_id"], r["anonymous_id"]): bool(r["linked"]) for r in rows}
    rosa = pseudonym("default", "rosa")
    assert told == {
        (rosa, pseudonym("default", "visitor-1")): True, (rosa, pseudonym("default", "visitor-2")): False,
    }  # fmt: skip
