"""The gate before an analyst's statement.

In: SQL, values of its parameters, a handle on which it would run.
Out: nothing when it is allowed, else an error.
Never: trust in `readonly` alone: with it the embedded engine still reads files, as scalars and as tables, and writes them by
INTO OUTFILE. Never one's own idea of SQL either: both looks are at trees that the engine's own parser and analyser made.

The first look, at the parsed statement, comes before the engine resolves a name or evaluates a constant, since that alone would
read a file. The second, at the analysed one, sees what names became: functions given by name, tables that are files.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from infra.embedded.reader_tree import check_function, check_source, check_table, check_tree, refused

#: Runs a statement with its parameters, and returns its text.
Ask = Callable[[str, dict[str, str]], str]

_COMMENTS = re.compile(r"\s*(?:--[^\n]*(?:\n|$)\s*|/\*.*?\*/\s*)*", re.DOTALL)
_DESCRIBE = re.compile(r"DESC(?:RIBE)?\s+(?:TABLE\s+)?(?=\S)", re.IGNORECASE)
# Statements without an expression: no call, no subquery, no path, no escape, nothing that goes into a file.
_PLAIN = re.compile(r"(?:SHOW|EXISTS)\s(?!.*\b(?:INTO|OUTFILE|WHERE)\b)[^()/\\;]+(?:;\s*)?", re.IGNORECASE | re.DOTALL)
# Every place is looked at, also those inside texts: a false one only refuses, and no true one can hide.
_FUNCTION = re.compile(r"\bfunction_name: ([^,\s]+)")
_SOURCE = re.compile(r"\btable_function_name: ([^,\s]+)")
_TABLE = re.compile(
    r"\btable_name: (?=(.+?)(?:, (?:final|sample_size|sample_offset|temporary_table_name)|$))", re.MULTILINE
)
_EXTERNAL = "_temporary_and_external_tables"


class ReaderGate:
    """Judges statements by the engine's own trees, so that comments, case, quoting or escapes hide nothing.

    Parameters
    ----------
    functions
        Names of all functions of the engine.
    classify
        The engine's classification of a statement.
    ask
        Runs a statement of the gate's own.
    """

    def __init__(self, functions: list[str], classify: Callable[[str], Mapping[str, Any]], ask: Ask) -> None:
        self._functions = frozenset(name.lower() for name in functions)
        self._classify = classify
        self._ask = ask

    def check(self, sql: str, parameters: dict[str, str], *, database: str, analyse: Ask) -> None:
        """Raise GatewayError when the statement is not a single reading one, or names what is not allowed.

        Parameters
        ----------
        database
            The database of unqualified names.
        analyse
            As `ask`, with the statement's own database and within the reader's limits.

        Raises
        ------
        GatewayError
            As above.
        RuntimeError
            What the engine says of a statement that it cannot parse or analyse.
        """
        verdict = self._classify(sql)
        if verdict["statement_count"] != 1:
            raise refused("only one statement at a time")
        if verdict["query_class"].name != "READ_ONLY":
            raise refused("this user only reads")
        text = sql[_COMMENTS.match(sql).end() :]  # type: ignore[union-attr]  # it matches the empty text, too
        if _PLAIN.fullmatch(text):
            return
        if head := _DESCRIBE.match(text):
            text = f"SELECT * FROM {text[head.end() :]}"
        tree = json.loads(self._ask(f"SELECT parseQueryToJSON({_literal(text)})", {}))
        check_tree(tree, self._functions, parameters, database)
        query = tree.get("query") if tree["type"] == "ExplainQuery" else tree
        if query["type"] == "SelectWithUnionQuery":
            self._look_again(query, parameters, analyse)

    def _look_again(self, query: dict[str, Any], parameters: dict[str, str], analyse: Ask) -> None:
        plain = {name: part for name, part in query.items() if name != "format_ast"}
        text = self._ask(f"SELECT formatQueryFromJSON({_literal(json.dumps(plain))})", {})
        # The last FORMAT is EXPLAIN's own: in one of the caller's choice the tree could hide.
        found = analyse(f"EXPLAIN QUERY TREE run_passes = 1 {text}\nFORMAT TSVRaw", parameters)
        for name in set(_FUNCTION.findall(found)):
            check_function(name, by_engine=True)
        for name in set(_SOURCE.findall(found)):
            check_source(name)
        if tables := set(_TABLE.findall(found)):
            self._are_tables(tables, analyse)

    def _are_tables(self, tables: set[str], analyse: Ask) -> None:
        """A table that the engine resolved but does not list is a file."""
        known = set(self._ask("SELECT concat(database, '.', name) FROM system.tables", {}).split("\n"))
        for table in tables:
            database, _, name = table.partition(".")
            check_table(database, name)
            if table not in known and database != _EXTERNAL:
                raise refused(f"{table} is no table")


def _literal(text: str) -> str:
    """The text as an expression in which no byte means anything to a parser."""
    return f"unhex('{text.encode(errors='surrogateescape').hex()}')"
