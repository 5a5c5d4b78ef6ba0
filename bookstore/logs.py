"""Logs as one JSON object a line, with the request's id and without personal data."""

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Any

from flask import Flask, g, has_request_context
from gunicorn.glogging import Logger

_EMAIL = re.compile(r"[^\s'\"<>/=:@]+@[^\s'\"<>/@]+")
# MySQL repeats what it refuses: Duplicate entry 'ana@example.com' for key …, Incorrect string value: '…' for column …
_REFUSED = re.compile(r"\b(entry|value:?) '.*?'(?= for | at |\")", re.DOTALL)


def without_people(text: str) -> str:
    """A text without e-mail addresses and without the values that the database refused."""
    return _EMAIL.sub("<e-mail>", _REFUSED.sub(r"\1 '…'", text))


class JSONFormatter(logging.Formatter):
    """Formats a record as a JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of JSON."""
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": without_people(record.getMessage()),
        }
        if has_request_context() and (request_id := g.get("request_id")):
            entry["request_id"] = request_id
        entry |= getattr(record, "fields", {})
        if record.exc_info:
            entry["exception"] = without_people(self.formatException(record.exc_info))
        return json.dumps(entry, ensure_ascii=False, default=str)


class GunicornLogger(Logger):  # type: ignore[misc]
    """Gunicorn's own messages and its access log in the same form."""

    def setup(self, cfg: Any) -> None:
        """Write both logs to standard output as JSON."""
        super().setup(cfg)
        for logger in (self.error_log, self.access_log):
            logger.handlers = [_handler()]
            logger.propagate = False

    def access(self, resp: Any, req: Any, environ: dict[str, Any], request_time: Any) -> None:
        """Log one request; the query string is left out, since it can hold personal data."""
        headers = {name.lower(): value for name, value in resp.headers}
        fields = {
            "request_id": headers.get("x-request-id", ""),
            "method": environ.get("REQUEST_METHOD"),
            "path": without_people(environ.get("PATH_INFO", "")),
            "status": int(str(resp.status).split(None, 1)[0]),
            "bytes": getattr(resp, "sent", None),
            "ms": round(request_time.total_seconds() * 1000, 1),
            "agent": environ.get("HTTP_USER_AGENT", "")[:200],
        }
        self.access_log.info("request", extra={"fields": fields})


def init_app(app: Flask) -> None:
    """Send the application's log to standard error, unless a test captures it: as JSON, or to a terminal as text."""
    if not app.testing:
        package = logging.getLogger("bookstore")
        package.handlers = [_handler(sys.stderr)]
        if sys.stderr.isatty():
            package.handlers[0].setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
        package.propagate = False
        package.setLevel(logging.INFO)


def _handler(stream: Any = None) -> logging.Handler:
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(JSONFormatter())
    return handler
