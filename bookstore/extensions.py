"""The Flask extensions, made here and bound to the application in ``create_app``."""

import sqlite3
import time
import warnings
from typing import TYPE_CHECKING, Any

from flask_babel import Babel
from flask_login import LoginManager
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from flask_wtf.csrf import CSRFProtect
from pymysql import Connection as MySQLConnection, Error as MySQLError
from sqlalchemy import Connection, Engine, MetaData, event
from sqlalchemy.exc import InvalidatePoolError, SAWarning
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.pool import ConnectionPoolEntry, Pool

# Twelve digits survive SQLite's floats; only development and tests use it.
warnings.filterwarnings("ignore", r".*support Decimal objects natively", SAWarning)


# Seconds for which a connection that was just used is taken to be alive.
TRUSTED_SECONDS = 1.0


class Base(DeclarativeBase):
    """Root of the models; named constraints so that migrations can address them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


db = SQLAlchemy(model_class=Base, disable_autonaming=True)
if TYPE_CHECKING:
    Model = Base
else:
    Model = db.Model
migrate = Migrate()
login_manager = LoginManager()
csrf = CSRFProtect()
babel = Babel()


@event.listens_for(Engine, "connect")
def _prepare_sqlite(dbapi_connection: Any, record: ConnectionPoolEntry) -> None:
    if isinstance(dbapi_connection, sqlite3.Connection):
        # The driver's own transaction handling breaks savepoints; see _begin_sqlite.
        dbapi_connection.isolation_level = None
        dbapi_connection.execute("PRAGMA foreign_keys = ON")
        dbapi_connection.execute("PRAGMA journal_mode = WAL")
        dbapi_connection.execute("PRAGMA synchronous = NORMAL")


@event.listens_for(Engine, "begin")
def _begin_sqlite(connection: Connection) -> None:
    autocommit = connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT"
    if connection.dialect.name == "sqlite" and not autocommit:
        # A transaction that reads first and writes later would fail, not wait, when another
        # one wrote in between. SQLite serves development only: take the lock at once.
        connection.exec_driver_sql("BEGIN IMMEDIATE")


@event.listens_for(Pool, "checkin")
def _note_use(dbapi_connection: Any, record: ConnectionPoolEntry) -> None:
    record.info["used_at"] = time.monotonic()


@event.listens_for(Pool, "checkout")
def _prove_idle_connection(dbapi_connection: Any, record: ConnectionPoolEntry, _fairy: Any) -> None:
    # SQLAlchemy's own "pool_pre_ping" asks each time, which a busy page pays for with a round trip. The pool of
    # Java's HikariCP, too, asks none that was used a moment ago.
    if not isinstance(dbapi_connection, MySQLConnection):
        return
    if time.monotonic() - record.info.get("used_at", float("-inf")) > TRUSTED_SECONDS:
        try:
            dbapi_connection.ping(reconnect=False)
        except MySQLError as error:
            raise InvalidatePoolError from error
