"""Everything that the store knows about a person, as JSON."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import Select, select

from ..admin.models import Report
from ..catalog.models import Book
from ..extensions import db
from ..orders.models import Purchase, Rating
from ..payments.models import Payment
from ..shipping.models import Delivery, DeliveryProvider
from .models import User

_BATCH = 500
_Rows = Select[*tuple[Any, ...]]


def export(user: User) -> Iterator[str]:
    """The pieces of one JSON object; read in batches, so that memory does not grow with a seller's books."""
    names = ("id", "name", "email", "email_verified_at", "role", "language", "created_at", "rating_count", "rating_sum")
    yield '{"profile": ' + _json({name: getattr(user, name) for name in names})
    for name, query, key in _parts(user.id):
        yield f',\n"{name}": ['
        last, comma = None, ""
        while rows := db.session.execute(_after(query, key, last)).all():
            for row in rows:
                yield comma + _json(dict(row._mapping))
                comma = ",\n"
            last = rows[-1][0]
        yield "]"
    yield "}\n"


def _parts(user_id: int) -> Iterator[tuple[str, _Rows, Any]]:
    """Name, rows and key of each list. The key is the first column."""
    yield (
        "books",
        select(
            Book.id, Book.title, Book.author, Book.description, Book.price, Book.stock, Book.status, Book.condition,
            Book.condition_notes, Book.category, Book.language, Book.isbn, Book.created_at,
        ).where(Book.seller_id == user_id),
        Book.id,
    )  # fmt: skip
    yield "purchases", _purchases().where(Purchase.buyer_id == user_id), Purchase.id
    rating = (Rating.id, Rating.purchase_id, Rating.stars, Rating.comment, Rating.created_at)
    given = select(*rating).join(Purchase, Purchase.id == Rating.purchase_id).where(Purchase.buyer_id == user_id)
    yield "ratings_given", given, Rating.id
    yield "ratings_received", select(*rating).where(Rating.seller_id == user_id), Rating.id
    yield (
        "reports",
        select(
            Report.id, Report.book_id, Report.reason, Report.details, Report.status, Report.created_at
        ).where(Report.reporter_id == user_id),
        Report.id,
    )  # fmt: skip


def _purchases() -> _Rows:
    return (
        select(
            Purchase.id,
            Purchase.book_id,
            Book.title,
            Purchase.quantity,
            Purchase.unit_price,
            Purchase.total,
            Purchase.status,
            Purchase.created_at,
            Payment.method.label("payment_method"),
            Payment.amount.label("payment_amount"),
            Payment.status.label("payment_status"),
            Payment.created_at.label("payment_created_at"),
            DeliveryProvider.name.label("delivery_provider"),
            Delivery.cost.label("delivery_cost"),
            Delivery.status.label("delivery_status"),
            Delivery.recipient.label("delivery_recipient"),
            Delivery.address.label("delivery_address"),
            Delivery.city.label("delivery_city"),
            Delivery.phone.label("delivery_phone"),
            Delivery.tracking_number.label("delivery_tracking_number"),
        )
        .join(Book, Book.id == Purchase.book_id)
        .outerjoin(Payment, Payment.purchase_id == Purchase.id)
        .outerjoin(Delivery, Delivery.purchase_id == Purchase.id)
        .outerjoin(DeliveryProvider, DeliveryProvider.id == Delivery.provider_id)
    )


def _after(query: _Rows, key: Any, last: Any) -> _Rows:
    query = query.order_by(key).limit(_BATCH)
    return query if last is None else query.where(key > last)


def _json(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> str:
    # Money as text: a number of JSON is no exact one to most readers.
    return value.isoformat() if isinstance(value, datetime) else str(value)
