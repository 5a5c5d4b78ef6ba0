"""What operators rely on: settings, health, commands, static files, gunicorn's sizes."""

import json
import logging
import runpy
import sys
import time
from datetime import timedelta
from types import SimpleNamespace
from unittest.mock import patch

import pytest
from flask_migrate import downgrade, upgrade
from gunicorn.config import Config
from sqlalchemy import URL, inspect
from sqlalchemy.exc import OperationalError

from bookstore import ConfigError, assets, create_app, logs
from bookstore.accounts.models import LoginAttempt, User, UserSession
from bookstore.admin.models import AuditEntry
from bookstore.catalog.models import Book
from bookstore.columns import utcnow
from bookstore.config import load_config
from bookstore.extensions import db
from bookstore.logs import GunicornLogger, JSONFormatter, without_people
from bookstore.security import refuse_foreign_origin

from .conftest import KEY, PASSWORD, ROOT, Browser, make_app

MYSQL = {"SECRET_KEY": KEY, "DB_HOST": "db", "DB_USER": "store", "DB_NAME": "books"}


# Settings


def test_database_from_its_parts():
    password = "p@ss:w/o?r#d%20 'é"
    config = load_config(MYSQL | {"DB_PASS": password, "DB_PORT": "3307"})
    url = config["SQLALCHEMY_DATABASE_URI"]
    assert (url.drivername, url.password, url.port) == ("mysql+pymysql", password, 3307)
    arguments = config["SQLALCHEMY_ENGINE_OPTIONS"]["connect_args"]
    assert "ssl_ca" not in arguments


def test_database_over_verified_tls():
    config = load_config(MYSQL | {"DB_SSL_CA": "/etc/ca.pem"})
    arguments = config["SQLALCHEMY_ENGINE_OPTIONS"]["connect_args"]
    assert arguments["ssl_ca"] == "/etc/ca.pem"
    assert arguments["ssl_verify_cert"] is True
    assert arguments["ssl_verify_identity"] is True


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"DB_HOST": ""}, "DB_HOST"),
        ({"DB_USER": "", "DB_NAME": ""}, "DB_USER, DB_NAME"),
        ({"DB_PORT": "99999"}, "DB_PORT"),
        ({"DB_PORT": "x"}, "DB_PORT"),
        ({"DATABASE_URL": "junk with a password"}, "DATABASE_URL"),
        ({"TRUSTED_PROXY_COUNT": "-1"}, "TRUSTED_PROXY_COUNT"),
        ({"SECRET_KEY_FALLBACKS": "short"}, "SECRET_KEY_FALLBACKS"),
    ],
)
def test_unusable_setting_is_one_clear_line(change, named):
    with pytest.raises(ConfigError) as caught:
        load_config(MYSQL | change)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "junk" not in str(caught.value)


def test_old_keys_still_verify():
    config = load_config(MYSQL | {"SECRET_KEY_FALLBACKS": KEY[::-1]})
    assert config["SECRET_KEY_FALLBACKS"] == [KEY[::-1]]


def test_plain_http_needs_an_explicit_wish():
    assert load_config(MYSQL)["SESSION_COOKIE_NAME"] == "__Host-session"
    config = load_config(MYSQL | {"SESSION_COOKIE_INSECURE": "1"})
    assert (config["SESSION_COOKIE_NAME"], config["SESSION_COOKIE_SECURE"]) == ("session", False)


@pytest.mark.parametrize(("count", "expected"), [(0, "127.0.0.1"), (1, "198.51.100.9")])
def test_forwarded_addresses_only_from_trusted_proxies(tmp_path, count, expected):
    proxied = create_app(
        {"TESTING": True},
        {
            "SECRET_KEY": KEY,
            "DATABASE_URL": f"sqlite:///{tmp_path}/x.sqlite",
            "TRUSTED_PROXY_COUNT": str(count),
        },
    )
    headers = {"X-Forwarded-For": "203.0.113.1, 198.51.100.9", "X-Forwarded-Host": "evil.example"}
    seen = []
    proxied.before_request_funcs[None].append(lambda: seen.append(_where()))
    proxied.test_client().get("/health", headers=headers)
    assert seen == [(expected, "localhost")]


def _where():
    from flask import request

    refuse_foreign_origin()
    return request.remote_addr, request.host


# Health


def test_health_and_readiness(app, browser):
    for path in ("/health", "/ready"):
        response = browser().get(path)
        assert response.status_code == 200
        assert response.json["status"] == "healthy"
        assert response.json["database"] == "connected"
        assert response.json["release"] == "unknown"
        assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize("host", ["", "10.0.0.7:8000", "a b", "é"])
def test_health_answers_to_any_host(app, host):
    response = app.test_client().get("/health", headers={"Host": host})
    assert response.status_code == 200


def test_impossible_host_is_a_400(app):
    response = app.test_client().get("/", headers={"Host": "x" * 300})
    assert response.status_code == 400


def test_health_tells_the_truth_about_the_database():
    away = URL.create("mysql+pymysql", "u", "p", "127.0.0.1", 1, "x")
    app = make_app(away)
    started = time.monotonic()
    response = app.test_client().get("/health")
    assert time.monotonic() - started < 5
    assert response.status_code == 503
    assert response.json == {"status": "unhealthy", "database": "unavailable", "release": "unknown"}
    visitor = Browser(app)
    assert visitor.get("/book/catalog").status_code == 503
    assert visitor.get("/login").status_code == 200


def test_readiness_sees_a_missing_schema(server):
    url = server.new_database()
    app = make_app(url)
    client = app.test_client()
    assert client.get("/health").status_code == 200
    response = client.get("/ready")
    assert (response.status_code, response.json["schema"]) == (503, "different")
    # Flask reports the missing table as an error page, not as a broken connection.
    assert Browser(app).get("/book/catalog").status_code in (500, 503)
    _close(app)
    server.drop(url)


def test_health_asks_at_most_once_a_second(app, monkeypatch):
    probe = app.extensions["bookstore_probe"]
    probe._asked_at = float("-inf")
    asked = []
    monkeypatch.setattr(probe, "_look", lambda: asked.append(1) or (True, True))
    client = app.test_client()
    for _ in range(5):
        client.get("/health")
    assert asked == [1]
    probe._asked_at = float("-inf")


# Schema


def test_models_and_migrations_agree(migrated_app):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with migrated_app.app_context(), db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, db.metadata) == []


def test_migrations_run_forth_and_back(server):
    url = server.new_database()
    app = make_app(url)
    with app.app_context():
        upgrade()
        seller = User(name="S", email="s@example.com", password_hash="x")
        db.session.add(seller)
        db.session.commit()
        db.session.add(Book(seller_id=seller.id, title="T", author="A", description="", price=1, stock=1))
        db.session.commit()
        db.session.remove()
        downgrade(revision="base")
        assert inspect(db.engine).get_table_names() == ["alembic_version"]
        upgrade()
        assert set(inspect(db.engine).get_table_names()) >= set(db.metadata.tables)
        # As after a run that was cut off between a statement and its note.
        with db.engine.begin() as connection:
            connection.exec_driver_sql("DELETE FROM alembic_version")
        upgrade()
        assert db.session.execute(db.text("SELECT COUNT(*) FROM delivery_providers")).scalar() == 4
    _close(app)
    server.drop(url)


def test_words_get_their_prices_by_the_migration(server):
    url = server.new_database()
    app = make_app(url)
    with app.app_context():
        upgrade()
        seller = User(name="S", email="s@example.com", password_hash="x")
        db.session.add(seller)
        db.session.commit()
        book = Book(seller_id=seller.id, title="Delirio", author="A", description="", price=7, stock=1)
        db.session.add(book)
        db.session.commit()
        db.session.remove()
        downgrade(revision="0004")
        with db.engine.begin() as connection:
            connection.execute(db.text("INSERT INTO book_terms (term, book_id) SELECT 'delirio', id FROM books"))
        upgrade()
        assert db.session.execute(db.text("SELECT term, price FROM book_terms")).all() == [("delirio", 7)]
    _close(app)
    server.drop(url)


def test_making_the_application_opens_no_connection():
    make_app(URL.create("mysql+pymysql", "u", "p", "192.0.2.1", 3306, "x"))


def _close(app):
    with app.app_context():
        db.session.remove()
        db.engine.dispose()
    app.extensions["bookstore_probe"].engine.dispose()


# Commands


def test_sample_data(app, fetch, browser):
    run = app.test_cli_runner().invoke
    assert run(args=["sample-data", "--books", "30"]).output == "added 30 books\n"
    assert run(args=["sample-data", "--books", "30"]).output == "unchanged\n"
    assert run(args=["sample-data", "--books", "90"]).output == "added 60 books\n"
    books = fetch(Book)
    assert len({book.title for book in books}) == 90
    assert "Don Quijote de la Mancha" in {book.title for book in books}
    assert browser().get("/book/catalog").status_code == 200
    seller = fetch(User)[0]
    visitor = browser()
    visitor.get("/login")
    for password in ("!", ""):
        form = {"email": seller.email, "password": password}
        assert visitor.post("/login", form).status_code in (401, 422)


def test_create_admin(app, fetch, browser):
    run = app.test_cli_runner().invoke
    args = ["create-admin", "--email", "Root@example.com"]
    assert _last(run(args=args, env={"ADMIN_PASSWORD": PASSWORD})) == "created"
    assert _last(run(args=args, env={"ADMIN_PASSWORD": PASSWORD})) == "unchanged"
    visitor = browser(fetch(User)[0])
    assert visitor.get("/admin/users").status_code == 200
    stdin = [*args, "--password-stdin"]
    assert _last(run(args=stdin, input="another long one\n")) == "updated"
    assert _last(run(args=stdin, input="another long one\n")) == "unchanged"
    # Whoever was logged in by the old password is not any more.
    assert visitor.get("/admin/users").status_code == 302
    prompted = run(args=args, input="a third long one\na third long one\n", env={"ADMIN_PASSWORD": ""})
    assert _last(prompted) == "updated"
    assert "third" not in prompted.output


def test_create_admin_promotes_and_refuses_junk(app, make, fetch):
    run = app.test_cli_runner().invoke
    user = make.user()
    args = ["create-admin", "--email", user.email]
    assert _last(run(args=args, env={"ADMIN_PASSWORD": PASSWORD})) == "updated"
    assert fetch(User, user.id).is_admin
    for email, password in (("x", PASSWORD), ("new@example.com", "short")):
        result = run(args=["create-admin", "--email", email], env={"ADMIN_PASSWORD": password})
        assert result.exit_code == 1
        assert result.output.startswith("Error: ")
    assert len(fetch(User)) == 1


def test_a_forgotten_password_is_replaced_by_a_command(app, make, fetch, browser):
    run = app.test_cli_runner().invoke
    user = make.user()
    visitor = browser(user)
    args = ["set-password", "--email", user.email.upper(), "--password-stdin"]

    assert _last(run(args=args, input="chosen over the phone\n")) == "updated"

    assert visitor.get("/account").status_code == 302
    form = {"email": user.email, "password": "chosen over the phone"}
    assert browser().post("/login", form).status_code == 302
    assert fetch(User, user.id).role == user.role
    assert [entry.action for entry in fetch(AuditEntry)] == ["user.password"]


@pytest.mark.parametrize(
    ("email", "password", "said"),
    [
        ("nobody@example.com", PASSWORD, "Nobody has registered nobody@example.com."),
        ("x", PASSWORD, "address"),
        (None, "short", "between 10 and 128 characters"),
    ],
)
def test_set_password_refuses_junk(app, make, fetch, email, password, said):
    user = make.user()
    args = ["set-password", "--email", email or user.email, "--password-stdin"]

    result = app.test_cli_runner().invoke(args=args, input=password + "\n")

    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert said in result.output
    assert fetch(User, user.id).password_hash == user.password_hash


def _last(result):
    assert result.exit_code == 0, result.output
    return result.output.splitlines()[-1]


def test_expire_and_tidy_commands(app, make, browser, fetch):
    run = app.test_cli_runner().invoke
    book = make.book()
    buyer = browser(make.user())
    buyer.post(f"/buy/{book.id}", {"quantity": "5"})
    assert run(args=["expire-purchases"]).output == "unchanged\n"
    assert run(args=["tidy"]).output == "unchanged\n"
    with app.app_context():
        db.session.execute(db.text("UPDATE purchases SET reserved_until = '2020-01-01 00:00:00'"))
        db.session.execute(db.update(UserSession).values(expires_at=utcnow()))
        db.session.commit()
    assert run(args=["expire-purchases"]).output == "expired 1 purchases\n"
    assert fetch(Book, book.id).stock == 5
    assert run(args=["tidy"]).output == "deleted 1 rows\n"
    assert fetch(LoginAttempt) == []


def test_static_export(app, tmp_path):
    run = app.test_cli_runner().invoke
    target = tmp_path / "www"
    assert run(args=["static-export", str(target)]).output.startswith("exported ")
    assert (target / assets.digest() / "store.css").read_bytes() == (ROOT / "bookstore/static/store.css").read_bytes()
    assert run(args=["static-export", str(target)]).output == "unchanged\n"
    assert [path.name for path in target.iterdir()] == [assets.digest()]
    assert (target / assets.digest()).stat().st_mode & 0o777 == 0o755


# Logs and gunicorn


def test_log_lines_are_json(app):
    record = logging.LogRecord("x", logging.WARNING, "f", 1, "año\n%s", ("b",), None)
    record.fields = {"path": "/"}
    with app.test_request_context("/"):
        app.preprocess_request()
        entry = json.loads(JSONFormatter().format(record))
    assert entry["message"] == "año\nb"
    assert entry["path"] == "/"
    assert len(entry["request_id"]) == 32


@pytest.mark.parametrize(
    ("text", "logged"),
    [
        ("/nothing/maria@example.com", "/nothing/<e-mail>"),
        ("(1062, \"Duplicate entry 'maría@x.co-7' for key 'users.email'\")", "(1062, \"Duplicate entry '…' for key 'users.email'\")"),
        ("Incorrect string value: 'Ana O\\'Hara' for column 'name' at row 1", "Incorrect string value: '…' for column 'name' at row 1"),
        ("Lost connection to 'db' (@ 5 s)", "Lost connection to 'db' (@ 5 s)"),
    ],
)  # fmt: skip
def test_no_people_in_logs(text, logged):
    assert without_people(text) == logged


def test_a_traceback_is_a_field_of_one_line(app):
    try:
        raise ValueError("ana@example.com\nwas here")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "f", 1, "broken", (), sys.exc_info())
    line = JSONFormatter().format(record)
    assert "\n" not in line
    assert "ana" not in line
    assert json.loads(line)["exception"].endswith("ValueError: <e-mail>\nwas here")


def test_access_log_keeps_no_query(app):
    logger = GunicornLogger(Config())
    response = SimpleNamespace(headers=[("X-Request-ID", "abcdefgh")], status="200 OK", sent=5)
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/a/ana@example.com", "QUERY_STRING": "q=secret"}
    with patch.object(logger.access_log, "info") as info:
        logger.access(response, None, environ | {"RAW_URI": "/a?q=secret"}, timedelta(milliseconds=3))
    fields = info.call_args.kwargs["extra"]["fields"]
    assert (fields["path"], fields["status"], fields["ms"]) == ("/a/<e-mail>", 200, 3.0)
    assert "secret" not in str(info.call_args)


@pytest.mark.parametrize(("terminal", "kind"), [(True, logging.Formatter), (False, JSONFormatter)])
def test_people_at_a_terminal_read_text(monkeypatch, terminal, kind):
    monkeypatch.setattr("sys.stderr", SimpleNamespace(isatty=lambda: terminal, write=print, flush=lambda: None))
    package = logging.getLogger("bookstore")
    before = (package.handlers, package.propagate, package.level)
    try:
        logs.init_app(SimpleNamespace(testing=False))
        assert type(package.handlers[0].formatter) is kind
    finally:
        package.handlers, package.propagate, package.level = before


@pytest.fixture
def gunicorn_settings(monkeypatch, tmp_path):
    def load(files, cores=2, **environ):
        for name in ("WEB_CONCURRENCY", "GUNICORN_THREADS", "PORT", "BIND_HOST"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(cores)))
        for name, content in files.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(content)
        settings = runpy.run_path(str(ROOT / "bookstore/gunicorn.conf.py"))
        settings["worker_count"].__globals__["CGROUP"] = tmp_path
        return settings

    return load


@pytest.mark.parametrize(
    ("files", "cores", "workers"),
    [
        ({}, 2, 4),
        ({}, 1, 2),
        ({}, 64, 12),
        ({"cpu.max": "max 100000", "memory.max": "max"}, 2, 4),
        ({"cpu.max": "50000 100000"}, 8, 2),
        ({"cpu.max": "300000 100000"}, 8, 6),
        ({"memory.max": str(512 * 1024**2)}, 8, 2),
        ({"memory.max": str(64 * 1024**2)}, 8, 1),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 2, 4),
        ({"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"}, 8, 2),
        ({"memory/memory.limit_in_bytes": str(900 * 1024**2)}, 8, 4),
    ],
)
def test_gunicorn_fits_its_container(gunicorn_settings, files, cores, workers):
    assert gunicorn_settings(files, cores)["worker_count"]() == workers


def test_gunicorn_settings(gunicorn_settings):
    settings = gunicorn_settings({})
    assert settings["bind"] == "127.0.0.1:8000"
    assert settings["keepalive"] > 60
    settings = gunicorn_settings({}, WEB_CONCURRENCY="7", GUNICORN_THREADS="3", PORT="99")
    assert (settings["workers"], settings["threads"]) == (7, 3)
    assert settings["bind"].endswith(":99")


# The proxy's cache


def test_the_proxy_may_keep_what_is_nobodys(make, browser):
    make.book()
    stranger, customer = browser(), browser(make.user())
    for path in ("/", "/book/catalog", "/book/catalog?q=forster"):
        page = stranger.get(path)
        assert page.headers["X-Accel-Expires"] == "1"
        assert "Set-Cookie" not in page.headers
        assert {"Accept-Language", "Cookie"} <= set(page.headers["Vary"].replace(" ", "").split(","))
        assert "X-Accel-Expires" not in customer.get(path).headers
    # A form's token belongs to one session; a wrong address is not worth the room; probes must see the truth.
    for path in ("/login", "/register", "/nothing", "/health", "/ready", "/metrics"):
        assert "X-Accel-Expires" not in stranger.get(path).headers
    assert "Set-Cookie" in stranger.get("/book/catalog?lang=es").headers


def test_a_database_that_does_not_answer_is_one_line_of_a_migration():
    app = create_app(environ=MYSQL | {"DB_HOST": "127.0.0.1", "DB_PORT": "1"})
    result = app.test_cli_runner().invoke(args=["db", "upgrade"])
    assert result.exit_code == 1
    [line] = result.output.splitlines()
    assert line.startswith("Error: The database does not let the store in: (2003, ")
    assert "127.0.0.1" in line


def test_a_connection_that_dies_takes_no_ready_answer_with_it(server, monkeypatch):
    app = make_app(server.new_database())
    with app.app_context():
        upgrade()
        dialect, pool = db.engine.dialect, db.engine.pool
    # A page that ends with an open transaction, as most do; its connection is gone when it is to be given back.
    died = iter([OperationalError("ROLLBACK", {}, Exception("(2013, 'Lost connection')"))])
    real = dialect.do_rollback

    def do_rollback(connection):
        for error in died:
            raise error
        real(connection)

    monkeypatch.setattr(dialect, "do_rollback", do_rollback)
    monkeypatch.setattr(dialect, "is_disconnect", lambda error, *_: "Lost connection" in str(error))
    visitor = Browser(app)
    assert visitor.get("/book/catalog").status_code == 200
    assert list(died) == []
    assert pool.checkedout() == 0
    assert visitor.get("/book/catalog").status_code == 200
