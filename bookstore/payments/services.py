"""Paying for a purchase, at once or later, and what the gateway and the staff say about it."""

from datetime import timedelta
from typing import Any

import stripe
from flask import current_app
from flask_babel import lazy_gettext as _l
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import joinedload

from ..accounts.models import User
from ..admin.audit import record
from ..columns import utcnow
from ..errors import Conflict, InvalidInput, NotFound
from ..extensions import db
from ..orders.models import Purchase, PurchaseStatus
from ..orders.services import complete_if_done, own_purchase
from ..orders.states import IllegalTransition, move
from ..pagination import Page, newest_first
from ..shipping.models import Delivery
from ..shipping.services import provider_of
from ..transactions import retried
from . import gateway
from .models import GatewayEvent, Method, Payment, PaymentStatus

SIMULATED = (Method.CREDIT_CARD, Method.PAYPAL)
# A transfer takes some banking days.
TRANSFER_HOLD = timedelta(days=5)
# Cash comes with the parcel: the copies are held until the seller ships or somebody cancels.
CASH_HOLD = timedelta(days=365)
_HOLDS = {Method.BANK_TRANSFER: TRANSFER_HOLD, Method.CASH_ON_DELIVERY: CASH_HOLD}


class AlreadyPaid(Conflict):
    """The purchase was paid for before."""

    message = _l("This purchase is already paid.")


class ReservationExpired(Conflict):
    """The time to pay is over; the copies may be sold to others."""

    message = _l("The time to pay is over and the books are back on sale. Please buy them again.")


def methods() -> list[Method]:
    """The ways to pay that are on offer, the quickest first."""
    offered: list[Method] = [Method.CARD] if gateway.enabled() else []
    demonstration = current_app.config["SIMULATED_PAYMENTS"]
    if demonstration:
        offered += SIMULATED
    # Without an account nobody could transfer anything.
    if demonstration or current_app.config["TRANSFER_INSTRUCTIONS"]:
        offered.append(Method.BANK_TRANSFER)
    return [*offered, Method.CASH_ON_DELIVERY]


def payable_purchase(purchase_id: int, buyer: User, *, lock: bool = False) -> Purchase:
    """The buyer's purchase, if it waits for its payment.

    Raises:
        NotFound: the buyer has no such purchase.
        AlreadyPaid: it is paid, or a payment that comes later is arranged.
        ReservationExpired: it is too late.
    """
    purchase = own_purchase(purchase_id, buyer, lock=lock)
    if purchase.status in (PurchaseStatus.PLACED, PurchaseStatus.PAID, PurchaseStatus.COMPLETED):
        raise AlreadyPaid
    if purchase.status != PurchaseStatus.RESERVED or purchase.reserved_until <= utcnow():
        raise ReservationExpired
    return purchase


def pay(purchase_id: int, buyer: User, method: str, provider: str | None = None) -> str | None:
    """Pay the purchase's total and, if its carrier is chosen now, the delivery; the client has no say in the amount.

    Args:
        purchase_id: what to pay for.
        buyer: who pays.
        method: one of ``methods()``.
        provider: the carrier's id or name; None leaves it for later, to be paid to the carrier.

    Returns:
        Where the buyer has to go to pay, or None when nothing is left to do.

    Raises:
        InvalidInput: there is no such method or carrier.
        NotFound: the buyer has no such purchase.
        AlreadyPaid: it is paid, also when another request just did so.
        ReservationExpired: it is too late.
        gateway.GatewayUnavailable: the card gateway does not answer.
    """
    if method not in methods():
        raise InvalidInput(_l("Please choose one of the payment methods."))
    payment = _begin(purchase_id, buyer, Method(method), provider)
    if method != Method.CARD:
        # The buyer may have begun to pay by card before.
        gateway.abandon(payment.reference)
        return None
    session_id, address = gateway.open_session(own_purchase(purchase_id, buyer), payment.amount)
    db.session.execute(update(Payment).where(Payment.id == payment.id).values(reference=session_id))
    db.session.commit()
    return address


@retried
def _begin(purchase_id: int, buyer: User, method: Method, provider: str | None) -> Payment:
    purchase = payable_purchase(purchase_id, buyer, lock=True)
    former = purchase.payment
    carrier = provider_of(provider) if provider else None
    delivery = purchase.delivery
    if carrier and not delivery:
        delivery = Delivery(purchase_id=purchase.id, provider_id=carrier.id, cost=carrier.cost)
        db.session.add(delivery)
    elif carrier and delivery:
        delivery.provider_id, delivery.cost = carrier.id, carrier.cost
    values = {
        "method": method.value,
        "amount": purchase.total + (delivery.cost if delivery else 0),
        "status": PaymentStatus.PENDING.value,
    }
    try:
        if former is None:
            db.session.add(Payment(purchase_id=purchase.id, **values))
        elif former.status == PaymentStatus.PENDING:
            db.session.execute(update(Payment).where(Payment.id == former.id).values(**values))
        db.session.flush()
    except IntegrityError:
        # Only without row locks: on SQLite another tab can have been quicker.
        db.session.rollback()
        raise AlreadyPaid from None
    payment = db.session.scalars(
        select(Payment).where(Payment.purchase_id == purchase.id).execution_options(populate_existing=True)
    ).one()
    _advance(purchase, payment, method, card_before=former is not None and former.method == Method.CARD)
    db.session.commit()
    return payment


def _advance(purchase: Purchase, payment: Payment, method: Method, *, card_before: bool) -> None:
    """Bring the purchase to where its method of payment leaves it."""
    still_reserved = (Purchase.reserved_until > utcnow(),)
    if method in SIMULATED:
        _settle(purchase.id, payment, purchase.buyer_id, still_reserved)
    elif method in _HOLDS:
        until = {"reserved_until": utcnow() + _HOLDS[method]}
        move(
            Purchase,
            purchase.id,
            purchase.id,
            PurchaseStatus.PLACED,
            actor_id=purchase.buyer_id,
            where=still_reserved,
            values=until,
        )
    elif not card_before:
        db.session.execute(
            update(Purchase).where(Purchase.id == purchase.id).values(reserved_until=utcnow() + gateway.HOLD),
            execution_options={"synchronize_session": False},
        )


def _settle(purchase_id: int, payment: Payment, actor_id: int | None, where: tuple[Any, ...] = ()) -> None:
    """The money is there: both move on; the caller commits."""
    move(Payment, payment.id, purchase_id, PaymentStatus.COMPLETED, actor_id=actor_id)
    move(Purchase, purchase_id, purchase_id, PurchaseStatus.PAID, actor_id=actor_id, where=where)
    complete_if_done(purchase_id, actor_id)


@retried
def confirm_payment(payment_id: int, staff: User) -> None:
    """The staff saw the money of a transfer or of cash.

    Raises:
        NotFound: there is no such payment.
        IllegalTransition: it does not wait for money, or the purchase has ended.
    """
    payment = _locked(payment_id)
    if payment.method == Method.CARD:
        raise IllegalTransition(_l("The card gateway confirms this payment by itself."))
    _settle(payment.purchase_id, payment, staff.id)
    record(staff, "payment.confirm", f"payment {payment_id}", str(payment.amount))
    db.session.commit()


def refund_payment(payment_id: int, staff: User) -> None:
    """The money went back to the buyer; card payments are given back here.

    Raises:
        NotFound: there is no such payment.
        IllegalTransition: no refund is due.
        gateway.GatewayUnavailable: the gateway does not answer; nothing has changed.
    """
    payment = db.session.get(Payment, payment_id)
    if payment is not None and payment.method == Method.CARD and payment.status == PaymentStatus.REFUND_DUE:
        # Asked twice, the gateway gives back once.
        gateway.give_back(payment)
    _mark_refunded(payment_id, staff)


@retried
def _mark_refunded(payment_id: int, staff: User) -> None:
    payment = _locked(payment_id)
    move(Payment, payment_id, payment.purchase_id, PaymentStatus.REFUNDED, actor_id=staff.id)
    record(staff, "payment.refund", f"payment {payment_id}", str(payment.amount))
    db.session.commit()


def _locked(payment_id: int) -> Payment:
    purchase_id = db.session.scalar(select(Payment.purchase_id).where(Payment.id == payment_id))
    db.session.execute(select(Purchase.id).where(Purchase.id == purchase_id).with_for_update())
    payment = db.session.get(Payment, payment_id, populate_existing=True)
    if payment is None:
        raise NotFound(_l("There is no such payment."))
    return payment


def waiting_payments(status: str | None, after: str | None) -> Page[Payment]:
    """A page of payments that the staff has to look after: money awaited, or due back."""
    wanted = status if status in (PaymentStatus.PENDING, PaymentStatus.REFUND_DUE) else PaymentStatus.PENDING
    query = (
        select(Payment)
        .where(Payment.status == wanted)
        .options(joinedload(Payment.purchase, innerjoin=True).joinedload(Purchase.book, innerjoin=True))
        .options(joinedload(Payment.purchase, innerjoin=True).joinedload(Purchase.buyer, innerjoin=True))
    )
    return newest_first(query, Payment.id, after)


@retried
def receive_message(event: stripe.Event) -> None:
    """Act on a message of the gateway, once, in whatever order messages come.

    Unknown kinds, and messages about what has ended, change nothing.
    """
    db.session.add(GatewayEvent(id=event.id))
    try:
        db.session.flush()
    except IntegrityError:
        # Sent again, since an answer was lost.
        db.session.rollback()
        return
    if event.type in ("checkout.session.completed", "checkout.session.async_payment_succeeded"):
        _card_paid(event.data.object)
    db.session.commit()


def _card_paid(session: Any) -> None:
    payment_id = db.session.scalar(select(Payment.id).where(Payment.reference == session["id"]))
    if payment_id is None or session["payment_status"] != "paid":
        return
    payment = _locked(payment_id)
    currency = current_app.config["CURRENCY"]
    asked = (gateway.minor_units(payment.amount, currency), currency.lower())
    right = (session["amount_total"], session["currency"]) == asked
    try:
        with db.session.begin_nested():
            if not right:
                raise IllegalTransition
            # The buyer may have chosen another way meanwhile: this is how the money came.
            db.session.execute(update(Payment).where(Payment.id == payment_id).values(method=Method.CARD))
            _settle(payment.purchase_id, payment, None)
    except IllegalTransition:
        if payment.status in (PaymentStatus.PENDING, PaymentStatus.CANCELLED):
            # Too late, or not what was asked for: the money has to go back.
            move(Payment, payment_id, payment.purchase_id, PaymentStatus.REFUND_DUE, actor_id=None)
