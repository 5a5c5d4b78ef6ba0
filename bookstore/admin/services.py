"""What the people who run the store look at and do. Each act is written into the audit log with it."""

from dataclasses import dataclass
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import ScalarSelect, exists, func, or_, select, update
from sqlalchemy.orm import joinedload

from ..accounts.models import Role, User
from ..accounts.services import lock_administrators
from ..catalog.models import Book, BookStatus, BookTerm
from ..catalog.search import query_terms
from ..errors import Conflict, Forbidden, InvalidInput, NotFound
from ..extensions import db
from ..pagination import MAX_ID, Page, newest_first
from ..payments.models import Payment, PaymentStatus
from ..shipping.models import Delivery, DeliveryStatus
from . import audit
from .models import AuditEntry, Report, ReportStatus

MOST_COUNTED = 100
_QUIETLY = {"synchronize_session": False}


class OwnRole(Forbidden):
    """Administrators do not change their own role: nobody locks themselves out by mistake."""

    message = _l("You cannot change your own role.")


class AlreadyDone(Conflict):
    """Somebody else was quicker."""

    message = _l("Somebody else has dealt with this already.")


@dataclass(frozen=True)
class Waiting:
    """How much work there is; none of the numbers is above ``MOST_COUNTED`` + 1."""

    reports: int
    payments: int
    refunds: int
    deliveries: int


def waiting() -> Waiting:
    """Count what waits for the staff, as far as it matters, by one query."""
    counts = (
        _count(Report.id, Report.status == ReportStatus.OPEN),
        _count(Payment.id, Payment.status == PaymentStatus.PENDING),
        _count(Payment.id, Payment.status == PaymentStatus.REFUND_DUE),
        _count(Delivery.id, Delivery.status == DeliveryStatus.PENDING),
    )
    return Waiting(*db.session.execute(select(*counts)).one())


def _count(column: Any, condition: Any) -> ScalarSelect[int]:
    some = select(column).where(condition).limit(MOST_COUNTED + 1).subquery()
    return select(func.count()).select_from(some).scalar_subquery()


def users(search: str, after: str | None) -> Page[User]:
    """A page of users, newest first: all, or those whose address begins with a text or whose name holds it.

    Names have no index, so a text that is rare is looked for among all users.
    """
    query = select(User)
    if search:
        query = query.where(
            or_(User.email.startswith(search.lower(), autoescape=True), User.name.contains(search, autoescape=True))
        )
    return newest_first(query, User.id, after)


def user(user_id: int) -> User:
    """A user, deleted ones too.

    Raises:
        NotFound: there is none.
    """
    if (found := db.session.get(User, user_id)) is None:
        raise NotFound
    return found


def change_role(actor: User, user_id: int, role: str) -> None:
    """Give somebody another role.

    The administrators' rows are locked meanwhile: of two who take each other's role at once, one is late. As nobody
    changes their own role, one administrator is always left.

    Raises:
        InvalidInput: there is no such role.
        OwnRole: it is the actor's own account.
        Forbidden: the actor is no administrator any more.
        NotFound: there is no such account, or it is deleted.
    """
    if role not in list(Role):
        raise InvalidInput(_l("Please choose one of the roles."))
    if user_id == actor.id:
        raise OwnRole
    if actor.id not in lock_administrators():
        raise Forbidden
    target = db.session.get(User, user_id, populate_existing=True)
    if target is None or target.deleted_at:
        raise NotFound
    if target.role != role:
        audit.record(actor, "user.role", f"user {user_id}", f"{target.role} -> {role}")
        target.role = role
    db.session.commit()


def books(search: str, after: str | None) -> Page[Book]:
    """A page of listings in any state with their sellers, newest first: all, one by its number, or by words."""
    query = select(Book).options(joinedload(Book.seller, innerjoin=True))
    search = search.strip().removeprefix("#")
    if search.isascii() and search.isdigit() and int(search[:12]) <= MAX_ID:
        query = query.where(Book.id == int(search[:12]))
    elif search:
        terms = query_terms(search)
        if not terms:
            return Page([], None)
        for term in terms:
            query = query.where(exists().where(BookTerm.term == term, BookTerm.book_id == Book.id))
    return newest_first(query, Book.id, after)


def archive_book(actor: User, book_id: int) -> None:
    """Take a listing off sale for good.

    Raises:
        NotFound: there is none.
        AlreadyDone: it is archived.
    """
    if not _archive(book_id):
        db.session.rollback()
        raise NotFound if db.session.get(Book, book_id) is None else AlreadyDone
    audit.record(actor, "book.archive", f"book {book_id}")
    db.session.commit()


def _archive(book_id: int) -> int:
    changed = db.session.execute(
        update(Book).where(Book.id == book_id, Book.status != BookStatus.ARCHIVED).values(status=BookStatus.ARCHIVED),
        execution_options=_QUIETLY,
    )
    return int(changed.rowcount)  # type: ignore[attr-defined]


def reports(status: ReportStatus, after: str | None) -> Page[Report]:
    """A page of reports in a state, with book, seller and reporter, newest first."""
    query = (
        select(Report)
        .where(Report.status == status)
        .options(
            joinedload(Report.book, innerjoin=True).joinedload(Book.seller, innerjoin=True),
            joinedload(Report.reporter, innerjoin=True),
        )
    )
    return newest_first(query, Report.id, after)


def uphold_report(actor: User, report_id: int) -> None:
    """Agree with a report: its book goes off sale, and other open reports of it are settled too.

    Raises:
        NotFound: there is no such report.
        AlreadyDone: it is not open.
    """
    book_id = _settle(report_id, ReportStatus.UPHELD)
    _archive(book_id)
    db.session.execute(
        update(Report)
        .where(Report.book_id == book_id, Report.status == ReportStatus.OPEN)
        .values(status=ReportStatus.UPHELD),
        execution_options=_QUIETLY,
    )
    audit.record(actor, "report.uphold", f"report {report_id}", f"archived book {book_id}")
    db.session.commit()


def dismiss_report(actor: User, report_id: int) -> None:
    """Disagree with a report; the book stays.

    Raises:
        NotFound: there is no such report.
        AlreadyDone: it is not open.
    """
    book_id = _settle(report_id, ReportStatus.DISMISSED)
    audit.record(actor, "report.dismiss", f"report {report_id}", f"book {book_id}")
    db.session.commit()


def _settle(report_id: int, status: ReportStatus) -> int:
    """Move an open report to ``status``; return its book's id."""
    book_id = db.session.scalar(select(Report.book_id).where(Report.id == report_id))
    if book_id is None:
        raise NotFound
    changed = db.session.execute(
        update(Report).where(Report.id == report_id, Report.status == ReportStatus.OPEN).values(status=status),
        execution_options=_QUIETLY,
    )
    if not changed.rowcount:  # type: ignore[attr-defined]
        db.session.rollback()
        raise AlreadyDone
    return book_id


def audit_log(actor: int | None, after: str | None) -> Page[AuditEntry]:
    """A page of the audit log with who acted, newest first; of one person's acts if ``actor`` is given."""
    query = select(AuditEntry).options(joinedload(AuditEntry.actor))
    if actor is not None:
        query = query.where(AuditEntry.actor_id == actor)
    return newest_first(query, AuditEntry.id, after)
