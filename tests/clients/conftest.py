"""A store for other people's clients.

In: nothing.
Out: the fixture `store`: address and users of an embedded store, as the environment of a program.
Never: a client that was changed to fit.
"""

from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

import pytest

from tests.conftest import _serve


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """How a program reaches the store, whose writer has the password that was made for its folder."""
    folder = tmp_path_factory.mktemp("store")
    password = folder / "password"
    options = ["--path", str(folder / "store"), "--password-file", str(password)]
    for url in _serve("infra.embedded.gateway", options, "/ping", folder / "gateway.log"):
        address = urlsplit(url)
        yield {
            "STORE_URL": url,
            "STORE_HOST": str(address.hostname),
            "STORE_PORT": str(address.port),
            "STORE_WRITER": "default",
            "STORE_WRITER_PASSWORD": password.read_text().strip(),
            "STORE_READER": "reader",
        }
