"""Statements by the ids that clients gave them.

In: SQL that kills statements, or reads which of them run or ran.
Out: the same for the engine, which gives ids of its own; a client's id travels as the statement's comment.
Never: a change inside a text, a quoted name or a comment.
"""

import re

#: Where a running statement keeps its client's id.
ID = "Settings['log_comment']"
_KILL = re.compile(r"\s*KILL\s+QUERY\s", re.IGNORECASE)
_LOGS = {"processes": ID, "query_log": "log_comment"}
_TOKENS = re.compile(
    r"'(?:[^'\\]|\\.|'')*'|`(?:[^`\\]|\\.)*`|\"(?:[^\"\\]|\\.)*\"|--[^\n]*|/\*.*?\*/"
    r"|(?P<head>\b(?:FROM|JOIN)\s+)system\s*\.\s*(?P<log>processes|query_log)\b(?!\s*\.)",
    re.IGNORECASE | re.DOTALL,
)


def executable(sql: str) -> str:
    """Return the statement as the engine runs it.

    >>> executable("KILL QUERY WHERE query_id = 'a'")
    "KILL QUERY WHERE Settings['log_comment'] = 'a'"
    >>> executable("SELECT 'FROM system.processes'")
    "SELECT 'FROM system.processes'"
    """
    if _KILL.match(sql):
        return re.sub(r"\bquery_id\b", ID, sql)
    return _TOKENS.sub(_with_ids, sql)


def _with_ids(found: "re.Match[str]") -> str:
    if not found["log"]:
        return found.group()
    name = found["log"].lower()
    replaced = ", ".join(
        f"if({_LOGS[name]} = '', {column}, {_LOGS[name]}) AS {column}" for column in ("query_id", "initial_query_id")
    )
    return f"{found['head']}(SELECT * REPLACE ({replaced}) FROM system.{name})"
