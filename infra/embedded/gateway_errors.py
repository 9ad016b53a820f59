"""Errors as ClickHouse's HTTP interface shows them.

In: the engine's messages.
Out: code, HTTP status, text.
Never: a Python stack trace.
"""

import re

_CODE = re.compile(r"Code: (\d+)\.")
_STATUS = {
    **dict.fromkeys((6, 26, 27, 32, 33, 36, 38, 40, 41, 43, 44, 47, 50, 53, 62, 72, 73, 89, 113, 115, 117, 130), 400),
    **dict.fromkeys((271, 386, 456, 457), 400),
    **dict.fromkeys((46, 60, 81, 372, 511), 404),
    **dict.fromkeys((164, 497, 512), 403),
    48: 501,
    159: 408,
    202: 503,
    373: 409,
    516: 401,
}


class GatewayError(Exception):
    """An error with one of ClickHouse's codes, raised by the gateway itself."""

    def __init__(self, code: int, name: str, message: str) -> None:
        super().__init__(f"Code: {code}. DB::Exception: {message} ({name})")


def describe(error: BaseException) -> tuple[int, int, str]:
    """Return (ClickHouse's code, HTTP status, text) for an error of the engine or of the gateway."""
    if isinstance(error, UnicodeDecodeError):
        # The engine's message quotes bytes of the statement that are not UTF-8.
        text = bytes(error.object).decode(errors="replace")
    else:
        text = str(error)
    start = text.find("Code: ")
    text = (
        text[start:] if start >= 0 else f"Code: 1002. DB::Exception: {text or type(error).__name__} (UNKNOWN_EXCEPTION)"
    )
    match = _CODE.match(text)
    code = int(match.group(1)) if match else 1002
    return code, _STATUS.get(code, 500), text
