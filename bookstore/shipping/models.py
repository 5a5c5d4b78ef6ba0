"""Tables of the shipping domain."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from ..columns import Money, UTCDateTime, utcnow
from ..extensions import Model

if TYPE_CHECKING:
    from ..orders.models import Purchase


class DeliveryStatus(StrEnum):
    """Where a delivery stands; ``orders.states.DELIVERY`` says what may follow what."""

    PENDING = "pending"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"


class DeliveryProvider(Model):
    """A carrier and what it charges."""

    __tablename__ = "delivery_providers"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(100), unique=True)
    cost: Mapped[Decimal] = mapped_column(Money)
    active: Mapped[bool] = mapped_column(default=True)


class Delivery(Model):
    """The carrier chosen for a purchase, at the charge of that moment."""

    __tablename__ = "deliveries"

    id: Mapped[int] = mapped_column(primary_key=True)
    purchase_id: Mapped[int] = mapped_column(ForeignKey("purchases.id"), unique=True)
    provider_id: Mapped[int] = mapped_column(ForeignKey("delivery_providers.id"), index=True)
    cost: Mapped[Decimal] = mapped_column(Money)
    status: Mapped[str] = mapped_column(String(20), default=DeliveryStatus.PENDING, index=True)
    recipient: Mapped[str] = mapped_column(String(100), default="", server_default="")
    address: Mapped[str] = mapped_column(String(300), default="", server_default="")
    city: Mapped[str] = mapped_column(String(100), default="", server_default="")
    phone: Mapped[str] = mapped_column(String(30), default="", server_default="")
    tracking_number: Mapped[str] = mapped_column(String(100), default="", server_default="")
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)

    purchase: Mapped["Purchase"] = relationship(lazy="raise", back_populates="delivery")
    provider: Mapped[DeliveryProvider] = relationship(lazy="raise")
