"""Tables of the catalogue."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from ..accounts.models import User
from ..columns import Money, UTCDateTime, utcnow
from ..extensions import Model


class BookStatus(StrEnum):
    """Whether a book is on sale. Archived ones stay for the purchases that refer to them."""

    ACTIVE = "active"
    ARCHIVED = "archived"


class Book(Model):
    """A title that somebody sells, with the number of copies left."""

    __tablename__ = "books"
    __table_args__ = (
        CheckConstraint("price > 0", name="price_positive"),
        CheckConstraint("stock >= 0", name="stock_not_negative"),
        # InnoDB appends the primary key: these serve the pages, newest first.
        Index("ix_books_status", "status"),
        Index("ix_books_seller_id_status", "seller_id", "status"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    seller_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    title: Mapped[str] = mapped_column(String(150))
    author: Mapped[str] = mapped_column(String(100))
    description: Mapped[str] = mapped_column(Text)
    price: Mapped[Decimal] = mapped_column(Money)
    stock: Mapped[int]
    status: Mapped[str] = mapped_column(String(20), default=BookStatus.ACTIVE)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)

    seller: Mapped[User] = relationship(lazy="raise")
