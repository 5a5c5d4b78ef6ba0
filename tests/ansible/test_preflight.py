"""Bad variables end with a message that names variable, value and mend, before any host is contacted.

The hosts have addresses from the documentation range: a playbook that contacted one would hang and fail.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ansible.conftest import BIN, ROOT, SECRETS, Run

Playbook = Callable[..., Run]


def test_the_example_is_good(playbook: Playbook) -> None:
    run = playbook("preflight.yml")

    assert run.code == 0, run.text


def test_every_choice_is_accepted(playbook: Playbook) -> None:
    run = playbook("preflight.yml", nginx_certbot_mode="self_signed", docker_source="docker", mysql_source="oracle")

    assert run.code == 0, run.text


BAD: list[tuple[dict[str, Any], str, str]] = [
    # What is set; what the message says of it; the mend.
    ({"nginx_certbot_mode": "letsencript"}, "must be one of: letsencrypt", "got: letsencript"),
    ({"docker_users": {"name": "deploy"}}, "cannot be converted to a list", "as good as root"),
    ({"mysql_slow_query_seconds": "soon"}, "mysql_slow_query_seconds", "slow log"),
    ({"bookstore_app_ports": {"blue": 8001}}, "missing required arguments: green", ""),
    ({"mysql_users": [{"name": "x", "hots": "10.0.0.1"}]}, "mysql_users", ""),
    ({"nginx_certbot_server_name": ["a.example.org"]}, "no role knows", "Did you mean nginx_certbot_server_names?"),
    ({"mysql_bind_adress": "10.0.0.10"}, "no role knows", "Did you mean mysql_bind_address?"),
    ({"docker_logging": True}, "docker_logging", "READMEs list what there is"),
    ({"nginx_certbot_server_names": []}, "is empty", "Name the site"),
    ({"nginx_certbot_server_names": ["https://shop.org"]}, '"https://shop.org"', "Write the name alone"),
    ({"nginx_certbot_server_names": ["shop_1.org"]}, '"shop_1.org"', "Write the name alone"),
    ({"nginx_certbot_server_names": ["shop.local"]}, '"shop.local"', "sslip.io"),
    ({"nginx_certbot_server_names": ["localhost"]}, '"localhost"', "self_signed"),
    ({"nginx_certbot_server_names": ["203.0.113.20"]}, '"203.0.113.20"', "203-0-113-20.sslip.io"),
    ({"nginx_certbot_acme_directory": "http://acme/dir"}, '"http://acme/dir"', "https://"),
    ({"nginx_certbot_acme_ca_bundle": "/no/such.pem"}, '"/no/such.pem"', "Correct the path"),
    ({"nginx_certbot_mode": "provided"}, "must be PEM", "Put its content into the vault"),
    ({"nginx_certbot_client_max_body_size": "512k"}, "below the 1m", "2m or more"),
    ({"nginx_certbot_client_max_body_size": "much"}, '"much"', "Write e.g. 2m"),
    ({"nginx_certbot_rate_limit": "30/min"}, '"30/min"', "30r/m"),
    ({"nginx_certbot_trusted_proxies": ["0.0.0.0/0"]}, "trusts everybody", "load balancer's networks"),
    ({"nginx_certbot_trusted_proxies": ["10.0.0.1/8"]}, '"10.0.0.1/8"', "has host bits set"),
    ({"bookstore_app_stop_timeout": 30}, "not above the 30 s", "Set it to 40"),
    ({"bookstore_app_ports": {"blue": 8001, "green": 8001}}, "has 8001 twice", "a port each"),
    ({"bookstore_app_ports": {"blue": 80, "green": 8002}}, "has 80 for blue", "1024 to 65535"),
    ({"bookstore_app_environment": {"SECRET_KEY": "x"}}, "sets SECRET_KEY", "Use the role's variable"),
    ({"bookstore_app_environment": {"CURRENCY": "a\nb"}}, '"CURRENCY"', "without a line break"),
    ({"bookstore_app_source": "/tmp"}, "has no Dockerfile", "folder of the store"),
    ({"bookstore_app_wheelhouse": "/tmp/none"}, "holds no wheel", "leave it empty"),
    ({"bookstore_app_base_image_archive": "/tmp/none.tar"}, '"/tmp/none.tar"', "leave it empty"),
    ({"mysql_bind_address": "0.0.0.0"}, "every network that the host has", "private address"),
    ({"mysql_bind_address": "db.internal"}, '"db.internal"', "private_address"),
    ({"mysql_source": "suite"}, 'mysql_source is "suite"', "Name the suite"),
    ({"mysql_buffer_pool_size": "half"}, '"half"', "512M"),
    ({"mysql_binlog_expire_days": 0}, "the disk would fill", "1 day or more"),
    ({"admin_networks": ["0.0.0.0/0"]}, "admits everybody (0.0.0.0/0) to SSH", "admin_networks"),
    ({"admin_networks": ["198.51.100.7/24"]}, "has host bits set", "198.51.100.0/24"),
    ({"firewall_rules": [{"port": 443, "comment": "x"}]}, "admits nobody to port 22", "rule for SSH"),
    ({"firewall_rules": [{"port": 70000, "comment": "x"}]}, "has port 70000", "1 to 65535"),
    ({"mysql_databases": []}, 'rights on "bookstore"', "Add the database"),
    ({"vault_secret_key": "short"}, "at least 32 characters", "make vault"),
    ({"vault_secret_key": "clave_secreta_flask_para_sesiones_y_csrf"}, "must be random", "make vault"),
    ({"vault_database_password": "bookstore_pass"}, "none that was ever published", "make vault"),
    ({"vault_database_password": "a-good-password\n"}, "must be one line", "line break"),
]


ALL_ROLES = """
- name: Check a host for each case
  hosts: all
  gather_facts: false
  tasks:
    - name: Check the variables for every role
      preflight:
        roles: [firewall, mysql, docker, nginx-certbot, bookstore-app]
"""


@pytest.fixture(scope="module")
def refusals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What is said of each bad variable: one host a case, all of them in one run."""
    folder = tmp_path_factory.mktemp("cases")
    hosts = {f"case{n}": {"ansible_host": f"192.0.2.{n + 1}", **bad[0]} for n, bad in enumerate(BAD)}
    both = {"hosts": dict.fromkeys(hosts)}
    (folder / "hosts.yml").write_text(
        yaml.safe_dump({"all": {"hosts": hosts, "children": {"database": both, "application": both}}})
    )
    shared = folder / "group_vars" / "all"
    shared.mkdir(parents=True)
    (shared / "00_shared").symlink_to(ROOT / "group_vars" / "all")
    example = yaml.safe_load((ROOT / "inventories" / "two-vms" / "group_vars" / "all" / "main.yml").read_text())
    (shared / "main.yml").write_text(yaml.safe_dump(example | SECRETS))
    (folder / "playbook.yml").write_text(ALL_ROLES)
    completed = subprocess.run(
        [BIN / "ansible-playbook", "-i", folder / "hosts.yml", folder / "playbook.yml"],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    report, _ = json.JSONDecoder().raw_decode(completed.stdout[completed.stdout.index("{") :])
    results = report["plays"][0]["tasks"][0]["hosts"]
    return {host: result.get("msg", "") for host, result in results.items()}


@pytest.mark.parametrize("case", range(len(BAD)), ids=lambda n: f"{n}-{'-'.join(BAD[n][0])}")
def test_a_bad_variable_is_named_with_its_mend(refusals: dict[str, str], case: int) -> None:
    _, rule, mend = BAD[case]
    said = refusals[f"case{case}"]

    assert "to mend before" in said
    assert rule in said
    assert mend in said


def test_the_message_says_where_it_is_set(playbook: Playbook) -> None:
    run = playbook("preflight.yml", bookstore_app_stop_timeout=5)

    assert "group_vars/all/test.yml:1)" in run.text


def test_a_secret_is_never_shown(playbook: Playbook) -> None:
    run = playbook("preflight.yml", vault_secret_key="tooshort-5cr3t", vault_database_password="5cr3t")

    assert run.code != 0
    assert "5cr3t" not in run.text


def test_a_missing_vault_is_said(playbook: Playbook, environment: Path) -> None:
    (environment / "group_vars" / "all" / "secrets.yml").write_text("{}")

    run = playbook("preflight.yml")

    assert run.code != 0
    assert "needs vault_secret_key, which is not set" in run.text
    assert "make vault" in run.text


def test_all_problems_come_at_once(playbook: Playbook) -> None:
    run = playbook(
        "preflight.yml", nginx_certbot_rate_limit="x", bookstore_app_stop_timeout=1, mysql_binlog_expire_days=0
    )

    assert "2 things to mend before app" in run.text
    assert "1 thing to mend before db" in run.text


@pytest.mark.parametrize("group", ["database", "application"])
def test_an_empty_group_is_said(playbook: Playbook, environment: Path, group: str) -> None:
    hosts = yaml.safe_load((environment / "hosts.yml").read_text())
    del hosts[group]
    (environment / "hosts.yml").write_text(yaml.safe_dump(hosts))

    run = playbook("preflight.yml")

    assert run.code != 0
    assert "inventories/two-vms/hosts.yml does" in run.text


@pytest.mark.parametrize("name", ["site.yml", "database.yml", "application.yml", "deploy.yml", "rollback.yml"])
def test_every_playbook_begins_with_it(playbook: Playbook, name: str) -> None:
    run = playbook(name, bookstore_app_stop_timeout=1, mysql_binlog_expire_days=0)

    assert run.code != 0
    assert "to mend before" in run.text
    assert "UNREACHABLE" not in run.text
