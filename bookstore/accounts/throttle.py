"""Limits on guessing passwords and the like, kept in the database so that all workers and hosts share them."""

import hashlib
import ipaddress
from dataclasses import dataclass
from datetime import timedelta

from flask import current_app
from flask_babel import lazy_gettext as _l
from sqlalchemy import bindparam, delete, func, literal, select, union_all

from ..columns import utcnow
from ..errors import StoreError
from ..extensions import db
from .models import LoginAttempt


@dataclass(frozen=True)
class Limit:
    """How many attempts of a kind are let through within a time."""

    kind: str
    window: timedelta
    per_account_and_address: int
    per_account: int
    per_address: int


LOG_IN = Limit("", timedelta(minutes=15), 10, 100, 100)
# Mails that a visitor can make the store send.
MAIL = Limit("mail:", timedelta(hours=1), 5, 10, 30)
LONGEST = timedelta(hours=1)


def registration() -> Limit:
    """The limit on new accounts. One address is also tried a few times only: each time is a mail to its owner."""
    return Limit("register:", timedelta(hours=1), 5, 10, current_app.config["REGISTRATIONS_PER_HOUR"])


class TooManyAttempts(StoreError):
    """A limit is reached."""

    status = 429
    message = _l("Too many failed attempts. Please wait a few minutes and try again.")


class TooManyRequests(TooManyAttempts):
    """The limit of something that does not fail is reached."""

    message = _l("Too many requests like this one. Please try again later.")


_SAME_ACCOUNT = LoginAttempt.account_hash == bindparam("account")
_SAME_ADDRESS = LoginAttempt.address_hash == bindparam("address")
# How often each of a limit's numbers was used up lately, and since when.
_ATTEMPTS = union_all(
    *(
        select(literal(which), func.count(), func.min(LoginAttempt.attempted_at)).where(
            same, LoginAttempt.attempted_at > bindparam("since")
        )
        for which, same in (
            ("per_account_and_address", _SAME_ACCOUNT & _SAME_ADDRESS),
            ("per_account", _SAME_ACCOUNT),
            ("per_address", _SAME_ADDRESS),
        )
    )
)


def begin_attempt(account: str, address: str, limit: Limit = LOG_IN) -> LoginAttempt:
    """Count this attempt before its password is checked, and refuse it if it is one too many.

    Counting first is what stops many guesses sent at the same moment.

    Args:
        account: whose: an e-mail address, or another text that stands for somebody.
        address: the client's network address.
        limit: how many are let through; each kind is counted on its own.

    Raises:
        TooManyAttempts: a limit is reached; the attempt is not counted.
    """
    now = utcnow()
    attempt = LoginAttempt(
        account_hash=_digest(limit.kind + account),
        address_hash=_digest(limit.kind + network(address)),
        attempted_at=now,
    )
    db.session.add(attempt)
    db.session.flush()
    # Not looked up again: a log-in of the same account from another tab may forgive, and so delete, it at any time.
    db.session.expunge(attempt)
    db.session.commit()
    seen = {"account": attempt.account_hash, "address": attempt.address_hash, "since": now - limit.window}
    for which, count, oldest in db.session.execute(_ATTEMPTS, seen).all():
        if count > getattr(limit, which):
            db.session.execute(delete(LoginAttempt).where(LoginAttempt.id == attempt.id))
            db.session.commit()
            error = TooManyRequests() if limit.kind else TooManyAttempts()
            error.retry_after = max(1, int((oldest + limit.window - now).total_seconds()) + 1)
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
