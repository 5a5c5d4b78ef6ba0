"""Listing, editing and archiving books."""

from dataclasses import dataclass
from decimal import Decimal

from flask_babel import lazy_gettext as _l
from sqlalchemy import delete, exists, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import joinedload

from ..accounts.models import User
from ..errors import Forbidden, NotFound
from ..extensions import db
from ..orders.models import Purchase
from ..pagination import Page, newest_first
from .models import Book, BookStatus


@dataclass(frozen=True)
class BookData:
    """What a seller says about a book; the forms have checked it."""

    title: str
    author: str
    description: str
    price: Decimal
    stock: int


def books_on_sale(after: str | None) -> Page[Book]:
    """A page of the catalogue, sellers loaded, newest first."""
    query = select(Book).where(Book.status == BookStatus.ACTIVE).options(joinedload(Book.seller, innerjoin=True))
    return newest_first(query, Book.id, after)


def books_of(seller: User, after: str | None) -> Page[Book]:
    """A page of a seller's own books that are on sale."""
    query = select(Book).where(Book.seller_id == seller.id, Book.status == BookStatus.ACTIVE)
    return newest_first(query, Book.id, after)


def own_book(book_id: int, seller: User) -> Book:
    """The seller's own book.

    Raises:
        NotFound: there is none, or it is archived.
        Forbidden: it is somebody else's.
    """
    book = db.session.get(Book, book_id)
    if book is None or book.status != BookStatus.ACTIVE:
        raise NotFound(_l("This book is no longer on sale."))
    if book.seller_id != seller.id:
        raise Forbidden(_l("Only the seller can change a book."))
    return book


def add_book(seller: User, data: BookData) -> Book:
    """Put a book on sale."""
    book = Book(seller_id=seller.id, **vars(data))
    db.session.add(book)
    db.session.commit()
    return book


def edit_book(book_id: int, seller: User, data: BookData, *, stock_seen: int | None) -> None:
    """Change a book.

    The stock is moved by the difference to ``stock_seen``, what the seller's form showed, so
    that copies sold while the form was open stay sold. Without it the stock is set.

    Raises:
        NotFound: there is no such book.
        Forbidden: it is somebody else's.
    """
    book = own_book(book_id, seller)
    values = vars(data) | {}
    if stock_seen is not None:
        changed = Book.stock + (data.stock - stock_seen)
        # GREATEST is MAX on SQLite; a CASE is the same everywhere.
        values["stock"] = db.case((changed < 0, 0), else_=changed)
    db.session.execute(
        update(Book).where(Book.id == book.id).values(**values),
        execution_options={"synchronize_session": False},
    )
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
    bought = exists().where(Purchase.book_id == book.id)
    if not db.session.scalar(select(bought)):
        try:
            db.session.execute(delete(Book).where(Book.id == book.id))
            db.session.commit()
            return True
        except IntegrityError:
            # Bought between the question and the deletion: the foreign key keeps it.
            db.session.rollback()
    db.session.execute(
        update(Book).where(Book.id == book_id).values(status=BookStatus.ARCHIVED),
        execution_options={"synchronize_session": False},
    )
    db.session.commit()
    return False
