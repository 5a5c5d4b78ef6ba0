"""Which books a visitor sees, and in which order: as quickly among a million as among a thousand.

A page is found along a lead: the rows of one word in ``book_terms``, by number or by price, or one index of ``books``.
Whatever else is asked of a book is looked up by key for each row of the lead.

* If a word, a category, a language or a range of prices has few rows, as a bounded count tells, all of them are
  read and sorted.
* Otherwise a lead that is in the wanted order is read until the page is full, which is soon where much fits. Where
  little does, or only far down, as with "notes" sorted by title, that could be all of them: the reading ends after
  ``WINDOW`` rows, and then all rows of the narrowest lead are read if they are not more than ``MANY``. If they are,
  what the window held is the page, and the next page goes on behind it.
"""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import BindParameter, ColumnElement, Integer, Select, and_, bindparam, func, literal, or_, select
from sqlalchemy.orm import aliased

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
from .cards import Card, card, cards
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
    # That of ``book_terms`` to find a word's books by.
    word_index: str
    # The field that books are in order of; None where that is their number.
    field: str | None
    descending: bool


@dataclass(frozen=True)
class _Lead:
    """Rows to find a page along, of a word or of all books: those in an index that meet some of the filters."""

    index: str
    filters: tuple[str, ...] = ()
    word: int | None = None


@dataclass(frozen=True)
class _Shape:
    """What searches have in common that differ in their values alone: they share their statements.

    To write a statement and to look up its SQL takes as long as to fetch a page, so it is done once for each shape.
    """

    sort: Sort
    words: int
    filters: tuple[str, ...]


# The filters, and what they ask of a book; their values are the search's fields of the same name.
_FILTERS: Mapping[str, Callable[[Any, BindParameter[Any]], ColumnElement[bool]]] = {
    "condition": lambda book, wanted: book.condition == wanted,
    "category": lambda book, wanted: book.category == wanted,
    "language": lambda book, wanted: book.language == wanted,
    "price_min": lambda book, wanted: book.price >= wanted,
    "price_max": lambda book, wanted: book.price <= wanted,
    "in_stock": lambda book, _wanted: book.stock > 0,
}
_PRICES = ("price_min", "price_max")
_WORDS_BY_PRICE = "ix_book_terms_term_price"
_ORDERS = {
    Sort.NEWEST: _Order("ix_books_status", "PRIMARY", None, True),
    Sort.PRICE: _Order("ix_books_status_price", _WORDS_BY_PRICE, "price", False),
    Sort.PRICE_DESC: _Order("ix_books_status_price", _WORDS_BY_PRICE, "price", True),
    Sort.TITLE: _Order("ix_books_status_title", "PRIMARY", "title", False),
}


def find(search: Search, after: str | None) -> Page[Card]:
    """A page of the books that are on sale and meet a search.

    A page with room left can have a cursor all the same: one page looks at no more than so many rows.

    Raises:
        BadCursor: ``after`` is no cursor of this order.
    """
    start = _read_cursor(search.sort, after) if after else None
    terms = query_terms(search.q)
    if search.q and not terms:
        return Page((), None)
    asked = {name: getattr(search, name) for name in _FILTERS if getattr(search, name) not in ("", None, False)}
    shape = _Shape(search.sort, len(terms), tuple(asked))
    asked |= {_word(number): term for number, term in enumerate(terms)}
    leads = _narrow_leads(shape)
    if len(leads) > 1 or any(not _in_order(lead, search.sort) for lead in leads):
        counts = _counts(leads, asked, FEW * len(leads))
        if 0 in counts:
            return Page((), None)
        if min(counts) <= FEW * len(leads):
            return _page(shape, asked, leads[counts.index(min(counts))], start, None)
    return _page_in_order(shape, asked, leads, start)


def _page_in_order(
    shape: _Shape, asked: Mapping[str, Any], leads: Sequence[_Lead], start: Position | None
) -> Page[Card]:
    lead = next((lead for lead in leads if _in_order(lead, shape.sort)), _Lead(_ORDERS[shape.sort].index))
    conditions = len(leads) + ("condition" in shape.filters) + ("in_stock" in shape.filters)
    end = _window(shape, asked, lead, start) if conditions > (lead in leads) else None
    page = _page(shape, asked, lead, start, end)
    if end and len(page.rows) < PAGE_SIZE and leads:
        counts = _counts(leads, asked, MANY)
        if min(counts) <= MANY:
            return _page(shape, asked, leads[counts.index(min(counts))], start, None)
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


def _word(number: int) -> str:
    return f"word_{number}"


def _narrow_leads(shape: _Shape) -> Sequence[_Lead]:
    index = _ORDERS[shape.sort].word_index
    prices = tuple(name for name in _PRICES if name in shape.filters)
    by_price = index == _WORDS_BY_PRICE
    leads = [_Lead(index, prices if by_price else (), number) for number in range(shape.words)]
    for name in ("category", "language"):
        if name in shape.filters:
            leads.append(_Lead(f"ix_books_status_{name}", (name,)))
    if prices and not (shape.words and by_price):
        leads.append(_Lead("ix_books_status_price", prices))
    return tuple(leads)


def _in_order(lead: _Lead, sort: Sort) -> bool:
    if sort is Sort.NEWEST:
        # Words, categories and languages have their books in the order of ids.
        return lead.index != "ix_books_status_price"
    return lead.index in (_ORDERS[sort].index, _WORDS_BY_PRICE)


def _counts(leads: Sequence[_Lead], asked: Mapping[str, Any], most: int) -> Sequence[int]:
    """How many rows each lead has, but no more than needed to know that they are more than ``most``."""
    return tuple(db.session.execute(_counting(leads), {**asked, "most": most + 1}).one())


@lru_cache(256)
def _counting(leads: Sequence[_Lead]) -> Select[Any]:
    limited = [_rows(lead, literal(1)).limit(bindparam("most", type_=Integer)).subquery() for lead in leads]
    return select(*(select(func.count()).select_from(rows).scalar_subquery() for rows in limited))


def _rows(lead: _Lead, *columns: Any) -> Select[Any]:
    """All rows of a lead by itself."""
    table: Any = Book if lead.word is None else BookTerm
    return select(*columns).select_from(table).where(*_of_lead(lead, table)).with_hint(*_forced(lead, table))


def _of_lead(lead: _Lead, table: Any) -> list[ColumnElement[bool]]:
    """What the rows of a lead have in common; ``table`` is that of books or of words, or an alias of it."""
    common = table.status == BookStatus.ACTIVE if lead.word is None else table.term == bindparam(_word(lead.word))
    return [common, *_filtered(lead.filters, table)]


def _forced(lead: _Lead, table: Any) -> tuple[Any, str, str]:
    return table, f"FORCE INDEX ({lead.index})", "mysql"


def _filtered(names: Sequence[str], table: Any = Book) -> list[ColumnElement[bool]]:
    return [_FILTERS[name](table, bindparam(name)) for name in names]


def _window(shape: _Shape, asked: Mapping[str, Any], lead: _Lead, start: Position | None) -> Position | None:
    """Where a page must end at the latest; None if the lead ends before."""
    query = _last_of_window(shape.sort, lead, start is not None)
    values = {**asked, **_bound("start", start), "skipped": WINDOW - 1}
    row = db.session.execute(query, values).one_or_none()
    return (row[0], row[1]) if row else None


@lru_cache(256)
def _last_of_window(sort: Sort, lead: _Lead, goes_on: bool) -> Select[Any]:
    ordered = _ordered(sort, lead, Book if lead.word is None else BookTerm)
    value = literal(None) if ordered.value is None else ordered.value
    query = _rows(lead, value, ordered.key).order_by(*_sorted(ordered))
    if goes_on:
        query = query.where(_beyond(ordered))
    return query.offset(bindparam("skipped", type_=Integer)).limit(1)


def _page(
    shape: _Shape, asked: Mapping[str, Any], lead: _Lead, start: Position | None, end: Position | None
) -> Page[Card]:
    query = _listing(shape, lead, start is not None, end is not None)
    found = db.session.scalars(query, {**asked, **_bound("start", start), **_bound("end", end)})
    rows = tuple(map(card, found))
    if len(rows) > PAGE_SIZE:
        rows = rows[:PAGE_SIZE]
        field = _ORDERS[shape.sort].field
        end = (None if field is None else getattr(rows[-1], field), rows[-1].id)
    return Page(rows, _cursor(shape.sort, end) if end else None)


def _bound(name: str, position: Position | None) -> dict[str, Any]:
    return {f"{name}_value": position[0], f"{name}_id": position[1]} if position else {}


@lru_cache(256)
def _listing(shape: _Shape, lead: _Lead, goes_on: bool, ends: bool) -> Select[Any]:
    """The cards of a page; ``goes_on`` and ``ends`` tell whether it has a start and an end."""
    table: Any = Book if lead.word is None else aliased(BookTerm)
    ordered = _ordered(shape.sort, lead, table)
    query = _matches(shape, lead, table, ordered.key)
    if goes_on:
        query = query.where(_beyond(ordered))
    if ends:
        query = query.where(_up_to(ordered))
    picked = query.order_by(*_sorted(ordered)).limit(PAGE_SIZE + 1).subquery()
    in_order = _sorted(_ordered(shape.sort, None, Book))
    return cards().join(picked, picked.c.id == Book.id).order_by(*in_order)


def _matches(shape: _Shape, lead: _Lead, table: Any, key: ColumnElement[int]) -> Select[Any]:
    """The ids of all books that meet a search, found along a lead."""
    query = select(key.label("id")).select_from(table).with_hint(*_forced(lead, table))
    for number in range(shape.words):
        if number != lead.word:
            word = aliased(BookTerm)
            query = query.join(word, and_(word.book_id == key, word.term == bindparam(_word(number))))
    if lead.word is not None:
        query = query.join(Book, Book.id == key)
    if lead.index == _WORDS_BY_PRICE:
        # Where they differ, the price is still to be brought up to date, and the place in the order is wrong.
        query = query.where(table.price == Book.price)
    # MySQL knows nothing of how often words meet and would at times begin with the wrong table.
    query = query.prefix_with("STRAIGHT_JOIN", dialect="mysql")
    return query.where(*_of_lead(lead, table), Book.status == BookStatus.ACTIVE, *_filtered(shape.filters))


class _Ordered(NamedTuple):
    """The columns that rows are in order of; no value where that is the number alone."""

    value: ColumnElement[Any] | None
    key: ColumnElement[int]
    descending: bool


def _ordered(sort: Sort, lead: _Lead | None, table: Any) -> _Ordered:
    order = _ORDERS[sort]
    key: Any = Book.id if table is Book else table.book_id
    if order.field is None:
        return _Ordered(None, key, order.descending)
    by_price = lead is not None and lead.index == _WORDS_BY_PRICE
    return _Ordered(getattr(table if by_price else Book, order.field), key, order.descending)


def _sorted(ordered: _Ordered) -> list[ColumnElement[Any]]:
    columns: list[Any] = [ordered.key] if ordered.value is None else [ordered.value, ordered.key]
    return [column.desc() if ordered.descending else column.asc() for column in columns]


def _beyond(ordered: _Ordered) -> ColumnElement[bool]:
    further = operator.lt if ordered.descending else operator.gt
    return _side(ordered, "start", further, further)


def _up_to(ordered: _Ordered) -> ColumnElement[bool]:
    if ordered.descending:
        return _side(ordered, "end", operator.gt, operator.ge)
    return _side(ordered, "end", operator.lt, operator.le)


def _side(
    ordered: _Ordered,
    position: str,
    apart: Callable[[Any, Any], Any],
    tied: Callable[[Any, Any], Any],
) -> ColumnElement[bool]:
    """Rows on one side of a position; ``tied`` compares the ids of those with the same value."""
    row_id: BindParameter[int] = bindparam(f"{position}_id")
    if ordered.value is None:
        return tied(ordered.key, row_id)  # type: ignore[no-any-return]
    value: BindParameter[Any] = bindparam(f"{position}_value")
    or_same = operator.le if apart is operator.lt else operator.ge
    # The first part says nothing new, but indexes are used for it and not for the second.
    return and_(or_same(ordered.value, value), or_(apart(ordered.value, value), tied(ordered.key, row_id)))
