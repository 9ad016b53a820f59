"""The engine of this folder's tests."""

from collections.abc import Iterator

import pytest

from tests.schemas.engine import Engine


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """ClickHouse in this process."""
    made = Engine(tmp_path_factory.mktemp("chdb"))
    yield made
    made.close()
