"""group_vars/ at the root is really loaded, and an environment's own value beats it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.ansible.conftest import BIN, ROOT


def variables(inventory: Path, host: str) -> dict[str, Any]:
    shown = subprocess.run(
        [BIN / "ansible-inventory", "-i", inventory, "--host", host],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(shown.stdout)
    return found


def test_shared_values_reach_every_host(environment: Path) -> None:
    for host in ("db", "app"):
        assert variables(environment, host)["bookstore_app_proxy_service"] == "nginx"


def test_an_environment_beats_them(environment: Path) -> None:
    (environment / "group_vars" / "all" / "main.yml").write_text("bookstore_app_proxy_service: caddy\n")

    assert variables(environment, "app")["bookstore_app_proxy_service"] == "caddy"


def test_every_environment_is_linked_to_them() -> None:
    environments = [path for path in (ROOT / "inventories").iterdir() if path.is_dir()]

    assert len(environments) >= 3
    for environment in environments:
        shared = ROOT / "group_vars" / ("aws" if environment.name == "aws" else "all")
        assert (environment / "group_vars" / "all" / "00_shared").resolve() == shared


def test_the_store_may_reach_the_database_and_nobody_else(environment: Path) -> None:
    rules = resolved(environment, "db", "firewall_rules")

    assert [(rule["port"], rule["sources"]) for rule in rules] == [(22, ["198.51.100.0/24"]), (3306, ["10.0.0.20"])]


def test_a_builder_bears_the_tag_without_which_its_operator_may_not_end_it(aws_environment: Path) -> None:
    tags = resolved(aws_environment / "hosts.yml", "localhost", "aws_image_tags")

    assert tags["Environment"] == "bookstore"


def test_instances_ship_their_logs_to_the_group_that_is_made_for_them(aws_environment: Path) -> None:
    shipped = resolved(aws_environment / "hosts.yml", "builder", "golden_image_cloudwatch_log_group")

    assert shipped == resolved(aws_environment / "hosts.yml", "localhost", "aws_watch_log_group") == "/bookstore/store"


def resolved(inventory: Path, host: str, variable: str) -> Any:
    """A variable's value, with what it refers to."""
    shown = subprocess.run(
        [BIN / "ansible", "-i", inventory, host, "-m", "debug", "-a", f"var={variable}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env={"ANSIBLE_CALLBACK_RESULT_FORMAT": "json", "PATH": "/usr/bin:/bin", "HOME": str(inventory.parent)},
    )
    return json.loads(shown.stdout.partition("=>")[2])[variable]
