"""Choosing a carrier for a paid purchase."""

from collections.abc import Sequence

from flask_babel import lazy_gettext as _l
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from ..accounts.models import User
from ..errors import Conflict, InvalidInput
from ..extensions import db
from ..orders.models import Purchase, PurchaseStatus
from ..orders.services import own_purchase
from .models import Delivery, DeliveryProvider


class NotPaid(Conflict):
    """A delivery needs a payment first."""

    message = _l("Please pay for this purchase first.")


class DeliveryChosen(Conflict):
    """The carrier is chosen already."""

    message = _l("The delivery of this purchase is already arranged.")


def active_providers() -> Sequence[DeliveryProvider]:
    """The carriers on offer, dearest first."""
    return db.session.scalars(
        select(DeliveryProvider)
        .where(DeliveryProvider.active)
        .order_by(DeliveryProvider.cost.desc(), DeliveryProvider.id)
    ).all()


def deliverable_purchase(purchase_id: int, buyer: User) -> Purchase:
    """The buyer's purchase, if it is paid and has no carrier yet.

    Raises:
        NotFound: the buyer has no such purchase.
        NotPaid: it is not paid.
        DeliveryChosen: it has a carrier.
    """
    purchase = own_purchase(purchase_id, buyer)
    if purchase.status != PurchaseStatus.PAID:
        raise NotPaid
    if purchase.delivery is not None:
        raise DeliveryChosen
    return purchase


def choose_provider(purchase_id: int, buyer: User, choice: str) -> Delivery:
    """Arrange the delivery.

    Args:
        purchase_id: the purchase.
        buyer: who asks.
        choice: the carrier's id, or its name as the original store's clients send it.

    Raises:
        InvalidInput: no such carrier is on offer.
        NotFound, NotPaid, DeliveryChosen: see ``deliverable_purchase``.
    """
    deliverable_purchase(purchase_id, buyer)
    provider = next((p for p in active_providers() if choice in (str(p.id), p.name)), None)
    if provider is None:
        raise InvalidInput(_l("Please choose one of the delivery services."))
    delivery = Delivery(purchase_id=purchase_id, provider_id=provider.id, cost=provider.cost)
    db.session.add(delivery)
    try:
        db.session.commit()
    except IntegrityError:
        # Chosen in another tab since it was looked up; the constraint allows one.
        db.session.rollback()
        raise DeliveryChosen from None
    return delivery
