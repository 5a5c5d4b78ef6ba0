"""A store on a real database: SQLite by default, MySQL with TEST_DATABASE=mysql.

MySQL is the server at TEST_MYSQL_URL (root's, e.g. mysql+pymysql://root:pw@127.0.0.1:3306),
else a container of TEST_MYSQL_IMAGE, which lab/mysql/build.sh makes.

Each test runs in a transaction that is rolled back; what the store commits are savepoints in
it. Tests marked ``commits`` need several connections: they really commit, and their tables
are emptied afterwards.
"""

import os
import re
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_migrate import upgrade
from hypothesis import settings
from sqlalchemy import URL, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError
from werkzeug.test import TestResponse

from bookstore import create_app
from bookstore.accounts.models import Role, User
from bookstore.accounts.passwords import hash_password
from bookstore.catalog.models import Book
from bookstore.catalog.search import index_book
from bookstore.extensions import db

from .mailbox import STORE_URL, Mailbox, serve

ROOT = Path(__file__).parents[2]
KEY = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a6978"
PASSWORD = "a horse and a battery"
PASSWORD_HASH = hash_password(PASSWORD)
TOKEN = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')
KEPT_TABLES = ("alembic_version", "delivery_providers")


# How long one example takes says more about the machine than about the store.
settings.register_profile("store", deadline=None)
settings.load_profile("store")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "commits: really commits; tables are emptied afterwards")
    config.addinivalue_line("markers", "mysql: needs MySQL; skipped on SQLite")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if backend() == "sqlite":
        for item in items:
            if item.get_closest_marker("mysql"):
                item.add_marker(pytest.mark.skip(reason="needs TEST_DATABASE=mysql"))


def backend() -> str:
    return os.environ.get("TEST_DATABASE", "sqlite")


@dataclass(frozen=True)
class Server:
    """Where the test databases live, and how to make another one."""

    root: URL | None
    directory: Path

    def new_database(self) -> URL:
        name = f"store_{secrets.token_hex(4)}"
        if self.root is None:
            return URL.create("sqlite", database=str(self.directory / f"{name}.sqlite"))
        engine = create_engine(self.root, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name} CHARACTER SET utf8mb4"))
        engine.dispose()
        return self.root.set(database=name)

    def drop(self, url: URL) -> None:
        if self.root is not None:
            engine = create_engine(self.root, isolation_level="AUTOCOMMIT")
            with engine.connect() as connection:
                connection.execute(text(f"DROP DATABASE IF EXISTS {url.database}"))
            engine.dispose()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("databases")
    if backend() == "sqlite":
        yield Server(None, directory)
    elif url := os.environ.get("TEST_MYSQL_URL"):
        yield Server(make_url(url).update_query_dict({"charset": "utf8mb4"}), directory)
    else:
        with mysql_container() as root:
            yield Server(root, directory)


@contextmanager
def mysql_container() -> Iterator[URL]:
    image = os.environ.get("TEST_MYSQL_IMAGE")
    if image is None:
        image = "bookstore-test-mysql:latest"
        subprocess.run([ROOT / "lab/mysql/build.sh", image], check=True)
    password = secrets.token_hex(8)
    run = ["docker", "run", "--detach", "--rm", "--tmpfs", "/var/lib/mysql"]
    run += ["--publish", "127.0.0.1::3306", "--env", "MYSQL_ROOT_PASSWORD", image]
    # Durability is not what is tested here, and it is most of the time of each commit.
    run += ["--innodb-flush-log-at-trx-commit=0", "--sync-binlog=0", "--skip-log-bin"]
    env = os.environ | {"MYSQL_ROOT_PASSWORD": password}
    name = subprocess.run(run, check=True, env=env, text=True, capture_output=True).stdout.strip()
    try:
        port = subprocess.run(
            ["docker", "port", name, "3306/tcp"], check=True, text=True, capture_output=True
        ).stdout.split(":")[-1]
        query = {"charset": "utf8mb4"}
        root = URL.create("mysql+pymysql", "root", password, "127.0.0.1", int(port), query=query)
        wait_for(root, name)
        yield root
    finally:
        subprocess.run(["docker", "rm", "--force", name], check=False, capture_output=True)


def wait_for(url: URL, container: str) -> None:
    engine = create_engine(url, connect_args={"connect_timeout": 2})
    deadline = time.monotonic() + 90
    while True:
        try:
            with engine.connect():
                break
        except DBAPIError:
            if time.monotonic() > deadline:
                logs = subprocess.run(["docker", "logs", "--tail", "20", container], capture_output=True, text=True)
                pytest.exit(f"MySQL does not start:\n{logs.stdout}{logs.stderr}", 3)
            time.sleep(0.2)
    engine.dispose()


def environment(url: URL) -> dict[str, str]:
    """The variables of a store on this database."""
    return {"SECRET_KEY": KEY, "DATABASE_URL": url.render_as_string(hide_password=False)}


def make_app(url: URL, **overrides: Any) -> Flask:
    return create_app({"TESTING": True, "FAILED_LOGIN_SECONDS": 0, **overrides}, environment(url))


@pytest.fixture(scope="session")
def migrated_app(server: Server) -> Iterator[Flask]:
    url = server.new_database()
    app = make_app(url)
    with app.app_context():
        upgrade()
    yield app
    with app.app_context():
        db.engine.dispose()
    app.extensions["bookstore_probe"].engine.dispose()
    server.drop(url)


@pytest.fixture
def app(migrated_app: Flask, request: pytest.FixtureRequest) -> Iterator[Flask]:
    if request.node.get_closest_marker("commits"):
        yield migrated_app
        with migrated_app.app_context():
            empty_tables()
        return
    with rolled_back(migrated_app):
        yield migrated_app


@contextmanager
def rolled_back(app: Flask) -> Iterator[None]:
    """Keep all that the store commits in one transaction, and undo it in the end."""
    engines = db._app_engines[app]
    engine = engines[None]
    with engine.connect() as connection:
        outer = connection.begin()
        engines[None] = connection  # type: ignore[assignment]
        db.session.session_factory.configure(join_transaction_mode="create_savepoint")
        try:
            yield
        finally:
            engines[None] = engine
            db.session.session_factory.configure(join_transaction_mode="conditional_savepoint")
            outer.rollback()


def empty_tables() -> None:
    db.session.remove()
    with db.engine.begin() as connection:
        for table in reversed(db.metadata.sorted_tables):
            if table.name not in KEPT_TABLES:
                connection.execute(table.delete())


class Browser:
    """A visitor: keeps cookies, speaks HTTPS and sends each form's token, as browsers do."""

    def __init__(self, app: Flask, language: str = "en") -> None:
        self.client: FlaskClient = app.test_client()
        self.base = {"base_url": "https://store.example", "headers": {"Accept-Language": language}}
        self.token = ""

    def get(self, path: str, **options: Any) -> TestResponse:
        response = self.client.get(path, **self._with(options))
        if response.mimetype == "text/html" and (found := TOKEN.search(response.text)):
            self.token = found[1]
        return response

    def post(self, path: str, data: dict[str, Any] | None = None, **options: Any) -> TestResponse:
        """Send a form, with its token unless ``data`` has one."""
        if not self.token:
            self.get("/login")
        form = {"csrf_token": self.token, **(data or {})}
        return self.client.post(path, data=form, **self._with(options))

    def _with(self, options: dict[str, Any]) -> dict[str, Any]:
        headers = self.base["headers"] | dict(options.pop("headers", {}))  # type: ignore[operator]
        return self.base | options | {"headers": headers}

    def log_in(self, user: User | str, password: str = PASSWORD) -> "Browser":
        email = user if isinstance(user, str) else user.email
        self.get("/login")
        response = self.post("/login", {"email": email, "password": password})
        assert response.status_code == 302, response.get_data(as_text=True)
        # The session is a new one, and so is its token.
        self.get("/book/add_book")
        return self


@pytest.fixture
def browser(app: Flask) -> Callable[..., Browser]:
    def open_browser(user: User | None = None, language: str = "en") -> Browser:
        made = Browser(app, language)
        return made.log_in(user) if user else made

    return open_browser


class Factory:
    """Makes rows with sensible values."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.count = 0

    def _add(self, row: Any) -> Any:
        with self.app.app_context():
            db.session.add(row)
            db.session.commit()
            db.session.refresh(row)
            db.session.expunge(row)
        return row

    def user(self, **values: Any) -> User:
        self.count += 1
        defaults = {
            "name": f"Person {self.count}",
            "email": f"person{self.count}@example.com",
            "password_hash": PASSWORD_HASH,
        }
        return self._add(User(**(defaults | values)))  # type: ignore[no-any-return]

    def admin(self) -> User:
        return self.user(role=Role.ADMINISTRATOR)

    def book(self, seller: User | None = None, **values: Any) -> Book:
        defaults = {
            "seller_id": (seller or self.user()).id,
            "title": "A Room with a View",
            "author": "E. M. Forster",
            "description": "Florence, and violets.",
            "price": Decimal("30.00"),
            "stock": 5,
        }
        book = self._add(Book(**(defaults | values)))
        with self.app.app_context():
            index_book(db.session, book)
            db.session.commit()
        return book  # type: ignore[no-any-return]


@pytest.fixture
def make(app: Flask) -> Factory:
    return Factory(app)


@pytest.fixture(scope="session")
def smtp_server() -> Iterator[tuple[Mailbox, int]]:
    handler = Mailbox()
    controller = serve(handler)
    yield handler, controller.port
    controller.stop()


@pytest.fixture
def mailbox(app: Flask, smtp_server: tuple[Mailbox, int], monkeypatch: pytest.MonkeyPatch) -> Mailbox:
    """The store sends mail, and this is where it arrives."""
    handler, port = smtp_server
    handler.messages.clear()
    handler.refuse = ""
    settings = {
        "MAIL_SERVER": "127.0.0.1",
        "MAIL_PORT": port,
        "MAIL_TLS": "none",
        "MAIL_FROM": "BookStore <store@books.example.com>",
        "STORE_URL": STORE_URL,
    }
    for name, value in settings.items():
        monkeypatch.setitem(app.config, name, value)
    return handler


@pytest.fixture
def fetch(app: Flask) -> Callable[..., Any]:
    """Read a row, or the rows of a model, as they are in the database now."""

    def read(model: type[Any], key: Any = None) -> Any:
        with app.app_context():
            db.session.expire_all()
            if key is not None:
                return db.session.get(model, key)
            return db.session.scalars(db.select(model)).all()

    return read


@pytest.fixture
def count_queries(migrated_app: Flask) -> Callable[..., Any]:
    @contextmanager
    def counting() -> Iterator[list[str]]:
        seen: list[str] = []

        def note(conn: Any, cursor: Any, statement: str, *rest: Any) -> None:
            if not statement.startswith(("SAVEPOINT", "RELEASE", "ROLLBACK")):
                seen.append(statement)

        with migrated_app.app_context():
            target = db.engine
        target = getattr(target, "engine", target)
        event.listen(target, "before_cursor_execute", note)
        try:
            yield seen
        finally:
            with suppress(Exception):
                event.remove(target, "before_cursor_execute", note)

    return counting


def purchase_of(response: TestResponse) -> int:
    """The id in a redirect to /payment/<id> or /delivery/<id>."""
    assert response.status_code == 302, response.get_data(as_text=True)
    return int(response.headers["Location"].rsplit("/", 1)[1])
