"""Runs the migrations, one process at a time."""

from collections.abc import Iterator
from contextlib import contextmanager

import click
from alembic import context
from flask import current_app
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

LOCK_SECONDS = 120
target_db = current_app.extensions["migrate"].db


@contextmanager
def exclusive(connection: Connection) -> Iterator[None]:
    """Hold MySQL's advisory lock, so that instances that start together take turns.

    The server releases it by itself when the connection dies.
    """
    if connection.dialect.name != "mysql":
        yield
        return
    # Such locks belong to the whole server, so the name holds the schema's.
    name = f"bookstore-migrations:{connection.engine.url.database}"[:64]
    got = connection.scalar(text("SELECT GET_LOCK(:name, :wait)"), {"name": name, "wait": LOCK_SECONDS})
    connection.commit()
    if got != 1:
        raise click.ClickException(f"Another migration has been running for {LOCK_SECONDS} s.")
    try:
        yield
    finally:
        connection.execute(text("SELECT RELEASE_LOCK(:name)"), {"name": name})
        connection.commit()


def connect() -> Connection:
    """Connect to the database; what keeps the store out is one line, for whoever deploys it."""
    try:
        connection: Connection = target_db.engine.connect()
    except OperationalError as error:
        raise click.ClickException(f"The database does not let the store in: {error.orig}") from None
    return connection


def run() -> None:
    """Run the migrations that are missing."""
    with connect() as connection, exclusive(connection):
        context.configure(
            connection=connection,
            target_metadata=target_db.metadata,
            compare_type=True,
            render_as_batch=connection.dialect.name == "sqlite",
            transaction_per_migration=True,
        )
        with context.begin_transaction():
            context.run_migrations()


if context.is_offline_mode():
    context.configure(url=target_db.engine.url, target_metadata=target_db.metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    run()
