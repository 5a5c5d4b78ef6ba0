"""Deleting an account. The row stays, without anything personal, for the records of those who dealt with it."""

from flask_babel import lazy_gettext as _l
from sqlalchemy import delete, exists, or_, select, update

from ..admin.models import Report
from ..catalog.models import Book, BookStatus
from ..columns import utcnow
from ..errors import Conflict
from ..extensions import db
from ..orders.models import Purchase, PurchaseStatus
from ..payments.models import Payment, PaymentStatus
from ..shipping.models import Delivery
from .models import UNUSABLE_PASSWORD, Role, User, UserSession
from .services import LastAdministrator, lock_administrators

DELETED_NAME = "—"
_QUIETLY = {"synchronize_session": False}


class PurchasesOpen(Conflict):
    """Somebody still waits for books or money."""

    message = _l(
        "There are purchases or sales that are not finished. You can delete your account once all of them"
        " are delivered, cancelled or refunded."
    )


def delete_account(user: User) -> None:
    """Delete an account: name, addresses, password and sessions go, and the books that nobody bought.

    Raises:
        LastAdministrator: nobody would be left to administer the store.
        PurchasesOpen: a purchase of the user, or of one of their books, is not finished.
    """
    user_id = user.id
    if user.is_admin and not lock_administrators() - {user_id}:
        db.session.rollback()
        raise LastAdministrator
    # First off sale, then the question: nobody can buy one in between.
    _take_books_off_sale(user_id)
    if db.session.scalar(select(_open_purchase(user_id))):
        db.session.rollback()
        raise PurchasesOpen
    _delete_unneeded_books(user_id)
    own = select(Purchase.id).where(Purchase.buyer_id == user_id)
    db.session.execute(
        update(Delivery).where(Delivery.purchase_id.in_(own)).values(recipient="", address="", city="", phone=""),
        execution_options=_QUIETLY,
    )
    db.session.execute(delete(UserSession).where(UserSession.user_id == user_id), execution_options=_QUIETLY)
    db.session.execute(
        update(User)
        .where(User.id == user_id)
        .values(
            name=DELETED_NAME,
            # Without an @ it is no address, so nobody can have registered it.
            email=f"deleted-{user_id}",
            email_verified_at=None,
            password_hash=UNUSABLE_PASSWORD,
            role=Role.USER,
            deleted_at=utcnow(),
        ),
        execution_options=_QUIETLY,
    )
    db.session.commit()


def _take_books_off_sale(user_id: int) -> None:
    db.session.execute(
        update(Book).where(Book.seller_id == user_id).values(status=BookStatus.ARCHIVED), execution_options=_QUIETLY
    )


def _open_purchase(user_id: int) -> exists:  # type: ignore[valid-type]
    """Whether somebody still waits: for the user, or the user for them."""
    overdue = (Purchase.status == PurchaseStatus.RESERVED) & (Purchase.reserved_until <= utcnow())
    waiting = Purchase.status.in_((PurchaseStatus.RESERVED, PurchaseStatus.PLACED, PurchaseStatus.PAID)) & ~overdue
    refund = exists().where(Payment.purchase_id == Purchase.id, Payment.status == PaymentStatus.REFUND_DUE)
    sold = Purchase.book_id.in_(select(Book.id).where(Book.seller_id == user_id))
    return exists().where(or_(Purchase.buyer_id == user_id, sold), or_(waiting, refund))


def _delete_unneeded_books(user_id: int) -> None:
    bought = exists().where(Purchase.book_id == Book.id)
    reported = exists().where(Report.book_id == Book.id)
    db.session.execute(delete(Book).where(Book.seller_id == user_id, ~bought, ~reported), execution_options=_QUIETLY)
