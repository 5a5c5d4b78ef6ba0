"""What people change about their own account."""

from collections.abc import Sequence

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError

from .. import mail
from ..columns import utcnow
from ..extensions import db
from . import mails, recovery
from .models import User, UserSession
from .passwords import hash_password
from .services import EmailTaken, check_length, normalise_email, session_hash

MOST_SESSIONS = 20


def rename(user: User, name: str) -> None:
    """Change the name that others see."""
    user.name = name
    db.session.commit()


def change_email(user: User, email: str, address: str) -> bool:
    """Change the e-mail address: at once, or, in a store that sends mail, by a link to the new one.

    Returns:
        Whether it is changed; False means that a link was sent.

    Raises:
        InvalidInput: it is no address.
        EmailTaken: somebody else has it, in a store that sends no mail.
        mail.MailFailed, throttle.TooManyRequests: see ``recovery.send_confirmation``.
    """
    email = normalise_email(email)
    if mail.enabled():
        recovery.send_confirmation(user, email, address)
        mail.send_later(mails.address_change(user))
        return False
    user.email, user.email_verified_at = email, None
    try:
        db.session.commit()
    except IntegrityError:
        db.session.rollback()
        raise EmailTaken from None
    return True


def change_password(user: User, password: str) -> None:
    """Set a new password and end the user's other sessions.

    Raises:
        InvalidInput: it is too short or too long.
    """
    check_length(password)
    user.password_hash = hash_password(password)
    end_other_sessions(user)


def sessions(user: User) -> Sequence[UserSession]:
    """The user's newest sessions, and one more than are shown if there are that many."""
    return db.session.scalars(
        select(UserSession)
        .where(UserSession.user_id == user.id, UserSession.expires_at > utcnow())
        .order_by(UserSession.created_at.desc())
        .limit(MOST_SESSIONS + 1)
    ).all()


def is_own(user: User, session: UserSession) -> bool:
    """Whether this session is the one that the request belongs to."""
    return session.token_hash == session_hash(user.session_token or "")


def end_other_sessions(user: User) -> None:
    """End all sessions of the user but this one."""
    db.session.execute(
        delete(UserSession).where(
            UserSession.user_id == user.id, UserSession.token_hash != session_hash(user.session_token or "")
        )
    )
    db.session.commit()
