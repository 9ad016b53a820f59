"""What a parsed statement names, and whether an analyst may name it.

In: the statement's tree as the engine's own parser writes it (`parseQueryToJSON`), values of its parameters.
Out: nothing when each node, function, source and name is known as harmless, else an error.
Never: a node of a kind that nobody has looked at: what a newer parser brings is refused.
"""

from collections.abc import Mapping
from typing import Any

from infra.embedded.gateway_errors import GatewayError
from infra.embedded.reader_functions import allowed

#: Sources that hold nothing but what the caller writes, or tables of this engine.
SOURCES = frozenset(
    {"numbers", "numbers_mt", "zeros", "zeros_mt", "primes", "generateseries", "generate_series", "generaterandom"}
    | {"merge", "view", "viewifpermitted", "values", "sqlstandardvalues", "null", "format"}
)
#: What the parser makes of operators, and what only the analyser knows.
_SYNTAX = frozenset({"lambda", "casewithexpression", "casewithexpr", "grouping"})
_EXPLAINS = frozenset({"EXPLAIN", "EXPLAIN AST", "EXPLAIN SYNTAX", "EXPLAIN QUERY TREE", "EXPLAIN PIPELINE"}) | {
    "EXPLAIN ESTIMATE", "EXPLAIN PLAN",
}  # fmt: skip
_NODES = frozenset(
    {"SelectWithUnionQuery", "SelectIntersectExceptQuery", "SelectQuery", "Subquery", "ExpressionList", "WithElement"}
    | {"TablesInSelectQuery", "TablesInSelectQueryElement", "TableExpression", "TableJoin", "ArrayJoin", "SampleRatio"}
    | {"Function", "Literal", "Identifier", "TableIdentifier", "QueryParameter", "Asterisk", "QualifiedAsterisk"}
    | {"ColumnsRegexpMatcher", "ColumnsListMatcher", "QualifiedColumnsRegexpMatcher", "QualifiedColumnsListMatcher"}
    | {"ColumnsTransformerList", "ColumnsExceptTransformer", "ColumnsReplaceTransformer"}
    | {"ColumnsReplaceTransformerReplacement", "OrderByElement", "InterpolateElement", "WindowDefinition"}
    | {"WindowListElement", "ExplainQuery", "ShowTablesQuery"}
)
_COMBINATORS = (
    "if", "array", "map", "simplestate", "state", "merge", "foreach", "distinct", "ordefault", "ornull", "resample",
    "argmin", "argmax", "null", "tuple",
)  # fmt: skip
_IN = ("in", "nullin", "notin", "notnullin")
#: System tables that show more than the store: memory, keys, other services.
SYSTEM_LEFT_OUT = frozenset(
    {"certificates", "stack_trace", "symbols", "named_collections", "zookeeper", "zookeeper_connection", "dns_cache"}
    | {"user_directories", "remote_data_paths", "filesystem_cache", "kafka_consumers", "rocksdb", "fail_points"}
    | {
        "jemalloc_arena_bins",
        "jemalloc_bins",
        "jemalloc_profile_text",
        "jemalloc_sampled_allocations",
        "jemalloc_stats",
    }
    | {"iceberg_files", "iceberg_history", "s3_queue_metadata", "s3queue_metadata_cache", "azure_queue_metadata"}
    | {"azure_queue_metadata_cache", "session_query_ids", "trace_log", "crash_log"}
)


def refused(reason: str) -> GatewayError:
    """The error for a statement that this user may not run."""
    return GatewayError(497, "ACCESS_DENIED", f"Not enough privileges: {reason}.")


def check_tree(
    tree: Mapping[str, Any], engine_functions: frozenset[str], parameters: Mapping[str, str], database: str
) -> None:
    """Raise GatewayError when the statement names something that is not allowed.

    Parameters
    ----------
    engine_functions
        Every function of the engine, in lower case: a bare name of one may stand for it (`arrayMap(file, …)`).
    parameters
        Values of the statement's parameters; those of type Identifier are names.
    database
        The database of unqualified names.
    """
    _Look(engine_functions - allowed(), parameters, database).at(tree)


def check_function(name: str, *, by_engine: bool = False) -> None:
    """Raise GatewayError for a function that is not allowed; `by_engine` when the engine's own rewriting may have put it."""
    bare = name.lower()
    own = bare in _SYNTAX or (by_engine and (bare.startswith("__") or bare in {"_cast", "nested"}))
    if not own and not _is_allowed(bare):
        raise refused(f"function {name} is not allowed")


def check_source(name: str) -> None:
    """Raise GatewayError for a table function that may reach out of the engine."""
    if name.lower() not in SOURCES:
        raise refused(f"table function {name} is not allowed")


def check_table(database: str, name: str) -> None:
    """Raise GatewayError for a table that an analyst has no business with, or a file that the engine would take for one."""
    if database.lower() == "system" and name.lower() in SYSTEM_LEFT_OUT:
        raise refused(f"table system.{name} is not allowed")
    if "/" in name or "\\" in name or "/" in database or "\\" in database:
        raise refused("files cannot be read as tables")


def _is_allowed(name: str) -> bool:
    """Whether a function, or an aggregate function with its combinators, is on the list."""
    if name in allowed():
        return True
    return any(name.endswith(end) and _is_allowed(name.removesuffix(end)) for end in _COMBINATORS)


class _Look:
    """One walk over one tree."""

    def __init__(self, forbidden: frozenset[str], parameters: Mapping[str, str], database: str) -> None:
        self._forbidden, self._parameters, self._database = forbidden, parameters, database

    def at(self, node: Any) -> None:
        if isinstance(node, list):
            for item in node:
                self.at(item)
        if not isinstance(node, dict):
            return
        kind = node.get("type")
        if kind is None:  # a map inside a node, or a literal's value
            self.at(list(node.values()))
            return
        if node.get("out_file") is not None:
            raise refused("answers go to the client only, not into files")
        match kind:
            case "SetQuery":
                raise GatewayError(164, "READONLY", "Cannot modify settings inside a statement in readonly mode.")
            case "Literal":
                return
            case "ColumnsApplyTransformer":
                raise refused("APPLY is not allowed")
            case "ExplainQuery":
                self._explain(node)
                return
            case "TableExpression":
                self._source(node)
                return
            case "Function":
                self._function(node)
            case "Identifier" | "TableIdentifier":
                self._name(node, table=kind == "TableIdentifier")
                return
            case "QueryParameter" if str(node.get("param_type", "")).lower() == "identifier":
                self._bare(self._given(node))
            case _ if kind not in _NODES:
                raise refused(f"{kind} is not allowed")
        self.at([value for key, value in node.items() if key != "type"])

    def _explain(self, node: Mapping[str, Any]) -> None:
        if node.get("kind") not in _EXPLAINS:
            raise refused(f"{node.get('kind')} is not allowed")
        # Its own options only shape the text.
        self.at([value for key, value in node.items() if key not in {"type", "settings"}])

    def _source(self, node: Mapping[str, Any]) -> None:
        function = node.get("table_function")
        if isinstance(function, dict):
            name = str(function["name"])
            check_source(name)
            arguments = (function.get("arguments") or {}).get("children", [])
            if name.lower() == "merge":
                self._merge(arguments)
                arguments = []
            self.at([*arguments, function.get("parameters")])
        self.at([value for key, value in node.items() if key not in {"type", "table_function"}])

    def _merge(self, arguments: list[Any]) -> None:
        """`merge` reads the tables that a pattern names; of the database `system` it would read those left out, too."""
        texts = [(a.get("value") or {}).get("value") if a.get("type") == "Literal" else None for a in arguments]
        database = texts[0] if len(texts) > 1 else self._database
        if len(texts) > 2 or not all(isinstance(text, str) for text in texts) or str(database).lower() == "system":
            raise refused("merge takes a database other than system and a pattern, both as texts")

    def _function(self, node: Mapping[str, Any]) -> None:
        name = str(node["name"])
        check_function(name)
        arguments = (node.get("arguments") or {}).get("children", [])
        reads_table = name.lower().removeprefix("global").startswith(_IN) and len(arguments) > 1
        if reads_table and arguments[1].get("type") == "Identifier":
            self._name(arguments[1], table=True)

    def _name(self, node: Mapping[str, Any], *, table: bool) -> None:
        given = iter(node.get("children", []))
        parts = [part or self._given(next(given, {})) for part in node.get("name_parts") or [node.get("name", "")]]
        if table:
            check_table(parts[-2] if len(parts) > 1 else self._database, parts[-1])
        elif len(parts) == 1:
            self._bare(parts[0])

    def _given(self, parameter: Mapping[str, Any]) -> str:
        value = self._parameters.get(str(parameter.get("name", "")), "")
        if "\\" in value:  # the engine reads escapes in it, so that this name is not yet the one it will use
            raise refused("a name given as a parameter has no backslash")
        return value

    def _bare(self, name: str) -> None:
        if name.lower() in self._forbidden:
            raise refused(
                f"the name {name} is that of a function that is not allowed (a column so called is table.{name})"
            )
