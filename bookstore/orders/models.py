"""Tables of the orders domain."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

from sqlalchemy import CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from ..columns import Money, UTCDateTime, exact_string, utcnow
from ..extensions import Model
from ..shipping.models import DeliveryStatus

if TYPE_CHECKING:
    from ..accounts.models import User
    from ..catalog.models import Book
    from ..payments.models import Payment
    from ..shipping.models import Delivery


class PurchaseStatus(StrEnum):
    """A purchase's life; ``states.PURCHASE`` says what may follow what."""

    RESERVED = "reserved"
    # A way to pay is chosen whose money comes later: cash on delivery, bank transfer.
    PLACED = "placed"
    PAID = "paid"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class Purchase(Model):
    """Copies of a book that a buyer reserved or paid for, at the price of that moment."""

    __tablename__ = "purchases"
    __table_args__ = (
        CheckConstraint("quantity > 0", name="quantity_positive"),
        Index("ix_purchases_status_reserved_until", "status", "reserved_until"),
        Index("uq_purchases_idempotency_key", "buyer_id", "book_id", "idempotency_key", unique=True),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    buyer_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    book_id: Mapped[int] = mapped_column(ForeignKey("books.id"), index=True)
    # What the form that was sent carries: sent again, it meets the purchase that it made. Clients without one
    # make a purchase each time.
    idempotency_key: Mapped[str | None] = mapped_column(exact_string(64))
    quantity: Mapped[int]
    unit_price: Mapped[Decimal] = mapped_column(Money)
    total: Mapped[Decimal] = mapped_column(Money)
    status: Mapped[str] = mapped_column(String(20), default=PurchaseStatus.RESERVED)
    # After this moment the copies go back on sale unless they are paid for.
    reserved_until: Mapped[datetime] = mapped_column(UTCDateTime)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)

    book: Mapped["Book"] = relationship(lazy="raise")
    buyer: Mapped["User"] = relationship(lazy="raise")
    payment: Mapped["Payment | None"] = relationship(lazy="raise", back_populates="purchase")
    delivery: Mapped["Delivery | None"] = relationship(lazy="raise", back_populates="purchase")
    rating: Mapped["Rating | None"] = relationship(lazy="raise", back_populates="purchase")
    events: Mapped[list["PurchaseEvent"]] = relationship(lazy="raise", order_by="PurchaseEvent.id")

    @property
    def amount(self) -> Decimal:
        """What the buyer pays in all, with the delivery where it is paid here."""
        return self.payment.amount if self.payment else self.total

    @property
    def can_be_rated(self) -> bool:
        """Whether the book is on its way at least: until then the purchase can still be cancelled."""
        sent = self.delivery is not None and self.delivery.status in (DeliveryStatus.SHIPPED, DeliveryStatus.DELIVERED)
        return self.status == PurchaseStatus.COMPLETED or (self.status == PurchaseStatus.PAID and sent)


class PurchaseEvent(Model):
    """One step in the life of a purchase, its payment or its delivery."""

    __tablename__ = "purchase_events"

    id: Mapped[int] = mapped_column(primary_key=True)
    purchase_id: Mapped[int] = mapped_column(ForeignKey("purchases.id"), index=True)
    # Which of the three, and the state it entered: purchase.paid, delivery.shipped.
    step: Mapped[str] = mapped_column(String(40))
    # None: the store itself.
    actor_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)


class Rating(Model):
    """What a buyer says about a seller after a purchase; the constraint makes a second one impossible."""

    __tablename__ = "ratings"
    __table_args__ = (
        CheckConstraint("stars BETWEEN 1 AND 5", name="stars_in_range"),
        Index("ix_ratings_seller_id", "seller_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    purchase_id: Mapped[int] = mapped_column(ForeignKey("purchases.id"), unique=True)
    seller_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    stars: Mapped[int]
    comment: Mapped[str] = mapped_column(String(1000), default="")
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)

    purchase: Mapped[Purchase] = relationship(lazy="raise", back_populates="rating")
