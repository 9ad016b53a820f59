"""Settings that a client sends along, within the bounds of its user.

In: names and values as they came; for the reader, what the engine holds without them.
Out: settings to set.
Never: a limit of the reader that a client widens, nor a setting that reads a file or changes how a statement is read.
"""

import re
from collections.abc import Callable, Mapping

from infra.embedded.gateway_errors import GatewayError

#: What a reading statement may take at most; a client may ask for less.
LIMITS = {"max_execution_time": 60.0, "max_result_rows": 1_000_000.0, "max_memory_usage": 2_000_000_000.0}
READONLY = "readonly"
#: Taken from every user's requests: clients were written for servers, whose default differs from the embedded engine's.
SERVER_DEFAULTS = {"implicit_select": "0"}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
# These name files, hide a part of the statement from the gate, or change the language in which it is read.
_DANGEROUS = re.compile(
    r"\w*(?:_path|_url|_base|dialect\w*|credentials|secrets\w*|_custom_key|eval_table_function|python_table_function)"
    r"|format_schema\w*|format_template_\w+|format_avro_schema_registry_\w+|output_format_schema"
    r"|additional_\w+|implicit_\w+|http_allow_\w+|input_format_record_errors_file_path"
    r"|allow_(?:ddl|introspection_functions|experimental_ai_functions|settings_after_format_in_insert)"
)
_HARMLESS = re.compile(
    # How rows are written, and read by clients that also insert.
    r"(?:output_format|input_format|format|date_time|bool|interval_output|errors_output|insert|async_insert|wait_for"
    # How a statement is planned and run.
    r"|allow|cast|compile|count_distinct|distributed|enable|force|group_by|join|merge_tree|optimize|parallel_replicas|prefer"
    r"|preferred|query_plan|analyzer|short_circuit|totals|transform|use|aggregate_functions|formatdatetime|parsedatetime|min"
    # What concerns the way to the server, or changes of data, which the reader makes none of.
    r"|http|network|receive|send|connect|cancel_http|log|alter|mutations|lightweight|database_replicated|deduplicate)(?:_\w+)?"
    r"|\w+_(?:overflow_mode|default_mode|timeout(?:_ms|_sec)?)"
    r"|session_timezone|extremes|final|limit|offset|priority|select_sequential_consistency|stream_flush_interval_ms"
    r"|exact_rows_before_limit|rows_before_aggregation|do_not_merge_across_partitions_select_final|precise_float_parsing"
    r"|decimal_check_overflow|data_type_default_nullable|flatten_nested|asterisk_include_\w+|any_join_distinct_right_table_keys"
    r"|low_cardinality_allow_in_native_format|interactive_delay|add_http_cors_header|union_default_mode|poll_interval"
)

# What shortens an answer, or changes how it is written: an explanation of a statement must come whole and in its own form.
_SHAPES = re.compile(
    r"max_\w+|\w+_overflow_mode|output_format\w*|format_\w+|date_time_\w+|bool_\w+|limit|offset|extremes|final"
)


def check_names(settings: Mapping[str, str]) -> None:
    """Raise GatewayError for what cannot be the name of a setting."""
    for name in settings:
        if not _NAME.fullmatch(name):
            raise GatewayError(115, "UNKNOWN_SETTING", f"Setting {name} is unknown.")


def bounded(settings: Mapping[str, str], default: Callable[[str], str]) -> dict[str, str]:
    """Return the reader's settings: harmless ones as they came, limits at most as wide as they are.

    Parameters
    ----------
    settings
        What the client sent.
    default
        Gives the value that holds where nothing is sent.

    Raises
    ------
    GatewayError
        For a dangerous setting, one that is not known as harmless, and a limit that is no number.
    """
    taken: dict[str, str] = {}
    for name, value in settings.items():
        if name == READONLY:
            continue  # The reader reads only, whatever a client asks for.
        if name.startswith("max_"):
            taken[name] = _least(name, value, LIMITS[name] if name in LIMITS else _number(default(name)))
        elif _DANGEROUS.fullmatch(name) or not _HARMLESS.fullmatch(name):
            raise GatewayError(164, "READONLY", f"Cannot modify '{name}' setting in readonly mode.")
        else:
            taken[name] = value
    missing = {name: f"{limit:.0f}" for name, limit in LIMITS.items() if name not in taken}
    return {**taken, **missing, READONLY: "1"}


def explaining(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the settings under which the reader's statement is explained before it runs: none shortens the explanation."""
    return {name: value for name, value in settings.items() if not _SHAPES.fullmatch(name)}


def _least(name: str, value: str, limit: float) -> str:
    """Return the narrower of two limits, of which 0 is none."""
    if not _NUMBER.fullmatch(value):
        raise GatewayError(72, "CANNOT_PARSE_NUMBER", f"Setting {name} is a number, not {value!r}.")
    asked = float(value)
    if limit and (not asked or asked > limit):
        return f"{limit:.0f}"
    return value


def _number(value: str) -> float:
    """Return the number of a value like `auto(2)`; 0 where there is none."""
    found = _NUMBER.search(value)
    return float(found.group()) if found else 0.0
