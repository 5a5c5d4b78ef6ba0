"""Commands for operators: ``flask --app bookstore COMMAND``."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import click
from flask import Flask
from flask.cli import with_appcontext
from flask_babel import force_locale

from . import assets, sample
from .accounts import services as accounts
from .accounts.models import Role
from .catalog import covers, search
from .columns import utcnow
from .errors import StoreError
from .extensions import db
from .integrity import check_integrity
from .moving import receive_covers, receive_rows, table_sums
from .orders.services import expire_purchases

# A cover's files are written moments before its book is saved.
ORPHAN_AGE = timedelta(days=1)


def init_app(app: Flask) -> None:
    """Register the commands."""
    for command in (
        sample_data, create_admin, set_password, static_export, expire, tidy, rebuild_search, check_integrity,
        table_sums, receive_rows, receive_covers,
    ):  # fmt: skip
        app.cli.add_command(command)


@click.command("sample-data")
@click.option("--books", default=40, show_default=True, type=click.IntRange(1, 10_000_000), metavar="N")
@with_appcontext
def sample_data(books: int) -> None:
    """Fill the store with N sample books; the first forty are real ones.

    Running it again adds only what is missing. Its sellers cannot log in.
    """
    added = sample.fill(books)
    click.echo(f"added {added} books" if added else "unchanged")


@click.command("create-admin")
@click.option("--email", required=True)
@click.option("--name", default="Administrator", show_default=True)
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.option(
    "--role",
    default="administrator",
    show_default=True,
    type=click.Choice([Role.ADMINISTRATOR.value, Role.SUPPORT.value]),
)
@with_appcontext
def create_admin(email: str, name: str, password_stdin: bool, role: str) -> None:
    """Make an administrator or a supporter, or give an account that role and password.

    The password comes from standard input, or from ADMIN_PASSWORD, or is asked for. The last
    line printed is "created", "updated" or "unchanged".
    """
    password = "" if password_stdin else os.environ.get("ADMIN_PASSWORD", "")
    with _said_plainly():
        click.echo(accounts.ensure_admin(email, password or _read_password(password_stdin), name, Role(role)))


@click.command("set-password")
@click.option("--email", required=True)
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@with_appcontext
def set_password(email: str, password_stdin: bool) -> None:
    """Give somebody a new password, where no mail can bring them a link.

    They are logged out everywhere. The password comes from standard input, or is asked for. The last line printed is
    "updated".
    """
    with _said_plainly():
        accounts.replace_password(email, _read_password(password_stdin))
    click.echo("updated")


def _read_password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))


@contextmanager
def _said_plainly() -> Iterator[None]:
    """Let what the store refuses be one line, in English."""
    try:
        yield
    except StoreError as error:
        with force_locale("en"):
            raise click.ClickException(str(error.message)) from None


@click.command("static-export")
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
def static_export(directory: Path) -> None:
    """Copy the static files to DIRECTORY/<digest> for a web server."""
    target, made = assets.export(directory)
    click.echo(f"exported {target}" if made else "unchanged")


@click.command("expire-purchases")
@with_appcontext
def expire() -> None:
    """Put copies back on sale that were reserved and not paid for in time."""
    ended = expire_purchases()
    click.echo(f"expired {ended} purchases" if ended else "unchanged")


@click.command("tidy")
@with_appcontext
def tidy() -> None:
    """Delete expired sessions, old log-in attempts, and covers of no book; mend words that have no price yet."""
    indexed = search.rebuild(db.session.connection(), search.without_price(db.session.connection()))
    db.session.commit()
    now = utcnow()
    gone = {"rows": accounts.tidy(now), "covers": covers.remove_orphans(now - ORPHAN_AGE)}
    deleted = [f"{number} {what}" for what, number in gone.items() if number]
    done = [f"deleted {', '.join(deleted)}"] * bool(deleted) + [f"indexed {indexed} books"] * bool(indexed)
    click.echo("; ".join(done) or "unchanged")


@click.command("rebuild-search")
@with_appcontext
def rebuild_search() -> None:
    """Make the words that books are found by anew, while the store goes on."""
    with db.engine.connect() as connection:
        click.echo(f"indexed {search.rebuild(connection, commit=True)} books")
