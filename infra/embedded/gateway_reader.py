"""What the analyst's user may do.

In: SQL and the settings that a client sends along.
Out: nothing when it is allowed, else an error.
Never: trust in `readonly` alone: with it the embedded engine still reads files by the scalar `file()` and writes them by
INTO OUTFILE.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from infra.embedded.gateway_errors import GatewayError

LIMITS = {
    "max_execution_time": "60",
    "max_result_rows": "1000000",
    "max_memory_usage": "2000000000",
    "readonly": "1",
}
# Sources that hold nothing but what the caller writes, or tables of this engine.
_HARMLESS_SOURCES = frozenset(
    {"numbers", "numbers_mt", "zeros", "zeros_mt", "primes", "generateseries", "generate_series", "generaterandom"}
    | {"merge", "view", "viewifpermitted", "values", "null", "format"}
)
_FORBIDDEN_FUNCTIONS = frozenset({"file", "python", "catboostevaluate", "addresstoline", "addresstosymbol"})
_SAFE_SETTING = re.compile(
    r"output_format_\w+|date_time_output_format|session_timezone|max_block_size|max_threads|extremes|join_use_nulls"
    r"|log_comment|wait_end_of_query|send_progress_in_http_headers|use_client_time_zone|max_rows_to_read|cancel_http\w+"
)
_FUNCTION = re.compile(r"^\s*(?:Function|TableFunction) (\S+)", re.MULTILINE)


class ReaderGate:
    """Judges statements by the engine's own parser, so that comments, case or quoting hide nothing.

    Parameters
    ----------
    table_functions
        Names of all table functions of the engine; those not known as harmless are refused.
    classify
        The engine's classification of a statement.
    explain
        Runs a statement with its parameters and returns its text.
    """

    def __init__(
        self,
        table_functions: Iterable[str],
        classify: Callable[[str], Mapping[str, Any]],
        explain: Callable[[str, dict[str, str]], str],
    ) -> None:
        self._forbidden = _FORBIDDEN_FUNCTIONS | {n.lower() for n in table_functions} - _HARMLESS_SOURCES
        self._classify = classify
        self._explain = explain

    def check(self, sql: str, parameters: dict[str, str]) -> None:
        """Raise GatewayError when the statement is not a single reading one, or names a forbidden source."""
        verdict = self._classify(sql)
        if verdict["statement_count"] != 1:
            raise _refused("only one statement at a time")
        if verdict["query_class"].name != "READ_ONLY":
            raise _refused("this user only reads")
        # The last FORMAT is EXPLAIN's own: in one of the caller's choice the tree could hide.
        tree = self._explain(f"EXPLAIN AST {sql.rstrip().rstrip(';')}\nFORMAT TSVRaw", parameters)
        for name in _FUNCTION.findall(tree):
            bare = name.strip("`\"'").lower()
            if bare in self._forbidden or bare.startswith("ai"):
                raise _refused(f"function {bare} is not allowed")


def check_settings(settings: Mapping[str, str]) -> None:
    """Raise GatewayError for a setting that the reader may not send along."""
    for name in settings:
        if not _SAFE_SETTING.fullmatch(name):
            raise GatewayError(164, "READONLY", f"Cannot modify '{name}' setting in readonly mode.")


def _refused(reason: str) -> GatewayError:
    return GatewayError(497, "ACCESS_DENIED", f"Not enough privileges: {reason}.")
