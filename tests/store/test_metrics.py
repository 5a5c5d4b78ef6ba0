"""The figures for Prometheus: who may have them, what they count, and that workers count together."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
import requests
from sqlalchemy import URL

from bookstore import ConfigError
from bookstore.columns import utcnow
from bookstore.config import load_config
from bookstore.extensions import db
from bookstore.orders.models import Purchase

from .conftest import KEY, ROOT, environment, make_app

TOKEN = "6b1f0c9d8e7a5b4c3d2e1f0a9b8c7d6e"
ALLOWED = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def counted(migrated_app):
    made = make_app(migrated_app.config["SQLALCHEMY_DATABASE_URI"], METRICS_TOKEN=TOKEN, RELEASE="abc")
    yield made
    with made.app_context():
        db.engine.dispose()
    made.extensions["bookstore_probe"].engine.dispose()


def figure(text, name):
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else None


def test_without_a_token_there_is_no_such_page(app):
    for headers in ({}, {"Authorization": "Bearer "}, ALLOWED):
        assert app.test_client().get("/metrics", headers=headers).status_code == 404


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer ", f"Basic {TOKEN}", f"Bearer {TOKEN}x", TOKEN, "Bearer é"])
def test_a_wrong_token_is_a_404(counted, given):
    assert counted.test_client().get("/metrics", headers={"Authorization": given}).status_code == 404


def test_a_guessable_token_is_refused():
    for token in ("short", "x" * 40, "changeme-changeme-changeme-changeme"):
        with pytest.raises(ConfigError, match="METRICS_TOKEN"):
            load_config({"SECRET_KEY": KEY, "DATABASE_URL": "sqlite://", "METRICS_TOKEN": token})


def test_requests_are_counted_by_route(counted):
    client = counted.test_client()
    client.get("/book/catalog?q=maria@example.com")
    client.get("/nothing/maria@example.com")
    client.post("/login", headers={"Sec-Fetch-Site": "cross-site"})
    client.open("/login", method="BREW")
    response = client.get("/metrics", headers=ALLOWED)
    assert response.mimetype == "text/plain"
    assert response.headers["Cache-Control"] == "no-store"
    text = response.text
    assert figure(text, 'bookstore_requests_total{endpoint="catalog.catalog",method="GET",status="200"}') == 1
    assert figure(text, 'bookstore_requests_total{endpoint="none",method="GET",status="404"}') == 1
    assert figure(text, 'bookstore_requests_total{endpoint="accounts.login",method="POST",status="403"}') == 1
    assert figure(text, 'bookstore_requests_total{endpoint="none",method="other",status="405"}') == 1
    assert figure(text, 'bookstore_request_seconds_count{endpoint="catalog.catalog"}') == 1
    assert figure(text, 'bookstore_build_info{release="abc"}') == 1
    assert figure(text, "bookstore_requests_in_flight") == 1
    assert figure(text, "bookstore_database_connections_in_use") == 0
    assert "maria" not in text


def test_a_page_that_breaks_is_counted_and_over(counted):
    counted.config["PROPAGATE_EXCEPTIONS"] = False

    def broken():
        db.session.execute(db.text("SELECT 1"))
        raise RuntimeError

    counted.view_functions["catalog.home"] = broken
    client = counted.test_client()
    assert client.get("/").status_code == 500
    text = client.get("/metrics", headers=ALLOWED).text
    assert figure(text, 'bookstore_requests_total{endpoint="catalog.home",method="GET",status="500"}') == 1
    assert figure(text, "bookstore_requests_in_flight") == 1
    assert figure(text, "bookstore_database_connections_in_use") == 0


@pytest.mark.commits
def test_purchases_by_state(app, counted, make):
    book, buyer, now = make.book(), make.user(), utcnow()
    with app.app_context():
        for status, hours in (("reserved", 1), ("reserved", -2), ("paid", -3), ("expired", -5), ("expired", -30)):
            row = Purchase(buyer_id=buyer.id, book_id=book.id, quantity=1, unit_price=30, total=30, status=status)
            row.reserved_until = now + timedelta(hours=hours)
            db.session.add(row)
        db.session.commit()
    text = counted.test_client().get("/metrics", headers=ALLOWED).text
    assert [figure(text, f'bookstore_purchases{{status="{s}"}}') for s in ("reserved", "paid", "expired")] == [2, 1, 1]
    assert figure(text, 'bookstore_purchases{status="cancelled"}') == 0
    assert figure(text, "bookstore_reservations_overdue") == 1


def test_figures_do_not_need_the_database():
    away = make_app(URL.create("mysql+pymysql", "u", "p", "127.0.0.1", 1, "x"), METRICS_TOKEN=TOKEN)
    response = away.test_client().get("/metrics", headers=ALLOWED)
    assert response.status_code == 200
    assert "bookstore_build_info" in response.text
    assert "bookstore_purchases" not in response.text


@pytest.fixture
def gunicorn(server):
    url = server.new_database()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {"METRICS_TOKEN": TOKEN, "PORT": str(port), "WEB_CONCURRENCY": "2", "SESSION_COOKIE_INSECURE": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "--config", "bookstore/gunicorn.conf.py", "bookstore:create_app()"],
        cwd=ROOT,
        env=os.environ | environment(url) | settings,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process, f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(40)
        server.drop(url)


def test_workers_count_together_and_go_on_counting(gunicorn):
    process, url = gunicorn
    login = 'bookstore_requests_total{endpoint="accounts.login",method="GET",status="200"}'

    def scrape():
        return requests.get(f"{url}/metrics", headers=ALLOWED, timeout=5).text

    until(lambda: figure(scrape(), "bookstore_requests_in_flight") == 1)
    before = figure(scrape(), login) or 0
    for _ in range(20):
        requests.get(f"{url}/login", timeout=5)
    assert figure(scrape(), login) == before + 20
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    maps = Path(f"/proc/{process.pid}/maps").read_text()
    directory = Path(re.search(r"(/\S*bookstore-metrics-\w+)/", maps)[1])
    first = children.read_text().split()
    for _ in range(2):
        # Killed as the kernel does when memory runs out; the successor takes over the number.
        victim = children.read_text().split()[0]
        os.kill(int(victim), signal.SIGKILL)
        until(lambda gone=victim: gone not in children.read_text().split() and len(children.read_text().split()) == 2)
        until(lambda: figure(scrape(), "bookstore_requests_in_flight") == 1)
    assert children.read_text().split() != first
    requests.get(f"{url}/login", timeout=5)
    assert figure(scrape(), login) == before + 21
    assert {path.stem.rsplit("_", 1)[1] for path in directory.iterdir()} == {"0", "1", "2"}
    process.terminate()
    # A worker that is just starting does not hear the signal; gunicorn ends it after its graceful timeout.
    process.wait(40)
    assert not directory.exists()


def until(condition):
    deadline = time.monotonic() + 20
    while True:
        try:
            if condition():
                return
        except requests.RequestException:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.05)
