"""Signed texts that the store gives out and takes back: links in mails, and the cookie of a known device."""

import hashlib
import hmac
import secrets
from datetime import timedelta
from enum import Enum
from typing import Any

from flask import Response, current_app, request
from flask_babel import lazy_gettext as _l
from itsdangerous import BadData, URLSafeTimedSerializer

from ..errors import StoreError
from ..extensions import db
from .models import User


class BadLink(StoreError):
    """A link is forged, too old, or used before."""

    message = _l("This link is not valid any more. Please ask for a new one.")


class Purpose(Enum):
    """What a text is good for, and for how long; it is of no use for anything else."""

    CONFIRM_EMAIL = ("confirm-email", timedelta(days=3))
    RESET_PASSWORD = ("reset-password", timedelta(hours=1))
    DEVICE = ("device", timedelta(days=365))


def make_link_token(purpose: Purpose, user: User, extra: str = "") -> str:
    """Sign a text for a mail's link. It dies when the user's password or e-mail address changes."""
    return _sign(purpose, [user.id, _state(user), extra])


def read_link_token(purpose: Purpose, token: str) -> tuple[User, str]:
    """The user whom a link is for, and its ``extra``.

    Raises:
        BadLink: it is none of the store's, too old, or the account has changed since.
    """
    user_id, state, extra = _read(purpose, token) or (None, "", "")
    user = db.session.get(User, user_id) if user_id else None
    if user is None or user.deleted_at or not hmac.compare_digest(state, _state(user)):
        raise BadLink
    return user, extra


def known_device() -> tuple[int, str] | None:
    """The user who logged in from this browser before, and the browser's own name; None if nobody did."""
    found = _read(Purpose.DEVICE, request.cookies.get(_cookie_name(), ""))
    return (found[0], found[1]) if found else None


def remember_device(response: Response, user: User) -> None:
    """Leave the browser a cookie that says that this user has logged in from it."""
    known = known_device()
    if known is not None and known[0] == user.id:
        return
    purpose = Purpose.DEVICE
    response.set_cookie(
        _cookie_name(),
        _sign(purpose, [user.id, secrets.token_urlsafe(16)]),
        max_age=purpose.value[1],
        secure=current_app.config["SESSION_COOKIE_SECURE"],
        httponly=True,
        samesite="Lax",
    )


def _cookie_name() -> str:
    return "__Host-device" if current_app.config["SESSION_COOKIE_SECURE"] else "device"


def _state(user: User) -> str:
    return hashlib.sha256(f"{user.password_hash}\n{user.email}".encode()).hexdigest()


def _sign(purpose: Purpose, value: list[Any]) -> str:
    return str(_serializer(purpose).dumps(value))


def _read(purpose: Purpose, text: str) -> list[Any] | None:
    try:
        value: list[Any] = _serializer(purpose).loads(text, max_age=int(purpose.value[1].total_seconds()))
    except BadData:
        return None
    return value


def _serializer(purpose: Purpose) -> URLSafeTimedSerializer:
    config = current_app.config
    # The last one signs.
    keys = [*config["SECRET_KEY_FALLBACKS"], config["SECRET_KEY"]]
    return URLSafeTimedSerializer(keys, salt=f"bookstore.{purpose.value[0]}")
