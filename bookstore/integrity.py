"""``flask check-integrity``: whether what the tables and folders say fits together.

It only reads, batch by batch along primary keys, so it can run beside the busy store. What must agree at one moment is
read by one statement. Its lines hold ids, no personal data.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import click
from flask import current_app
from flask.cli import with_appcontext
from sqlalchemy import Row, Select, func, select
from sqlalchemy.orm import InstrumentedAttribute

from .accounts.models import User
from .catalog.models import Book, BookStatus, BookTerm
from .catalog.search import book_terms
from .columns import utcnow
from .extensions import db
from .orders.models import Purchase, PurchaseStatus, Rating
from .payments.models import Method, Payment, PaymentStatus
from .shipping.models import Delivery, DeliveryStatus

BATCH = 500
# As many books' words are compared, spread over the catalogue, unless all are wanted.
SAMPLE = 10_000
# The timer that ends reservations runs each minute.
LATE = timedelta(hours=1)
COVER_SIZES = ("small", "large")
_REFUNDS = {PaymentStatus.REFUND_DUE, PaymentStatus.REFUNDED}
_ENDED = ({None, PaymentStatus.CANCELLED, *_REFUNDS}, {None, DeliveryStatus.CANCELLED})
# What payment and what delivery a purchase in each state may have; None is none. A refund beside a purchase that still
# waits is of money that was not the right amount.
AGREES: dict[str, tuple[set[Any], set[Any]]] = {
    PurchaseStatus.RESERVED: ({None, PaymentStatus.PENDING, *_REFUNDS}, {None, DeliveryStatus.PENDING}),
    PurchaseStatus.PLACED: (
        {PaymentStatus.PENDING, *_REFUNDS},
        {None, DeliveryStatus.PENDING, DeliveryStatus.SHIPPED, DeliveryStatus.DELIVERED},
    ),
    PurchaseStatus.PAID: ({PaymentStatus.COMPLETED}, {None, DeliveryStatus.PENDING, DeliveryStatus.SHIPPED}),
    PurchaseStatus.COMPLETED: ({PaymentStatus.COMPLETED}, {DeliveryStatus.DELIVERED}),
    PurchaseStatus.CANCELLED: _ENDED,
    PurchaseStatus.EXPIRED: _ENDED,
}
_WAITING = {PurchaseStatus.RESERVED, PurchaseStatus.PLACED}
_SENT = {DeliveryStatus.SHIPPED, DeliveryStatus.DELIVERED}
Findings = Iterator[str]
AnyRow = Row[*tuple[Any, ...]]


def books() -> Findings:
    """Stocks below zero, and states that no book has."""
    for book_id, stock, status in _rows(select(Book.id, Book.stock, Book.status), Book.id):
        if stock < 0:
            yield f"book {book_id}: stock is {stock}"
        if status not in list(BookStatus):
            yield f"book {book_id}: status is {status!r}"


def purchases() -> Findings:
    """Purchases that do not agree with their payment and delivery, or that the timer forgot."""
    query = (
        select(
            Purchase.id,
            Purchase.status,
            Purchase.quantity,
            Purchase.unit_price,
            Purchase.total,
            Purchase.reserved_until,
            Payment.status.label("payment"),
            Payment.amount,
            Payment.method,
            Delivery.status.label("delivery"),
        )
        .outerjoin(Payment, Payment.purchase_id == Purchase.id)
        .outerjoin(Delivery, Delivery.purchase_id == Purchase.id)
    )
    for row in _rows(query, Purchase.id):
        for fault in _faults(row):
            yield f"purchase {row.id}: {fault}"


def _faults(row: AnyRow) -> Findings:
    if row.status not in AGREES:
        yield f"status is {row.status!r}"
        return
    payments, deliveries = AGREES[row.status]
    if row.quantity * row.unit_price != row.total:
        yield "the total is not quantity times price"
    if row.payment not in payments:
        yield f"{row.status}, but its payment is {row.payment or 'missing'}"
    elif row.payment == PaymentStatus.COMPLETED and row.amount < row.total:
        yield f"{row.amount} is paid of {row.total}"
    if row.delivery not in deliveries:
        yield f"{row.status}, but its delivery is {row.delivery or 'missing'}"
    elif row.status == PurchaseStatus.PLACED and row.delivery in _SENT and row.method != Method.CASH_ON_DELIVERY:
        yield f"{row.delivery} before it is paid"
    if row.status in _WAITING and row.reserved_until < utcnow() - LATE:
        yield f"{row.status} and overdue; does the timer of expire-purchases run?"


def ratings() -> Findings:
    """Sellers whose number and sum of stars are not those of their ratings."""
    query = (
        select(
            User.id, User.rating_count, User.rating_sum, func.count(Rating.id), func.coalesce(func.sum(Rating.stars), 0)
        )
        .outerjoin(Rating, Rating.seller_id == User.id)
        .group_by(User.id, User.rating_count, User.rating_sum)
    )
    for user_id, count, total, real_count, real_total in _rows(query, User.id):
        if (count, total) != (real_count, int(real_total)):
            yield f"user {user_id}: {count} ratings of {total} stars, but there are {real_count} of {real_total}"


def words(every: bool) -> Findings:
    """Books that search does not find by their words or in the order of their price, or finds by others."""
    newest = db.session.scalar(select(func.max(Book.id))) or 0
    step = 1 if every else max(1, newest // SAMPLE)
    chosen = select(Book.id).where(Book.id % step == random.randrange(step))  # noqa: S311 - no secret
    keys = (row[0] for row in _rows(chosen, Book.id))
    while batch := list(islice(keys, BATCH)):
        query = (
            select(Book.id, Book.title, Book.author, Book.isbn, Book.price, BookTerm.term, BookTerm.price)
            .outerjoin(BookTerm, BookTerm.book_id == Book.id)
            .where(Book.id.in_(batch))
            .order_by(Book.id)
        )
        for (book_id, *names, price), group in groupby(db.session.execute(query), key=lambda row: tuple(row[:5])):
            if {(term, price) for term in book_terms(*names)} != {tuple(row[5:]) for row in group} - {(None, None)}:
                yield f"book {book_id}: its words are out of date; run rebuild-search"


def covers(folder: Path) -> Findings:
    """Covers whose files are missing."""
    for book_id, cover in _rows(select(Book.id, Book.cover).where(Book.cover.is_not(None)), Book.id):
        for size in COVER_SIZES:
            if not (folder / cover[:2] / f"{cover}-{size}.webp").is_file():
                yield f"book {book_id}: {cover[:12]}…-{size}.webp is missing"


def orphans(folder: Path) -> int:
    """How many files of covers belong to no book."""
    files = folder.glob("??/*-*.webp")
    alone = 0
    while batch := [path.name.split("-")[0] for path in islice(files, BATCH)]:
        used = set(db.session.scalars(select(Book.cover).where(Book.cover.in_(set(batch)))))
        alone += sum(cover not in used for cover in batch)
        db.session.rollback()
    return alone


def _rows(query: Select[*tuple[Any, ...]], key: InstrumentedAttribute[int]) -> Iterator[AnyRow]:
    """The rows of a query whose first column is this key, some at a time."""
    last = 0
    while batch := db.session.execute(query.where(key > last).order_by(key).limit(BATCH)).all():
        # Hold no snapshot, and on SQLite no lock, while the rows are looked at.
        db.session.rollback()
        yield from batch
        last = batch[-1][0]
    db.session.rollback()


@click.command("check-integrity")
@click.option("--all-words", is_flag=True, help="Compare the words of every book, not of some 10,000.")
@click.option("--most", default=20, show_default=True, type=click.IntRange(0), help="Lines of each kind to print.")
@with_appcontext
def check_integrity(all_words: bool, most: int) -> None:
    """Check that stocks, purchases, payments, deliveries, ratings, words and covers agree.

    Prints a line for each finding and a summary; exits with 1 if there is any.
    """
    checks: dict[str, Callable[[], Findings]] = {
        "books": books,
        "purchases": purchases,
        "ratings": ratings,
        "words": lambda: words(all_words),
    }
    folder = None
    if upload := current_app.config.get("UPLOAD_FOLDER"):
        folder = Path(upload) / "covers"
        checks["covers"] = lambda: covers(folder)
    found: Counter[str] = Counter()
    for name, check in checks.items():
        for finding in check():
            found[name] += 1
            if found[name] <= most:
                click.echo(finding)
        if found[name] > most:
            click.echo(f"{name}: {found[name] - most} more")
    alone = f"; {orphans(folder)} files of covers belong to no book" if folder else ""
    click.echo(f"{', '.join(checks)}: {found.total()} findings{alone}")
    if found:
        raise SystemExit(1)
