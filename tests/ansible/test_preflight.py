"""Bad variables end with a message that names variable, value, place, rule and mend, before any host is contacted."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ansible.conftest import ROOT, Run, checker, load

Check = Callable[..., list[str]]
Playbook = Callable[..., Run]


def test_the_example_is_good(check: Check) -> None:
    assert check() == []


@pytest.mark.parametrize(
    "variables",
    [
        {"nginx_certbot_mode": "self_signed", "nginx_certbot_server_names": ["shop.local"]},
        {"nginx_certbot_server_names": ["shop.local"], "nginx_certbot_acme_directory": "https://acme.local/dir"},
        {
            "nginx_certbot_mode": "behind_load_balancer",
            "nginx_certbot_server_names": ["*.cloudfront.net"],
            "nginx_certbot_trusted_proxies": ["10.20.0.0/16"],
        },
        {"docker_source": "docker", "mysql_source": "oracle"},
        {"admin_networks": ["0.0.0.0/0"], "admin_anywhere": True},
        {"admin_networks": ["2001:db8::/32", "198.51.100.7"]},
        {"nginx_certbot_client_max_body_size": "0"},
        {"bookstore_app_stop_timeout": "41"},
        {"efs_mount_file_system_id": "fs-0123456789abcdef0", "efs_mount_region": "us-gov-east-1"},
        {"efs_mount_address": "nfs.internal", "efs_mount_client": "plain", "efs_mount_path": "/covers"},
        # Facts are not known when it is asked.
        {"mysql_buffer_pool_size": "{{ ansible_facts['memtotal_mb'] // 2 }}M"},
        {"half": "{{ ansible_facts.memtotal_mb // 2 }}", "mysql_buffer_pool_size": "{{ half }}M"},
        # Names of an operator's own.
        {"our_shop": "x", "nginx": {"mode": 1}, "ansible_become": True},
    ],
    ids=lambda variables: "-".join(variables),
)
def test_a_good_variable_passes(check: Check, variables: dict[str, Any]) -> None:
    assert check(**variables) == []


# What is set; the line that names the variable and its value; a part of the rule; a part of the mend.
BAD: list[tuple[dict[str, Any], str, str, str]] = [
    # Argument specifications.
    (
        {"nginx_certbot_mode": "letsencript"},
        'nginx_certbot_mode: "letsencript"',
        "must be one of letsencrypt, provided",
        'Did you mean "letsencrypt"?',
    ),
    ({"docker_users": "deploy"}, 'docker_users: "deploy"', "must be a list", "Write [deploy]"),
    (
        {"nginx_certbot_server_names": "shop.example.org"},
        'nginx_certbot_server_names: "shop.example.org"',
        "must be a list",
        "Write [shop.example.org]",
    ),
    (
        {"nginx_certbot_server_names": None},
        "nginx_certbot_server_names: null",
        "is empty",
        "Give it a value",
    ),
    (
        {"nginx_certbot_check_reachability": "false"},
        'nginx_certbot_check_reachability: "false"',
        "must be true or false",
        "without quotes",
    ),
    ({"mysql_slow_query_seconds": "soon"}, 'mysql_slow_query_seconds: "soon"', "must be a number", "slow log"),
    (
        {"nginx_certbot_https_port": [443]},
        "nginx_certbot_https_port: [443]",
        "must be a number",
        "The port that visitors see",
    ),
    ({"bookstore_app_database_name": False}, "bookstore_app_database_name: false", "must be a text", "Name of the"),
    (
        {"bookstore_app_ports": {"blue": 8001}},
        'bookstore_app_ports: {"blue": 8001}',
        'must have the key "green"',
        "Port of the green container",
    ),
    (
        {"firewall_rules": [{"port": "ssh", "comment": "x"}]},
        'firewall_rules[0].port: "ssh"',
        "must be a whole number",
        "The port",
    ),
    # Names that nothing knows.
    (
        {"nginx_certbot_server_name": ["a.example.org"]},
        "nginx_certbot_server_name",
        "no role knows",
        "Did you mean nginx_certbot_server_names?",
    ),
    ({"mysql_bind_adress": "10.0.0.10"}, "mysql_bind_adress", "no role knows", "Did you mean mysql_bind_address?"),
    ({"ngnix_certbot_mode": "provided"}, "ngnix_certbot_mode", "read by nothing", "Did you mean nginx_certbot_mode?"),
    (
        {"docker_logging": True},
        "docker_logging",
        "no role knows",
        "Known are docker_daemon_options, docker_source, docker_users",
    ),
    (
        {"bookstore_app_ports": {"blue": 8001, "green": 8002, "grren": 8003}},
        'bookstore_app_ports: {"blue": 8001, "green": 8002, "grren": 8003}',
        'must not have the key "grren"',
        "Did you mean green?",
    ),
    (
        {"mysql_databases": [{"name": "bookstore", "colation": "utf8mb4_bin"}]},
        'mysql_databases[0]: {"name": "bookstore", "colation": "utf8mb4_bin"}',
        'must not have the key "colation"',
        "Did you mean collation?",
    ),
    # Across tiers.
    (
        {"bookstore_app_database_host": "10.0.0.99"},
        'bookstore_app_database_host: "10.0.0.99"',
        "the address that MySQL listens on (mysql_bind_address: 10.0.0.10)",
        "set private_address of the database host",
    ),
    (
        {"bookstore_app_database_host": "db.shop.example"},
        'bookstore_app_database_host: "db.shop.example"',
        "must be in mysql_tls_names",
        "Add db.shop.example to mysql_tls_names",
    ),
    (
        {"bookstore_app_database_port": 3307},
        "bookstore_app_database_port: 3307",
        "must be 3306",
        "Remove it",
    ),
    (
        {"bookstore_app_database_user": "reader"},
        "mysql_users",
        'must have the store\'s user "reader" from 10.0.0.20',
        "add the user",
    ),
    (
        {"bookstore_app_database_name": "shop"},
        'bookstore_app_database_name: "shop"',
        'rights on: "bookstore"',
        "Set both to the same",
    ),
    (
        {"bookstore_app_database_password": "another-unguessable-one"},
        "bookstore_app_database_password",
        "must be the password that mysql_users gives bookstore@10.0.0.20",
        "Let both take vault_database_password",
    ),
    (
        {"wiring_rules_database": []},
        "firewall_rules: [",
        "must admit 10.0.0.20 to port 3306",
        "add that rule",
    ),
    (
        {"bookstore_app_upstream_file": "/etc/upstream.conf"},
        'bookstore_app_upstream_file: "/etc/upstream.conf"',
        "the file that nginx reads",
        "Set nginx_certbot_upstream_file alone",
    ),
    (
        {"efs_mount_access_point": "fsap-0123456789abcdef0"},
        'efs_mount_access_point: "fsap-0123456789abcdef0"',
        'while efs_mount_client is "stunnel"',
        "Set efs_mount_client to efs_utils",
    ),
    ({"efs_mount_iam": True}, "efs_mount_iam: true", "only amazon-efs-utils can use it", "or remove it"),
    (
        {"efs_mount_client": "efs_utils", "efs_mount_access_point": "fs-0123456789abcdef0"},
        'efs_mount_access_point: "fs-0123456789abcdef0"',
        "the id of an access point",
        "fsap-",
    ),
    (
        {"efs_mount_client": "efs_utils", "efs_mount_utils_deb": "/no/such.deb"},
        'efs_mount_utils_deb: "/no/such.deb"',
        "must be a file on this machine",
        "Correct the path",
    ),
    (
        {"efs_mount_file_system_id": "fsap-0123456789abcdef0", "efs_mount_region": "us-east-1"},
        'efs_mount_file_system_id: "fsap-0123456789abcdef0"',
        "the id of a file system",
        "Write e.g. fs-",
    ),
    (
        {"efs_mount_file_system_id": "fs-0123456789abcdef0"},
        "efs_mount_region",
        "must be set beside efs_mount_file_system_id",
        "us-east-1",
    ),
    ({"efs_mount_region": "Virginia"}, 'efs_mount_region: "Virginia"', "an AWS region", "us-east-1"),
    ({"efs_mount_address": "10.0.0.9:/"}, 'efs_mount_address: "10.0.0.9:/"', "a name or an IPv4 address", "a path"),
    (
        {"efs_mount_client": "efs_utils", "efs_mount_address": "10.0.0.9"},
        'efs_mount_address: "10.0.0.9"',
        "efs_mount_file_system_id beside it",
        "Set efs_mount_file_system_id too",
    ),
    ({"efs_mount_options": "hard, nfsvers=4.1"}, "efs_mount_options", "must be mount options", "commas alone"),
    ({"efs_mount_path": "/a b"}, 'efs_mount_path: "/a b"', "must be an absolute path of letters", "Choose another"),
    ({"efs_mount_patience": 0}, "efs_mount_patience: 0", "must be 1 or more", "default"),
    (
        {"efs_mount_address": "nfs.internal", "efs_mount_point": "/mnt/covers"},
        'bookstore_app_upload_dir: "/srv/bookstore/uploads"',
        "must be where the file system is mounted",
        "nginx_certbot_covers_root",
    ),
    (
        {"bookstore_app_static_root": "/srv/elsewhere"},
        'bookstore_app_static_root: "/srv/elsewhere"',
        'must be "/srv/bookstore/static"',
        "Set nginx_certbot_static_root alone",
    ),
    (
        {"nginx_certbot_client_max_body_size": "512k"},
        'nginx_certbot_client_max_body_size: "512k"',
        "must not be below the 6m",
        "Set it to 7m",
    ),
    (
        {"nginx_certbot_mode": "behind_load_balancer"},
        "nginx_certbot_trusted_proxies",
        "must not be empty while",
        "load balancer's networks",
    ),
    (
        {
            "nginx_certbot_mode": "behind_load_balancer",
            "nginx_certbot_trusted_proxies": ["10.0.0.0/16"],
            "nginx_certbot_keepalive_timeout": 60,
        },
        "nginx_certbot_keepalive_timeout: 60",
        "above the 60 s",
        "Set it to 75",
    ),
    ({"bookstore_app_stop_timeout": 30}, "bookstore_app_stop_timeout: 30", "above the 30 s", "Set it to 40"),
    (
        {"wiring_rules_application": [{"port": 80, "comment": "x"}]},
        "firewall_rules: [",
        "must admit port 443",
        "Add a rule",
    ),
    (
        {
            "wiring_rules_application": [
                {"port": 80, "comment": "x", "sources": ["198.51.100.0/24"]},
                {"port": 443, "comment": "x"},
            ]
        },
        "firewall_rules: [",
        "must admit everybody to port 80",
        "Remove the sources",
    ),
    # nginx-certbot.
    ({"nginx_certbot_server_names": []}, "nginx_certbot_server_names: []", "must name the site", "shop.example.com"),
    (
        {"nginx_certbot_server_names": ["https://shop.org"]},
        'nginx_certbot_server_names: "https://shop.org"',
        "no host name",
        "Write the name alone",
    ),
    (
        {"nginx_certbot_server_names": ["*.shop.org"]},
        'nginx_certbot_server_names: "*.shop.org"',
        "no host name",
        "behind a load balancer alone",
    ),
    (
        {"nginx_certbot_server_names": ["shop_1.org"]},
        'nginx_certbot_server_names: "shop_1.org"',
        "no host name",
        "Write the name alone",
    ),
    (
        {"nginx_certbot_server_names": ["shop.local"]},
        'nginx_certbot_server_names: "shop.local"',
        "issues no certificate for",
        "sslip.io",
    ),
    (
        {"nginx_certbot_server_names": ["localhost"]},
        'nginx_certbot_server_names: "localhost"',
        "issues no certificate for",
        "self_signed",
    ),
    (
        {"nginx_certbot_server_names": ["203.0.113.20"]},
        'nginx_certbot_server_names: "203.0.113.20"',
        "issues no certificate for",
        "203-0-113-20.sslip.io",
    ),
    (
        {"nginx_certbot_acme_directory": "http://acme/dir"},
        'nginx_certbot_acme_directory: "http://acme/dir"',
        "https:// address",
        "Correct it",
    ),
    (
        {"nginx_certbot_acme_ca_bundle": "/no/such.pem"},
        'nginx_certbot_acme_ca_bundle: "/no/such.pem"',
        "a file on this machine",
        "Correct the path",
    ),
    (
        {"nginx_certbot_mode": "provided"},
        "nginx_certbot_provided_certificate",
        "must be PEM",
        "Put its content into the vault",
    ),
    (
        {"nginx_certbot_client_max_body_size": "much"},
        'nginx_certbot_client_max_body_size: "much"',
        "must be a size",
        "Write e.g. 7m",
    ),
    ({"nginx_certbot_rate_limit": "30/min"}, 'nginx_certbot_rate_limit: "30/min"', "must be a rate", "30r/m"),
    (
        {"nginx_certbot_trusted_proxies": ["0.0.0.0/0"]},
        'nginx_certbot_trusted_proxies: "0.0.0.0/0"',
        "must not trust everybody",
        "load balancer's networks",
    ),
    (
        {"nginx_certbot_trusted_proxies": ["10.0.0.1/8"]},
        'nginx_certbot_trusted_proxies: "10.0.0.1/8"',
        "has host bits set",
        "198.51.100.0/24",
    ),
    # bookstore-app.
    (
        {"bookstore_app_ports": {"blue": 8001, "green": 8001}},
        'bookstore_app_ports: {"blue": 8001, "green": 8001}',
        "two different ports",
        "a port each",
    ),
    (
        {"bookstore_app_ports": {"blue": 80, "green": 8002}},
        'bookstore_app_ports: {"blue": 80',
        "from 1024 to 65535 for blue",
        "Choose another",
    ),
    (
        {"bookstore_app_environment": {"SECRET_KEY": "x"}},
        'bookstore_app_environment: "SECRET_KEY"',
        "must not set SECRET_KEY",
        "Use the role's variable",
    ),
    (
        {"bookstore_app_environment": {"CURRENCY": "a\nb"}},
        'bookstore_app_environment: "CURRENCY"',
        "one line each",
        "without a line break",
    ),
    ({"bookstore_app_source": "/tmp"}, 'bookstore_app_source: "/tmp"', "with a Dockerfile", "folder of the store"),
    (
        {"bookstore_app_wheelhouse": "/tmp/none"},
        'bookstore_app_wheelhouse: "/tmp/none"',
        "a folder with wheels",
        "leave it empty",
    ),
    (
        {"bookstore_app_base_image_archive": "/tmp/none.tar"},
        'bookstore_app_base_image_archive: "/tmp/none.tar"',
        "a file on this machine",
        "leave it empty",
    ),
    ({"vault_secret_key": "short"}, "bookstore_app_secret_key", "at least 32 characters", "make vault"),
    (
        {"vault_secret_key": "clave_secreta_flask_para_sesiones_y_csrf"},
        "bookstore_app_secret_key",
        "must be random",
        "make vault",
    ),
    (
        {"vault_secret_key": "please-changeme-4f9c1d7e2ab84c3fa6d05e9"},
        "bookstore_app_secret_key",
        "must be random",
        "make vault",
    ),
    (
        {"vault_database_password": "bookstore_pass"},
        "bookstore_app_database_password",
        "none that was ever published",
        "make vault",
    ),
    (
        {"vault_database_password": "an-unguessable-one\n"},
        "bookstore_app_database_password",
        "must be one line",
        "Remove the line break",
    ),
    (
        {"bookstore_app_environment": {"SIMULATED_PAYMENT_OFF": "1", "TZ": "UTC"}},
        "bookstore_app_environment",
        "has SIMULATED_PAYMENT_OFF, which is read by nothing",
        "Did you mean SIMULATED_PAYMENTS_OFF?",
    ),
    # mysql.
    (
        {"mysql_bind_address": "fd00:0:0::10"},
        'mysql_bind_address: "fd00:0:0::10"',
        "its short form",
        "Write fd00::10",
    ),
    (
        {"mysql_bind_address": "0.0.0.0"},
        'mysql_bind_address: "0.0.0.0"',
        "would listen to the Internet",
        "Set private_address",
    ),
    (
        {"mysql_bind_address": "8.8.8.8"},
        'mysql_bind_address: "8.8.8.8"',
        "would listen to the Internet",
        "Set private_address",
    ),
    (
        {"mysql_bind_address": "db.internal"},
        'mysql_bind_address: "db.internal"',
        "must be an IP address",
        "Set private_address",
    ),
    ({"mysql_source": "suite"}, "mysql_apt_suite", 'when mysql_source is "suite"', "Name the suite"),
    ({"mysql_buffer_pool_size": "half"}, 'mysql_buffer_pool_size: "half"', "must be a size", "512M"),
    ({"mysql_binlog_expire_days": 0}, "mysql_binlog_expire_days: 0", "the disk fills", "1 day or more"),
    ({"mysql_databases": []}, 'mysql_users: "bookstore@10.0.0.20"', 'rights on "bookstore"', "Add the database"),
    (
        {"mysql_users": [{"name": "x", "host": "%", "password": "an-unguessable-one", "database": "bookstore"}]},
        'mysql_users: "x@%"',
        "no pattern",
        "Name the application host's address",
    ),
    (
        {"mysql_users": [{"name": "x", "host": "app", "password": "an-unguessable-one", "database": "bookstore"}]},
        'mysql_users: "x@app"',
        "no name",
        "Name the application host's address",
    ),
    ({"mysql_users_absent": ["bookstore"]}, 'mysql_users_absent: "bookstore"', "mysql_users", "one of the two"),
    # docker.
    (
        {"docker_daemon_options": {"hosts": ["tcp://0.0.0.0:2375"]}},
        'docker_daemon_options: {"hosts": ["tcp://0.0.0.0:2375"]}',
        "must not have hosts",
        "Remove it",
    ),
    # firewall and who administers. An empty list of sources admits nobody.
    (
        {"wiring_rules_database": [{"port": 3306, "comment": "x", "sources": []}]},
        "firewall_rules: [",
        "must admit 10.0.0.20 to port 3306",
        "add that rule",
    ),
    (
        {"wiring_rules_application": [{"port": 80, "comment": "x"}, {"port": 443, "comment": "x", "sources": []}]},
        "firewall_rules: [",
        "must admit port 443",
        "Add a rule",
    ),
    (
        {"firewall_rules": [{"port": 22, "comment": "x", "sources": []}]},
        "firewall_rules: [",
        "admits nobody to port 22",
        "rule for SSH",
    ),
    ({"admin_networks": ["0.0.0.0/0"]}, 'firewall_rules: "0.0.0.0/0"', "everybody to SSH", "admin_anywhere to true"),
    ({"admin_networks": ["198.51.100.7/24"]}, 'firewall_rules: "198.51.100.7/24"', "host bits set", "198.51.100.0/24"),
    ({"admin_networks": "198.51.100.0/24"}, 'admin_networks: "198.51.100.0/24"', "must be a list", "[198.51.100.0/24]"),
    (
        {"firewall_rules": [{"port": 443, "comment": "x"}]},
        "firewall_rules: [",
        "admits nobody to port 22",
        "rule for SSH",
    ),
    ({"firewall_rules": [{"port": 70000, "comment": "x"}]}, "firewall_rules: 70000", "does not exist", "1 to 65535"),
]


@pytest.mark.parametrize(
    ("variables", "value", "rule", "mend"), BAD, ids=[f"{next(iter(bad[0]))}-{n}" for n, bad in enumerate(BAD)]
)
def test_a_bad_variable_is_named_with_its_mend(
    check: Check, environment: Path, variables: dict[str, Any], value: str, rule: str, mend: str
) -> None:
    problems = check(**variables)

    [problem] = [problem for problem in problems if problem.startswith(value) and rule in problem]
    lines = dict(line.strip().split(None, 1) for line in problem.splitlines()[1:])
    assert mend in lines["mend"]
    assert lines["hosts"]


def test_one_fault_is_said_once(check: Check) -> None:
    for variables in (
        {"admin_networks": "198.51.100.0/24"},
        {"admin_networks": None},
        {"nginx_certbot_server_names": "shop.example.org"},
        {"mysql_bind_address": "0.0.0.0"},
        {"nginx_certbot_rate_limit": "x"},
        {"bookstore_app_database_user": "reader"},
    ):
        assert len(check(**variables)) == 1, variables


def test_the_place_is_file_and_line_also_of_what_it_is_made_of(check: Check, environment: Path) -> None:
    here = environment / "group_vars" / "all" / "test.yml"

    [problem] = check(bookstore_app_drain_seconds=1, bookstore_app_stop_timeout=5)
    assert f"  set in {here}:2\n" in problem
    [problem] = check(nginx_certbot_server_names=None)
    main = here.with_name("main.yml").read_text().splitlines()
    line = next(number for number, text in enumerate(main, 1) if text.startswith("nginx_certbot_server_names:"))
    assert f"main.yml:{line} or {here}:1\n" in problem
    [problem] = check(admin_networks=["0.0.0.0/0"])
    assert "group_vars/all/wiring.yml:" in problem
    assert f", from admin_networks in {here}:2\n" in problem
    assert problem.endswith("hosts  db, app")


def test_a_host_of_its_own_is_named(check: Check, environment: Path) -> None:
    (environment / "host_vars").mkdir()
    (environment / "host_vars" / "db.yml").write_text("admin_networks: [0.0.0.0/0]\n")

    [problem] = check()

    assert problem.endswith("hosts  db")


def test_a_secret_is_never_shown(check: Check) -> None:
    for variables in (
        {"vault_secret_key": "5cr3t-short"},
        {"vault_database_password": "5cr3t"},
        {"bookstore_app_secret_key": ["5cr3t"]},
        {"bookstore_app_secret_key": {"key": "5cr3t"}},
        {"mysql_users": "5cr3t"},
        {"mysql_users": [{"name": "x", "password": "5cr3t", "database": "bookstore"}]},
        {"mysql_users": [{"name": "x", "host": "%", "password": "5cr3t", "database": "bookstore", "x": 1}]},
        {"mysql_users": [{"name": "x", "host": "%", "password": ["5cr3t"], "database": "bookstore"}]},
        {"nginx_certbot_provided_key": ["5cr3t"]},
        {"nginx_certbot_mode": "provided", "nginx_certbot_provided_key": "5cr3t"},
        {"bookstore_app_secret_keys": "5cr3t"},
        {"vault_secret_key": "{{ '5cr3t' | no_such_filter }}"},
        {"vault_secret_key": "{{ lookup('file', '5cr3t') }}"},
    ):
        problems = check(**variables)

        assert problems, variables
        assert "5cr3t" not in "".join(problems)


def test_a_missing_vault_is_said_with_who_needs_it(check: Check, environment: Path) -> None:
    (environment / "group_vars" / "all" / "secrets.yml").write_text("{}")

    password, key = check()

    assert password.startswith("vault_database_password\n  rule   It is not defined.")
    assert "mend   Run make vault ENV=two-vms" in password
    assert "needed by mysql_users, bookstore_app_database_password" in password
    assert key.startswith("vault_secret_key\n")


def test_a_vault_that_lacks_one_is_said(check: Check, environment: Path) -> None:
    (environment / "group_vars" / "all" / "secrets.yml").write_text(
        "vault_secret_key: 4f9c1d7e2ab84c3fa6d05e9b7c81f2d3"
    )
    (environment / "group_vars" / "all" / "vault.yml").write_text("{}")

    [problem] = check()

    assert f"Add it: ansible-vault edit {environment}/group_vars/all/vault.yml" in problem


def test_an_operators_variable_that_is_missing_is_said(check: Check, environment: Path) -> None:
    main = environment / "group_vars" / "all" / "main.yml"
    main.write_text(main.read_text().replace("admin_networks:", "admin_network:"))

    missing, unknown = check()

    assert missing.startswith("admin_networks\n  rule   It is not defined.")
    assert f"Set it in {environment}" in missing
    assert unknown.startswith("admin_network\n")
    assert "Did you mean admin_networks?" in unknown


def test_a_role_has_no_other_roles_defaults(check: Check) -> None:
    [problem] = check(bookstore_app_home="{{ nginx_certbot_https_port }}")

    assert problem.startswith("nginx_certbot_https_port\n  rule   It is not defined.")


def test_only_a_firewall_asks_where_operators_come_from(environment: Path) -> None:
    main = environment / "group_vars" / "all" / "main.yml"
    main.write_text(main.read_text().replace("admin_networks:", "operators:"))

    assert checker(environment, "preflight", {"application": ["docker"]})() == []
    assert checker(environment, "preflight", {"application": ["docker", "firewall"]})() != []


def test_an_entry_point_is_asked_for_its_own_variables(environment: Path) -> None:
    (environment / "group_vars" / "all" / "secrets.yml").write_text("{}")

    assert checker(environment, "preflight", {"application": ["bookstore-app"]})() != []
    assert checker(environment, "preflight", {"application": ["bookstore-app:rollback"]})() == []


@pytest.mark.parametrize(
    ("group", "hosts", "told"),
    [
        ("database", [], "group database: 0 hosts\n  rule   It must have exactly one."),
        ("application", [], "group application: 0 hosts\n  rule   It must have at least one."),
        ("database", ["db", "db2"], "group database: 2 hosts\n  rule   It must have exactly one."),
    ],
)
def test_groups_have_the_hosts_that_they_need(
    check: Check, environment: Path, group: str, hosts: list[str], told: str
) -> None:
    inventory = yaml.safe_load((environment / "hosts.yml").read_text())
    inventory[group]["hosts"] = {host: {"ansible_host": "192.0.2.9"} for host in hosts}
    (environment / "hosts.yml").write_text(yaml.safe_dump(inventory))

    [problem] = check()

    assert problem.startswith(told)
    assert "inventories/two-vms/hosts.yml" in problem


def test_two_application_hosts_are_two_users_of_the_database(check: Check, environment: Path) -> None:
    inventory = yaml.safe_load((environment / "hosts.yml").read_text())
    inventory["application"]["hosts"]["app2"] = {"ansible_host": "203.0.113.21", "private_address": "10.0.0.21"}
    (environment / "hosts.yml").write_text(yaml.safe_dump(inventory))

    assert check() == []


@pytest.mark.parametrize(
    ("address", "rule"),
    [(None, "must be private: MySQL listens in a private network (10.0.0.10)"), ("fd00::20", "of one family")],
)
def test_the_store_comes_from_the_private_network(
    check: Check, environment: Path, address: str | None, rule: str
) -> None:
    inventory = yaml.safe_load((environment / "hosts.yml").read_text())
    host = inventory["application"]["hosts"]["app"]
    # Documentation's addresses are no global ones.
    host["ansible_host"] = "8.8.4.4"
    del host["private_address"]
    if address:
        host["private_address"] = address
    (environment / "hosts.yml").write_text(yaml.safe_dump(inventory))

    [problem] = check()

    assert problem.startswith("private_address")
    assert rule in problem
    assert "Set private_address of the application host" in problem


def test_a_host_of_both_groups_is_checked_for_both(check: Check, environment: Path) -> None:
    inventory = yaml.safe_load((environment / "hosts.yml").read_text())
    inventory["database"]["hosts"] = inventory["application"]["hosts"]
    (environment / "hosts.yml").write_text(yaml.safe_dump(inventory))

    [problem] = check(mysql_buffer_pool_size="half")

    assert problem.startswith("mysql_buffer_pool_size")


def test_the_variables_of_the_store_are_known() -> None:
    source = "".join((ROOT / "bookstore" / name).read_text() for name in ("config.py", "gunicorn.conf.py"))
    read = set(re.findall(r'environ(?:\.get\(|\[|, )"([A-Z_]+)"', source))
    preflight = load(ROOT / "plugins" / "action" / "preflight.py")
    assert {name for name in re.findall(r"[A-Z_]+", source)} >= preflight.STORE_VARIABLES
    # The image and the role set these.
    own = {"DATABASE_URL", "RELEASE", "UPLOAD_FOLDER", "SESSION_COOKIE_INSECURE", "STRIPE_API_BASE"}
    own |= {name for name in read if name.startswith("PROMETHEUS_")}
    assert read - preflight.STORE_VARIABLES - preflight.RESERVED_ENVIRONMENT - own == set()


def test_a_contact_would_be_noticed(playbook: Playbook) -> None:
    run = playbook("deploy.yml")

    assert run.code != 0
    assert "203.0.113.10" in run.contacts


@pytest.mark.parametrize("options", [[], ["--limit=db", "--tags=nothing"]], ids=["whole", "limited"])
@pytest.mark.parametrize("name", ["site.yml", "database.yml", "application.yml", "deploy.yml", "rollback.yml"])
def test_every_playbook_begins_with_it(playbook: Playbook, name: str, options: list[str]) -> None:
    # One of the two is the other host's, which --limit leaves out.
    run = playbook(name, *options, bookstore_app_stop_timeout=1, mysql_binlog_expire_days=0)

    assert run.code == 2
    assert "2 things are to be mended. No host was contacted." in run.text
    assert "Set it to 40." in run.text
    assert run.contacts == ""
    assert "Traceback" not in run.text


def test_alone_it_passes_without_a_contact(playbook: Playbook) -> None:
    run = playbook("preflight.yml")

    assert run.code == 0, run.text
    assert run.contacts == ""


def test_variables_of_the_command_line_count(playbook: Playbook) -> None:
    run = playbook("preflight.yml", "-e", "bookstore_app_stop_timeout=2")

    assert run.code == 2
    assert 'bookstore_app_stop_timeout: "2"' in run.text
    assert "set in the command line" in run.text


def test_a_mistyped_inventory_is_an_error(playbook: Playbook, environment: Path) -> None:
    (environment / "hosts.yml").rename(environment / "hosts.yaml")

    run = playbook("preflight.yml")

    assert run.code != 0
    assert "failed to parse inventory source" in run.text
    assert run.contacts == ""
