"""Registration, authentication and sessions."""

import hashlib
import secrets
import time
from datetime import datetime

from email_validator import EmailNotValidError, validate_email
from flask import current_app
from flask_babel import lazy_gettext as _l
from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError

from ..columns import utcnow
from ..errors import Conflict, InvalidInput, StoreError
from ..extensions import db
from . import throttle
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


def register(name: str, email: str, password: str) -> User:
    """Create an account.

    Raises:
        InvalidInput: e-mail or password cannot be accepted.
        EmailTaken: the address is registered, also when another request just did so.
    """
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise InvalidInput(_l("The password must have between 10 and 128 characters."))
    user = User(name=name, email=normalise_email(email), password_hash=hash_password(password))
    db.session.add(user)
    try:
        db.session.commit()
    except IntegrityError:
        db.session.rollback()
        raise EmailTaken from None
    return user


def authenticate(email: str, password: str, address: str) -> User:
    """Return the user whom e-mail and password belong to.

    Args:
        email: as typed.
        password: as typed.
        address: the client's network address, for the limit on guesses.

    Raises:
        BadCredentials: no such account, or a wrong password; both take equally long.
        throttle.TooManyAttempts: too many failures lately.
    """
    started = time.monotonic()
    try:
        known_form = normalise_email(email)
    except InvalidInput:
        known_form = email[:254].lower().strip()
    attempt = throttle.begin_attempt(known_form, address)
    user = db.session.scalar(select(User).where(User.email == known_form))
    if user is not None and _password_fits(user, password):
        _welcome(user, password, attempt)
        return user
    # Hold no database connection while waiting.
    db.session.rollback()
    floor = float(current_app.config["FAILED_LOGIN_SECONDS"])
    time.sleep(max(0.0, floor - (time.monotonic() - started)))
    raise BadCredentials


def _password_fits(user: User | None, password: str) -> bool:
    if len(password) > MAX_LENGTH:
        password = ""
    if user is None or not password:
        waste_time(password)
        return False
    return verify_password(user.password_hash, password)


def _welcome(user: User, password: str, attempt: LoginAttempt) -> None:
    throttle.forgive(attempt)
    if needs_rehash(user.password_hash):
        user.password_hash = hash_password(password)
    db.session.commit()


def open_session(user: User) -> None:
    """Start a session: store its hash, and leave the token with the user object."""
    token = secrets.token_urlsafe(32)
    lifetime = current_app.config["PERMANENT_SESSION_LIFETIME"]
    db.session.add(UserSession(token_hash=_hash(token), user_id=user.id, expires_at=utcnow() + lifetime))
    db.session.commit()
    user.session_token = token


def user_of_session(token: str) -> User | None:
    """The user whose session this is, or None when it ended or expired."""
    user = db.session.scalar(
        select(User)
        .join(UserSession, UserSession.user_id == User.id)
        .where(UserSession.token_hash == _hash(token), UserSession.expires_at > utcnow())
    )
    if user is not None:
        user.session_token = token
    return user


def close_session(user: User) -> None:
    """End the session that the user came with; copies of its cookie die with it."""
    if user.session_token:
        db.session.execute(delete(UserSession).where(UserSession.token_hash == _hash(user.session_token)))
        db.session.commit()


def ensure_admin(email: str, password: str, name: str) -> str:
    """Make an administrator, or give an existing account that role and password.

    Returns:
        ``created``, ``updated`` or ``unchanged``.

    Raises:
        InvalidInput: e-mail or password cannot be accepted.
    """
    user = db.session.scalar(select(User).where(User.email == normalise_email(email)))
    outcome = "updated"
    if user is None:
        user, outcome = register(name, email, password), "created"
    elif user.is_admin and verify_password(user.password_hash, password):
        return "unchanged"
    elif not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise InvalidInput(_l("The password must have between 10 and 128 characters."))
    elif not verify_password(user.password_hash, password):
        user.password_hash = hash_password(password)
        # Whoever knew the old password must not stay logged in with the new rights.
        db.session.execute(delete(UserSession).where(UserSession.user_id == user.id))
    user.role = Role.ADMINISTRATOR
    db.session.commit()
    return outcome


def tidy(now: datetime) -> int:
    """Delete sessions and log-in attempts that are of no use any more; return how many."""
    sessions = db.session.execute(delete(UserSession).where(UserSession.expires_at <= now))
    attempts = db.session.execute(delete(LoginAttempt).where(LoginAttempt.attempted_at <= now - throttle.WINDOW))
    db.session.commit()
    return int(sessions.rowcount + attempts.rowcount)  # type: ignore[attr-defined]


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
