"""Starlette's and FastAPI's `exception_handler(Exception)`: it answers outside of all middleware, with a status of its own.

In: an exception that leaves our middleware before anything was sent.
Out: the visit, ended with the status that the handler gave.
Never: a changed answer. An application that is not Starlette's, or has no such handler, is left alone.
"""

from collections.abc import Callable
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any

from footlights.integrations.guard import attempt
from footlights.integrations.visits import FAILED, Visit

_KEY = "footlights.pending"
_WRAPPED = "_footlights_wrapped"


class _Pending:
    """A visit whose status the handler decides; if something between us and the handler answers instead, it ends as a failure."""

    def __init__(self, visit: Visit, problem: Exception) -> None:
        self._visit, self._problem = visit, problem
        visit.stop()

    def end(self, status: int) -> None:
        """Record it."""
        self._visit.end(status, self._problem, answered=True)

    def __del__(self) -> None:
        if not self._visit.ended:  # the request is gone, and the handler was not asked
            self._visit.end_apart(None, self._problem)


def answered_outside(host: Any, scope: Any, visit: Visit, problem: BaseException) -> bool:
    """Whether the host, an application, has a handler of its own for this exception; the visit ends with it."""
    return attempt("an exception handler", _attach, host, scope, visit, problem, default=False)


def _attach(host: Any, scope: Any, visit: Visit, problem: BaseException) -> bool:
    outermost: Any = getattr(host, "middleware_stack", None)
    handler = getattr(outermost, "handler", None)
    if not isinstance(problem, Exception) or getattr(outermost, "debug", True) or not callable(handler):
        return False
    if not getattr(handler, _WRAPPED, False):
        asynchronous = iscoroutinefunction(handler) or iscoroutinefunction(getattr(handler, "__call__", None))  # noqa: B004
        handler = _noting_async(handler) if asynchronous else _noting(handler)
        setattr(handler, _WRAPPED, True)
        outermost.handler = handler
    scope[_KEY] = _Pending(visit, problem)
    return True


def _noting(handler: Callable[[Any, Exception], Any]) -> Callable[[Any, Exception], Any]:
    @wraps(handler)
    def answer(request: Any, problem: Exception) -> Any:
        response = None
        try:
            response = handler(request, problem)
            return response
        finally:
            attempt("an exception handler", _end, request, response, default=None)

    return answer


def _noting_async(handler: Callable[[Any, Exception], Any]) -> Callable[[Any, Exception], Any]:
    @wraps(handler)
    async def answer(request: Any, problem: Exception) -> Any:
        response = None
        try:
            response = await handler(request, problem)
            return response
        finally:
            attempt("an exception handler", _end, request, response, default=None)

    return answer


def _end(request: Any, response: Any) -> None:
    pending = request.scope.pop(_KEY, None)
    if pending is not None:
        pending.end(getattr(response, "status_code", FAILED))
