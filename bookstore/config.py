"""The store's settings, read once from the environment and checked at the start."""

from collections.abc import Mapping
from datetime import timedelta
from email.utils import parseaddr
from typing import Any
from urllib.parse import urlsplit

import click
from email_validator import EmailNotValidError, validate_email
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

MIN_SECRET_LENGTH = 32
# Fragments of keys that are printed in tutorials and examples, so known to everybody.
WEAK_SECRETS = (
    "secret",
    "changeme",
    "change-me",
    "change_me",
    "default",
    "password",
    "your-key",
    "dev-key",
    "example",
)


class ConfigError(click.ClickException, RuntimeError):
    """A setting is missing or unusable.

    A ``ClickException`` so that ``flask`` prints one line, and a ``RuntimeError`` so that
    gunicorn does the same.
    """


def load_config(environ: Mapping[str, str]) -> dict[str, Any]:
    """Turn environment variables into Flask's configuration.

    Raises:
        ConfigError: a required variable is missing or has an unusable value.
    """
    secure = not _flag(environ, "SESSION_COOKIE_INSECURE")
    url = database_url(environ)
    return {
        "SECRET_KEY": _secret(environ),
        "SECRET_KEY_FALLBACKS": _fallbacks(environ),
        "SQLALCHEMY_DATABASE_URI": url,
        "SQLALCHEMY_ENGINE_OPTIONS": engine_options(url, environ),
        "TRUSTED_PROXY_COUNT": _number(environ, "TRUSTED_PROXY_COUNT", 0, low=0, high=5),
        "RELEASE": environ.get("RELEASE") or "unknown",
        "UPLOAD_FOLDER": _folder(environ, "UPLOAD_FOLDER"),
        "METRICS_TOKEN": _metrics_token(environ),
        "CURRENCY": environ.get("CURRENCY") or "COP",
        "SIMULATED_PAYMENTS": not _flag(environ, "SIMULATED_PAYMENTS_OFF"),
        # The account, and whatever else buyers have to know to transfer money to it.
        "TRANSFER_INSTRUCTIONS": environ.get("TRANSFER_INSTRUCTIONS", "").strip(),
        **_gateway(environ),
        "RESERVATION": timedelta(minutes=_number(environ, "RESERVATION_MINUTES", 30, low=1, high=10_080)),
        # A browser accepts the __Host- prefix only from HTTPS, without Domain, with Path=/:
        # no sibling subdomain can then plant a session.
        "SESSION_COOKIE_NAME": "__Host-session" if secure else "session",
        "SESSION_COOKIE_SECURE": secure,
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "SESSION_REFRESH_EACH_REQUEST": False,
        "PERMANENT_SESSION_LIFETIME": timedelta(days=14),
        "MAX_CONTENT_LENGTH": 1024 * 1024,
        "MAX_FORM_MEMORY_SIZE": 128 * 1024,
        "MAX_FORM_PARTS": 50,
        # The token lives as long as the session that it is bound to.
        "WTF_CSRF_TIME_LIMIT": None,
        # security.py compares Origin; browsers that strip Referer must be able to buy too.
        "WTF_CSRF_SSL_STRICT": False,
        "BABEL_DEFAULT_LOCALE": "en",
        "BABEL_DEFAULT_TIMEZONE": environ.get("DISPLAY_TIMEZONE") or "America/Bogota",
        # Every failed log-in lasts at least so long (seconds), longer than the slowest old
        # hash: the time of an answer tells nobody whether an e-mail is registered.
        "FAILED_LOGIN_SECONDS": 1.0,
        # New accounts from one network address.
        "REGISTRATIONS_PER_HOUR": _number(environ, "REGISTRATIONS_PER_HOUR", 1000, low=1, high=1_000_000),
        "STORE_URL": store_url(environ, secure=secure),
        **mail_settings(environ),
    }


def store_url(environ: Mapping[str, str], *, secure: bool) -> str:
    """The store's own address, which the links in its mails begin with.

    Never taken from a request: its Host is whatever the client says, and a link to reset a password must not lead
    to somebody else's site.

    Raises:
        ConfigError: it is no address of a site.
    """
    url = (environ.get("STORE_URL") or "").rstrip("/")
    if not url:
        return ""
    try:
        parts = urlsplit(url)
        good = bool(parts.hostname) and parts.scheme in ("https", "http") and url == f"{parts.scheme}://{parts.netloc}"
    except ValueError:
        good = False
    if not good or "@" in url or any(char.isspace() for char in url):
        raise ConfigError("STORE_URL must be an address without a path, such as https://books.example.com")
    if secure and not url.startswith("https:"):
        raise ConfigError("STORE_URL must begin with https:// unless SESSION_COOKIE_INSECURE is set")
    return url


def mail_settings(environ: Mapping[str, str]) -> dict[str, Any]:
    """Where mail is handed in; without ``MAIL_SERVER`` the store sends none.

    A server's certificate is checked against the system's authorities, or those in ``SSL_CERT_FILE``.

    Raises:
        ConfigError: a setting is missing or unusable.
    """
    server = environ.get("MAIL_SERVER") or ""
    tls = environ.get("MAIL_TLS") or "starttls"
    if tls not in ("starttls", "tls", "none"):
        raise ConfigError("MAIL_TLS must be starttls, tls or none")
    missing = [name for name in ("MAIL_FROM", "STORE_URL") if server and not environ.get(name)]
    if missing:
        raise ConfigError(f"MAIL_SERVER needs {' and '.join(missing)} too")
    if tls == "none" and environ.get("MAIL_PASSWORD"):
        raise ConfigError("MAIL_PASSWORD would travel readable with MAIL_TLS=none")
    if not (environ.get("MAIL_USERNAME", "") + environ.get("MAIL_PASSWORD", "")).isascii():
        raise ConfigError("MAIL_USERNAME and MAIL_PASSWORD must be ASCII, as SMTP's log-in is")
    return {
        "MAIL_SERVER": server,
        "MAIL_PORT": _number(environ, "MAIL_PORT", 465 if tls == "tls" else 587, low=1, high=65535),
        "MAIL_TLS": tls,
        "MAIL_USERNAME": environ.get("MAIL_USERNAME") or "",
        "MAIL_PASSWORD": environ.get("MAIL_PASSWORD") or "",
        "MAIL_FROM": _sender(environ.get("MAIL_FROM") or ""),
    }


def _sender(text: str) -> str:
    if not text:
        return ""
    try:
        validate_email(parseaddr(text)[1], check_deliverability=False, globally_deliverable=False)
    except EmailNotValidError:
        raise ConfigError("MAIL_FROM must be an address, such as BookStore <books@example.com>") from None
    if any(ord(char) < 32 for char in text):
        raise ConfigError("MAIL_FROM must be one line")
    return text


def database_url(environ: Mapping[str, str]) -> URL:
    """Build the database's address from ``DATABASE_URL`` or the ``DB_*`` variables."""
    if raw := environ.get("DATABASE_URL"):
        try:
            return make_url(raw)
        except ArgumentError:
            # The value may hold a password, so it is not repeated here.
            raise ConfigError("DATABASE_URL is not a database address") from None
    missing = [name for name in ("DB_HOST", "DB_USER", "DB_NAME") if not environ.get(name)]
    if missing:
        raise ConfigError(f"set {', '.join(missing)}, or DATABASE_URL instead")
    return URL.create(
        "mysql+pymysql",
        username=environ["DB_USER"],
        password=environ.get("DB_PASS") or None,
        host=environ["DB_HOST"],
        port=_number(environ, "DB_PORT", 3306, low=1, high=65535),
        database=environ["DB_NAME"],
        query={"charset": "utf8mb4"},
    )


def engine_options(url: URL, environ: Mapping[str, str]) -> dict[str, Any]:
    """Options of SQLAlchemy's engine that fit the database behind ``url``."""
    if url.get_backend_name() != "mysql":
        return {"connect_args": {"timeout": 30}, "hide_parameters": True}
    connect_args: dict[str, Any] = {
        "connect_timeout": 3,
        "read_timeout": 30,
        "write_timeout": 30,
        # A value that does not fit must be an error, never a silently changed one.
        "init_command": "SET SESSION sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES'), time_zone = '+00:00'",
    }
    if ca := environ.get("DB_SSL_CA"):
        # Without these three PyMySQL encrypts to whoever answers.
        connect_args |= {"ssl_ca": ca, "ssl_verify_cert": True, "ssl_verify_identity": True}
    return {
        "connect_args": connect_args,
        # An error's text goes to the log, and values are people's.
        "hide_parameters": True,
        "isolation_level": "READ COMMITTED",
        # A session ends what it left open itself; the pool would ask the server once more.
        "pool_reset_on_return": None,
        "pool_recycle": 280,
        "pool_timeout": 5,
        # One connection for each thread of a worker.
        "pool_size": _number(environ, "GUNICORN_THREADS", 4, low=1, high=64),
        "max_overflow": 2,
    }


def _secret(environ: Mapping[str, str]) -> str:
    key = environ.get("SECRET_KEY", "")
    if not key:
        raise ConfigError("SECRET_KEY is not set")
    _check_secret("SECRET_KEY", key)
    return key


def _fallbacks(environ: Mapping[str, str]) -> list[str]:
    keys = [key for key in environ.get("SECRET_KEY_FALLBACKS", "").split(",") if key]
    for key in keys:
        _check_secret("SECRET_KEY_FALLBACKS", key)
    return keys


def _metrics_token(environ: Mapping[str, str]) -> str:
    token = environ.get("METRICS_TOKEN", "")
    if token:
        _check_secret("METRICS_TOKEN", token)
    return token


def _check_secret(name: str, key: str) -> None:
    if len(key) < MIN_SECRET_LENGTH:
        raise ConfigError(f"{name} is shorter than {MIN_SECRET_LENGTH} characters")
    if len(set(key)) < 8 or any(weak in key.lower() for weak in WEAK_SECRETS):
        raise ConfigError(f"{name} is a known or guessable value; try `openssl rand -hex 32`")


def _gateway(environ: Mapping[str, str]) -> dict[str, str]:
    names = ("STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET")
    given = {name: environ.get(name, "") for name in names}
    if any(given.values()) and not all(given.values()):
        raise ConfigError(f"set both {' and '.join(names)}, or neither")
    # Elsewhere only in tests.
    return given | {"STRIPE_API_BASE": environ.get("STRIPE_API_BASE", "")}


def _folder(environ: Mapping[str, str], name: str) -> str | None:
    path = environ.get(name) or None
    if path and not path.startswith("/"):
        raise ConfigError(f"{name} must be an absolute path")
    return path


def _flag(environ: Mapping[str, str], name: str) -> bool:
    return environ.get(name, "").lower() in ("1", "true", "yes", "on")


def _number(environ: Mapping[str, str], name: str, default: int, *, low: int, high: int) -> int:
    raw = environ.get(name) or str(default)
    if not (raw.isascii() and raw.isdigit()) or not low <= int(raw) <= high:
        raise ConfigError(f"{name} must be a whole number from {low} to {high}")
    return int(raw)
