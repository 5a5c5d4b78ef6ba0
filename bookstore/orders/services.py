"""Buying books, cancelling, and giving back what was not paid for."""

import logging
from datetime import datetime
from typing import NamedTuple

from flask import current_app
from flask_babel import lazy_gettext as _l
from sqlalchemy import bindparam, func, insert, literal, select, type_coerce, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import joinedload, selectinload
from sqlalchemy.sql.elements import ColumnElement

from ..accounts.models import User
from ..catalog.models import Book, BookStatus
from ..columns import utcnow
from ..errors import Conflict, Forbidden, InvalidInput, NotFound, StoreError
from ..extensions import db
from ..pagination import Page, newest_first
from ..payments.models import Payment, PaymentStatus
from ..shipping.models import Delivery, DeliveryStatus
from ..transactions import retried
from .models import Purchase, PurchaseStatus, Rating
from .states import PURCHASE, IllegalTransition, move

log = logging.getLogger(__name__)
# With the highest price this keeps a total within NUMERIC(12, 2).
MAX_QUANTITY = 100
# So that nobody can empty the store by reserving everything again and again.
MAX_OPEN_RESERVATIONS = 100
MAX_COMMENT = 1000
_BATCH = 200
_WITH_ALL = (
    joinedload(Purchase.book, innerjoin=True),
    joinedload(Purchase.payment),
    joinedload(Purchase.delivery).joinedload(Delivery.provider),
)
# These two statements are a purchase. They are on the tables and not the models: nothing is read back afterwards.
_BOOKS, _PURCHASES = Book.metadata.tables["books"], Purchase.metadata.tables["purchases"]
_TAKE = (
    update(_BOOKS)
    .where(
        _BOOKS.c.id == bindparam("book"),
        _BOOKS.c.status == BookStatus.ACTIVE,
        _BOOKS.c.seller_id != bindparam("buyer"),
        _BOOKS.c.stock >= bindparam("copies"),
    )
    .values(stock=_BOOKS.c.stock - bindparam("copies"))
)
_OPEN_RESERVATIONS = (
    select(func.count())
    .where(_PURCHASES.c.buyer_id == bindparam("buyer"), _PURCHASES.c.status == PurchaseStatus.RESERVED)
    .scalar_subquery()
)
_SOLD = {
    _PURCHASES.c.buyer_id: bindparam("buyer"),
    _PURCHASES.c.book_id: _BOOKS.c.id,
    _PURCHASES.c.idempotency_key: bindparam("key"),
    _PURCHASES.c.quantity: bindparam("copies"),
    # The book's row is locked since _TAKE: this is the price that it is sold at.
    _PURCHASES.c.unit_price: _BOOKS.c.price,
    _PURCHASES.c.total: _BOOKS.c.price * bindparam("copies"),
    _PURCHASES.c.status: literal(PurchaseStatus.RESERVED),
    _PURCHASES.c.reserved_until: bindparam("until"),
    _PURCHASES.c.created_at: bindparam("now"),
}
_SELL = insert(_PURCHASES).from_select(
    list(_SOLD),
    select(*(type_coerce(value, column.type) for column, value in _SOLD.items())).where(
        _BOOKS.c.id == bindparam("book"), _OPEN_RESERVATIONS < MAX_OPEN_RESERVATIONS
    ),
)


class Reservation(NamedTuple):
    """What a form to buy has come to: a purchase's id, and the state that it is in."""

    id: int
    status: str


class OutOfStock(StoreError):
    """Fewer copies are left than asked for."""

    status = 400
    message = _l("There are not enough copies left. Please choose a smaller quantity.")


class OwnBook(Forbidden):
    """Sellers cannot buy from themselves."""

    message = _l("You cannot buy your own book.")


class TooManyReservations(Conflict):
    """The buyer holds many books without paying."""

    message = _l("You have reserved many books already. Please pay for them or cancel some first.")


class NotRateable(Conflict):
    """Only who paid can rate, once, and not before the seller has sent the parcel."""

    message = _l("A purchase can be rated once, after it is paid and sent.")


def next_key(buyer: User) -> str:
    """The idempotency key for forms that are shown to the buyer now.

    It names the buyer's latest purchase: forms that were open side by side carry the same one, and after a
    purchase new forms carry another.
    """
    return f"after-{db.session.scalar(select(func.max(Purchase.id)).where(Purchase.buyer_id == buyer.id)) or 0}"


@retried
def buy(buyer: User, book_id: int, quantity: int, key: str | None = None) -> Reservation:
    """Reserve copies of a book for the buyer at its present price.

    One conditional UPDATE takes the copies, so however many buy at once, no copy is sold twice.

    Args:
        buyer: who buys.
        book_id: what.
        quantity: how many copies.
        key: the form's idempotency key; a form that comes again meets the purchase that it made.

    Raises:
        InvalidInput: the quantity is out of range.
        NotFound: the book does not exist or is not on sale.
        OwnBook: the buyer sells it.
        OutOfStock: fewer copies are left.
        TooManyReservations: the buyer should pay first.
    """
    if not 1 <= quantity <= MAX_QUANTITY:
        raise InvalidInput(_l("The quantity must be a whole number between 1 and 100."))
    buyer_id = buyer.id
    try:
        return _reserve(buyer_id, book_id, quantity, key)
    except (OutOfStock, TooManyReservations, IntegrityError) as refusal:
        db.session.rollback()
        # The form may have come before, and have taken the last copy or the buyer's last reservation. To ask that
        # first would cost each purchase a trip, for the few forms that come twice.
        if key and (known := _made_before(buyer_id, book_id, key)):
            return known
        if isinstance(refusal, OutOfStock):
            raise _why_not(buyer_id, book_id) from None
        raise


def _reserve(buyer_id: int, book_id: int, quantity: int, key: str | None) -> Reservation:
    now = utcnow()
    wanted = {"book": book_id, "buyer": buyer_id, "copies": quantity}
    connection = db.session.connection()
    if not connection.execute(_TAKE, wanted).rowcount:
        raise OutOfStock
    until = now + current_app.config["RESERVATION"]
    sale = connection.execute(_SELL, wanted | {"key": key, "now": now, "until": until})
    if not sale.rowcount:
        raise TooManyReservations
    reservation = Reservation(sale.lastrowid, PurchaseStatus.RESERVED)
    db.session.commit()
    return reservation


def _made_before(buyer_id: int, book_id: int, key: str) -> Reservation | None:
    made = db.session.execute(
        select(Purchase.id, Purchase.status).where(
            Purchase.buyer_id == buyer_id, Purchase.book_id == book_id, Purchase.idempotency_key == key
        )
    ).one_or_none()
    return Reservation(*made) if made else None


def _why_not(buyer_id: int, book_id: int) -> StoreError:
    book = db.session.get(Book, book_id)
    if book is None or book.status != BookStatus.ACTIVE:
        return NotFound(_l("This book is no longer on sale."))
    return OwnBook() if book.seller_id == buyer_id else OutOfStock()


def own_purchase(purchase_id: int, buyer: User, *, lock: bool = False) -> Purchase:
    """The buyer's own purchase with its book, payment and delivery.

    Args:
        purchase_id: which.
        buyer: whose.
        lock: keep others from changing it until the transaction ends.

    Raises:
        NotFound: there is none; somebody else's is not told apart from that.
    """
    return find_purchase(purchase_id, Purchase.buyer_id == buyer.id, lock=lock)


def find_purchase(purchase_id: int, whose: ColumnElement[bool], *, lock: bool = False) -> Purchase:
    """The purchase with its book, payment and delivery, if it meets a condition.

    Raises:
        NotFound: there is none that does.
    """
    if lock:
        # The row alone first: locking a join would lock the book, which other buyers need.
        db.session.execute(select(Purchase.id).where(Purchase.id == purchase_id).with_for_update())
    purchase = db.session.scalar(
        select(Purchase)
        .join(Purchase.book)
        .where(Purchase.id == purchase_id, whose)
        .options(*_WITH_ALL)
        .execution_options(populate_existing=True)
    )
    if purchase is None:
        raise NotFound(_l("We could not find this purchase among yours."))
    return purchase


def purchase_page(purchase_id: int, person: User) -> Purchase:
    """A purchase with its history, for its buyer or its seller.

    Raises:
        NotFound: there is none, or the person is neither.
    """
    purchase = db.session.scalar(
        select(Purchase)
        .join(Purchase.book)
        .where(Purchase.id == purchase_id, (Purchase.buyer_id == person.id) | (Book.seller_id == person.id))
        .options(
            *_WITH_ALL,
            joinedload(Purchase.book, innerjoin=True).joinedload(Book.seller, innerjoin=True),
            joinedload(Purchase.buyer, innerjoin=True),
            joinedload(Purchase.rating),
            selectinload(Purchase.events),
        )
    )
    if purchase is None:
        raise NotFound(_l("We could not find this purchase among yours."))
    return purchase


def purchases_of(buyer: User, after: str | None) -> Page[Purchase]:
    """A page of the buyer's purchases with books, payments and deliveries, newest first."""
    return newest_first(select(Purchase).where(Purchase.buyer_id == buyer.id).options(*_WITH_ALL), Purchase.id, after)


def sales_of(seller: User, after: str | None) -> Page[Purchase]:
    """A page of what others buy from the seller, newest first; unfinished reservations are left out."""
    placed = (PurchaseStatus.PLACED, PurchaseStatus.PAID, PurchaseStatus.COMPLETED, PurchaseStatus.CANCELLED)
    query = (
        select(Purchase)
        .join(Purchase.book)
        .where(Book.seller_id == seller.id, Purchase.status.in_(placed))
        .options(*_WITH_ALL, joinedload(Purchase.buyer, innerjoin=True))
    )
    return newest_first(query, Purchase.id, after)


def all_purchases(status: str | None, after: str | None) -> Page[Purchase]:
    """A page of everybody's purchases, for the staff; ``status`` leaves those in one state."""
    query = select(Purchase).options(*_WITH_ALL, joinedload(Purchase.buyer, innerjoin=True))
    if status in PURCHASE:
        query = query.where(Purchase.status == status)
    return newest_first(query, Purchase.id, after)


@retried
def cancel_purchase(purchase_id: int, person: User) -> str | None:
    """End a purchase before it is shipped, as its buyer or its seller, and put the copies back on sale.

    Money that was paid is then due back.

    Returns:
        The gateway's name for a card payment that was begun, if there is one.

    Raises:
        NotFound: there is none, or the person is neither.
        IllegalTransition: it is shipped, or has ended.
    """
    purchase = find_purchase(purchase_id, (Purchase.buyer_id == person.id) | (Book.seller_id == person.id), lock=True)
    delivery = purchase.delivery
    reference = purchase.payment.reference if purchase.payment else None
    if delivery and delivery.status in (DeliveryStatus.SHIPPED, DeliveryStatus.DELIVERED):
        raise IllegalTransition(_l("The parcel is on its way already, so this can no longer be cancelled."))
    _end(purchase, PurchaseStatus.CANCELLED, person.id)
    db.session.commit()
    return reference


def _end(purchase: Purchase, state: PurchaseStatus, actor_id: int | None) -> None:
    move(Purchase, purchase.id, purchase.id, state, actor_id=actor_id)
    db.session.execute(
        update(Book).where(Book.id == purchase.book_id).values(stock=Book.stock + purchase.quantity),
        execution_options={"synchronize_session": False},
    )
    if purchase.delivery:
        move(Delivery, purchase.delivery.id, purchase.id, DeliveryStatus.CANCELLED, actor_id=actor_id)
    if purchase.payment:
        paid = purchase.payment.status == PaymentStatus.COMPLETED
        to = PaymentStatus.REFUND_DUE if paid else PaymentStatus.CANCELLED
        move(Payment, purchase.payment.id, purchase.id, to, actor_id=actor_id)


def expire_purchases(now: datetime | None = None) -> int:
    """Give the copies of unpaid purchases back whose time is over; return how many ended.

    Safe to run on several hosts at once: only the one whose UPDATE meets a purchase that still waits gives its
    copies back. One that cannot be ended is logged and does not hold up the others.
    """
    now = now or utcnow()
    ended = 0
    last = 0
    overdue = (
        Purchase.status.in_((PurchaseStatus.RESERVED, PurchaseStatus.PLACED)),
        Purchase.reserved_until <= now,
    )
    while batch := db.session.scalars(
        select(Purchase.id).where(*overdue, Purchase.id > last).order_by(Purchase.id).limit(_BATCH)
    ).all():
        # Another host may expire the same ones: do not hold this snapshot while working.
        db.session.rollback()
        for purchase_id in batch:
            try:
                ended += _expire(purchase_id, now)
            except DBAPIError as error:
                db.session.rollback()
                log.error("purchase %s could not be expired: %s", purchase_id, error.orig)
        last = batch[-1]
    db.session.rollback()
    return ended


@retried
def _expire(purchase_id: int, now: datetime) -> int:
    try:
        purchase = find_purchase(purchase_id, Purchase.reserved_until <= now, lock=True)
        _end(purchase, PurchaseStatus.EXPIRED, None)
    except (NotFound, IllegalTransition):
        # Paid, cancelled or expired by somebody else since it was read.
        db.session.rollback()
        return 0
    db.session.commit()
    return 1


def complete_if_done(purchase_id: int, actor_id: int | None) -> None:
    """Complete a purchase that is both paid and delivered; the caller commits."""
    done = db.session.scalar(
        select(Purchase.id)
        .join(Purchase.delivery)
        .where(
            Purchase.id == purchase_id,
            Purchase.status == PurchaseStatus.PAID,
            Delivery.status == DeliveryStatus.DELIVERED,
        )
    )
    if done:
        move(Purchase, purchase_id, purchase_id, PurchaseStatus.COMPLETED, actor_id=actor_id)


@retried
def rate(purchase_id: int, buyer: User, stars: int, comment: str) -> Rating:
    """Rate the seller of a purchase that is paid and sent, once.

    Raises:
        InvalidInput: the stars are not from 1 to 5.
        NotFound: the buyer has no such purchase.
        NotRateable: it is not paid or not sent, or is rated already.
    """
    if not 1 <= stars <= 5:
        raise InvalidInput(_l("Please choose from one to five stars."))
    purchase = own_purchase(purchase_id, buyer, lock=True)
    if not purchase.can_be_rated:
        raise NotRateable
    seller_id = purchase.book.seller_id
    rating = Rating(purchase_id=purchase_id, seller_id=seller_id, stars=stars, comment=comment[:MAX_COMMENT])
    db.session.add(rating)
    try:
        db.session.flush()
    except IntegrityError:
        db.session.rollback()
        raise NotRateable from None
    db.session.execute(
        update(User)
        .where(User.id == seller_id)
        .values(rating_count=User.rating_count + 1, rating_sum=User.rating_sum + stars),
        execution_options={"synchronize_session": False},
    )
    db.session.commit()
    return rating
