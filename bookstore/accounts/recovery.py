"""What the links in mails do: confirm an address, choose a new password."""

import time

from sqlalchemy import delete, update
from sqlalchemy.exc import IntegrityError

from .. import mail
from ..columns import utcnow
from ..extensions import db
from . import mails, throttle
from .models import User, UserSession
from .passwords import hash_password
from .services import EmailTaken, check_length, find, normalise_email, wait_since
from .tokens import BadLink, Purpose, read_link_token


def send_confirmation(user: User, email: str, address: str) -> None:
    """Mail a link that makes ``email`` the user's confirmed address.

    An address that somebody else has gets a mail that says so; the visitor is not told.

    Raises:
        mail.MailOff: the store sends no mail.
        mail.MailFailed: the server did not take it.
        throttle.TooManyRequests: too many mails lately.
    """
    throttle.begin_attempt(f"user:{user.id}", address, throttle.MAIL)
    owner = find(email)
    mail.send(mails.confirmation(user, email) if owner in (None, user) else mails.taken(email))


def confirm_email(token: str) -> None:
    """Make the address in a link its user's.

    Raises:
        tokens.BadLink: the link is of no use any more.
        EmailTaken: somebody else has the address by now.
    """
    user, email = read_link_token(Purpose.CONFIRM_EMAIL, token)
    user.email, user.email_verified_at = email, utcnow()
    try:
        db.session.commit()
    except IntegrityError:
        db.session.rollback()
        raise EmailTaken from None


def ask_reset(email: str, address: str) -> None:
    """Mail a link to choose a new password, if the address has an account.

    Whether it has one shows neither in the answer nor in its time: the mail goes out behind it.

    Raises:
        InvalidInput: it is no address.
        mail.MailOff: the store sends no mail.
        throttle.TooManyRequests: too many mails lately.
    """
    if not mail.enabled():
        raise mail.MailOff
    started = time.monotonic()
    email = normalise_email(email)
    throttle.begin_attempt(email, address, throttle.MAIL)
    if (user := find(email)) is not None:
        mail.send_later(mails.reset(user))
    wait_since(started)


def reset_password(token: str, password: str) -> None:
    """Set a new password by a link, once, and end all sessions.

    Raises:
        InvalidInput: the password is too short or too long.
        tokens.BadLink: the link is of no use any more.
    """
    check_length(password)
    user, _ = read_link_token(Purpose.RESET_PASSWORD, token)
    # Of two windows that send the form at once, one changes the password.
    changed = db.session.execute(
        update(User)
        .where(User.id == user.id, User.password_hash == user.password_hash, User.email == user.email)
        .values(
            password_hash=hash_password(password),
            # The link came to this address.
            email_verified_at=user.email_verified_at or utcnow(),
        ),
        execution_options={"synchronize_session": False},
    )
    if not changed.rowcount:  # type: ignore[attr-defined]
        db.session.rollback()
        raise BadLink
    db.session.execute(delete(UserSession).where(UserSession.user_id == user.id))
    db.session.commit()
