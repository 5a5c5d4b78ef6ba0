"""Listing, editing, pausing and archiving books; the pages of a book and of a seller."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from operator import attrgetter
from typing import NamedTuple

from flask_babel import lazy_gettext as _l
from sqlalchemy import Integer, bindparam, delete, exists, func, literal, select, union_all, update
from sqlalchemy.exc import IntegrityError

from ..accounts.models import Role, User
from ..errors import Forbidden, NotFound, StoreError
from ..extensions import db
from ..orders.models import Purchase, PurchaseStatus, Rating
from ..pagination import Page, newest_first
from . import covers
from .cards import Card, card, cards, packed, unpacked
from .covers import Cover
from .models import Book, BookStatus, Category, Condition, Language
from .search import index_book

MAX_STOCK = 1_000_000
SAME_AUTHOR = 4
LATEST_RATINGS = 5
_UNSYNCHRONISED = {"synchronize_session": False}
_LISTED = (BookStatus.ACTIVE, BookStatus.PAUSED)
_SOLD = (PurchaseStatus.PLACED, PurchaseStatus.PAID, PurchaseStatus.COMPLETED)


class Gone(StoreError):
    """The book was on sale once."""

    status = 410
    message = _l("This book is no longer on sale.")


@dataclass(frozen=True)
class BookData:
    """What a seller says about a book; the forms have checked it."""

    title: str
    author: str
    description: str
    price: Decimal
    stock: int
    condition: str = Condition.GOOD
    condition_notes: str = ""
    category: str = Category.OTHER
    language: str = Language.OTHER
    isbn: str | None = None


class Details(NamedTuple):
    """A book on its own page, with what is said of its seller."""

    id: int
    title: str
    author: str
    description: str
    condition: str
    condition_notes: str
    category: str
    language: str
    isbn: str | None
    price: Decimal
    stock: int
    status: str
    cover: str | None
    seller_id: int
    seller: str
    rating_count: int
    rating_sum: int


class BookPage(NamedTuple):
    """A book, and the newest others of its author that are on sale."""

    book: Details
    others: tuple[Card, ...]


_OF_SELLER = ("seller", "rating_count", "rating_sum")
_WANTED = bindparam("book", type_=Integer)
_DETAILS = (
    select(
        literal(1).label("wanted"),
        packed(
            getattr(User, "name" if name == "seller" else name) if name in _OF_SELLER else getattr(Book, name)
            for name in Details._fields
        ),
    )
    .join_from(Book, User, User.id == Book.seller_id)
    .where(Book.id == _WANTED)
)
# An index has each author's books in the order of ids.
_OTHERS = (
    cards()
    .where(
        Book.author == select(Book.author).where(Book.id == _WANTED).scalar_subquery(),
        Book.status == BookStatus.ACTIVE,
        Book.id != _WANTED,
    )
    .order_by(Book.id.desc())
    .limit(SAME_AUTHOR)
    .subquery()
)
# In one trip to the database, which costs more than what it brings.
_BOOK_PAGE = union_all(_DETAILS, select(literal(0), _OTHERS.c.packed))


def book_page(book_id: int, visitor: User | None) -> BookPage:
    """A book and its author's others, for whoever may see it.

    One that is not on sale is shown to its seller, to those who bought it, and to the store's staff.

    Raises:
        NotFound: there is no such book, or it is paused.
        Gone: it is archived.
    """
    rows = db.session.execute(_BOOK_PAGE, {"book": book_id}).all()
    found = [Details._make(unpacked(text)) for wanted, text in rows if wanted]
    if not found:
        raise NotFound(_l("There is no such book here."))
    book = found[0]._replace(price=Decimal(found[0].price))
    if book.status == BookStatus.ACTIVE or (visitor and _may_see(book, visitor)):
        others = sorted((card(text) for wanted, text in rows if not wanted), key=attrgetter("id"), reverse=True)
        return BookPage(book, tuple(others))
    if book.status == BookStatus.PAUSED:
        raise NotFound(_l("The seller has taken this book off sale for a while. Have a look at it again later."))
    raise Gone


def _may_see(book: Details, visitor: User) -> bool:
    if visitor.id == book.seller_id or visitor.role != Role.USER:
        return True
    bought = exists().where(Purchase.book_id == book.id, Purchase.buyer_id == visitor.id)
    return bool(db.session.scalar(select(bought)))


def seller_page(user_id: int) -> User:
    """Somebody who sells, or sold, books.

    Raises:
        NotFound: there is no such person, they left, or they never sold anything: that somebody has an account is
            nobody's business.
    """
    sells = exists().where(Book.seller_id == User.id)
    seller = db.session.scalar(select(User).where(User.id == user_id, User.deleted_at.is_(None), sells))
    if seller is None:
        raise NotFound(_l("There is no such seller here."))
    return seller


def latest_ratings(seller: User) -> Sequence[Rating]:
    """What buyers said last about a seller."""
    query = select(Rating).where(Rating.seller_id == seller.id).order_by(Rating.id.desc()).limit(LATEST_RATINGS)
    return db.session.scalars(query).all()


def books_of(seller: User, after: str | None, *, paused: bool = False) -> Page[Card]:
    """A page of a seller's books that are on sale, or on sale and paused, newest first."""
    states = _LISTED if paused else (BookStatus.ACTIVE,)
    query = cards().where(Book.seller_id == seller.id, Book.status.in_(states))
    return newest_first(query, Book.id, after, card)


def copies_sold(books: Sequence[Card]) -> Mapping[int, int]:
    """How many copies of each of some books were sold, by the book's id."""
    query = (
        select(Purchase.book_id, func.sum(Purchase.quantity))
        .where(Purchase.book_id.in_([book.id for book in books]), Purchase.status.in_(_SOLD))
        .group_by(Purchase.book_id)
    )
    return {book_id: int(sold) for book_id, sold in db.session.execute(query)} if books else {}


def own_book(book_id: int, seller: User) -> Book:
    """The seller's own book.

    Raises:
        NotFound: there is none, or it is archived.
        Forbidden: it is somebody else's.
    """
    book = db.session.get(Book, book_id)
    if book is None or book.status not in _LISTED:
        raise NotFound(_l("This book is no longer on sale."))
    if book.seller_id != seller.id:
        raise Forbidden(_l("Only the seller can change a book."))
    return book


def add_book(seller: User, data: BookData, cover: Cover | None = None) -> Book:
    """Put a book on sale.

    Raises:
        NoPlace: the cover cannot be stored; nothing was changed.
    """
    if cover:
        covers.store(cover)
    book = Book(seller_id=seller.id, cover=cover.digest if cover else None, **vars(data))
    db.session.add(book)
    db.session.flush()
    index_book(db.session, book)
    db.session.commit()
    if cover:
        covers.ensure(cover)
    return book


def edit_book(
    book_id: int,
    seller: User,
    data: BookData,
    *,
    stock_seen: int | None,
    cover: Cover | None = None,
    remove_cover: bool = False,
) -> None:
    """Change a book.

    The stock is moved by the difference to ``stock_seen``, what the seller's form showed, so
    that copies sold while the form was open stay sold. Without it the stock is set. The cover
    stays unless another one is given or ``remove_cover`` is set.

    Raises:
        NotFound: there is no such book.
        Forbidden: it is somebody else's.
        NoPlace: the cover cannot be stored; nothing was changed.
    """
    book = own_book(book_id, seller)
    before = book.cover
    values = vars(data) | {}
    if cover:
        covers.store(cover)
        values["cover"] = cover.digest
    elif remove_cover:
        values["cover"] = None
    if stock_seen is not None:
        changed = Book.stock + (data.stock - stock_seen)
        # LEAST and GREATEST have other names on SQLite; a CASE is the same everywhere.
        values["stock"] = db.case((changed < 0, 0), (changed > MAX_STOCK, MAX_STOCK), else_=changed)
    _set(book, _LISTED, values)
    # The row is locked since the UPDATE: these are its words.
    db.session.refresh(book)
    index_book(db.session, book)
    db.session.commit()
    if cover:
        covers.ensure(cover)
    if before and before != values.get("cover", before):
        covers.discard(before)


def pause_book(book_id: int, seller: User) -> None:
    """Take a book off sale until ``resume_book``; once more changes nothing.

    Raises:
        NotFound: there is no such book.
        Forbidden: it is somebody else's.
    """
    _set(own_book(book_id, seller), _LISTED, {"status": BookStatus.PAUSED})
    db.session.commit()


def resume_book(book_id: int, seller: User) -> None:
    """Put a paused book on sale again; once more changes nothing.

    Raises:
        NotFound: there is no such book.
        Forbidden: it is somebody else's.
    """
    _set(own_book(book_id, seller), _LISTED, {"status": BookStatus.ACTIVE})
    db.session.commit()


def remove_book(book_id: int, seller: User) -> bool:
    """Take a book off sale: delete it, or archive it when somebody bought it.

    Returns:
        Whether it was deleted; False means archived.

    Raises:
        NotFound: there is no such book.
        Forbidden: it is somebody else's.
    """
    book = own_book(book_id, seller)
    cover = book.cover
    bought = exists().where(Purchase.book_id == book.id)
    if not db.session.scalar(select(bought)):
        try:
            db.session.execute(delete(Book).where(Book.id == book.id), execution_options=_UNSYNCHRONISED)
            db.session.commit()
        except IntegrityError:
            # Bought, or reported, between the question and the deletion: the foreign key keeps it.
            db.session.rollback()
        else:
            if cover:
                covers.discard(cover)
            return True
    _set(book, _LISTED, {"status": BookStatus.ARCHIVED})
    db.session.commit()
    return False


def _set(book: Book, states: Sequence[str], values: Mapping[str, object]) -> None:
    changed = db.session.execute(
        update(Book).where(Book.id == book.id, Book.status.in_(states)).values(**values),
        execution_options=_UNSYNCHRONISED,
    )
    if not changed.rowcount:  # type: ignore[attr-defined]
        # Archived by the store's staff since it was read.
        db.session.rollback()
        raise NotFound(_l("This book is no longer on sale."))
