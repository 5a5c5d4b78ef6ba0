"""Registration, authentication and sessions."""

import hashlib
import secrets
import time
from datetime import datetime

from email_validator import EmailNotValidError, validate_email
from flask import current_app
from flask_babel import lazy_gettext as _l
from sqlalchemy import bindparam, delete, select
from sqlalchemy.exc import IntegrityError

from .. import mail
from ..admin import audit
from ..columns import utcnow
from ..errors import Conflict, InvalidInput, NotFound, StoreError
from ..extensions import db
from ..i18n import language
from . import mails, throttle
from .models import LoginAttempt, Role, User, UserSession
from .passwords import (
    MAX_LENGTH,
    MIN_LENGTH,
    hash_password,
    needs_rehash,
    verify_password,
    waste_time,
)


class EmailTaken(Conflict):
    """The e-mail address has an account already."""

    message = _l("There is already an account with this e-mail address.")


class BadCredentials(StoreError):
    """E-mail and password do not belong together; which of them is wrong stays untold."""

    status = 401
    message = _l("The e-mail address or the password is not right.")


class WrongPassword(StoreError):
    """Somebody who is logged in did not give their own password."""

    status = 422
    message = _l("The password is not right.")


class LastAdministrator(Conflict):
    """Nobody would be left to administer the store."""

    message = _l("This is the last administrator. Please make somebody else one first.")


def normalise_email(raw: str) -> str:
    """Bring an e-mail address into the one form that is stored.

    Raises:
        InvalidInput: it is no address that mail can be sent to.
    """
    error = InvalidInput(_l("Please enter a valid e-mail address."))
    if len(raw) > 254:
        raise error
    try:
        # Deliverability is not asked for: a log-in page must not wait for somebody's DNS. Names
        # that are not public are accepted, since intranets have mail too.
        parsed = validate_email(raw, check_deliverability=False, globally_deliverable=False)
    except EmailNotValidError:
        raise error from None
    if "." not in parsed.domain or len(parsed.normalized) > 254:
        raise error
    return parsed.normalized.lower()


def sign_up(name: str, email: str, password: str, address: str) -> None:
    """Create an account for a visitor, and mail a link that confirms the address.

    In a store that sends mail, a taken address is told to its owner only.

    Raises:
        InvalidInput: e-mail or password cannot be accepted.
        EmailTaken: the address is registered, in a store that sends no mail.
        throttle.TooManyRequests: too many new accounts from this network lately.
    """
    email = normalise_email(email)
    throttle.begin_attempt(email, address, throttle.registration())
    try:
        user = register(name, email, password, language())
    except EmailTaken:
        if not mail.enabled():
            raise
        mail.send_later(mails.taken(email))
    else:
        if mail.enabled():
            mail.send_later(mails.confirmation(user, email))


def register(name: str, email: str, password: str, speaks: str = "es") -> User:
    """Create an account.

    Raises:
        InvalidInput: e-mail or password cannot be accepted.
        EmailTaken: the address is registered, also when another request just did so.
    """
    check_length(password)
    user = User(name=name, email=normalise_email(email), password_hash=hash_password(password), language=speaks)
    db.session.add(user)
    try:
        db.session.commit()
    except IntegrityError:
        db.session.rollback()
        raise EmailTaken from None
    return user


def check_length(password: str) -> None:
    """Refuse a new password that is too short or too long.

    Raises:
        InvalidInput: it is.
    """
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise InvalidInput(_l("The password must have between 10 and 128 characters."))


def find(email: str) -> User | None:
    """The user with this address, in its stored form. Deleted accounts have none."""
    return db.session.scalar(select(User).where(User.email == email, User.deleted_at.is_(None)))


def log_in(email: str, password: str, address: str, device: tuple[int, str] | None = None) -> User:
    """Start a session of the user whom e-mail and password belong to, and leave its token with the user object.

    Args:
        email: as typed.
        password: as typed.
        address: the client's network address, for the limit on guesses.
        device: what ``tokens.known_device`` says. Guesses from a browser that the user has logged in from are
            counted on their own: strangers' guesses from elsewhere cannot lock its owner out.

    Raises:
        BadCredentials: no such account, or a wrong password; both take equally long.
        throttle.TooManyAttempts: too many failures lately.
    """
    started = time.monotonic()
    try:
        known_form = normalise_email(email)
    except InvalidInput:
        known_form = email[:254].lower().strip()
    known = find(known_form) if device else None
    counted_for = f"device:{device[1]}" if device and known and known.id == device[0] else known_form
    attempt = throttle.begin_attempt(counted_for, address)
    user = find(known_form)
    if user is not None and _password_fits(user, password):
        _open_session(user, password, attempt)
        return user
    wait_since(started)
    raise BadCredentials


def wait_since(started: float) -> None:
    """Let an answer take its least time, whatever there was to do for it."""
    # Hold no database connection meanwhile.
    db.session.rollback()
    floor = float(current_app.config["FAILED_LOGIN_SECONDS"])
    time.sleep(max(0.0, floor - (time.monotonic() - started)))


def confirm_password(user: User, password: str, address: str) -> None:
    """Ask for the password of somebody who is logged in: their window may stand open.

    Raises:
        WrongPassword: it is another one.
        throttle.TooManyAttempts: too many failures lately.
    """
    attempt = throttle.begin_attempt(f"user:{user.id}", address)
    if not _password_fits(user, password):
        raise WrongPassword
    throttle.forgive(attempt)
    db.session.commit()


def _password_fits(user: User | None, password: str) -> bool:
    if len(password) > MAX_LENGTH:
        password = ""
    if user is None or not password:
        waste_time(password)
        return False
    return verify_password(user.password_hash, password)


def _open_session(user: User, password: str, attempt: LoginAttempt) -> None:
    """In one transaction: a commit waits for the disk."""
    throttle.forgive(attempt)
    if needs_rehash(user.password_hash):
        user.password_hash = hash_password(password)
    user.language = language()
    user.session_token = secrets.token_urlsafe(32)
    lifetime = current_app.config["PERMANENT_SESSION_LIFETIME"]
    # Only the token's hash is stored.
    db.session.add(
        UserSession(token_hash=session_hash(user.session_token), user_id=user.id, expires_at=utcnow() + lifetime)
    )
    db.session.flush()
    # What is known of the user suffices; it would be read again after the commit.
    db.session.expunge(user)
    db.session.commit()


_USER_OF_SESSION = (
    select(User)
    .join(UserSession, UserSession.user_id == User.id)
    .where(
        UserSession.token_hash == bindparam("token_hash"),
        UserSession.expires_at > bindparam("now"),
        User.deleted_at.is_(None),
    )
)


def user_of_session(token: str) -> User | None:
    """The user whose session this is, or None when it ended or expired."""
    user = db.session.scalar(_USER_OF_SESSION, {"token_hash": session_hash(token), "now": utcnow()})
    if user is not None:
        user.session_token = token
    return user


def close_session(user: User) -> None:
    """End the session that the user came with; copies of its cookie die with it."""
    if user.session_token:
        db.session.execute(delete(UserSession).where(UserSession.token_hash == session_hash(user.session_token)))
        db.session.commit()


def ensure_admin(email: str, password: str, name: str, role: Role = Role.ADMINISTRATOR) -> str:
    """Make an administrator or a supporter, or give an existing account that role and password.

    Returns:
        ``created``, ``updated`` or ``unchanged``.

    Raises:
        InvalidInput: e-mail or password cannot be accepted.
        LastAdministrator: nobody would be left to administer the store.
    """
    user = find(normalise_email(email))
    outcome = "updated"
    if user is None:
        user, outcome = register(name, email, password), "created"
    elif user.role == role and verify_password(user.password_hash, password):
        return "unchanged"
    if user.role == Role.ADMINISTRATOR != role and not lock_administrators() - {user.id}:
        raise LastAdministrator
    if not verify_password(user.password_hash, password):
        _set_password(user, password)
    user.role = role
    audit.record(None, "user.role", f"user {user.id}", f"{outcome}: {role.value}")
    db.session.commit()
    return outcome


def replace_password(email: str, password: str) -> None:
    """Give an account a new password without knowing the old one, and end its sessions.

    Raises:
        InvalidInput: e-mail or password cannot be accepted.
        NotFound: no account has the address.
    """
    user = find(normalise_email(email))
    if user is None:
        raise NotFound(f"Nobody has registered {email}.")
    _set_password(user, password)
    audit.record(None, "user.password", f"user {user.id}")
    db.session.commit()


def _set_password(user: User, password: str) -> None:
    check_length(password)
    user.password_hash = hash_password(password)
    # Whoever knew the old password must not stay logged in.
    db.session.execute(delete(UserSession).where(UserSession.user_id == user.id))


def lock_administrators() -> set[int]:
    """The ids of all administrators, who stay what they are until the caller commits."""
    return set(db.session.scalars(select(User.id).where(User.role == Role.ADMINISTRATOR).with_for_update()))


def tidy(now: datetime) -> int:
    """Delete sessions and log-in attempts that are of no use any more; return how many."""
    sessions = db.session.execute(delete(UserSession).where(UserSession.expires_at <= now))
    attempts = db.session.execute(delete(LoginAttempt).where(LoginAttempt.attempted_at <= now - throttle.LONGEST))
    db.session.commit()
    return int(sessions.rowcount + attempts.rowcount)  # type: ignore[attr-defined]


def session_hash(token: str) -> str:
    """What is stored of a session's token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
