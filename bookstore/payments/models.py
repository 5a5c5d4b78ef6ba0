"""Tables of the payments domain."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from ..columns import Money, UTCDateTime, utcnow
from ..extensions import Model


class Method(StrEnum):
    """Ways to pay, by the names that the store's clients send."""

    CREDIT_CARD = "Credit Card"
    PAYPAL = "Paypal"
    BANK_TRANSFER = "Bank Transfer"


class PaymentStatus(StrEnum):
    """The demonstration provider knows no failure."""

    COMPLETED = "completed"


class Payment(Model):
    """The payment of a purchase; the constraint makes a second one impossible."""

    __tablename__ = "payments"

    id: Mapped[int] = mapped_column(primary_key=True)
    purchase_id: Mapped[int] = mapped_column(ForeignKey("purchases.id"), unique=True)
    method: Mapped[str] = mapped_column(String(30))
    amount: Mapped[Decimal] = mapped_column(Money)
    status: Mapped[str] = mapped_column(String(20), default=PaymentStatus.COMPLETED)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
