"""What the engine says of statements and settings, as clients of a server see it.

In: SQL that kills statements, reads which of them run or ran, or which settings can be changed.
Out: the same for the engine, which gives ids of its own; a client's id travels as the statement's comment.
Never: a change inside a text, a quoted name or a comment.
"""

import re

#: Where a running statement keeps its client's id.
ID = "Settings['log_comment']"
_KILL = re.compile(r"\s*KILL\s+QUERY\s", re.IGNORECASE)
_LOGS = {"processes": ID, "query_log": "log_comment"}
# The reader may set what its bounds allow, though the engine holds its handle as one that sets nothing.
_CHANGEABLE = "toUInt8(0) AS readonly"
_TOKENS = re.compile(
    r"'(?:[^'\\]|\\.|'')*'|`(?:[^`\\]|\\.)*`|\"(?:[^\"\\]|\\.)*\"|--[^\n]*|/\*.*?\*/"
    r"|(?P<head>\b(?:FROM|JOIN)\s+)system\s*\.\s*(?P<log>processes|query_log|settings)\b(?!\s*\.)",
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
    return _TOKENS.sub(_as_clients_see, sql)


def _as_clients_see(found: "re.Match[str]") -> str:
    if not found["log"]:
        return found.group()
    name = found["log"].lower()
    if name == "settings":
        replaced = _CHANGEABLE
    else:
        replaced = ", ".join(
            f"if({_LOGS[name]} = '', {column}, {_LOGS[name]}) AS {column}"
            for column in ("query_id", "initial_query_id")
        )
    return f"{found['head']}(SELECT * REPLACE ({replaced}) FROM system.{name})"
