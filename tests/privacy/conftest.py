"""One stack for the tests of this folder; each has people and sources of its own."""

from collections.abc import Iterator
from typing import Any

import pytest
from footlights import Client

from tests.torture.platform import Platform

KEY = "k" * 32


@pytest.fixture(scope="package")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    settings = {"FOOTLIGHTS_WORKERS": "1", "FOOTLIGHTS_PSEUDONYM_KEY": KEY}
    made = Platform(tmp_path_factory.mktemp("privacy") / "data", settings)
    made.up()
    yield made
    made.down()


def client(platform: Platform, source: str, **more: Any) -> Client:
    """A service of the platform."""
    at = platform.json("status", check=False)["addresses"]
    return Client(
        bootstrap_servers=at["kafka"], schema_registry=at["schema_registry"], source=source, pseudonym_key=KEY,
        cache_dir=platform.folder / "services", **more,
    )  # fmt: skip
