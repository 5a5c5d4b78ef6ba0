"""What the store is told, secret or not, and what instances may do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from secrets import token_hex
from typing import Any

from checks.store import STORE_OWN_SECRETS
from checks.variables import Problem, Rules

rule = Rules()


@rule("aws_secrets_recovery_days")
def recovery_days(days: int) -> Iterator[Problem]:
    """Secrets Manager's own limits."""
    if int(days) and not 7 <= int(days) <= 30:
        mend = "Set it to 7, or to 0."
        yield Problem("aws_secrets_recovery_days", "must be 7 to 30, or 0 (Secrets Manager, DeleteSecret)", mend)


@rule("aws_secrets_given")
def secrets_given(given: dict[str, Any]) -> Iterator[Problem]:
    """Lines of the store's environment."""
    for name, value in given.items():
        if name in STORE_OWN_SECRETS:
            mend = "Remove it: it is generated."
            yield Problem("aws_secrets_given", f"must not have {name}, which the role makes", mend, name)
        if not re.fullmatch(r"[A-Z_][A-Z0-9_]*", name) or not isinstance(value, str) or "\n" in value:
            mend = "Use upper case, digits and _ for the name, and a text without a line break."
            yield Problem("aws_secrets_given", "must be the store's variables, of one line each", mend, name)
    if sum(len(name) + len(str(value)) + 8 for name, value in given.items()) > 60000:
        yield Problem("aws_secrets_given", "must fit a secret of 65536 bytes", "Shorten it.", len(given))


@rule("aws_store_settings")
def store_settings(settings: dict[str, Any]) -> Iterator[Problem]:
    """They pass through user data, which everybody on an instance reads."""
    for name, value in settings.items():
        if re.search(r"PASS|SECRET|TOKEN|_KEY$", name):
            mend = "Put it into aws_secrets_given."
            yield Problem("aws_store_settings", "must not have a secret: user data is no place for one", mend, name)
        elif name.startswith("DB_") or name in ("STORE_URL", "TRUSTED_PROXY_COUNT"):
            yield Problem("aws_store_settings", f"must not have {name}, which is set by itself", "Remove it.", name)
        elif not re.fullmatch(r"[A-Z_][A-Z0-9_]*", name) or not isinstance(value, str) or "\n" in value:
            mend = "Use upper case, digits and _ for the name, and a text in quotes without a line break."
            yield Problem("aws_store_settings", "must be the store's variables, of one line each", mend, name)
    if sum(len(name) + len(str(value)) + 8 for name, value in settings.items()) > 12000:
        mend = "Move large ones into aws_secrets_given."
        yield Problem("aws_store_settings", "must fit user data, of 16384 bytes at most (EC2)", mend, len(settings))


@rule("aws_store_settings", "aws_secrets_given")
def store_accepts(settings: dict[str, str], given: dict[str, str]) -> Iterator[Problem]:
    """The store is asked itself: it would refuse to start."""
    from bookstore.config import ConfigError, load_config

    own = {
        "SECRET_KEY": token_hex(32),
        "DB_HOST": "x",
        "DB_USER": "x",
        "DB_NAME": "x",
        "STORE_URL": "https://x.example",
    }
    try:
        load_config({**own, **settings, **given})
    except ConfigError as error:
        mend = "Correct it there or in aws_secrets_given; docs/operations.md lists the settings."
        yield Problem("aws_store_settings", f"must be settings that the store starts with: {error}", mend, secret=True)


@rule("aws_store_settings", "aws_secrets_given", "aws_network_vpc", "aws_network_egress", "aws_network_egress_ports")
def ways_out(
    settings: dict[str, str], given: dict[str, str], vpc: str, egress: str, ports: list[int]
) -> Iterator[Problem]:
    """Mail and payments leave AWS's network."""
    port = int(settings.get("MAIL_PORT") or (465 if settings.get("MAIL_TLS") == "tls" else 587))
    mails, pays = bool(settings.get("MAIL_SERVER")), "STRIPE_SECRET_KEY" in given
    if mails and port not in map(int, ports):
        yield Problem(
            "aws_network_egress_ports",
            f"must have {port}, the mail server's port (MAIL_SERVER in aws_store_settings)",
            f"Write [{', '.join(map(str, [*ports, port]))}].",
        )
    if (mails or pays) and vpc == "own" and egress == "endpoints":
        yield Problem(
            "aws_network_egress",
            f"must not be endpoints with {'mail' if mails else 'card payments'}: they are none of AWS's services",
            "Set it to nat, or to public.",
        )


@rule("aws_fleet_user_data")
def user_data(values: dict[str, Any]) -> Iterator[Problem]:
    """Everybody on the instance, and who may describe it, reads it."""
    for name in values:
        if re.search(r"passw|secret(?!_arn)|token|private|credential", name, re.IGNORECASE):
            yield Problem(
                "aws_fleet_user_data",
                "must have names and ARNs only: user data is no place for a secret",
                "Put it into aws_secrets_given.",
                name,
            )


@rule("aws_identity_instance_profile", "aws_identity_permissions_boundary")
def boundary(profile: str, policy: str) -> Iterator[Problem]:
    """With an existing profile no role is made."""
    if profile and policy:
        yield Problem(
            "aws_identity_permissions_boundary",
            "must be empty with aws_identity_instance_profile: no role is made that it could limit",
            "Remove one of the two.",
        )
