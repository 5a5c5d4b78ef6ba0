"""Limits on guessing passwords, kept in the database so that all workers and hosts share them."""

import hashlib
import ipaddress
from datetime import timedelta

from flask_babel import lazy_gettext as _l
from sqlalchemy import delete, func, select
from sqlalchemy.sql.elements import ColumnElement

from ..columns import utcnow
from ..errors import StoreError
from ..extensions import db
from .models import LoginAttempt

WINDOW = timedelta(minutes=15)
PER_ACCOUNT_AND_ADDRESS = 10
PER_ACCOUNT = 100
PER_ADDRESS = 100


class TooManyAttempts(StoreError):
    """The limit of failed log-ins is reached."""

    status = 429
    message = _l("Too many failed attempts. Please wait a few minutes and try again.")


def begin_attempt(email: str, address: str) -> LoginAttempt:
    """Count this attempt before its password is checked, and refuse it if it is one too many.

    Counting first is what stops many guesses sent at the same moment.

    Raises:
        TooManyAttempts: a limit is reached; the attempt is not counted.
    """
    now = utcnow()
    attempt = LoginAttempt(account_hash=_digest(email), address_hash=_digest(network(address)), attempted_at=now)
    db.session.add(attempt)
    db.session.commit()
    same_account = LoginAttempt.account_hash == attempt.account_hash
    same_address = LoginAttempt.address_hash == attempt.address_hash
    limits: tuple[tuple[ColumnElement[bool], int], ...] = (
        (same_account & same_address, PER_ACCOUNT_AND_ADDRESS),
        (same_account, PER_ACCOUNT),
        (same_address, PER_ADDRESS),
    )
    for which, limit in limits:
        count, oldest = db.session.execute(
            select(func.count(), func.min(LoginAttempt.attempted_at)).where(
                which, LoginAttempt.attempted_at > now - WINDOW
            )
        ).one()
        if count > limit:
            db.session.delete(attempt)
            db.session.commit()
            error = TooManyAttempts()
            error.retry_after = max(1, int((oldest + WINDOW - now).total_seconds()) + 1)
            raise error
    return attempt


def forgive(attempt: LoginAttempt) -> None:
    """After a right password: forget the failures of this account from this address.

    The caller commits.
    """
    db.session.execute(
        delete(LoginAttempt).where(
            LoginAttempt.account_hash == attempt.account_hash,
            LoginAttempt.address_hash == attempt.address_hash,
        ),
        execution_options={"synchronize_session": False},
    )
    db.session.expunge(attempt)


def network(address: str) -> str:
    """The client's address; of IPv6 the /64, since one client has all of it."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((int(parsed) >> 64 << 64, 64)))
    return str(parsed)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
