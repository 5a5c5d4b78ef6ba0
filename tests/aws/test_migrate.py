"""The migration of roles/aws-fleet on a real MySQL server: what the store may do after it, and what not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pymysql
import pytest
from sqlalchemy import URL, make_url

from tests.ansible.conftest import BIN, ROOT, load
from tests.aws.conftest import REGION
from tests.store.conftest import mysql_container

pytestmark = pytest.mark.skipif(os.environ.get("TEST_DATABASE") != "mysql", reason="needs TEST_DATABASE=mysql")


@pytest.fixture(scope="module")
def master() -> Iterator[URL]:
    """A server and its master user."""
    if given := os.environ.get("TEST_MYSQL_URL"):
        yield make_url(given)
    else:
        with mysql_container() as url:
            yield url


@pytest.fixture
def migrate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The script, running commands in the tests' virtual environment, not in the store's container."""
    script = load(ROOT / "roles" / "aws-fleet" / "files" / "migrate.py")

    def here(_container: dict[str, Any], variables: dict[str, str], command: list[str]) -> None:
        given = {key: value for key, value in os.environ.items() if not key.startswith("DB_")}
        subprocess.run([BIN / command[0], *command[1:]], check=True, cwd=ROOT, env={**given, **variables})

    container = tmp_path / "container.json"
    container.write_text(json.dumps({"image": "bookstore", "arguments": [], "settings": {"RELEASE": "1"}}))
    monkeypatch.setattr(script, "in_container", here)
    monkeypatch.setattr(script, "CONTAINER", container)
    return script


def test_the_store_gets_rows_and_no_schema(
    migrate: ModuleType, master: URL, aws: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def secret(name: str, **content: str | None) -> str:
        return str(aws("secretsmanager").create_secret(Name=name, SecretString=json.dumps(content))["ARN"])

    store = {"SECRET_KEY": "4f9c1d7e2ab84c3fa6d05e9b7c81f2d3", "DB_USER": "migrated", "DB_PASS": "it's-a-long-one"}
    settings = {
        "region": REGION,
        "secret_arn": secret("store", **store),
        "database_host": master.host,
        "database_name": "migrated",
    }
    given = {"settings": settings, "master_secret_arn": secret("m", username=master.username, password=master.password)}
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setattr(sys, "argv", ["migrate.py", json.dumps(given)])
    monkeypatch.setattr(migrate, "environment", with_port(migrate.environment, str(master.port)))

    migrate.main()
    migrate.main()  # a second release finds the user and the schema there

    login: dict[str, Any] = {
        "host": master.host,
        "port": master.port,
        "user": store["DB_USER"],
        "password": store["DB_PASS"],
        "database": "migrated",
    }
    with pytest.raises(pymysql.err.OperationalError, match="Access denied"):
        pymysql.connect(**login, ssl_disabled=True)
    with pymysql.connect(**login, ssl={"check_hostname": False}) as connection, connection.cursor() as cursor:
        assert cursor.execute("SELECT version_num FROM alembic_version") == 1
        assert cursor.execute("DELETE FROM books WHERE id = 0") == 0
        for forbidden in ("CREATE TABLE mine (id INT)", "DROP TABLE books", "SELECT user FROM mysql.user"):
            with pytest.raises(pymysql.err.OperationalError, match="denied"):
                cursor.execute(forbidden)


def with_port(original: Callable[..., dict[str, str]], port: str) -> Callable[..., dict[str, str]]:
    """RDS answers on MySQL's own port; the server of a test does not."""
    return lambda *arguments: {**original(*arguments), "DB_PORT": port}
