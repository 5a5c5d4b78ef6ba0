"""What one part says of another: numbers that stand in two places are the same in both."""

from __future__ import annotations

import re
import runpy
from typing import Any

import pytest
import yaml

from bookstore import create_app
from bookstore.catalog.covers import MAX_BYTES
from bookstore.config import MIN_SECRET_LENGTH, WEAK_SECRETS
from tests.ansible.conftest import ROOT, SECRETS, load


@pytest.fixture(scope="module")
def gunicorn() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "bookstore" / "gunicorn.conf.py"))


def test_preflight_knows_the_stores_limits(gunicorn: dict[str, Any]) -> None:
    limits = load(ROOT / "plugins" / "checks" / "store.py")
    store = create_app(environ={"SECRET_KEY": SECRETS["vault_secret_key"], "DATABASE_URL": "sqlite:///x"})
    paths = {rule.endpoint: rule.rule for rule in store.url_map.iter_rules()}
    dockerfile = (ROOT / "bookstore" / "Dockerfile").read_text()

    assert limits.STORE_SECRET_LENGTH == MIN_SECRET_LENGTH
    assert limits.STORE_WEAK_SECRETS == WEAK_SECRETS
    # A cover, and as much beside it as any other form may have.
    assert MAX_BYTES + store.config["MAX_CONTENT_LENGTH"] == limits.STORE_BODY_LIMIT
    assert gunicorn["graceful_timeout"] == limits.STORE_GRACEFUL_TIMEOUT
    assert (paths["health.health"], paths["accounts.login"]) == (limits.STORE_HEALTH_PATH, limits.STORE_LOGIN_PATH)
    assert f"USER {limits.STORE_UID}:{limits.STORE_UID}" in dockerfile


def test_preflight_knows_the_alarms_that_there_are() -> None:
    watched = yaml.safe_load((ROOT / "roles" / "aws-watch" / "vars" / "main.yml").read_text())
    assert tuple(watched["__aws_watch_alarms"]) == load(ROOT / "plugins" / "checks" / "store.py").WATCH_ALARMS


def test_preflight_knows_how_long_nginx_keeps_a_connection() -> None:
    limits = load(ROOT / "plugins" / "checks" / "store.py")
    defaults = yaml.safe_load((ROOT / "roles" / "nginx-certbot" / "defaults" / "main.yml").read_text())

    assert defaults["nginx_certbot_keepalive_timeout"] == limits.NGINX_KEEPALIVE_TIMEOUT


@pytest.mark.parametrize("name", ["preflight", "aws_preflight"])
def test_every_rule_is_about_variables_that_there_are(name: str) -> None:
    plugin = load(ROOT / "plugins" / "action" / f"{name}.py")
    known = set(plugin.ENVIRONMENT_SPEC)
    for path in ROOT.glob("roles/*/meta/argument_specs.yml"):
        for entry_point in yaml.safe_load(path.read_text())["argument_specs"].values():
            known |= entry_point["options"].keys()

    asked = {variable.rpartition(":")[2] for variables, _ in plugin.ActionModule.rules for variable in variables}

    assert len(asked) > 20
    assert asked <= known


@pytest.mark.parametrize("name", ["main", "absent"])
def test_no_environment_takes_anothers_alarms_for_its_own(name: str) -> None:
    tasks = yaml.safe_load((ROOT / "roles" / "aws-watch" / "tasks" / f"{name}.yml").read_text())
    [prefix] = [task["cloudwatch_alarms"]["prefix"] for task in tasks if "cloudwatch_alarms" in task]

    # "shop-" would be what the alarms of an environment shop-2 begin with as well.
    assert not re.fullmatch(r"\{\{ aws_watch_name \}\}[a-z0-9-]*", prefix)


def test_nginx_lets_go_of_a_connection_before_the_store_does(gunicorn: dict[str, Any]) -> None:
    template = (ROOT / "roles" / "nginx-certbot" / "templates" / "nginx.conf.j2").read_text()
    kept = re.search(r"keepalive \d+;.*?keepalive_timeout (\d+)s;", template, re.DOTALL)
    assert kept

    assert int(kept[1]) < gunicorn["keepalive"]
