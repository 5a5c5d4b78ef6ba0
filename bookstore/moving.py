"""A move of the store to another database and another folder of covers, as three commands.

``flask table-sums`` says what a database holds; ``flask receive-rows`` and ``flask receive-covers`` take what
mysqldump and tar wrote elsewhere. The rows come in one transaction, which is committed only if every table then has
the old one's rows: others see all of the old store or nothing of it. MySQL alone.
"""

import gzip
import json
import re
import sys
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from flask import current_app
from flask.cli import with_appcontext
from flask_babel import force_locale
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import DBAPIError

from .catalog import covers
from .errors import StoreError

# The store's own connections give up after half a minute.
PATIENCE = {"read_timeout": 3600, "write_timeout": 3600}
# Alembic's: its one row says which migrations were run.
REVISION_TABLE = "alembic_version"
Sums = dict[str, list[str]]
_QUOTED = re.compile(r"'[^']*'")


class MoveError(click.ClickException):
    """The move cannot go on. One line: what is wrong, and the mend."""


@contextmanager
def _database() -> Iterator[Connection]:
    """A connection that sees one state of the database, and may take long.

    Raises:
        MoveError: it is not MySQL, or it refused something.
    """
    url = current_app.config["SQLALCHEMY_DATABASE_URI"]
    if url.get_backend_name() != "mysql":
        raise MoveError(f"only a store on MySQL can move, and this one is on {url.get_backend_name()}")
    given = current_app.config["SQLALCHEMY_ENGINE_OPTIONS"]["connect_args"]
    engine = create_engine(
        url, connect_args={**given, **PATIENCE}, isolation_level="REPEATABLE READ", hide_parameters=True
    )
    try:
        with engine.connect() as connection:
            yield connection
    except DBAPIError as error:
        # The server's own words, without what it quotes: that may be people's.
        told = _QUOTED.sub("'…'", str(error.orig))
        raise MoveError(f"the database refused: {told}") from None
    except OSError as error:
        # The driver's, such as for a CA's certificate that is not there.
        raise MoveError(f"the database cannot be connected to: {error}") from None
    finally:
        engine.dispose()


def _tables(connection: Connection) -> dict[str, list[str]]:
    """The columns of each table with the store's rows, in the order of their names."""
    found = connection.execute(
        text(
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = DATABASE() AND table_name <> :revision ORDER BY table_name, column_name"
        ),
        {"revision": REVISION_TABLE},
    )
    tables: dict[str, list[str]] = {}
    for table, column in found:
        tables.setdefault(table, []).append(column)
    return tables


def _sum(connection: Connection, table: str, columns: list[str]) -> list[str]:
    """How many rows a table has, and the sum of their digests: the same whatever order they are in.

    MySQL's own CHECKSUM TABLE also depends on how the server keeps a row.
    """
    values = ", ".join(f"COALESCE(HEX(CAST(`{column}` AS BINARY)), '-')" for column in columns)
    digest = f"CAST(CONV(LEFT(SHA2(CONCAT_WS(',', {values}), 256), 15), 16, 10) AS UNSIGNED)"
    rows, total = connection.execute(text(f"SELECT COUNT(*), COALESCE(SUM({digest}), 0) FROM `{table}`")).one()  # noqa: S608 - the schema's own names
    return [str(rows), str(total)]


def _look(connection: Connection) -> dict[str, Any]:
    revision = connection.scalar(text(f"SELECT version_num FROM {REVISION_TABLE}"))  # noqa: S608 - a constant
    tables = _tables(connection)
    return {"revision": revision, "tables": {name: _sum(connection, name, tables[name]) for name in tables}}


def _differing(found: Sums, expected: Sums) -> list[str]:
    return [
        f"{name} ({found.get(name, ['no such table'])[0]} rows, not {expected.get(name, ['none'])[0]})"
        for name in sorted(found.keys() | expected.keys())
        if found.get(name) != expected.get(name)
    ]


@click.command("table-sums")
@with_appcontext
def table_sums() -> None:
    """Print the schema's revision and each table's number of rows and sum, as one line of JSON."""
    with _database() as connection:
        click.echo(json.dumps(_look(connection), separators=(",", ":")))


@click.command("receive-rows")
@click.option("--expect", required=True, metavar="JSON", help="What table-sums prints for the old database.")
@click.option("--replace", is_flag=True, help="Delete the rows of a store that people use already.")
@with_appcontext
def receive_rows(expect: str, replace: bool) -> None:
    """Take all rows from standard input: INSERT statements of mysqldump, one a line, compressed by gzip.

    Commits them only if all tables are then as expected. The last line printed is "received …" or "unchanged".
    """
    expected = json.loads(expect)
    with _database() as connection:
        found = _look(connection)
        if found["revision"] != expected["revision"]:
            raise MoveError(
                f"the old store's schema is {expected['revision']} and this one's {found['revision']}:"
                " run both on the same release"
            )
        if found["tables"] == expected["tables"]:
            click.echo("unchanged")
            return
        people = int(found["tables"]["users"][0])
        if people and not replace:
            raise MoveError(
                f"this store has {people} accounts already; nothing was changed. If nobody needs its rows, replace them"
            )
        _load(connection)
        if differing := _differing(_look(connection)["tables"], expected["tables"]):
            # The transaction ends without a commit.
            raise MoveError(
                f"after loading, these tables are not the old ones: {', '.join(differing)}; nothing was changed."
                " Was the old store still open? Dump it again"
            )
        connection.commit()
        click.echo(f"received {sum(int(rows) for rows, _ in expected['tables'].values())} rows")


def _load(connection: Connection) -> None:
    """Put the dumped rows in the place of those that there are; the caller commits.

    Raises:
        MoveError: what was dumped is not whole, or more than rows.
    """
    # Tables come in the alphabet's order, and the dump's whole is what fits together; an id of 0 is a 0.
    connection.execute(
        text("SET SESSION foreign_key_checks = 0, sql_mode = CONCAT(@@sql_mode, ',NO_AUTO_VALUE_ON_ZERO')")
    )
    for table in _tables(connection):
        connection.execute(text(f"DELETE FROM `{table}`"))  # noqa: S608 - the schema's own names
    # Without parameters: a % is a %.
    plain = connection.execution_options(no_parameters=True)
    try:
        with gzip.open(sys.stdin.buffer, "rt", encoding="utf-8", newline="\n") as lines:
            for line in lines:
                if line.startswith("INSERT INTO `") and line.endswith(";\n"):
                    plain.exec_driver_sql(line)
                elif line.strip():
                    # Anything else, such as DDL, would commit what is not compared yet.
                    raise MoveError(f"the dump holds more than rows: a line begins with {line[:12]!r}")
    except (EOFError, OSError, zlib.error, UnicodeDecodeError) as error:
        raise MoveError(f"the dump is not whole ({error}); nothing was changed. Send it again") from None


@click.command("receive-covers")
@with_appcontext
def receive_covers() -> None:
    """Take covers from standard input: a tar archive compressed by gzip.

    A file that is there already is left as it is. The last line printed is "received …" or "unchanged".
    """
    received = 0
    try:
        with gzip.open(sys.stdin.buffer) as packed:
            with tarfile.open(fileobj=packed, mode="r|") as archive:
                for member in archive:
                    content = archive.extractfile(member) if member.isfile() else None
                    name = member.name.rpartition("/")[2]
                    if content and covers.take(name, content.read()):
                        received += 1
            # To the end, where gzip's checksum is.
            while packed.read(1 << 20):
                pass
    except covers.BadCover:
        raise MoveError(f"{name} is not what its name says: it is damaged in the old store. Remove it there") from None
    except StoreError as error:
        with force_locale("en"):
            raise MoveError(str(error.message)) from None
    except (EOFError, OSError, zlib.error, tarfile.TarError) as error:
        raise MoveError(f"the archive of covers is not whole ({error}). Send it again") from None
    click.echo(f"received {received} files of covers" if received else "unchanged")
