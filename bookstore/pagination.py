"""Pages by key: the hundredth page costs as much as the first."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from flask_babel import lazy_gettext as _l
from sqlalchemy import Select
from sqlalchemy.orm import InstrumentedAttribute

from .errors import InvalidInput
from .extensions import db

PAGE_SIZE = 24
MAX_ID = 2**31 - 1
Row = TypeVar("Row")


@dataclass(frozen=True)
class Page(Generic[Row]):
    """Some rows, and the cursor of the rows after them (None on the last page)."""

    rows: Sequence[Row]
    next_cursor: str | None


def newest_first(query: Select[Row], key: InstrumentedAttribute[int], after: str | None) -> Page[Row]:
    """Run ``query`` for the page that follows the cursor ``after``, highest key first.

    Raises:
        InvalidInput: the cursor is none that this module made.
    """
    if after:
        query = query.where(key < decode_cursor(after))
    rows = db.session.scalars(query.order_by(key.desc()).limit(PAGE_SIZE + 1)).all()
    more = len(rows) > PAGE_SIZE
    rows = rows[:PAGE_SIZE]
    return Page(rows, encode_cursor(getattr(rows[-1], key.key)) if more else None)


def encode_cursor(key: int) -> str:
    """Write a key as the opaque text of a cursor."""
    return base64.urlsafe_b64encode(f"k{key}".encode()).decode().rstrip("=")


def decode_cursor(text: str) -> int:
    """Read a cursor back.

    Raises:
        InvalidInput: the text is no cursor.
    """
    try:
        raw = base64.urlsafe_b64decode(text[:40] + "=" * (-len(text) % 4)).decode("ascii")
    except (ValueError, binascii.Error):
        raw = ""
    digits = raw[1:]
    if not raw.startswith("k") or not digits.isdigit() or not 0 < int(digits) <= MAX_ID:
        raise InvalidInput(_l("This page address is not valid. Start again from the first page."))
    return int(digits)
