"""Which functions an analyst's statement may call: a reviewed list, kept in `reader_functions.txt`.

In: the functions of the engine, for `python -m infra.embedded.reader_functions --write`.
Out: names in lower case.
Never: a function that nobody has looked at: what a newer engine brings is refused until the list is written anew.
"""

import sys
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

_FILE = Path(__file__).with_suffix(".txt")

#: Whole kinds of functions that stay out, by the engine's own categories, with the reason.
KINDS_LEFT_OUT = {
    "AI": "calls services outside",
    "Dictionary": "loads dictionaries, whose sources may lie outside",
    "Embedded Dictionary": "reads files that the server's configuration names",
    "Internal": "is written by the engine itself, never by people",
    "Introspection": "shows the process's memory, or writes into its log",
    "Machine Learning": "reads models from files",
}

#: Single functions that stay out, with the reason.
LEFT_OUT = {
    "reads the machine": "file filesystemAvailable filesystemCapacity filesystemUnreserved getOSKernelVersion showCertificate "
    "buildId serverUUID getMacro getServerPort tcpPort getServerSetting hasThreadFuzzer",
    "reads tables by a text, past the look at a statement's tables": "joinGet joinGetOrNull hasColumnInTable "
    "getMaxTableNameLengthForDatabase getMergeTreeSetting",
    "reads other people's requests": "getClientHTTPHeader currentRequestURL currentHandler",
    "only waits": "sleep sleepEachRow",
    "writes something that outlives the statement": "generateSerialID timeSeriesStoreTags",
    "breaks statements on purpose": "aggThrow fuzzQuery",
    "shows the process's memory": "flameGraph",
    "reads or writes statements as trees": "parseQueryToJSON formatQueryFromJSON",
    "asks the cluster's coordination": "zookeeperSessionUptime transactionID transactionLatestSnapshot "
    "transactionOldestSnapshot",
}
_NAMES_LEFT_OUT = frozenset(name.lower() for names in LEFT_OUT.values() for name in names.split())


@cache
def allowed() -> frozenset[str]:
    """Names of the reviewed list, in lower case; combinators of aggregates are not spelt out."""
    lines = _FILE.read_text().splitlines()
    return frozenset(name for line in lines if not line.startswith("#") for name in line.split())


def reviewed(functions: Iterable[tuple[str, str, str]]) -> str:
    """Return the list's text for an engine's functions, given as (name, name that it is an alias of, category)."""
    rows = list(functions)
    kinds = {name.lower(): kind for name, _, kind in rows}
    out: dict[str, list[str]] = {}
    for name, alias_of, kind in rows:
        target = (alias_of or name).lower()
        group = kinds.get(target) or kind or "No category"
        if group not in KINDS_LEFT_OUT and not {name.lower(), target} & _NAMES_LEFT_OUT:
            out.setdefault(group, []).append(name.lower())
    lines = ["# Written by `python -m infra.embedded.reader_functions --write`; look at what a newer engine adds."]
    for kind in sorted(out):
        lines += [f"# {kind}", *_wrapped(sorted(set(out[kind])))]
    return "\n".join(lines) + "\n"


def _wrapped(names: list[str], width: int = 120) -> list[str]:
    lines = [""]
    for name in names:
        if len(lines[-1]) + len(name) + 1 > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {name}".lstrip()
    return lines


#: Asks an engine for its functions: name, name that it is an alias of, category.
FUNCTIONS_SQL = "SELECT name, alias_to, categories FROM system.functions WHERE origin = 'System' ORDER BY name"


def of_engine() -> list[tuple[str, str, str]]:
    """The functions of the installed engine, asked in this process, which must have no other."""
    import chdb

    ask: Callable[[str, str], object] = chdb.query
    return [(n, a, c) for n, a, c in (line.split("\t") for line in str(ask(FUNCTIONS_SQL, "TSV")).splitlines())]


if __name__ == "__main__":
    if "--write" in sys.argv:
        _FILE.write_text(reviewed(of_engine()))
