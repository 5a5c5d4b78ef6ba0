"""Tables of the administration."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from ..accounts.models import User
from ..catalog.models import Book
from ..columns import UTCDateTime, utcnow
from ..extensions import Model


class ReportReason(StrEnum):
    """Why somebody reports a listing."""

    WRONG_DESCRIPTION = "wrong_description"
    COUNTERFEIT = "counterfeit"
    OFFENSIVE = "offensive"
    NOT_A_BOOK = "not_a_book"
    OTHER = "other"


class ReportStatus(StrEnum):
    """Where a report stands."""

    OPEN = "open"
    UPHELD = "upheld"
    DISMISSED = "dismissed"


class Report(Model):
    """A listing that somebody thinks should not be there; one for each person and book."""

    __tablename__ = "reports"
    __table_args__ = (
        UniqueConstraint("book_id", "reporter_id", name="uq_reports_book_id"),
        Index("ix_reports_status", "status"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    book_id: Mapped[int] = mapped_column(ForeignKey("books.id"))
    reporter_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    reason: Mapped[str] = mapped_column(String(30))
    details: Mapped[str] = mapped_column(String(1000), default="")
    status: Mapped[str] = mapped_column(String(20), default=ReportStatus.OPEN)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)

    book: Mapped[Book] = relationship(lazy="raise")
    reporter: Mapped[User] = relationship(lazy="raise")


class AuditEntry(Model):
    """One administrative act. Rows are only ever added."""

    __tablename__ = "audit_entries"

    id: Mapped[int] = mapped_column(primary_key=True)
    # None: a command on the host.
    actor_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    # What was done, and to what: payment.confirm, payment 17.
    action: Mapped[str] = mapped_column(String(50))
    target: Mapped[str] = mapped_column(String(100))
    details: Mapped[str] = mapped_column(String(500), default="")
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)

    actor: Mapped[User | None] = relationship(lazy="raise")
