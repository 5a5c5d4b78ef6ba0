"""What AWS would refuse, or take and then fail with, is said before any call, with variable, value, rule and mend."""

from __future__ import annotations

import datetime
import socketserver
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from tests.ansible.conftest import ROOT, checker, run_playbook

Check = Callable[..., list[str]]

# What is set; the line that names the variable and its value; a part of the rule; a part of the mend.
BAD: list[tuple[dict[str, Any], str, str, str]] = [
    # Names and kinds.
    ({"aws_data_multi_az": "yes"}, 'aws_data_multi_az: "yes"', "true or false", "without quotes"),
    ({"aws_edge_tls": "amc"}, 'aws_edge_tls: "amc"', "one of acm, imported, cloudfront", 'Did you mean "acm"?'),
    ({"aws_fleet_min": 3}, "aws_fleet_min", "no role knows", "Did you mean aws_fleet_min_size?"),
    ({"aws_enviroment": "x"}, "aws_enviroment", "read by nothing", "Did you mean aws_environment?"),
    ({"aws_edge_waf_login_limit": "many"}, 'aws_edge_waf_login_limit: "many"', "whole number", "Log-in attempts"),
    # The environment.
    ({"aws_environment": "Book_Store"}, 'aws_environment: "Book_Store"', "small letters", "book-store"),
    ({"aws_environment": "book--store"}, 'aws_environment: "book--store"', "single hyphens", "book-store"),
    ({"aws_environment": "b" * 33}, f'aws_environment: "{"b" * 33}"', "above 32", "b" * 24),
    ({"aws_environment": "qa"}, 'aws_environment: "qa"', "3 to 24", "bookstore"),
    ({"aws_environment": "internal-shop"}, 'aws_environment: "internal-shop"', "keeps for itself", "shop-"),
    ({"aws_region": "cn-north-1"}, 'aws_region: "cn-north-1"', "commercial partition", "eu-west-1"),
    ({"aws_region": "eu-west-1a"}, 'aws_region: "eu-west-1a"', "a region of AWS", "Did you mean eu-west-1?"),
    ({"aws_extra_tags": {"Environment": "x"}}, 'aws_extra_tags: "Environment"', "find what they made", "another name"),
    ({"aws_extra_tags": {"aws:team": "x"}}, 'aws_extra_tags: "aws:team"', 'begin with "aws:"', "Rename"),
    ({"aws_extra_tags": {"Team": "x" * 257}}, 'aws_extra_tags: {"Team"', "values of 256", "Correct"),
    ({"aws_extra_tags": {f"t{n}": "x" for n in range(50)}}, "aws_extra_tags: 50", "50 tags", "Remove some"),
    ({"aws_wait_delay": 0}, "aws_wait_delay: 0", "0.1 to 300 seconds", "Set it to 0.1"),
    ({"aws_final_snapshot": "no"}, 'aws_final_snapshot: "no"', "true or false", "without quotes"),
    ({"aws_log_group": "my logs"}, 'aws_log_group: "my logs"', "AWS's schema of AWS::Logs::LogGroup", "Write it so"),
    # The network.
    ({"aws_network_zones": ["eu-west-1a"]}, 'aws_network_zones: ["eu-west-1a"]', "two zones", "[eu-west-1a, eu-west-1b]"),
    (
        {"aws_network_zones": ["eu-west-1a", "eu-west-1a"]},
        'aws_network_zones: ["eu-west-1a", "eu-west-1a"]',
        "each zone once",
        "Remove one",
    ),
    (
        {"aws_network_zones": ["us-east-1a", "eu-west-1b"]},
        'aws_network_zones: "us-east-1a"',
        "zones of eu-west-1 (aws_region)",
        "eu-west-1a",
    ),
    ({"aws_network_cidr": "10.20.0.0/24"}, 'aws_network_cidr: "10.20.0.0/24"', "/16 to /19", "10.20.0.0/16"),
    ({"aws_network_cidr": "10.20.1.0/16"}, 'aws_network_cidr: "10.20.1.0/16"', "host bits set", "198.51.100.0/24"),
    ({"aws_network_cidr": "11.0.0.0/16"}, 'aws_network_cidr: "11.0.0.0/16"', "RFC 1918", "10.20.0.0/16"),
    ({"aws_network_cidr": "172.17.0.0/16"}, 'aws_network_cidr: "172.17.0.0/16"', "Docker puts", "10.20.0.0/16"),
    ({"aws_network_nat_per_zone": True, "aws_network_egress": "public"}, "aws_network_nat_per_zone: true", "NAT", "nat"),
    ({"aws_fleet_public_address": True}, "aws_fleet_public_address: true", "must be false", "Remove it"),
    (
        {"aws_fleet_public_address": False, "aws_network_vpc": "default"},
        "aws_fleet_public_address: false",
        "no way out",
        "Remove it",
    ),
    ({"aws_network_egress_ports": [80]}, "aws_network_egress_ports: [80]", "must have 443", "Add 443"),
    ({"aws_network_egress_ports": [443, 25]}, "aws_network_egress_ports: 25", "blocks by default", "587"),
    ({"aws_network_egress_ports": [443, 70000]}, "aws_network_egress_ports: 70000", "does not exist", "65535"),
    (
        {"aws_network_ssh_networks": ["0.0.0.0/0"], "aws_fleet_key_name": "me"},
        'aws_network_ssh_networks: "0.0.0.0/0"',
        "everybody to SSH",
        "Session Manager",
    ),
    (
        {"aws_network_ssh_networks": ["198.51.100.0/24"]},
        'aws_network_ssh_networks: ["198.51.100.0/24"]',
        "nobody could log in",
        "aws_fleet_key_name",
    ),
    ({"aws_fleet_key_name": "me"}, 'aws_fleet_key_name: "me"', "no security group", "Name your networks"),
    ({"aws_network_front": "cloudfront"}, 'aws_network_front: "cloudfront"', "nobody would get in", "Remove it"),
    ({"aws_edge_app_port": 8080}, "aws_edge_app_port: 8080", "aws_network_app_port: 80", "both to the same"),
    ({"aws_network_app_port": 0, "aws_edge_app_port": 0}, "aws_edge_app_port: 0", "1 to 65535", "Set it"),
    # The database and the covers.
    ({"aws_data_engine_version": "8.4.99"}, 'aws_data_engine_version: "8.4.99"', "that RDS has", "8.4.7"),
    ({"aws_data_engine_version": "5.7.44"}, 'aws_data_engine_version: "5.7.44"', "MySQL 8.4", "8.4.7"),
    (
        {"aws_data_instance_class": "db.t4g.mikro"},
        'aws_data_instance_class: "db.t4g.mikro"',
        "RDS has for MySQL 8.4.7 in eu-west-1",
        "Did you mean db.t4g.micro?",
    ),
    ({"aws_data_instance_class": "t4g.micro"}, 'aws_data_instance_class: "t4g.micro"', "a class", "db.t4g.micro"),
    ({"aws_data_storage_gib": 5}, "aws_data_storage_gib: 5", "20 to 65536 GiB", "Set it to 20"),
    ({"aws_data_storage_max_gib": 20}, "aws_data_storage_max_gib: 20", "a tenth or more above", "Set it to 100"),
    ({"aws_watch_database_free_gib": 20}, "aws_watch_database_free_gib: 20", "raised at once", "Set it to 4"),
    ({"aws_data_database_name": "book-store"}, 'aws_data_database_name: "book-store"', "letters, digits and _", "bookstore"),
    ({"aws_data_database_name": "mysql"}, 'aws_data_database_name: "mysql"', "reserves", "bookstore"),
    ({"aws_data_database_name": "select"}, 'aws_data_database_name: "select"', "reserves", "bookstore"),
    ({"aws_data_master_user": "rdsadmin"}, 'aws_data_master_user: "rdsadmin"', "keeps for itself", "bookstore_admin"),
    ({"aws_data_master_user": "a" * 17}, 'aws_data_master_user: "aaaa', "up to 16", "bookstore_admin"),
    ({"aws_data_master_user": "bookstore"}, "aws_secrets_database_user", "must not be the master user", "bookstore"),
    ({"aws_data_parameters": {"long_query_time": "1"}}, "aws_data_parameters: {", "require_secure_transport", "Add"),
    (
        {"aws_data_parameters": {"require_secure_transport": "1", "slow_query_log": True}},
        "aws_data_parameters: true",
        "a text or a number for slow_query_log",
        'Write "1"',
    ),
    ({"aws_data_backup_days": 0}, "aws_data_backup_days: 0", "1 to 35 days", "Set it to 1"),
    ({"aws_data_backup_days": 40}, "aws_data_backup_days: 40", "1 to 35 days", "Set it to 35"),
    ({"aws_data_backup_window": "3:00-4:00"}, 'aws_data_backup_window: "3:00-4:00"', "hh:mm-hh:mm", "03:00-04:00"),
    ({"aws_data_backup_window": "03:00-03:20"}, 'aws_data_backup_window: "03:00-03:20"', "30 minutes", "03:00-04:00"),
    (
        {"aws_data_maintenance_window": "sunday:04:30-sunday:05:30"},
        'aws_data_maintenance_window: "sunday:04:30-sunday:05:30"',
        "days as mon, tue",
        "sun:04:30-sun:05:30",
    ),
    (
        {"aws_data_maintenance_window": "sun:03:30-sun:04:30"},
        'aws_data_maintenance_window: "sun:03:30-sun:04:30"',
        "must not meet aws_data_backup_window (03:00-04:00)",
        "after the backup's end",
    ),
    (
        {"aws_data_backup_window": "23:30-00:30", "aws_data_maintenance_window": "mon:00:00-mon:01:00"},
        'aws_data_maintenance_window: "mon:00:00-mon:01:00"',
        "must not meet",
        "after the backup's end",
    ),
    ({"aws_data_restore_snapshot": "last night"}, 'aws_data_restore_snapshot: "last night"', "a snapshot of RDS", "aws rds"),
    ({"aws_data_covers_uid": 0}, "aws_data_covers_uid: 0", "must be 10001", "Remove it"),
    # Secrets and rights.
    ({"aws_secrets_recovery_days": 3}, "aws_secrets_recovery_days: 3", "7 to 30, or 0", "Set it to 7"),
    ({"aws_secrets_given": {"SECRET_KEY": "x"}}, 'aws_secrets_given: "SECRET_KEY"', "the role makes", "is generated"),
    ({"aws_secrets_given": {"MAIL_PASSWORD": "a\nb"}}, 'aws_secrets_given: "MAIL_PASSWORD"', "one line", "line break"),
    (
        {"aws_identity_instance_profile": "arn:aws:iam::123456789012:instance-profile/LabInstanceProfile"},
        'aws_identity_instance_profile: "arn:',
        "not an ARN",
        "LabInstanceProfile",
    ),
    (
        {"aws_identity_permissions_boundary": "boundary"},
        'aws_identity_permissions_boundary: "boundary"',
        "the ARN of a policy",
        "arn:aws:iam::123456789012:policy/boundary",
    ),
    (
        {
            "aws_identity_permissions_boundary": "arn:aws:iam::12345:policy/boundary",
        },
        'aws_identity_permissions_boundary: "arn:aws:iam::12345:policy/boundary"',
        "the ARN of a policy",
        "123456789012",
    ),
    (
        {
            "aws_identity_instance_profile": "LabInstanceProfile",
            "aws_identity_permissions_boundary": "arn:aws:iam::123456789012:policy/boundary",
        },
        "aws_identity_permissions_boundary: ",
        "no role is made",
        "Remove one",
    ),
    # The front door.
    ({"aws_edge_domain": ""}, 'aws_edge_domain: ""', "must be set with aws_edge_tls: acm", "books.example.com"),
    ({"aws_edge_zone": ""}, 'aws_edge_zone: ""', "must be set with aws_edge_tls: acm", "example.com"),
    (
        {"aws_edge_domain": "https://books.example.com"},
        'aws_edge_domain: "https://books.example.com"',
        "host name in lower case",
        "no https://",
    ),
    ({"aws_edge_zone": "other.com"}, "aws_edge_domain", "must lie in its zone", "books.other.com"),
    (
        {"aws_edge_domain": "books.example.internal", "aws_edge_zone": "example.internal"},
        'aws_edge_zone: "example.internal"',
        "public DNS",
        "own domain",
    ),
    (
        {"aws_edge_tls": "cloudfront", "aws_edge_zone": ""},
        'aws_edge_domain: "books.example.com"',
        "for its own name alone",
        "Remove it",
    ),
    ({"aws_edge_certificate_file": "x.pem"}, 'aws_edge_certificate_file: "x.pem"', "with aws_edge_tls: acm", "imported"),
    (
        {"aws_edge_tls_policy": "ELBSecurityPolicy-2016-08"},
        'aws_edge_tls_policy: "ELBSecurityPolicy-2016-08"',
        "TLS 1.2",
        "ELBSecurityPolicy-TLS13-1-2-2021-06",
    ),
    ({"aws_edge_health_path": "/"}, 'aws_edge_health_path: "/"', "must be /health", "Remove it"),
    ({"aws_edge_idle_timeout": 75}, "aws_edge_idle_timeout: 75", "for which nginx keeps", "Set it to 60"),
    ({"aws_edge_deregistration_delay": 30}, "aws_edge_deregistration_delay: 30", "above the 30 s", "Set it to 60"),
    ({"aws_edge_deregistration_delay": 4000}, "aws_edge_deregistration_delay: 4000", "0 to 3600", "Set it to 3600"),
    ({"aws_edge_waf_login_limit": 5}, "aws_edge_waf_login_limit: 5", "AWS::WAFv2::WebACL", "Set it"),
    ({"aws_edge_waf": True, "aws_edge_waf_login_path": "/signin"}, "aws_edge_waf_login_path", "must be /login", "Remove"),
    ({"aws_edge_certificate_timeout": 5}, "aws_edge_certificate_timeout: 5", "60 to 259200", "Set it to 60"),
    # The fleet.
    ({"aws_fleet_image": "bookstore-1.2"}, 'aws_fleet_image: "bookstore-1.2"', "id of an AMI", "ami-0123"),
    ({"aws_fleet_instance_type": "t3.smal"}, 'aws_fleet_instance_type: "t3.smal"', "EC2 has in eu-west-1", "t3.small"),
    ({"aws_fleet_instance_type": "t4g.small"}, 'aws_fleet_instance_type: "t4g.small"', "x86_64", "small"),
    ({"aws_fleet_min_size": 5}, "aws_fleet_max_size: 4", "above aws_fleet_min_size (5)", "Set it to 6"),
    ({"aws_fleet_min_size": 0}, "aws_fleet_min_size: 0", "1 or more", "Set it to 2"),
    ({"aws_fleet_warm_pool": 5}, "aws_fleet_warm_pool: 5", "could never be used", "Set it to 2"),
    ({"aws_fleet_root_gib": 4}, "aws_fleet_root_gib: 4", "8 to 16384", "Set it to 8"),
    ({"aws_fleet_grace_seconds": 60}, "aws_fleet_grace_seconds: 60", "may take to boot", "Set it to 300"),
    ({"aws_fleet_timeout": 400}, "aws_fleet_timeout: 400", "together (420 s)", "Set it to 3600"),
    ({"aws_fleet_drain_seconds": 60}, "aws_fleet_drain_seconds: 60", "aws_edge_deregistration_delay (60 s)", "90"),
    ({"aws_fleet_checkpoints": [50]}, "aws_fleet_checkpoints: [50]", "to 100", "[50, 100]"),
    ({"aws_fleet_checkpoints": [100, 50]}, "aws_fleet_checkpoints: [100, 50]", "must rise", "[50, 100]"),
    ({"aws_fleet_checkpoint_seconds": 1800}, "aws_fleet_timeout", "the pauses at the checkpoints (3600 s)", "Raise it"),
    ({"aws_fleet_cpu_target": 600}, "aws_fleet_cpu_target: 600", "10 to 90 percent", "Set it to 90"),
    ({"aws_fleet_max_lifetime_days": 400}, "aws_fleet_max_lifetime_days: 400", "0 to 365", "Set it to 365"),
    (
        {"aws_fleet_refresh_alarms": ["bookstore/erors"]},
        'aws_fleet_refresh_alarms: "bookstore/erors"',
        "alarms that there are",
        "bookstore/errors",
    ),
    ({"aws_fleet_refresh_alarms": ["a"] * 11}, "aws_fleet_refresh_alarms: 11", "10 alarms", "composite"),
    (
        {"aws_fleet_user_data": {"region": "eu-west-1", "db_password": "5cr3t"}},
        'aws_fleet_user_data: "db_password"',
        "no place for a secret",
        "aws_secrets_given",
    ),
    (
        {"aws_store_settings": {"STRIPE_SECRET_KEY": "5cr3t"}},
        'aws_store_settings: "STRIPE_SECRET_KEY"',
        "must not have a secret",
        "aws_secrets_given",
    ),
    ({"aws_store_settings": {"DB_HOST": "x"}}, 'aws_store_settings: "DB_HOST"', "set by itself", "Remove it"),
    ({"aws_store_settings": {"MAIL_PORT": 587}}, 'aws_store_settings: "MAIL_PORT"', "one line each", "in quotes"),
    (
        {"aws_store_settings": {"RESERVATION_MINUTES": "soon"}},
        "aws_store_settings",
        "RESERVATION_MINUTES must be a whole number",
        "docs/operations.md",
    ),
    (
        {"aws_secrets_given": {"STRIPE_SECRET_KEY": "5cr3t"}},
        "aws_store_settings",
        "set both STRIPE_SECRET_KEY and STRIPE_WEBHOOK_SECRET",
        "aws_secrets_given",
    ),
    (
        {"aws_store_settings": {"MAIL_SERVER": "smtp.example.com", "MAIL_FROM": "a@example.com"}},
        "aws_network_egress_ports: [80, 443]",
        "must have 587",
        "[80, 443, 587]",
    ),
    (
        {
            "aws_secrets_given": {"STRIPE_SECRET_KEY": "5cr3t", "STRIPE_WEBHOOK_SECRET": "5cr3t"},
            "aws_network_egress": "endpoints",
        },
        'aws_network_egress: "endpoints"',
        "with card payments",
        "nat",
    ),
    # Watch.
    ({"aws_watch_log_days": 31}, "aws_watch_log_days: 31", "1, 3, 5, 7, 14, 30, 60", "Set it to 30"),
    ({"aws_watch_email": "you@example"}, 'aws_watch_email: "you@example"', "one mail address", "you@example.com"),
    ({"aws_watch_error_percent": 0}, "aws_watch_error_percent: 0", "1 to 100", "Set it to 1"),
]  # fmt: skip


@pytest.fixture(autouse=True)
def no_call(aws_check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call to AWS, or to anybody, is an error. Ansible is imported before, for it tries out a function of these."""

    def connect(*_: Any, **__: Any) -> None:
        raise AssertionError("a connection was made")

    monkeypatch.setattr("socket.socket.connect", connect)
    monkeypatch.setattr("socket.getaddrinfo", connect)


@pytest.mark.parametrize(
    ("variables", "value", "rule", "mend"), BAD, ids=[f"{next(iter(bad[0]))}-{n}" for n, bad in enumerate(BAD)]
)
def test_a_bad_variable_is_named_with_its_mend(
    aws_check: Check, variables: dict[str, Any], value: str, rule: str, mend: str
) -> None:
    problems = aws_check(**variables)

    [problem] = [problem for problem in problems if problem.startswith(value) and rule in problem]
    lines = dict(line.strip().split(None, 1) for line in problem.splitlines()[1:])
    assert mend in lines["mend"]


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"aws_edge_tls": "cloudfront", "aws_edge_domain": "", "aws_edge_zone": ""},
        {"aws_network_vpc": "default", "aws_network_egress": "public"},
        {"aws_network_egress": "endpoints"},
        {"aws_identity_instance_profile": "LabInstanceProfile"},
        {"aws_network_ssh_networks": ["198.51.100.0/24"], "aws_fleet_key_name": "me"},
        {"aws_edge_domain": "example.com"},
        {"aws_fleet_min_size": 0, "aws_fleet_max_size": 0},
        {"aws_region": "us-east-1", "aws_network_zones": ["us-east-1a", "us-east-1c", "us-east-1f"]},
        {"aws_data_maintenance_window": "sat:23:30-sun:00:30", "aws_data_backup_window": "01:00-01:30"},
        {"aws_data_restore_snapshot": "rds:bookstore-2026-11-24-03-00"},
        {"aws_secrets_recovery_days": 0, "aws_secrets_given": {"STRIPE_SECRET_KEY": "x", "STRIPE_WEBHOOK_SECRET": "x"}},
        {"aws_extra_tags": {"Team": "books and records"}},
        {"aws_fleet_image": "ami-0123456789abcdef0", "aws_edge_waf": True},
    ],
    ids=lambda variables: "-".join(variables) or "example",
)
def test_a_good_environment_passes(aws_check: Check, variables: dict[str, Any]) -> None:
    assert aws_check(**variables) == []


def test_what_a_role_made_earlier_in_the_same_command_is_no_setting(aws_check: Check) -> None:
    assert aws_check(aws_image_made={"image_id": "ami-0123456789abcdef0", "result": "good"}) == []


def test_a_missing_variable_is_said(aws_check: Check, aws_environment: Path) -> None:
    main = aws_environment / "group_vars" / "all" / "main.yml"
    main.write_text(main.read_text().replace("aws_region:", "aws_regio:"))

    missing, unknown = aws_check()

    assert missing.startswith("aws_region\n  rule   It is not defined.")
    assert "Did you mean aws_region?" in unknown


def test_what_is_missing_is_no_error_of_what_a_role_will_make(aws_check: Check) -> None:
    [problem] = aws_check(aws_data_subnets="{{ aws_netwrk.subnets.data }}")

    assert problem.startswith("aws_netwrk\n  rule   It is not defined.")


def test_a_given_secret_is_never_shown(aws_check: Check) -> None:
    for given in (
        "5cr3t",
        {"SECRET_KEY": "5cr3t"},
        {"MAIL": ["5cr3t"]},
        {"a b": "5cr3t"},
        {"METRICS_TOKEN": "5cr3t"},
        {"STRIPE_SECRET_KEY": "5cr3t"},
        {"SECRET_KEY_FALLBACKS": "5cr3t"},
    ):
        problems = aws_check(aws_secrets_given=given)

        assert problems
        assert "5cr3t" not in "".join(problems)


# An imported certificate.


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate for books.example.com, its key and its chain, and with bad ones."""
    folder = tmp_path_factory.mktemp("certificates")
    root, weak, key = (
        ec.generate_private_key(ec.SECP256R1()),
        rsa.generate_private_key(65537, 1024),
        rsa.generate_private_key(65537, 2048),
    )

    def issue(subject: str, public: Any, days: int = 90) -> bytes:
        def name(text: str) -> x509.Name:
            return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

        now = datetime.datetime.now(datetime.UTC)
        built = x509.CertificateBuilder(
            name("Root"), name(subject), public, 1, now - datetime.timedelta(200), now + datetime.timedelta(days)
        )
        names = x509.SubjectAlternativeName([x509.DNSName(subject)])
        signed = built.add_extension(names, False).sign(root, hashes.SHA256())
        return signed.public_bytes(Encoding.PEM)

    def written(private: Any, secret: Any) -> bytes:
        text: bytes = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, secret)
        return text

    good = issue("books.example.com", key.public_key())
    for file, text in {
        "good.pem": good,
        "wildcard.pem": issue("*.example.com", key.public_key()),
        "other.pem": issue("shop.example.com", key.public_key()),
        "expired.pem": issue("books.example.com", key.public_key(), days=-1),
        "weak.pem": issue("books.example.com", weak.public_key()),
        "edwards.pem": issue("books.example.com", ed25519.Ed25519PrivateKey.generate().public_key()),
        "two.pem": good + issue("Root", root.public_key()),
        "garbage.pem": b"garbage",
        "key.pem": written(key, NoEncryption()),
        "locked.pem": written(key, BestAvailableEncryption(b"x")),
        "foreign.pem": written(root, NoEncryption()),
        "chain.pem": issue("Root", root.public_key()),
    }.items():
        (folder / file).write_bytes(text)
    return folder


def imported(folder: Path, certificate: str = "good.pem", key: str = "key.pem", chain: str = "") -> dict[str, str]:
    return {
        "aws_edge_tls": "imported",
        "aws_edge_zone": "",
        "aws_edge_certificate_file": str(folder / certificate),
        "aws_edge_certificate_key_file": str(folder / key),
        "aws_edge_certificate_chain_file": str(folder / chain) if chain else "",
    }


@pytest.mark.parametrize("options", [{}, {"certificate": "wildcard.pem"}, {"chain": "chain.pem"}], ids=str)
def test_a_good_certificate_passes(aws_check: Check, given: Path, options: dict[str, str]) -> None:
    assert aws_check(**imported(given, **options)) == []


@pytest.mark.parametrize(
    ("options", "variable", "rule", "mend"),
    [
        ({"certificate": "none.pem"}, "certificate_file", "a file on this machine", "Correct the path"),
        ({"certificate": "garbage.pem"}, "certificate_file", "in PEM", "-----BEGIN CERTIFICATE"),
        ({"certificate": "other.pem"}, "certificate_file", "must be for books.example.com", "Correct aws_edge_domain"),
        ({"certificate": "expired.pem"}, "certificate_file", "must be valid now", "Renew it"),
        ({"certificate": "weak.pem"}, "certificate_file", "RSA with 2048", "issued for such a key"),
        ({"certificate": "edwards.pem"}, "certificate_file", "P-256", "issued for such a key"),
        ({"certificate": "two.pem"}, "certificate_file", "one certificate, not 2", "aws_edge_certificate_chain_file"),
        ({"key": "foreign.pem"}, "certificate_key_file", "the key of aws_edge_certificate_file", "belongs to it"),
        ({"key": "locked.pem"}, "certificate_key_file", "no password", "openssl pkey"),
        ({"key": "garbage.pem"}, "certificate_key_file", "private key in PEM", "-----BEGIN PRIVATE KEY"),
        ({"chain": "garbage.pem"}, "certificate_chain_file", "certificates in PEM", "-----BEGIN CERTIFICATE"),
        ({"chain": "other.pem"}, "certificate_chain_file", "must lead", "Order it"),
    ],
    ids=str,
)
def test_a_bad_certificate_is_named_with_its_mend(
    aws_check: Check, given: Path, options: dict[str, str], variable: str, rule: str, mend: str
) -> None:
    problems = aws_check(**imported(given, **options))

    [problem] = [problem for problem in problems if problem.startswith(f"aws_edge_{variable}: ") and rule in problem]
    assert mend in problem


def test_a_certificate_is_named_by_its_whole_path(aws_check: Check) -> None:
    certificate, key = aws_check(**imported(Path("certificates")))

    assert certificate.startswith('aws_edge_certificate_file: "certificates/good.pem"')
    assert '"{{ inventory_dir }}/certificates/key.pem"' in key


def test_an_imported_certificate_needs_its_files_and_a_name_below_the_apex(aws_check: Check) -> None:
    certificate, key, apex = sorted(
        aws_check(aws_edge_tls="imported", aws_edge_zone="", aws_edge_domain="example.com"),
        key=lambda problem: problem.startswith("aws_edge_domain"),
    )

    assert certificate.startswith("aws_edge_certificate_file")
    assert key.startswith("aws_edge_certificate_key_file")
    assert "no CNAME there" in apex
    assert "www.example.com" in apex


# By the playbook.


@pytest.fixture
def endpoint() -> Iterator[tuple[str, list[bytes]]]:
    """A place for AWS's calls, and what was sent there."""
    calls: list[bytes] = []

    class Note(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            calls.append(self.rfile.readline())

    with socketserver.TCPServer(("127.0.0.1", 0), Note) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", calls
        server.shutdown()


@pytest.mark.parametrize(("region", "code"), [("eu-west-1", 0), ("eu-west-99", 2)])
def test_the_playbook_ends_with_its_verdict_before_any_call(
    aws_environment: Path, endpoint: tuple[str, list[bytes]], region: str, code: int
) -> None:
    url, calls = endpoint

    ended, text = run_playbook(
        aws_environment,
        "aws-preflight.yml",
        "--tags=nothing",
        aws_region=region,
        AWS_ENDPOINT_URL=url,
        AWS_MAX_ATTEMPTS="1",
    )

    assert ended == code, text
    assert calls == []
    assert "Traceback" not in text
    assert ("Nothing was asked of AWS." in text) == bool(code)


def test_every_playbook_for_aws_begins_with_it() -> None:
    playbooks = [path for path in (ROOT / "playbooks").glob("aws*.yml") if path.name != "aws-preflight.yml"]

    assert len(playbooks) >= 4
    for path in playbooks:
        first = yaml.safe_load(path.read_text())[0]
        assert first["ansible.builtin.import_playbook"] == "aws-preflight.yml", path.name


@pytest.mark.parametrize("name", ["aws-rollback.yml", "aws-destroy.yml"])
def test_an_expired_certificate_keeps_nobody_from_going_back_or_from_ending_it(
    aws_environment: Path, given: Path, name: str
) -> None:
    roles = yaml.safe_load((ROOT / "playbooks" / name).read_text())[0]["vars"]["aws_preflight_roles"]

    assert checker(aws_environment, "aws_preflight", roles)(**imported(given, "expired.pem")) == []


def test_without_an_inventory_it_says_so(aws_check: Check, aws_environment: Path) -> None:
    (aws_environment / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": {"other": {}}}}))

    [problem] = aws_check()

    assert "inventories/aws/hosts.yml" in problem
