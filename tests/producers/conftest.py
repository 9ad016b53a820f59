"""Topics and schemas of the platform on the session's broker, and clients that keep to themselves."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from footlights import Client

from infra.migrate import migrate_schemas, migrate_topics


@pytest.fixture(scope="session")
def platform(kafka: str, registry_url: str) -> tuple[str, str]:
    """Addresses of a broker with all topics and of a registry with all schemas."""
    migrate_topics(kafka)
    migrate_schemas(registry_url)
    return kafka, registry_url


@pytest.fixture
def client(platform: tuple[str, str], tmp_path: Path) -> Iterator[Callable[..., Client]]:
    """Makes clients of the platform, closed at the end of the test."""
    made: list[Client] = []

    def make(**options: Any) -> Client:
        defaults = {
            "bootstrap_servers": platform[0], "schema_registry": platform[1], "source": "test", "cache_dir": tmp_path,
            "pseudonym_key": "k" * 32,
        }  # fmt: skip
        made.append(Client(**{**defaults, **options}))
        return made[-1]

    yield make
    for one in made:
        one.close()
