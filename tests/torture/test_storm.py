"""The storm in its short form, on real parts.

In: nothing. Out: an aftermath. Never: a pass without blows that hit.
"""

from pathlib import Path

import pytest

from tests.torture.platform import Platform
from tests.torture.storm import SETTINGS, Storm, weather

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]


@pytest.mark.timeout(900)
def test_whatever_dies_what_was_accepted_is_stored_once(tmp_path: Path) -> None:
    platform = Platform(tmp_path / "data", dict(SETTINGS))
    platform.up()
    try:
        found = weather(platform, Storm(seed=5, seconds=25))
    finally:
        platform.down()
    assert len(found.blows) >= 5 and found.accepted > 1_000, found
    assert found.exact, found
