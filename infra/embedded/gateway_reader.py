"""Within which limits the analyst's user may read.

In: the settings that a client sends along.
Out: nothing when they are allowed, else an error.
Never: a setting that widens a limit; what a statement may say is `reader_gate`'s.
"""

import re
from collections.abc import Mapping

from infra.embedded.gateway_errors import GatewayError

LIMITS = {
    "max_execution_time": "60",
    "max_result_rows": "1000000",
    "max_memory_usage": "2000000000",
    "readonly": "1",
}
_SAFE_SETTING = re.compile(
    r"output_format_\w+|date_time_output_format|session_timezone|max_block_size|max_threads|extremes|join_use_nulls"
    r"|log_comment|wait_end_of_query|send_progress_in_http_headers|use_client_time_zone|max_rows_to_read|cancel_http\w+"
)


def check_settings(settings: Mapping[str, str]) -> None:
    """Raise GatewayError for a setting that the reader may not send along."""
    for name in settings:
        if not _SAFE_SETTING.fullmatch(name):
            raise GatewayError(164, "READONLY", f"Cannot modify '{name}' setting in readonly mode.")
