"""Domain errors, and how every error becomes a page or JSON."""

import logging

from flask import Flask, Response, g, jsonify, make_response, render_template, request
from flask_babel import LazyString, gettext, lazy_gettext as _l
from flask_login import AnonymousUserMixin
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, TimeoutError as PoolTimeout
from werkzeug.exceptions import BadHost, HTTPException

from .extensions import db

log = logging.getLogger(__name__)


class StoreError(Exception):
    """Root of the errors that services raise.

    Attributes:
        status: HTTP status of the page that the visitor gets.
        message: what went wrong, for the visitor, in their language.
        retry_after: seconds after which trying again makes sense, if that is known.
    """

    status = 400
    message: LazyString | str = _l("The request could not be understood.")
    retry_after: int | None = None

    def __init__(self, message: LazyString | str | None = None) -> None:
        super().__init__(str(type(self).__name__))
        if message is not None:
            self.message = message


class InvalidInput(StoreError):
    """A value is missing, malformed or out of range."""


class NotFound(StoreError):
    """No such thing, or none that this visitor may know of."""

    status = 404
    message = _l("We could not find what you are looking for.")


class Forbidden(StoreError):
    """The visitor is known, but this is not theirs to do."""

    status = 403
    message = _l("You do not have permission to do this.")


class Conflict(StoreError):
    """The thing's present state does not allow this."""

    status = 409
    message = _l("This cannot be done any more.")


TITLES = {
    400: _l("That request did not work"),
    401: _l("Please log in"),
    403: _l("Not allowed"),
    404: _l("Page not found"),
    405: _l("That is not how this page works"),
    409: _l("This is no longer possible"),
    410: _l("Not on sale any more"),
    413: _l("That is too large"),
    422: _l("Please check what you entered"),
    429: _l("Too many attempts"),
    500: _l("Something went wrong on our side"),
    503: _l("The store is taking a short break"),
}
TEXTS = {
    400: _l("The request could not be understood. Go back, reload the page and try again."),
    403: _l("You do not have permission to do this."),
    404: _l("The address may be mistyped, or the page may have moved."),
    405: _l("Please use the buttons on our pages instead of opening this address directly."),
    413: _l("You sent more than the store accepts. Please send less; a picture may have up to 5 MB."),
    500: _l("We have been told about it. Please try again in a moment."),
    503: _l("We cannot reach our database at the moment. Please try again in a moment."),
}


def wants_json() -> bool:
    """Whether the client prefers JSON to a page."""
    accept = request.accept_mimetypes
    best = accept.best_match(["text/html", "application/json"])
    return best == "application/json" and accept[best] > accept["text/html"]


def error_response(status: int, message: LazyString | str | None = None, retry_after: int | None = None) -> Response:
    """Build the page, or the JSON, of an error."""
    title = TITLES.get(status, TITLES[400 if status < 500 else 500])
    text = message or TEXTS.get(status, TEXTS[400 if status < 500 else 500])
    if status >= 500:
        # The page must not ask a database that may be away who the visitor is.
        g._login_user = AnonymousUserMixin()
    request_id = g.get("request_id", "")
    if wants_json():
        body = {"status": status, "title": str(title), "message": str(text)}
        response = jsonify(error=body | {"request_id": request_id})
    else:
        response = make_response(render_template("errors/page.html", status=status, title=title, text=text))
    response.status_code = status
    if retry_after is not None:
        response.headers["Retry-After"] = str(retry_after)
    return response


def init_app(app: Flask) -> None:
    """Register the handlers."""
    app.register_error_handler(StoreError, _store_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(CSRFError, _csrf_error)
    app.register_error_handler(OperationalError, _database_error)
    app.register_error_handler(InterfaceError, _database_error)
    app.register_error_handler(PoolTimeout, _database_error)
    app.register_error_handler(Exception, _unexpected)
    # Runs before Flask-SQLAlchemy's own, which was registered first.
    app.teardown_appcontext(_end_session)


def _store_error(error: StoreError) -> Response:
    return error_response(error.status, error.message, error.retry_after)


def _http_error(error: HTTPException) -> Response:
    if isinstance(error, BadHost):
        # Without a usable host no address can be made, so no page either.
        return Response(error.name, error.code, mimetype="text/plain")
    status = error.code or 500
    if status < 400:
        return Response(error.get_response().response, status, error.get_response().headers)
    response = error_response(status)
    for name, value in error.get_headers():
        if name.lower() in ("allow", "retry-after"):
            response.headers[name] = value
    return response


def _csrf_error(error: CSRFError) -> Response:
    return error_response(400, gettext("The form is too old or came from elsewhere. Reload the page and try again."))


def _database_error(error: DBAPIError | PoolTimeout) -> Response:
    # Only the driver's own words: the statement and its values can hold personal data.
    cause = error.orig if isinstance(error, DBAPIError) else error
    log.error("database unavailable: %s", cause)
    return error_response(503, retry_after=5)


def _unexpected(error: Exception) -> Response:
    log.exception("unhandled error", exc_info=error)
    return error_response(500)


def _end_session(error: BaseException | None) -> None:
    """End what the page left open: a connection that has died since would take an answer along that is ready to go."""
    # Left behind as remove() would leave them: what was read stays readable.
    db.session.expunge_all()
    try:
        # Not remove(), which keeps the connection when it fails.
        db.session.rollback()
    except DBAPIError as lost:
        log.warning("database connection lost: %s", lost.orig)
