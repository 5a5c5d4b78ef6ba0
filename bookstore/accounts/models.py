"""Tables of the accounts domain."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from ..columns import UTCDateTime, exact_string, utcnow
from ..extensions import Model

UNUSABLE_PASSWORD = "!"  # noqa: S105 - no hash has this form, so no password fits


class Role(StrEnum):
    """What a person may do beyond buying and selling."""

    USER = "user"
    SUPPORT = "support"
    ADMINISTRATOR = "administrator"


class User(Model):
    """A person. Has the attributes that Flask-Login asks of a user."""

    __tablename__ = "users"
    # session_token below is no column.
    __allow_unmapped__ = True

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    # Stored in lower case, so that the constraint sees two spellings of one address as one.
    email: Mapped[str] = mapped_column(exact_string(254), unique=True)
    password_hash: Mapped[str] = mapped_column(String(255))
    role: Mapped[str] = mapped_column(String(20), default=Role.USER)
    # Of the mail to them: the one in which they last registered or logged in.
    language: Mapped[str] = mapped_column(String(5), default="es", server_default="es")
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    email_verified_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    # A deleted account keeps its row, without name and address, for the records of others.
    deleted_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    # What buyers gave this seller; kept here so that no page has to add them up.
    rating_count: Mapped[int] = mapped_column(default=0, server_default="0")
    rating_sum: Mapped[int] = mapped_column(default=0, server_default="0")

    is_active = True
    is_authenticated = True
    is_anonymous = False
    # The token of the session that this request belongs to; only its hash is stored.
    session_token: str | None = None

    def get_id(self) -> str | None:
        """What Flask-Login puts into the cookie: the session's token, not the user's id."""
        return self.session_token

    @property
    def is_admin(self) -> bool:
        """Whether this person is an administrator."""
        return self.role == Role.ADMINISTRATOR

    @property
    def is_staff(self) -> bool:
        """Whether this person works for the store."""
        return self.role in (Role.SUPPORT, Role.ADMINISTRATOR)


class UserSession(Model):
    """A log-in that is still valid; deleting the row ends it, whoever holds the cookie."""

    __tablename__ = "user_sessions"

    token_hash: Mapped[str] = mapped_column(exact_string(64), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime, index=True)


class LoginAttempt(Model):
    """A log-in that failed, or is being checked. Holds hashes, no e-mail address."""

    __tablename__ = "login_attempts"
    __table_args__ = (
        Index("ix_login_attempts_account", "account_hash", "attempted_at"),
        Index("ix_login_attempts_address", "address_hash", "attempted_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    account_hash: Mapped[str] = mapped_column(exact_string(64))
    address_hash: Mapped[str] = mapped_column(exact_string(64))
    attempted_at: Mapped[datetime] = mapped_column(UTCDateTime, index=True)
