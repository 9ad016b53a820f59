"""What a request is refused with: a status, a code for programs, a sentence for people.

In: nothing. Out: Problem.
Never: a quoted value or a stack trace.
"""


class Problem(Exception):
    """An answer that refuses. `retry_after_s` makes it one to come back after."""

    def __init__(self, status: int, code: str, message: str, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.retry_after_s = status, code, message, retry_after_s


def unavailable(message: str) -> Problem:
    """Nothing is wrong with the request: the same one may come again."""
    return Problem(503, "UNAVAILABLE", message, retry_after_s=5)
