"""Tables of the orders domain."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

from sqlalchemy import CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from ..columns import Money, UTCDateTime, utcnow
from ..extensions import Model

if TYPE_CHECKING:
    from ..catalog.models import Book
    from ..shipping.models import Delivery


class PurchaseStatus(StrEnum):
    """A purchase's life: reserved, then paid or expired."""

    RESERVED = "reserved"
    PAID = "paid"
    EXPIRED = "expired"


class Purchase(Model):
    """Copies of a book that a buyer reserved or paid for, at the price of that moment."""

    __tablename__ = "purchases"
    __table_args__ = (
        CheckConstraint("quantity > 0", name="quantity_positive"),
        Index("ix_purchases_status_reserved_until", "status", "reserved_until"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    buyer_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    book_id: Mapped[int] = mapped_column(ForeignKey("books.id"), index=True)
    quantity: Mapped[int]
    unit_price: Mapped[Decimal] = mapped_column(Money)
    total: Mapped[Decimal] = mapped_column(Money)
    status: Mapped[str] = mapped_column(String(20), default=PurchaseStatus.RESERVED)
    # After this moment the copies go back on sale unless they are paid for.
    reserved_until: Mapped[datetime] = mapped_column(UTCDateTime)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)

    book: Mapped["Book"] = relationship(lazy="raise")
    delivery: Mapped["Delivery | None"] = relationship(lazy="raise", back_populates="purchase")
