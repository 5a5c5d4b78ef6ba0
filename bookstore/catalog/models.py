"""Tables of the catalogue."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from ..accounts.models import User
from ..columns import Money, UTCDateTime, exact_string, utcnow
from ..extensions import Model


class BookStatus(StrEnum):
    """Whether a book is on sale. Archived ones stay for the purchases that refer to them."""

    ACTIVE = "active"
    PAUSED = "paused"
    ARCHIVED = "archived"


class Condition(StrEnum):
    """The grades of second-hand books, best first."""

    NEW = "new"
    LIKE_NEW = "like_new"
    VERY_GOOD = "very_good"
    GOOD = "good"
    ACCEPTABLE = "acceptable"


class Category(StrEnum):
    """The shelves of the store."""

    FICTION = "fiction"
    POETRY = "poetry"
    THEATRE = "theatre"
    CHILDREN = "children"
    COMICS = "comics"
    HISTORY = "history"
    BIOGRAPHY = "biography"
    SCIENCE = "science"
    TECHNOLOGY = "technology"
    ART = "art"
    TRAVEL = "travel"
    TEXTBOOK = "textbook"
    OTHER = "other"


class Language(StrEnum):
    """What a book is written in, as ISO 639-1; ``other`` for the rest."""

    SPANISH = "es"
    ENGLISH = "en"
    PORTUGUESE = "pt"
    FRENCH = "fr"
    GERMAN = "de"
    ITALIAN = "it"
    OTHER = "other"


class Book(Model):
    """A title that somebody sells, with the number of copies left."""

    __tablename__ = "books"
    __table_args__ = (
        CheckConstraint("price > 0", name="price_positive"),
        CheckConstraint("stock >= 0", name="stock_not_negative"),
        # InnoDB appends the primary key: these serve the pages in each order, and the filters that leave few.
        Index("ix_books_status", "status"),
        Index("ix_books_seller_id_status", "seller_id", "status"),
        Index("ix_books_status_price", "status", "price"),
        Index("ix_books_status_title", "status", "title"),
        Index("ix_books_status_category", "status", "category"),
        Index("ix_books_status_language", "status", "language"),
        Index("ix_books_author", "author", "status"),
        Index("ix_books_isbn", "isbn"),
        Index("ix_books_cover", "cover"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    seller_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    title: Mapped[str] = mapped_column(String(150))
    author: Mapped[str] = mapped_column(String(100))
    description: Mapped[str] = mapped_column(Text)
    price: Mapped[Decimal] = mapped_column(Money)
    stock: Mapped[int]
    status: Mapped[str] = mapped_column(String(20), default=BookStatus.ACTIVE)
    condition: Mapped[str] = mapped_column(String(20), default=Condition.GOOD, server_default=Condition.GOOD)
    condition_notes: Mapped[str] = mapped_column(String(500), default="", server_default="")
    category: Mapped[str] = mapped_column(String(20), default=Category.OTHER, server_default=Category.OTHER)
    language: Mapped[str] = mapped_column(String(10), default=Language.OTHER, server_default=Language.OTHER)
    # As ISBN-13, digits alone.
    isbn: Mapped[str | None] = mapped_column(exact_string(13))
    # SHA-256 of the cover's bytes, which is its file's name too.
    cover: Mapped[str | None] = mapped_column(exact_string(64))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)

    seller: Mapped[User] = relationship(lazy="raise")


class BookTerm(Model):
    """A word of a book's title, author or ISBN, folded as ``search.fold`` does.

    The primary key keeps each word's books in order, so a page of results is one walk along it, however many
    books there are. MySQL's own full-text index sorts all matches for each page, drops short words and signs
    (``c++``), and does not exist on SQLite. The price is the book's own, copied for a second walk in its order.
    """

    __tablename__ = "book_terms"
    __table_args__ = (Index("ix_book_terms_term_price", "term", "price"),)

    term: Mapped[str] = mapped_column(exact_string(32), primary_key=True)
    book_id: Mapped[int] = mapped_column(ForeignKey("books.id", ondelete="CASCADE"), primary_key=True, index=True)
    # Nothing costs 0: a release that knows no price here wrote it.
    price: Mapped[Decimal] = mapped_column(Money, default=Decimal(0), server_default="0")
