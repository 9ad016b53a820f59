"""Writers' schemas by their registry id.

In: schema ids from payload headers.
Out: parsed Avro schemas; KeyError for an id that the registry does not know.
Never: an outage of the registry taken for an unknown id.
"""

from typing import Any

from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from schemas.avro_resolution import schema_of
from sinks.errors import Transient
from sinks.patience import Patience

_NOT_FOUND, _TOO_MANY = 404, 429
#: Libraries that the registry's client talks HTTP with; their errors are not part of its interface.
_HTTP_LIBRARIES = frozenset({"httpx", "httpcore", "requests", "urllib3"})


class Schemas:
    """A cache over the registry's client."""

    def __init__(self, url: str, patience: Patience) -> None:
        self._client = SchemaRegistryClient({"url": url, "timeout": 10})
        self._patience = patience
        self._held: dict[int, Any] = {}

    def __call__(self, schema_id: int) -> Any:
        """The schema of an id, None for one that is not Avro's; waits for the registry as long as it takes.

        Raises
        ------
        KeyError
            The registry does not know the id.
        """
        if schema_id not in self._held:
            self._held[schema_id] = self._patience("registry", lambda: self._ask(schema_id))
        return self._held[schema_id]

    def _ask(self, schema_id: int) -> Any:
        try:
            found = self._client.get_schema(schema_id)
            return schema_of(found.schema_str, found.schema_type)
        except SchemaRegistryError as problem:
            if problem.http_status_code == _NOT_FOUND:
                raise KeyError(schema_id) from problem
            if problem.http_status_code < 500 and problem.http_status_code != _TOO_MANY:
                raise
            raise Transient(f"the schema registry answers {problem.http_status_code}") from problem
        except OSError as problem:
            raise Transient("the schema registry does not answer") from problem
        except Exception as problem:
            if type(problem).__module__.split(".", maxsplit=1)[0] in _HTTP_LIBRARIES:
                raise Transient("the schema registry does not answer") from problem
            raise
