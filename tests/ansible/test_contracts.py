"""What one part says of another: numbers that stand in two places are the same in both."""

from __future__ import annotations

import re
import runpy
from typing import Any

import pytest

from bookstore.catalog.covers import MAX_BYTES
from bookstore.config import MIN_SECRET_LENGTH, WEAK_SECRETS, load_config
from tests.ansible.conftest import ROOT, SECRETS, load


@pytest.fixture(scope="module")
def gunicorn() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "bookstore" / "gunicorn.conf.py"))


def test_preflight_knows_the_stores_limits(gunicorn: dict[str, Any]) -> None:
    preflight = load(ROOT / "plugins" / "action" / "preflight.py")
    store = load_config({"SECRET_KEY": SECRETS["vault_secret_key"], "DATABASE_URL": "sqlite://"})

    assert preflight.STORE_SECRET_LENGTH == MIN_SECRET_LENGTH
    assert preflight.STORE_WEAK_SECRETS == WEAK_SECRETS
    # A cover, and as much beside it as any other form may have.
    assert MAX_BYTES + store["MAX_CONTENT_LENGTH"] == preflight.STORE_BODY_LIMIT
    assert gunicorn["graceful_timeout"] == preflight.STORE_GRACEFUL_TIMEOUT


def test_nginx_lets_go_of_a_connection_before_the_store_does(gunicorn: dict[str, Any]) -> None:
    template = (ROOT / "roles" / "nginx-certbot" / "templates" / "nginx.conf.j2").read_text()
    kept = re.search(r"keepalive \d+;.*?keepalive_timeout (\d+)s;", template, re.DOTALL)
    assert kept

    assert int(kept[1]) < gunicorn["keepalive"]
