"""A move to another database and another folder: everything arrives, or nothing is changed."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_migrate import upgrade
from sqlalchemy import text

from bookstore.extensions import db

from .conftest import Factory, Server, empty_tables, make_app

mysql = [pytest.mark.mysql, pytest.mark.commits]
ODD = 'O\'Reilly said "100 % \\ %s"\n\ttwice; -- Ñandú 📚'


@pytest.fixture(scope="module")
def new_store(server: Server) -> Iterator[Flask]:
    url = server.new_database()
    store = make_app(url)
    with store.app_context():
        upgrade()
    yield store
    with store.app_context():
        db.engine.dispose()
    store.extensions["bookstore_probe"].engine.dispose()
    server.drop(url)


@pytest.fixture
def destination(new_store: Flask) -> Iterator[Flask]:
    yield new_store
    with new_store.app_context():
        empty_tables()


def sums(app: Flask) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(app.test_cli_runner().invoke(args=["table-sums"]).output)
    return found


def dump(app: Flask) -> bytes:
    """What mysqldump --no-create-info --compact --complete-insert writes."""
    lines = []
    with app.app_context(), db.engine.connect() as connection:
        escape = connection.connection.dbapi_connection.escape
        for table in sorted(db.metadata.tables):
            for row in connection.execute(text(f"SELECT * FROM `{table}`")).mappings():
                columns, values = (
                    ", ".join(f"`{name}`" for name in row),
                    ",".join(escape(value) for value in row.values()),
                )
                lines.append(f"INSERT INTO `{table}` ({columns}) VALUES ({values});\n")
    return gzip.compress("".join(lines).encode())


def receive(app: Flask, packed: bytes, expected: dict[str, Any], *options: str) -> tuple[int, str]:
    arguments = ["receive-rows", "--expect", json.dumps(expected), *options]
    done = app.test_cli_runner().invoke(args=arguments, input=packed)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output.strip()


def rows(app: Flask, table: str) -> int:
    return int(sums(app)["tables"][table][0])


@pytest.fixture
def old_store(app: Flask, make: Factory) -> Flask:
    make.book(title="Rayuela", description=ODD)
    make.book(title="", isbn=None, description="")
    return app


class TestRows:
    pytestmark = mysql

    def test_all_arrive(self, old_store: Flask, destination: Flask, fetch: Callable[..., Any]) -> None:
        code, said = receive(destination, dump(old_store), sums(old_store))

        assert (code, said.partition(" ")[0]) == (0, "received")
        assert sums(destination) == sums(old_store)
        with destination.app_context():
            assert db.session.scalar(text("SELECT description FROM books WHERE title = 'Rayuela'")) == ODD

    def test_a_second_time_changes_nothing(self, old_store: Flask, destination: Flask) -> None:
        receive(destination, dump(old_store), sums(old_store))

        assert receive(destination, b"", sums(old_store)) == (0, "unchanged")

    def test_rows_that_were_written_meanwhile_are_noticed(
        self, old_store: Flask, destination: Flask, make: Factory
    ) -> None:
        packed = dump(old_store)
        make.user()
        code, said = receive(destination, packed, sums(old_store))

        assert code == 1
        assert "users (2 rows, not 3)" in said
        assert "Dump it again" in said
        assert rows(destination, "users") == 0

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE books SET description = CONCAT(description, ' ') WHERE title = 'Rayuela'",
            "UPDATE books SET isbn = '' WHERE isbn IS NULL",
            "UPDATE books SET title = author, author = title",
        ],
    )
    def test_a_sum_is_of_every_value(self, old_store: Flask, statement: str) -> None:
        before = sums(old_store)["tables"]["books"]
        with old_store.app_context(), db.engine.begin() as connection:
            connection.execute(text(statement))
        after = sums(old_store)["tables"]["books"]

        assert (before[0], before[1] == after[1]) == (after[0], False)

    def test_a_store_that_people_use_is_not_overwritten_unasked(self, old_store: Flask, destination: Flask) -> None:
        Factory(destination).user(email="mine@example.com")
        packed, expected = dump(old_store), sums(old_store)

        code, said = receive(destination, packed, expected)
        assert code == 1
        assert "has 1 accounts already" in said
        assert rows(destination, "users") == 1

        assert receive(destination, packed, expected, "--replace")[0] == 0
        assert sums(destination) == expected

    def test_another_release_is_told(self, old_store: Flask, destination: Flask) -> None:
        code, said = receive(destination, dump(old_store), {**sums(old_store), "revision": "0001"})

        assert code == 1
        assert "schema is 0001" in said
        assert "the same release" in said

    @pytest.mark.parametrize(
        ("spoil", "told"),
        [
            (lambda packed: packed[: len(packed) // 2], "is not whole"),
            (lambda _: b"no gzip at all", "is not whole"),
            (lambda packed: gzip.compress(gzip.decompress(packed) + b"DROP TABLE books;\n"), "more than rows"),
        ],
        ids=["cut short", "something else", "with a DROP"],
    )
    def test_a_spoilt_dump_changes_nothing(
        self, old_store: Flask, destination: Flask, spoil: Callable[[bytes], bytes], told: str
    ) -> None:
        before = sums(destination)
        code, said = receive(destination, spoil(dump(old_store)), sums(old_store))

        assert code == 1
        assert told in said
        assert "\n" not in said
        assert sums(destination) == before

    def test_what_the_server_quotes_is_not_told(self, old_store: Flask, destination: Flask) -> None:
        twice = gzip.decompress(dump(old_store)) * 2
        code, said = receive(destination, gzip.compress(twice), sums(old_store))

        assert code == 1
        assert "Duplicate entry" in said
        assert "person" not in said


@pytest.mark.mysql
def test_a_ca_that_is_not_there_is_told(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    options = app.config["SQLALCHEMY_ENGINE_OPTIONS"]
    given = {**options["connect_args"], "ssl_ca": "/nowhere/ca.pem", "ssl_verify_cert": True}
    monkeypatch.setitem(app.config, "SQLALCHEMY_ENGINE_OPTIONS", {**options, "connect_args": given})
    done = app.test_cli_runner().invoke(args=["table-sums"])

    assert done.exit_code == 1
    assert "the database cannot be connected to" in done.output


def test_sqlite_does_not_move(app: Flask) -> None:
    if app.config["SQLALCHEMY_DATABASE_URI"].get_backend_name() == "mysql":
        pytest.skip("what is tested is the refusal of a store on SQLite")
    done = app.test_cli_runner().invoke(args=["table-sums"])

    assert done.exit_code == 1
    assert "only a store on MySQL can move" in done.output


LARGE = b"a picture, as far as its name goes"
DIGEST = hashlib.sha256(LARGE).hexdigest()


def archive(**files: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"covers/{DIGEST[:2]}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


COVER = {f"{DIGEST}-large.webp": LARGE, f"{DIGEST}-small.webp": b"small"}


@pytest.fixture
def shelf(app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(app.config, "UPLOAD_FOLDER", str(tmp_path))
    return tmp_path / "covers" / DIGEST[:2]


def take(app: Flask, packed: bytes) -> tuple[int, str]:
    done = app.test_cli_runner().invoke(args=["receive-covers"], input=packed)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output.strip()


def test_covers_arrive_once(app: Flask, shelf: Path) -> None:
    assert take(app, archive(**COVER)) == (0, "received 2 files of covers")
    assert {file.name: file.read_bytes() for file in shelf.iterdir()} == COVER
    assert take(app, archive(**COVER)) == (0, "unchanged")


def test_what_is_no_cover_stays_out(app: Flask, shelf: Path) -> None:
    assert take(app, archive(**{"../../../evil": b"x", f"{DIGEST}-large.0a.new": b"half"})) == (0, "unchanged")
    assert not shelf.exists()


def test_a_cover_that_is_not_what_its_name_says_is_refused(app: Flask, shelf: Path) -> None:
    code, said = take(app, archive(**{f"{DIGEST}-large.webp": b"another one"}))

    assert code == 1
    assert DIGEST in said
    assert not shelf.exists()


def test_an_archive_that_is_not_whole_is_told(app: Flask, shelf: Path) -> None:
    packed = archive(**{**COVER, f"{DIGEST}-small.webp": bytes(range(256)) * 400})
    for spoilt in (packed[:-6], packed[: len(packed) // 2], b"no gzip"):
        code, said = take(app, spoilt)

        assert code == 1
        assert "is not whole" in said


def test_covers_without_a_place_are_told(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(app.config, "UPLOAD_FOLDER", None)
    code, said = take(app, archive(**COVER))

    assert code == 1
    assert "keeps no pictures" in said
