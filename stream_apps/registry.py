"""Writers' schemas by their registry id, without ever holding up the event loop.

In: schema ids from payload headers; subjects of our own records.
Out: parsed Avro schemas, ids.
Never: an HTTP call on the event loop, or an outage of the registry taken for an unknown id.
"""

import asyncio
import json
import time
from typing import Any

import structlog
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from schemas.avro_resolution import schema_of

log = structlog.get_logger(__name__)

_NOT_FOUND = 404
_UNKNOWN_FOR_S = 60.0  # an id that is unknown now may be given to a schema later
_RETRIES_S = (0.1, 0.3, 1.0, 2.0, 5.0)


class NotCached(Exception):
    """The schema has to be fetched first: `await schemas.fetch(error.schema_id)`, then try again."""

    def __init__(self, schema_id: int) -> None:
        super().__init__(f"schema {schema_id} is not cached")
        self.schema_id = schema_id


class Schemas:
    """A cache over the registry's client."""

    def __init__(self, url: str) -> None:
        self._client = SchemaRegistryClient({"url": url, "timeout": 10})
        self._held: dict[int, Any] = {}
        self._unknown: dict[int, float] = {}
        self._ids: dict[str, int] = {}

    def by_id(self, schema_id: int) -> Any:
        """The schema of an id, from the cache; None for one that is not Avro's.

        Raises
        ------
        KeyError
            The registry does not know the id.
        NotCached
            It has not been asked yet.
        """
        if schema_id in self._held:
            return self._held[schema_id]
        if time.monotonic() - self._unknown.get(schema_id, -_UNKNOWN_FOR_S) < _UNKNOWN_FOR_S:
            raise KeyError(schema_id)
        raise NotCached(schema_id)

    async def fetch(self, schema_id: int) -> None:
        """Ask the registry until it answers; afterwards `by_id` gives the schema or KeyError."""
        found = await self._patiently(self._client.get_schema, schema_id)
        if found is None:
            self._unknown[schema_id] = time.monotonic()
        else:
            self._held[schema_id] = schema_of(found.schema_str, found.schema_type)

    async def id_of(self, subject: str, text: str) -> int:
        """Id of one of our own schemas under its subject; waits until it is registered."""
        if subject not in self._ids:
            wanted = json.loads(text)
            while (found := await self._patiently(self._registered, subject, wanted)) is None:
                log.warning("schema_not_registered", subject=subject)
                await asyncio.sleep(1.0)
            self._ids[subject] = found
        return self._ids[subject]

    def _registered(self, subject: str, wanted: dict[str, Any]) -> int | None:
        for version in self._client.get_versions(subject):
            found = self._client.get_version(subject, version)
            if found.schema_id is not None and schema_of(found.schema.schema_str, found.schema.schema_type) == wanted:
                return int(found.schema_id)
        return None

    @staticmethod
    async def _patiently(call: Any, *arguments: Any) -> Any:
        """The call's result, or None for a 404; anything transient is tried again for as long as it takes."""
        loop, failures = asyncio.get_running_loop(), 0
        while True:
            try:
                return await loop.run_in_executor(None, call, *arguments)
            except SchemaRegistryError as problem:
                if problem.http_status_code == _NOT_FOUND:
                    return None
                if problem.http_status_code < 500 and problem.http_status_code != 429:
                    raise
                status = problem.http_status_code
            except OSError:
                status = 0
            except Exception as problem:  # the client's HTTP library is not part of its interface
                if type(problem).__module__.split(".")[0] not in {"httpx", "httpcore", "requests"}:
                    raise
                status = 0
            log.warning("schema_registry_unavailable", status=status, failures=failures + 1)
            await asyncio.sleep(_RETRIES_S[min(failures, len(_RETRIES_S) - 1)])
            failures += 1
