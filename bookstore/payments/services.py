"""Paying for a purchase."""

from flask_babel import lazy_gettext as _l
from sqlalchemy import update

from ..accounts.models import User
from ..columns import utcnow
from ..errors import Conflict, InvalidInput
from ..extensions import db
from ..orders.models import Purchase, PurchaseStatus
from ..orders.services import own_purchase, rows
from .models import Method, Payment


class AlreadyPaid(Conflict):
    """The purchase was paid for before."""

    message = _l("This purchase is already paid.")


class ReservationExpired(Conflict):
    """The time to pay is over; the copies may be sold to others."""

    message = _l("The time to pay is over and the books are back on sale. Please buy them again.")


def payable_purchase(purchase_id: int, buyer: User) -> Purchase:
    """The buyer's purchase, if it waits for its payment.

    Raises:
        NotFound: the buyer has no such purchase.
        AlreadyPaid: it is paid.
        ReservationExpired: it is too late.
    """
    purchase = own_purchase(purchase_id, buyer)
    if purchase.status == PurchaseStatus.PAID:
        raise AlreadyPaid
    if purchase.status != PurchaseStatus.RESERVED or purchase.reserved_until <= utcnow():
        raise ReservationExpired
    return purchase


def pay(purchase_id: int, buyer: User, method: str) -> Payment:
    """Pay the purchase's total; the amount is never the client's to say.

    Raises:
        InvalidInput: the method is none of ``Method``.
        NotFound: the buyer has no such purchase.
        AlreadyPaid: it is paid, also when another request just did so.
        ReservationExpired: it is too late.
    """
    if method not in list(Method):
        raise InvalidInput(_l("Please choose one of the payment methods."))
    purchase = payable_purchase(purchase_id, buyer)
    amount = purchase.total
    now = utcnow()
    won = rows(
        db.session.execute(
            update(Purchase)
            .where(
                Purchase.id == purchase_id,
                Purchase.status == PurchaseStatus.RESERVED,
                Purchase.reserved_until > now,
            )
            .values(status=PurchaseStatus.PAID),
            execution_options={"synchronize_session": False},
        )
    )
    if not won:
        # Paid in another tab, or expired, since it was read.
        db.session.rollback()
        payable_purchase(purchase_id, buyer)
        raise Conflict
    payment = Payment(purchase_id=purchase_id, method=method, amount=amount, created_at=now)
    db.session.add(payment)
    db.session.commit()
    return payment
