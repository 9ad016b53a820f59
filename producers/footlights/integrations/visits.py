"""A request on its way: it becomes events once, when the last byte of its answer is sent or nobody waits for it any more.

In: what the server and the application do, in their order.
Out: an `Exchange` for the recording; what fails after the end, as a crash of its own.
Never: an exception of ours in the host.
"""

import _thread
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from footlights.integrations.guard import attempt
from footlights.integrations.web import Exchange, Person, Recording, WhoIs

#: Status of a request whose client left before the answer began, as nginx has it.
CLIENT_LEFT = 499
FAILED = 500


class Visit:
    """One request.

    Parameters
    ----------
    recording
        Where it goes.
    describe
        Tells the request and what is known of the answer; asked once, at its end. Status, time and error are filled in here.
    """

    def __init__(self, recording: Recording, describe: Callable[[], Exchange]) -> None:
        self._recording, self._describe = recording, describe
        self._began = time.perf_counter()
        self._took: float | None = None
        self._exchange: Exchange | None = None
        self.ended = False

    def stop(self) -> None:
        """Take the time now; what is known of the answer comes later."""
        self._took = (time.perf_counter() - self._began) * 1000

    def end(
        self, sent: int | None, error: BaseException | None = None, *, left: bool = False, answered: bool = False
    ) -> None:
        """The answer is complete, failed or given up; only the first call counts.

        Parameters
        ----------
        sent
            The status that the client got, None when it got none.
        error
            What ended it before its time. A failure after the end is a crash of its own.
        left
            Whether nobody waits for the answer any more: then the error is no failure.
        answered
            Whether the framework answered for the error itself, so that the status is what the client got.
        """
        if self.ended:
            if error is not None and not left and self._exchange is not None:
                self._recording.crashed(self._exchange, error)
            return
        self.ended = True
        if self._took is None:
            self.stop()
        if left:
            status, error = CLIENT_LEFT if sent is None else sent, None
        else:
            status = FAILED if sent is None or (error is not None and not answered) else sent
        attempt("a request", self._record, status, error, default=None)

    def end_apart(self, sent: int | None, error: BaseException | None = None, *, left: bool = False) -> None:
        """The same where the garbage collector may have called, which it does anywhere, within a lock of the client too."""
        with suppress(RuntimeError):  # the interpreter is ending
            _thread.start_new_thread(self.end, (sent, error), {"left": left})

    def _record(self, status: int, error: BaseException | None) -> None:
        self._exchange = replace(
            self._describe(), status=status, duration_ms=self._took or 0.0
        )  # without the error, which holds its frames
        self._recording.record(replace(self._exchange, error=error) if error is not None else self._exchange)


def person_by(who: WhoIs, told: Any) -> Person:
    """The person that the host's function finds, nobody when it fails."""
    found: Any = attempt("the person", who, told, default=None)
    return found if isinstance(found, Person) else Person()


def address_of(scheme: Any, host: Any, path: str) -> str:
    """An absolute address without a query."""
    return f"{scheme}://{host}{path}"
