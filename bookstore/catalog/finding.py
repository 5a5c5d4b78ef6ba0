"""Which books a visitor sees, and in which order: as quickly among a million as among a thousand.

A page is found along a lead: the rows of one word in ``book_terms``, or one index of ``books``. Whatever else is
asked of a book is looked up by key for each row of the lead.

* If a word, a category, a language or a range of prices has few rows, as a bounded count tells, all of them are
  read and sorted.
* Otherwise a lead that is in the wanted order is read until the page is full, which is soon where much fits. Where
  little does, or only far down, as with "notes" sorted by title, that could be all of them: the reading ends after
  ``WINDOW`` rows, and then all rows of the narrowest lead are read if they are not more than ``MANY``. If they are,
  what the window held is the page, and the next page goes on behind it.
"""

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, literal, or_, select
from sqlalchemy.orm import InstrumentedAttribute, aliased, joinedload

from ..accounts.models import User
from ..extensions import db
from ..pagination import (
    PAGE_SIZE,
    BadCursor,
    Page,
    decode_cursor,
    decode_position,
    encode_cursor,
    encode_position,
)
from .models import Book, BookStatus, BookTerm
from .search import query_terms

# For each thing that is asked for. With a million books, a word in fewer of them costs more to wait for in another
# order than to read and sort.
FEW = 5_000
WINDOW = 25_000
MANY = 150_000
# The value that the rows are in order of (None where that is the id), and the id.
Position = tuple[Any, int]


class Sort(StrEnum):
    """The orders of the catalogue."""

    NEWEST = "newest"
    PRICE = "price"
    PRICE_DESC = "price_desc"
    TITLE = "title"


@dataclass(frozen=True)
class Search:
    """What a visitor asks for; empty texts and None ask for nothing."""

    q: str = ""
    condition: str = ""
    category: str = ""
    language: str = ""
    price_min: Decimal | None = None
    price_max: Decimal | None = None
    in_stock: bool = False
    sort: Sort = Sort.NEWEST

    def args(self, **changes: Any) -> dict[str, Any]:
        """The parameters of this search's address with some of them changed, without those that ask for nothing."""
        values = vars(self) | {"in_stock": "1" if self.in_stock else ""} | changes
        values = {name: str(value) for name, value in values.items() if value not in ("", None)}
        return {name: value for name, value in values.items() if (name, value) != ("sort", Sort.NEWEST)}


@dataclass(frozen=True)
class _Order:
    index: str
    column: InstrumentedAttribute[Any] | None
    descending: bool


@dataclass(frozen=True)
class _Lead:
    """Rows to find a page along: a word's, or those of an index of ``books`` that meet ``where``."""

    index: str
    where: ColumnElement[bool] | None = None
    term: str | None = None


_ORDERS = {
    Sort.NEWEST: _Order("ix_books_status", None, True),
    Sort.PRICE: _Order("ix_books_status_price", Book.price, False),
    Sort.PRICE_DESC: _Order("ix_books_status_price", Book.price, True),
    Sort.TITLE: _Order("ix_books_status_title", Book.title, False),
}


def find(search: Search, after: str | None) -> Page[Book]:
    """A page of the books that are on sale and meet a search, sellers loaded.

    A page with room left can have a cursor all the same: one page looks at no more than so many rows.

    Raises:
        BadCursor: ``after`` is no cursor of this order.
    """
    start = _read_cursor(search.sort, after) if after else None
    terms = query_terms(search.q)
    if search.q and not terms:
        return Page([], None)
    leads = _narrow_leads(search, terms)
    if len(leads) > 1 or any(not _in_order(lead, search.sort) for lead in leads):
        counts = _counts(leads, FEW * len(leads))
        if 0 in counts:
            return Page([], None)
        if min(counts) <= FEW * len(leads):
            return _page(search, terms, leads[counts.index(min(counts))], start, None)
    return _page_in_order(search, terms, leads, start)


def _page_in_order(search: Search, terms: Sequence[str], leads: Sequence[_Lead], start: Position | None) -> Page[Book]:
    order = _ORDERS[search.sort]
    lead = next((lead for lead in leads if _in_order(lead, search.sort)), _Lead(order.index))
    conditions = len(leads) + bool(search.condition) + search.in_stock
    end = _window(lead, order, start) if conditions > (lead in leads) else None
    page = _page(search, terms, lead, start, end)
    if end and len(page.rows) < PAGE_SIZE and leads:
        counts = _counts(leads, MANY)
        if min(counts) <= MANY:
            return _page(search, terms, leads[counts.index(min(counts))], start, None)
    return page


def _read_cursor(sort: Sort, text: str) -> Position:
    if sort is Sort.NEWEST:
        return None, decode_cursor(text)
    value, row_id = decode_position(sort, text)
    if sort is Sort.TITLE:
        return value, row_id
    if not re.fullmatch(r"[0-9]{1,10}(\.[0-9]{1,2})?", value):
        raise BadCursor
    return Decimal(value), row_id


def _cursor(sort: Sort, position: Position) -> str:
    value, row_id = position
    return encode_cursor(row_id) if sort is Sort.NEWEST else encode_position(sort, value, row_id)


def _narrow_leads(search: Search, terms: Sequence[str]) -> list[_Lead]:
    leads = [_Lead("PRIMARY", term=term) for term in terms]
    if search.category:
        leads.append(_Lead("ix_books_status_category", Book.category == search.category))
    if search.language:
        leads.append(_Lead("ix_books_status_language", Book.language == search.language))
    if prices := _prices(search):
        leads.append(_Lead("ix_books_status_price", and_(*prices)))
    return leads


def _prices(search: Search) -> list[ColumnElement[bool]]:
    low, high = search.price_min, search.price_max
    return [*([Book.price >= low] if low is not None else []), *([Book.price <= high] if high is not None else [])]


def _in_order(lead: _Lead, sort: Sort) -> bool:
    # Words, categories and languages have their books in the order of ids.
    return lead.index == _ORDERS[sort].index or (sort is Sort.NEWEST and lead.index != "ix_books_status_price")


def _counts(leads: Sequence[_Lead], most: int) -> Sequence[int]:
    """How many rows each lead has, but no more than needed to know that they are more than ``most``."""
    limited = [_rows(lead, literal(1)).limit(most + 1).subquery() for lead in leads]
    counts = [select(func.count()).select_from(rows).scalar_subquery() for rows in limited]
    return tuple(db.session.execute(select(*counts)).one())


def _rows(lead: _Lead, *columns: Any) -> Select[Any]:
    """All rows of a lead by itself."""
    query = select(*columns)
    if lead.term is not None:
        return query.select_from(BookTerm).where(BookTerm.term == lead.term)
    query = query.select_from(Book).with_hint(Book, f"FORCE INDEX ({lead.index})", "mysql")
    query = query.where(Book.status == BookStatus.ACTIVE)
    return query if lead.where is None else query.where(lead.where)


def _window(lead: _Lead, order: _Order, start: Position | None) -> Position | None:
    """Where a page must end at the latest; None if the lead ends before."""
    key = BookTerm.book_id if lead.term is not None else Book.id
    value = literal(None) if order.column is None else order.column
    query = _rows(lead, value, key).order_by(*_sorted(order, key)).offset(WINDOW - 1).limit(1)
    if start:
        query = query.where(_beyond(order, key, start))
    row = db.session.execute(query).one_or_none()
    return (row[0], row[1]) if row else None


def _page(
    search: Search, terms: Sequence[str], lead: _Lead, start: Position | None, end: Position | None
) -> Page[Book]:
    order = _ORDERS[search.sort]
    query, key = _matches(search, terms, lead)
    if start:
        query = query.where(_beyond(order, key, start))
    if end:
        query = query.where(_up_to(order, key, end))
    picked = query.order_by(*_sorted(order, key)).limit(PAGE_SIZE + 1).subquery()
    books = db.session.scalars(
        select(Book)
        .join(picked, picked.c.id == Book.id)
        .options(joinedload(Book.seller, innerjoin=True).load_only(User.name))
        .order_by(*_sorted(order, Book.id))
    ).all()
    if len(books) > PAGE_SIZE:
        books = books[:PAGE_SIZE]
        last = books[-1]
        end = (None if order.column is None else getattr(last, order.column.key), last.id)
    return Page(books, _cursor(search.sort, end) if end else None)


def _matches(search: Search, terms: Sequence[str], lead: _Lead) -> tuple[Select[Any], InstrumentedAttribute[int]]:
    """The ids of all books that meet a search, found along a lead."""
    words = {term: aliased(BookTerm) for term in terms}
    first = words.pop(lead.term) if lead.term is not None else None
    key = Book.id if first is None else first.book_id
    query = select(key.label("id")).select_from(Book if first is None else first)
    for term, word in words.items():
        query = query.join(word, and_(word.book_id == key, word.term == term))
    if first is None:
        query = query.with_hint(Book, f"FORCE INDEX ({lead.index})", "mysql")
    else:
        query = query.join(Book, Book.id == key).where(first.term == lead.term)
    # MySQL knows nothing of how often words meet and would at times begin with the wrong table.
    return query.prefix_with("STRAIGHT_JOIN", dialect="mysql").where(*_conditions(search)), key


def _conditions(search: Search) -> list[ColumnElement[bool]]:
    wanted = ((Book.condition, search.condition), (Book.category, search.category), (Book.language, search.language))
    conditions: list[ColumnElement[bool]] = [Book.status == BookStatus.ACTIVE]
    conditions += [column == value for column, value in wanted if value]
    conditions += _prices(search)
    if search.in_stock:
        conditions.append(Book.stock > 0)
    return conditions


def _sorted(order: _Order, key: InstrumentedAttribute[int]) -> list[ColumnElement[Any]]:
    columns = [key] if order.column is None else [order.column, key]
    return [column.desc() if order.descending else column.asc() for column in columns]


def _beyond(order: _Order, key: InstrumentedAttribute[int], position: Position) -> ColumnElement[bool]:
    further = operator.lt if order.descending else operator.gt
    return _side(order, key, position, further, further)


def _up_to(order: _Order, key: InstrumentedAttribute[int], position: Position) -> ColumnElement[bool]:
    if order.descending:
        return _side(order, key, position, operator.gt, operator.ge)
    return _side(order, key, position, operator.lt, operator.le)


def _side(
    order: _Order,
    key: InstrumentedAttribute[int],
    position: Position,
    apart: Callable[[Any, Any], Any],
    tied: Callable[[Any, Any], Any],
) -> ColumnElement[bool]:
    """Rows on one side of a position; ``tied`` compares the ids of those with the same value."""
    value, row_id = position
    if order.column is None:
        return tied(key, row_id)  # type: ignore[no-any-return]
    or_same = operator.le if apart is operator.lt else operator.ge
    # The first part says nothing new, but indexes are used for it and not for the second.
    return and_(or_same(order.column, value), or_(apart(order.column, value), tied(key, row_id)))
