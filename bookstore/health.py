"""Two answers for load balancers: is this process of use, and is it ready for traffic."""

import logging
import threading
import time

from alembic.script import ScriptDirectory
from flask import Blueprint, Flask, Response, current_app, jsonify
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from .catalog import covers

log = logging.getLogger(__name__)
bp = Blueprint("health", __name__)
CACHE_SECONDS = 1.0
TIMEOUT_SECONDS = 2


class Probe:
    """Asks the database, on a connection of its own, at most once a second.

    A connection of its own: a full pool means a busy process, not a broken one, and the
    short timeout must not cut the store's own queries.
    """

    def __init__(self, app: Flask) -> None:
        url = app.config["SQLALCHEMY_DATABASE_URI"]
        options = dict(app.config["SQLALCHEMY_ENGINE_OPTIONS"])
        connect_args = dict(options.get("connect_args", {}))
        if "connect_timeout" in connect_args:
            names = ("connect_timeout", "read_timeout", "write_timeout")
            connect_args |= dict.fromkeys(names, TIMEOUT_SECONDS)
        else:
            connect_args["timeout"] = TIMEOUT_SECONDS
        self.engine = create_engine(
            url,
            connect_args=connect_args,
            pool_pre_ping=True,
            pool_size=1,
            max_overflow=0,
            pool_timeout=TIMEOUT_SECONDS,
        ).execution_options(isolation_level="AUTOCOMMIT")
        migrations = str(app.extensions["migrate"].directory)
        self.heads = frozenset(ScriptDirectory(migrations).get_heads())
        self._lock = threading.Lock()
        self._asked_at = float("-inf")
        self._answer = (False, False)

    def ask(self) -> tuple[bool, bool]:
        """Whether the database answers, and whether its schema is this release's."""
        with self._lock:
            if time.monotonic() - self._asked_at >= CACHE_SECONDS:
                self._answer = self._look()
                self._asked_at = time.monotonic()
            return self._answer

    def _look(self) -> tuple[bool, bool]:
        try:
            with self.engine.connect() as connection:
                connection.execute(text("SELECT 1"))
                return True, self._schema_is_current(connection)
        except (SQLAlchemyError, OSError) as error:
            self.engine.dispose()
            log.warning("health: database unavailable: %s", getattr(error, "orig", error))
            return False, False

    def _schema_is_current(self, connection: Connection) -> bool:
        try:
            found = connection.execute(text("SELECT version_num FROM alembic_version"))
            return frozenset(found.scalars()) == self.heads
        except SQLAlchemyError:
            # The server answers, yet there is no schema.
            return False


def init_app(app: Flask) -> None:
    """Give the application its probe."""
    app.extensions["bookstore_probe"] = Probe(app)


@bp.get("/health")
def health() -> Response:
    """200 when process and database answer, else 503."""
    connected, _current = _probe().ask()
    return _answer(connected, database="connected" if connected else "unavailable")


@bp.get("/ready")
def ready() -> Response:
    """200 when, besides, the schema is the one that this release expects.

    Whether covers can be stored is told, no more: a shared folder that is away is so for every instance.
    """
    connected, current = _probe().ask()
    return _answer(
        connected and current,
        database="connected" if connected else "unavailable",
        schema="current" if current else "unknown" if not connected else "different",
        covers=covers.state(),
    )


def _probe() -> Probe:
    probe: Probe = current_app.extensions["bookstore_probe"]
    return probe


def _answer(good: bool, **parts: str) -> Response:
    response = jsonify(status="healthy" if good else "unhealthy", release=current_app.config["RELEASE"], **parts)
    response.status_code = 200 if good else 503
    response.headers["Cache-Control"] = "no-store"
    return response
