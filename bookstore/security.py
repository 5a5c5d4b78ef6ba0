"""What every request and response gets: an id, an origin check, and protective headers."""

import re
import secrets
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Response, g, request, session
from flask_babel import lazy_gettext as _l
from werkzeug.middleware.proxy_fix import ProxyFix

from .errors import Forbidden

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "manifest-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "object-src 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


def init_app(app: Flask) -> None:
    """Install the hooks, and trust as many proxies as the configuration says."""
    if count := app.config["TRUSTED_PROXY_COUNT"]:
        # The proxy passes the browser's Host on; X-Forwarded-Host is not needed, so not trusted.
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=count, x_proto=count, x_host=0
        )
    app.wsgi_app = _AsciiQuery(app.wsgi_app)  # type: ignore[method-assign]
    app.before_request(_identify_request)
    app.before_request(refuse_foreign_origin)
    app.after_request(_finish_response)


class _AsciiQuery:
    """Writes raw bytes in a query string as ``%FF``, which reads as any other text; Werkzeug would fail on them."""

    def __init__(self, wsgi_app: Any) -> None:
        self.wsgi_app = wsgi_app

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        query = environ.get("QUERY_STRING", "")
        if not query.isascii():
            environ["QUERY_STRING"] = re.sub(r"[^\x00-\x7f]", lambda char: f"%{ord(char[0]):02X}", query)
        return self.wsgi_app(environ, start_response)


def _identify_request() -> None:
    given = request.headers.get("X-Request-ID", "")
    g.request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(16)


def refuse_foreign_origin() -> None:
    """Refuse a state change that another site's page started.

    This stands beside the token of every form. Browsers state ``Sec-Fetch-Site`` on HTTPS and
    ``Origin`` on every POST; clients that send neither are no browsers and carry no cookies
    that a foreign page could ride on.

    Raises:
        Forbidden: the request comes from another origin.
    """
    if request.method in SAFE_METHODS:
        return
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    if site is not None:
        foreign = site not in ("same-origin", "none")
    else:
        foreign = origin is not None and _host_of(origin) != request.host
    if foreign:
        raise Forbidden(_l("The form was sent from another site."))


def _host_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


def _finish_response(response: Response) -> Response:
    response.headers.extend(HEADERS)
    response.headers["X-Request-ID"] = g.get("request_id", "")
    if request.endpoint == "static" and response.status_code in (200, 304):
        # The address holds the digest of the content, so the content never changes.
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    elif "Cache-Control" not in response.headers:
        personal = bool(session) or request.method not in SAFE_METHODS
        response.headers["Cache-Control"] = "private, no-store" if personal else "no-cache"
        if not personal and response.status_code == 200:
            # Those in between may keep this page for a second, with a copy for each language and cookie (Vary): a
            # content delivery network, and, by a header that it does not pass on, the proxy, which keeps none that
            # sets a cookie.
            response.headers["Cache-Control"] = "public, max-age=0, s-maxage=1"
            response.headers["X-Accel-Expires"] = "1"
    return response
