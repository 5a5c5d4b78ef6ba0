"""Pages by key: the hundredth page costs as much as the first."""

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from flask_babel import lazy_gettext as _l
from sqlalchemy import Select
from sqlalchemy.orm import InstrumentedAttribute

from .errors import InvalidInput
from .extensions import db

PAGE_SIZE = 24
MAX_ID = 2**31 - 1
# A title of 150 characters of four bytes each, and what stands beside it.
MAX_CURSOR = 900
Row = TypeVar("Row")


class BadCursor(InvalidInput):
    """A cursor that this module did not make, or made for another list."""

    message = _l("This page address is not valid. Start again from the first page.")


@dataclass(frozen=True)
class Page(Generic[Row]):
    """Some rows, and the cursor of the rows after them (None on the last page)."""

    rows: Sequence[Row]
    next_cursor: str | None


def newest_first(
    query: Select[Any],
    key: InstrumentedAttribute[int],
    after: str | None,
    make: Callable[[Any], Row] | None = None,
) -> Page[Row]:
    """Run ``query`` for the page that follows the cursor ``after``, highest key first.

    Args:
        query: what to list.
        key: what it is listed by.
        after: the cursor, if not the first page.
        make: makes what is listed of a row's first column; without it, that is the column itself.

    Raises:
        BadCursor: the cursor is none that this module made.
    """
    if after:
        query = query.where(key < decode_cursor(after))
    found = db.session.scalars(query.order_by(key.desc()).limit(PAGE_SIZE + 1))
    rows = tuple(map(make, found) if make else found)
    more = len(rows) > PAGE_SIZE
    rows = rows[:PAGE_SIZE]
    return Page(rows, encode_cursor(getattr(rows[-1], key.key)) if more else None)


def encode_cursor(key: int) -> str:
    """Write a key as the opaque text of a cursor."""
    return base64.urlsafe_b64encode(f"k{key}".encode()).decode().rstrip("=")


def decode_cursor(text: str) -> int:
    """Read a cursor back.

    Raises:
        BadCursor: the text is no cursor.
    """
    mark, digits = _decoded(text)[:1], _decoded(text)[1:]
    return _key(digits if mark == "k" else "")


def encode_position(order: str, value: Any, key: int) -> str:
    """Write the cursor of a list in ``order``: the value that its rows are sorted by, and the key."""
    return base64.urlsafe_b64encode(f"{order}:{key}:{value}".encode()).decode().rstrip("=")


def decode_position(order: str, text: str) -> tuple[str, int]:
    """Read the cursor of a list in ``order`` back.

    Raises:
        BadCursor: the text is no cursor, or one of another order.
    """
    made_for, _colon, rest = _decoded(text).partition(":")
    digits, _colon, value = rest.partition(":")
    return value, _key(digits if made_for == order else "")


def _decoded(text: str) -> str:
    text = text[:MAX_CURSOR]
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except (ValueError, binascii.Error):
        return ""


def _key(digits: str) -> int:
    if not re.fullmatch("[0-9]{1,10}", digits) or not 0 < int(digits) <= MAX_ID:
        raise BadCursor
    return int(digits)
