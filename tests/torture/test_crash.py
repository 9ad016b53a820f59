"""The crash test in its short form, on real parts.

In: nothing. Out: a verdict. Never: a pass without kills that hit.
"""

from pathlib import Path

import pytest

from tests.torture.crash import Plan, torture
from tests.torture.platform import Platform

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]


@pytest.mark.timeout(900)
def test_kills_at_random_lose_nothing_and_count_nothing_twice(tmp_path: Path) -> None:
    platform = Platform(tmp_path / "data")
    platform.up()
    try:
        verdict = torture(platform, Plan(seed=7, events=60_000, kills=3, rate=1_500))
    finally:
        platform.down()
    assert verdict.actions >= 9 + 2
    assert verdict.published >= 60_000
    assert verdict.exact, verdict
