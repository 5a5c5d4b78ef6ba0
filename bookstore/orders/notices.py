"""Mail about purchases: whoever has to know of a step is told once it is done, in their own language.

``states.move`` leaves each step with the session, and a commit makes it certain. What is not committed is never told.
"""

import logging
from collections.abc import Iterator
from typing import Any

from flask import Flask, Response, g, has_request_context
from flask_babel import lazy_gettext as _l
from sqlalchemy import event, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, joinedload

from .. import mail
from ..accounts.models import User
from ..catalog.models import Book
from ..extensions import db
from ..i18n import speaking
from ..payments.forms import THANKS
from ..payments.models import Method, Payment, PaymentStatus
from .models import Purchase
from .states import STEPS

log = logging.getLogger(__name__)
# Subject and text of each mail.
_PLACED = {method: (_l("Your order"), thanks) for method, thanks in THANKS.items()}
_PAID = (_l("Paid"), _l("We have your payment."))
_SOLD = (_l("Sold"), _l("Your book is sold. Please send it as soon as the page shows the buyer's address."))
_SHIPPED = (_l("On its way"), _l("The seller has sent your parcel."))
_CANCELLED = (_l("Cancelled"), _l("This purchase is cancelled. What was paid for it is given back."))


def init_app(app: Flask) -> None:
    """Tell of the steps that a request has done."""
    app.after_request(_tell)


@event.listens_for(db.session, "after_commit")
def _keep(session: Session) -> None:
    steps = session.info.pop(STEPS, [])
    if steps and has_request_context() and mail.enabled():
        g.setdefault(STEPS, []).extend(steps)


@event.listens_for(db.session, "after_rollback")
def _forget(session: Session) -> None:
    session.info.pop(STEPS, None)


def _tell(response: Response) -> Response:
    for purchase_id, step in g.pop(STEPS, ()):
        try:
            _send(purchase_id, step)
        except SQLAlchemyError as error:
            # The step itself is done.
            log.error("nobody was told of %s of purchase %s: %s", step, purchase_id, getattr(error, "orig", error))
    return response


def _send(purchase_id: int, step: str) -> None:
    options = (
        joinedload(Purchase.book, innerjoin=True).joinedload(Book.seller, innerjoin=True),
        joinedload(Purchase.buyer, innerjoin=True),
        joinedload(Purchase.payment),
        joinedload(Purchase.delivery),
    )
    wanted = select(Purchase).where(Purchase.id == purchase_id).options(*options)
    purchase = db.session.scalars(wanted.execution_options(populate_existing=True)).one()
    for person, (subject, text) in _letters(purchase, purchase.payment, step):
        if person.email_verified_at is None or person.deleted_at is not None:
            continue
        with speaking(person.language):
            link = mail.link("orders.purchase", purchase_id=purchase.id)
            message = mail.compose(
                person.email, "purchase", purchase=purchase, person=person, subject=subject, text=text, link=link
            )
        mail.send_later(message)


def _letters(purchase: Purchase, payment: Payment | None, step: str) -> Iterator[tuple[User, tuple[Any, Any]]]:
    """Who gets which mail."""
    buyer, seller = purchase.buyer, purchase.book.seller
    cash = payment is not None and payment.method == Method.CASH_ON_DELIVERY
    if step == "purchase.placed" and payment is not None:
        yield buyer, _PLACED[Method(payment.method)]
    elif step == "purchase.paid":
        yield buyer, _PAID
    elif step == "delivery.shipped":
        yield buyer, _SHIPPED
    elif step == "purchase.cancelled" and payment is not None:
        yield buyer, _CANCELLED
    # The seller hears of it when it is time to send the book, and when it is no longer.
    if step == ("purchase.placed" if cash else "purchase.paid"):
        yield seller, _SOLD
    elif step == "purchase.cancelled" and payment and (cash or payment.status == PaymentStatus.REFUND_DUE):
        yield seller, _CANCELLED
