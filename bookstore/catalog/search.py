"""Search: words of title, author and ISBN in a table of their own, and how a query meets them."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.orm import Session, scoped_session

from .isbn import as_isbn13
from .models import Book, BookTerm

MAX_QUERY_LENGTH = 200
MAX_QUERY_TERMS = 8
MAX_TERM_LENGTH = 32
_BATCH = 2_000
# Letters and digits of any script; the signs belong to names such as C++, C# and F#.
_WORD = re.compile(r"[^\W_]+[+#]*")
# Articles, prepositions and conjunctions: they stand in every other title, and nobody looks for them alone.
_SPANISH = "a al con de del e el en es la las lo los o para por u un una y"
_ENGLISH = "an and at by for from in of on or the to with"
STOPWORDS = frozenset(f"{_SPANISH} {_ENGLISH}".split())


def fold(text: str) -> str:
    """Lower case without accents, so that ``Ángel`` and ``angel`` are one word."""
    # Twice: ornate letters become capitals at first, and some capitals several characters after that.
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return "".join(char for char in folded if not unicodedata.combining(char))


def words(text: str) -> list[str]:
    """The different words of a text that can be looked for, in their order."""
    found = (word[:MAX_TERM_LENGTH] for word in _WORD.findall(fold(text)))
    return [word for word in dict.fromkeys(found) if word not in STOPWORDS]


def query_terms(text: str) -> list[str]:
    """What a visitor's text asks for: an ISBN in any of its spellings, or words that must all be there."""
    text = text[:MAX_QUERY_LENGTH]
    if isbn := as_isbn13(text):
        return [isbn]
    return words(text)[:MAX_QUERY_TERMS]


def book_terms(title: str, author: str, isbn: str | None) -> list[str]:
    """What a book is found by."""
    return list(dict.fromkeys([*words(title), *words(author), *([isbn] if isbn else [])]))


def index_book(session: Session | scoped_session[Any], book: Book) -> None:
    """Bring a book's words, and the price beside them, up to date; the caller commits."""
    session.execute(delete(BookTerm).where(BookTerm.book_id == book.id))
    if rows := term_rows([(book.id, book.title, book.author, book.isbn, book.price)]):
        session.execute(insert(BookTerm), rows)


def term_rows(books: Iterable[Sequence[Any]]) -> list[dict[str, Any]]:
    """The rows of some books' (id, title, author, ISBN, price) words, in the order that the table is kept in."""
    rows = sorted((term, key, price) for key, *names, price in books for term in book_terms(*names))
    return [{"term": term, "book_id": book_id, "price": price} for term, book_id, price in rows]


def rebuild(connection: Connection, only: Iterable[int] | None = None, *, commit: bool = False) -> int:
    """Make the words of all books anew, or of some; return how many books there were.

    Each batch replaces its own books' words, so searches go on meanwhile.

    Args:
        connection: where; its transaction stays open unless ``commit`` is set.
        only: the books' ids, if not all.
        commit: end the transaction after each batch, so that sellers need not wait for all of them.
    """
    # Locked, so that nobody renames a book between the reading of its title and the writing of its words.
    books = (
        select(Book.id, Book.title, Book.author, Book.isbn, Book.price)
        .order_by(Book.id)
        .limit(_BATCH)
        .with_for_update()
    )
    if only is not None:
        books = books.where(Book.id.in_(list(only)))
    done = last = 0
    while batch := connection.execute(books.where(Book.id > last)).all():
        first, last = batch[0][0], batch[-1][0]
        between = BookTerm.book_id.between(first, last)
        if only is not None:
            between = BookTerm.book_id.in_([row[0] for row in batch])
        connection.execute(delete(BookTerm).where(between))
        if rows := term_rows(batch):
            connection.execute(insert(BookTerm), rows)
        if commit:
            connection.commit()
        done += len(batch)
    return done


def without_price(connection: Connection) -> list[int]:
    """The ids of books whose words were written by a release that put no price beside them."""
    return list(connection.scalars(select(BookTerm.book_id).where(BookTerm.price == 0).distinct()))
