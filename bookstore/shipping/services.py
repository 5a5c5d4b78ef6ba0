"""Carriers, addresses, and a parcel's way to the buyer."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from flask_babel import lazy_gettext as _l
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import joinedload

from ..accounts.models import User
from ..admin.audit import record
from ..catalog.models import Book
from ..columns import utcnow
from ..errors import Conflict, InvalidInput, NotFound
from ..extensions import db
from ..orders.models import Purchase, PurchaseStatus
from ..orders.services import complete_if_done, find_purchase, own_purchase
from ..orders.states import DELIVERY, IllegalTransition, move
from ..pagination import Page, newest_first
from ..payments.models import Method
from ..transactions import retried
from .models import Delivery, DeliveryProvider, DeliveryStatus


class NotPaid(Conflict):
    """A delivery needs a payment first."""

    message = _l("Please pay for this purchase first.")


class DeliveryChosen(Conflict):
    """The delivery is arranged already."""

    message = _l("The delivery of this purchase is already arranged.")


class NoDelivery(Conflict):
    """The buyer has not said where to."""

    message = _l("The buyer has not arranged the delivery yet.")


class NameTaken(Conflict):
    """Two carriers cannot have one name."""

    message = _l("There is already a delivery service with this name.")


@dataclass(frozen=True)
class Address:
    """Where a parcel goes; the form has checked it."""

    recipient: str
    address: str
    city: str
    phone: str


def active_providers() -> Sequence[DeliveryProvider]:
    """The carriers on offer, dearest first."""
    return db.session.scalars(
        select(DeliveryProvider)
        .where(DeliveryProvider.active)
        .order_by(DeliveryProvider.cost.desc(), DeliveryProvider.id)
    ).all()


def provider_of(choice: str) -> DeliveryProvider:
    """The carrier on offer with this id, or this name as the original store's clients send it.

    Raises:
        InvalidInput: no such carrier is on offer.
    """
    provider = next((p for p in active_providers() if choice in (str(p.id), p.name)), None)
    if provider is None:
        raise InvalidInput(_l("Please choose one of the delivery services."))
    return provider


def deliverable_purchase(purchase_id: int, buyer: User, *, lock: bool = False) -> Purchase:
    """The buyer's purchase, if it is paid or ordered, and its delivery is not arranged yet.

    Raises:
        NotFound: the buyer has no such purchase.
        NotPaid: it is not paid.
        DeliveryChosen: carrier and address are known.
    """
    purchase = own_purchase(purchase_id, buyer, lock=lock)
    if purchase.status not in (PurchaseStatus.PAID, PurchaseStatus.PLACED):
        raise NotPaid
    delivery = purchase.delivery
    if delivery and (delivery.address or delivery.status != DeliveryStatus.PENDING):
        raise DeliveryChosen
    return purchase


@retried
def choose_provider(purchase_id: int, buyer: User, choice: str | None, address: Address | None = None) -> Delivery:
    """Arrange the delivery.

    Args:
        purchase_id: the purchase.
        buyer: who asks.
        choice: the carrier's id or name; not asked for where it was chosen with the payment.
        address: where to; None from clients that know no addresses.

    Raises:
        InvalidInput: no such carrier is on offer.
        NotFound, NotPaid, DeliveryChosen: see ``deliverable_purchase``.
    """
    purchase = deliverable_purchase(purchase_id, buyer, lock=True)
    delivery = purchase.delivery
    if delivery and not address:
        raise DeliveryChosen
    if delivery is None:
        provider = provider_of(choice or "")
        delivery = Delivery(purchase_id=purchase_id, provider_id=provider.id, cost=provider.cost)
        db.session.add(delivery)
    if address:
        for name, value in vars(address).items():
            setattr(delivery, name, value)
    try:
        db.session.commit()
    except IntegrityError:
        # Only without row locks: on SQLite another tab can have been quicker.
        db.session.rollback()
        raise DeliveryChosen from None
    return delivery


@retried
def mark_shipped(purchase_id: int, seller: User, tracking_number: str) -> None:
    """The seller handed the parcel over.

    Raises:
        NotFound: the seller has no such sale.
        NoDelivery: the buyer has not arranged it.
        NotPaid: it is neither paid nor to be paid in cash.
        IllegalTransition: it is shipped already, or has ended.
    """
    purchase = find_purchase(purchase_id, Book.seller_id == seller.id, lock=True)
    cash = purchase.payment is not None and purchase.payment.method == Method.CASH_ON_DELIVERY
    if purchase.status == PurchaseStatus.PLACED and not cash:
        raise NotPaid(_l("The payment has not arrived yet. Please wait with the parcel."))
    if purchase.status not in (PurchaseStatus.PLACED, PurchaseStatus.PAID):
        raise IllegalTransition
    if purchase.delivery is None:
        raise NoDelivery
    values = {"tracking_number": tracking_number}
    move(Delivery, purchase.delivery.id, purchase_id, DeliveryStatus.SHIPPED, actor_id=seller.id, values=values)
    if cash:
        # What is on its way cannot go back on sale by itself.
        db.session.execute(
            update(Purchase).where(Purchase.id == purchase_id).values(reserved_until=utcnow().replace(year=9999)),
            execution_options={"synchronize_session": False},
        )
    db.session.commit()


@retried
def mark_delivered(purchase_id: int, buyer: User) -> None:
    """The buyer has the parcel.

    Raises:
        NotFound: the buyer has no such purchase.
        IllegalTransition: it is not on its way.
    """
    purchase = own_purchase(purchase_id, buyer, lock=True)
    if purchase.delivery is None:
        raise IllegalTransition
    move(Delivery, purchase.delivery.id, purchase_id, DeliveryStatus.DELIVERED, actor_id=buyer.id)
    complete_if_done(purchase_id, buyer.id)
    db.session.commit()


def all_deliveries(status: str | None, after: str | None) -> Page[Delivery]:
    """A page of everybody's deliveries, for the staff; ``status`` leaves those in one state."""
    query = select(Delivery).options(
        joinedload(Delivery.provider, innerjoin=True),
        joinedload(Delivery.purchase, innerjoin=True).joinedload(Purchase.book, innerjoin=True),
    )
    if status in DELIVERY:
        query = query.where(Delivery.status == status)
    return newest_first(query, Delivery.id, after)


def all_providers() -> Sequence[DeliveryProvider]:
    """Every carrier, those on offer first."""
    return db.session.scalars(
        select(DeliveryProvider).order_by(DeliveryProvider.active.desc(), DeliveryProvider.name)
    ).all()


def find_provider(provider_id: int) -> DeliveryProvider:
    """A carrier.

    Raises:
        NotFound: there is none.
    """
    provider = db.session.get(DeliveryProvider, provider_id)
    if provider is None:
        raise NotFound(_l("There is no such delivery service."))
    return provider


def save_provider(provider_id: int | None, name: str, cost: Decimal, active: bool, staff: User) -> None:
    """Add a carrier, or change one; deliveries that are arranged keep their cost.

    Raises:
        NotFound: there is none with this id.
        NameTaken: another one has this name.
    """
    provider = find_provider(provider_id) if provider_id else DeliveryProvider()
    provider.name, provider.cost, provider.active = name, cost, active
    db.session.add(provider)
    try:
        db.session.flush()
    except IntegrityError:
        db.session.rollback()
        raise NameTaken from None
    details = f"{name}, {cost}, {'on offer' if active else 'retired'}"
    record(staff, "provider.change" if provider_id else "provider.add", f"provider {provider.id}", details)
    db.session.commit()
