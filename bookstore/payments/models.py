"""Tables of the payments domain."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from ..columns import Money, UTCDateTime, exact_string, utcnow
from ..extensions import Model
from ..orders.models import Purchase


class Method(StrEnum):
    """Ways to pay; the first three by the names that the original store's clients send."""

    CREDIT_CARD = "Credit Card"
    PAYPAL = "Paypal"
    BANK_TRANSFER = "Bank Transfer"
    CASH_ON_DELIVERY = "Cash on Delivery"
    CARD = "Card"


class PaymentStatus(StrEnum):
    """A payment's life; ``orders.states.PAYMENT`` says what may follow what."""

    PENDING = "pending"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    # Money came for a purchase that was cancelled, or had ended before.
    REFUND_DUE = "refund_due"
    REFUNDED = "refunded"


class Payment(Model):
    """The payment of a purchase; the constraint makes a second one impossible."""

    __tablename__ = "payments"
    __table_args__ = (Index("uq_payments_reference", "reference", unique=True),)

    id: Mapped[int] = mapped_column(primary_key=True)
    purchase_id: Mapped[int] = mapped_column(ForeignKey("purchases.id"), unique=True)
    method: Mapped[str] = mapped_column(String(30))
    # The purchase's total and, where the carrier was chosen before paying, the delivery's cost.
    amount: Mapped[Decimal] = mapped_column(Money)
    status: Mapped[str] = mapped_column(String(20), default=PaymentStatus.COMPLETED, index=True)
    # The card gateway's name for it.
    reference: Mapped[str | None] = mapped_column(exact_string(255))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)

    purchase: Mapped[Purchase] = relationship(lazy="raise", back_populates="payment")


class GatewayEvent(Model):
    """A message of the card gateway that was dealt with; when it comes again, it is known."""

    __tablename__ = "gateway_events"

    id: Mapped[str] = mapped_column(exact_string(255), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
