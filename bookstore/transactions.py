"""Small helpers around the database's transactions."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from sqlalchemy import Result
from sqlalchemy.engine import CursorResult
from sqlalchemy.exc import OperationalError

from .extensions import db

P = ParamSpec("P")
T = TypeVar("T")
# MySQL's ER_LOCK_DEADLOCK and ER_LOCK_WAIT_TIMEOUT: the manual says to try the whole transaction again.
_TRY_AGAIN = (1213, 1205)
_TRIES = 4


def retried(service: Callable[P, T]) -> Callable[P, T]:
    """Run a service again whose transaction the database broke off for the sake of another one.

    For services that are one transaction: whatever they did is undone before they run again.
    """

    @wraps(service)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        for left in reversed(range(_TRIES)):
            try:
                return service(*args, **kwargs)
            except OperationalError as error:
                db.session.rollback()
                if not left or error.orig is None or error.orig.args[:1] not in [(code,) for code in _TRY_AGAIN]:
                    raise
        raise AssertionError("unreachable")

    return run


def rows(result: Result[Any]) -> int:
    """How many rows an UPDATE or DELETE matched."""
    return result.rowcount if isinstance(result, CursorResult) else 0
