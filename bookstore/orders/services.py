"""Buying books, and giving back what was not paid for."""

from datetime import datetime

from flask import current_app
from flask_babel import lazy_gettext as _l
from sqlalchemy import Result, select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import joinedload

from ..accounts.models import User
from ..catalog.models import Book, BookStatus
from ..columns import utcnow
from ..errors import Forbidden, InvalidInput, NotFound, StoreError
from ..extensions import db
from ..pagination import Page, newest_first
from ..shipping.models import Delivery
from .models import Purchase, PurchaseStatus

# With the highest price this keeps a total within NUMERIC(12, 2).
MAX_QUANTITY = 100
_BATCH = 200


class OutOfStock(StoreError):
    """Fewer copies are left than asked for."""

    status = 400
    message = _l("There are not enough copies left. Please choose a smaller quantity.")


class OwnBook(Forbidden):
    """Sellers cannot buy from themselves."""

    message = _l("You cannot buy your own book.")


def buy(buyer: User, book_id: int, quantity: int) -> Purchase:
    """Reserve copies of a book for the buyer at its present price.

    One conditional UPDATE takes the copies, so however many buy at once, no copy is sold twice.

    Raises:
        InvalidInput: the quantity is out of range.
        NotFound: the book does not exist or is not on sale.
        OwnBook: the buyer sells it.
        OutOfStock: fewer copies are left.
    """
    if not 1 <= quantity <= MAX_QUANTITY:
        raise InvalidInput(_l("The quantity must be a whole number between 1 and 100."))
    taken = rows(
        db.session.execute(
            update(Book)
            .where(
                Book.id == book_id,
                Book.status == BookStatus.ACTIVE,
                Book.seller_id != buyer.id,
                Book.stock >= quantity,
            )
            .values(stock=Book.stock - quantity),
            execution_options={"synchronize_session": False},
        )
    )
    if not taken:
        db.session.rollback()
        raise _why_not(buyer, book_id)
    # The row is locked since the UPDATE: this is the price that it is sold at.
    price = db.session.execute(select(Book.price).where(Book.id == book_id)).scalar_one()
    now = utcnow()
    purchase = Purchase(
        buyer_id=buyer.id,
        book_id=book_id,
        quantity=quantity,
        unit_price=price,
        total=price * quantity,
        reserved_until=now + current_app.config["RESERVATION"],
        created_at=now,
    )
    db.session.add(purchase)
    db.session.commit()
    return purchase


def _why_not(buyer: User, book_id: int) -> StoreError:
    book = db.session.get(Book, book_id)
    if book is None or book.status != BookStatus.ACTIVE:
        return NotFound(_l("This book is no longer on sale."))
    return OwnBook() if book.seller_id == buyer.id else OutOfStock()


def own_purchase(purchase_id: int, buyer: User) -> Purchase:
    """The buyer's own purchase with its book and delivery.

    Raises:
        NotFound: there is none; somebody else's is not told apart from that.
    """
    purchase = db.session.scalar(
        select(Purchase)
        .where(Purchase.id == purchase_id, Purchase.buyer_id == buyer.id)
        .options(joinedload(Purchase.book, innerjoin=True), joinedload(Purchase.delivery))
    )
    if purchase is None:
        raise NotFound(_l("We could not find this purchase among yours."))
    return purchase


def purchases_of(buyer: User, after: str | None) -> Page[Purchase]:
    """A page of the buyer's purchases with books and deliveries, newest first."""
    query = (
        select(Purchase)
        .where(Purchase.buyer_id == buyer.id)
        .options(
            joinedload(Purchase.book, innerjoin=True),
            joinedload(Purchase.delivery).joinedload(Delivery.provider),
        )
    )
    return newest_first(query, Purchase.id, after)


def expire_purchases(now: datetime | None = None) -> int:
    """Give the copies of unpaid purchases back whose time is over; return how many ended.

    Safe to run on several hosts at once: only the one whose UPDATE meets a purchase that is
    still reserved gives its copies back.
    """
    now = now or utcnow()
    ended = 0
    last = 0
    overdue = (Purchase.status == PurchaseStatus.RESERVED, Purchase.reserved_until <= now)
    while batch := db.session.execute(
        select(Purchase.id, Purchase.book_id, Purchase.quantity)
        .where(*overdue, Purchase.id > last)
        .order_by(Purchase.id)
        .limit(_BATCH)
    ).all():
        # Another host may expire the same ones: do not hold this snapshot while working.
        db.session.rollback()
        for purchase_id, book_id, quantity in batch:
            ended += _expire(purchase_id, book_id, quantity, now)
        last = batch[-1][0]
    db.session.rollback()
    return ended


def _expire(purchase_id: int, book_id: int, quantity: int, now: datetime) -> int:
    unsynchronised = {"synchronize_session": False}
    changed = rows(
        db.session.execute(
            update(Purchase)
            .where(
                Purchase.id == purchase_id,
                Purchase.status == PurchaseStatus.RESERVED,
                Purchase.reserved_until <= now,
            )
            .values(status=PurchaseStatus.EXPIRED),
            execution_options=unsynchronised,
        )
    )
    if changed:
        db.session.execute(
            update(Book).where(Book.id == book_id).values(stock=Book.stock + quantity),
            execution_options=unsynchronised,
        )
    db.session.commit()
    return changed


def rows(result: Result[tuple[()]]) -> int:
    """How many rows an UPDATE matched."""
    return result.rowcount if isinstance(result, CursorResult) else 0
