"""Reporting a listing."""

from flask_babel import lazy_gettext as _l
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import joinedload

from ..accounts.models import User
from ..catalog.models import Book, BookStatus
from ..errors import Conflict, Forbidden, InvalidInput, NotFound
from ..extensions import db
from .models import Report, ReportReason


class OwnBook(Forbidden):
    """Sellers take their own books off sale instead."""

    message = _l("You cannot report your own book.")


class AlreadyReported(Conflict):
    """One report for each person and book is enough."""

    message = _l("You have reported this book already. Thank you: we look at every report.")


def reportable_book(reporter: User, book_id: int) -> Book:
    """The book, with its seller, if this person may report it.

    Raises:
        NotFound: there is none, or it is off sale for good.
        OwnBook: the reporter sells it.
        AlreadyReported: they did so before.
    """
    book = db.session.get(Book, book_id, options=[joinedload(Book.seller, innerjoin=True)])
    if book is None or book.status == BookStatus.ARCHIVED:
        raise NotFound(_l("This book is no longer on sale."))
    if book.seller_id == reporter.id:
        raise OwnBook
    if db.session.scalar(select(Report.id).where(Report.book_id == book_id, Report.reporter_id == reporter.id)):
        raise AlreadyReported
    return book


def report_book(reporter: User, book_id: int, reason: str, details: str) -> None:
    """Report a listing.

    Raises:
        InvalidInput: there is no such reason.
        NotFound, OwnBook, AlreadyReported: see ``reportable_book``.
    """
    if reason not in list(ReportReason):
        raise InvalidInput(_l("Please choose one of the reasons."))
    reportable_book(reporter, book_id)
    db.session.add(Report(book_id=book_id, reporter_id=reporter.id, reason=reason, details=details))
    try:
        db.session.commit()
    except IntegrityError:
        # Sent twice at once, or the seller deleted the book at this moment.
        db.session.rollback()
        reportable_book(reporter, book_id)
        raise Conflict from None
