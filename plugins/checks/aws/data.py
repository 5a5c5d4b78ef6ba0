"""The database and the covers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from checks import published
from checks.store import STORE_UID
from checks.variables import Problem, Rules, nearest

ENGINE = "mysql"
# What the store is tested with.
ENGINE_SERIES = "8.4."
# Names that MySQL, RDS and the roles have taken (RDS user guide, "Master user account privileges"; MySQL manual,
# "Reserved accounts" and "The mysql system schema").
TAKEN_USERS = ("mysql", "rdsadmin", "rdsrepladmin", "rdsproxyadmin", "root")
TAKEN_DATABASES = ("information_schema", "innodb", "mysql", "performance_schema", "sys", "tmp")
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WEEK = 7 * 24 * 60

rule = Rules()


@rule("aws_data_engine_version")
def engine_version(version: str) -> Iterator[Problem]:
    """A version that RDS has, of the series that the store is tested with."""
    able = [known for known in published.database_versions(ENGINE) if known.startswith(ENGINE_SERIES)]
    if version not in able:
        newest = max(able, key=lambda known: [int(part) for part in known.split(".")])
        yield Problem(
            "aws_data_engine_version",
            f"must be a version of MySQL {ENGINE_SERIES.rstrip('.')} that RDS has",
            f"Write one of {', '.join(able)}; the newest is {newest}.",
        )


@rule("aws_data_instance_class", "aws_data_engine_version", "aws_region")
def instance_class(kind: str, version: str, region: str) -> Iterator[Problem]:
    """A class that RDS offers for MySQL there."""
    able = published.database_classes(region, ENGINE, version)
    if able and kind not in able:
        yield Problem(
            "aws_data_instance_class",
            f"must be a class that RDS has for MySQL {version} in {region}",
            f"Did you mean {nearest(kind if kind.startswith('db.') else f'db.{kind}', able)}?",
        )


@rule("aws_data_storage_gib", "aws_data_storage_max_gib")
def storage(first: int, most: int) -> Iterator[Problem]:
    """RDS grows storage by a tenth at least."""
    if int(most) * 10 < int(first) * 11 or int(most) > 65536:
        yield Problem(
            "aws_data_storage_max_gib",
            f"must be a tenth or more above aws_data_storage_gib ({first}), 65536 at most (RDS, storage autoscaling)",
            f"Set it to {min(65536, max(int(first) * 2, 100))}.",
        )


@rule("aws_data_storage_gib", "aws_watch_database_free_gib")
def storage_alarm(first: int, free: int) -> Iterator[Problem]:
    """An alarm that is on from the beginning is soon ignored."""
    if int(free) >= int(first):
        yield Problem(
            "aws_watch_database_free_gib",
            f"must be below aws_data_storage_gib ({first}), or the alarm is raised at once",
            f"Set it to {max(1, int(first) // 5)}.",
        )


@rule("aws_data_database_name")
def database_name(name: str) -> Iterator[Problem]:
    """RDS would refuse it after the network is made."""
    if reserved(name) or name.lower() in TAKEN_DATABASES:
        yield Problem("aws_data_database_name", "must not be a word that MySQL reserves", "Write e.g. bookstore.")


@rule("aws_data_master_user", "aws_secrets_database_user")
def database_users(master: str, store: str) -> Iterator[Problem]:
    """Two users: one that makes the schema, one for the store."""
    for name, user in (("aws_data_master_user", master), ("aws_secrets_database_user", store)):
        if reserved(user) or user.lower() in TAKEN_USERS:
            yield Problem(name, "must not be a name that MySQL or RDS keeps for itself", "Write e.g. bookstore_admin.")
    if master == store:
        yield Problem(
            "aws_secrets_database_user",
            "must not be the master user: the store would have all rights",
            "Write e.g. bookstore.",
        )


@rule("aws_data_parameters")
def parameters(values: dict[str, Any]) -> Iterator[Problem]:
    """TLS is not a matter of choice."""
    if str(values.get("require_secure_transport", "")).lower() not in ("1", "on"):
        yield Problem(
            "aws_data_parameters",
            'must have require_secure_transport: "1", or passwords could pass in clear text',
            'Add require_secure_transport: "1": the variable replaces the default as a whole.',
        )
    for name, value in values.items():
        if not isinstance(value, str | int) or isinstance(value, bool):
            mend = f'Write "{int(value) if isinstance(value, bool) else value}" in quotes.'
            yield Problem("aws_data_parameters", f"must have a text or a number for {name}", mend, value)


@rule("aws_data_backup_window", "aws_data_maintenance_window")
def windows(backup: str, maintenance: str) -> Iterator[Problem]:
    """RDS takes no window below half an hour, and none that meets the other."""
    clock = r"([01]\d|2[0-3]):([0-5]\d)"
    daily = re.fullmatch(rf"{clock}-{clock}", str(backup))
    days = f"({'|'.join(DAYS)})"
    weekly = re.fullmatch(rf"{days}:{clock}-{days}:{clock}", str(maintenance))
    if not daily:
        yield Problem("aws_data_backup_window", "must be hh:mm-hh:mm (UTC)", 'Write e.g. "03:00-04:00", in quotes.')
    if not weekly:
        mend = 'Write e.g. "sun:04:30-sun:05:30", in quotes.'
        yield Problem("aws_data_maintenance_window", "must be ddd:hh:mm-ddd:hh:mm (UTC), days as mon, tue, wed", mend)
    saved, patched = [], 0
    if daily:
        start, end = minutes(*daily.groups()[:2]), minutes(*daily.groups()[2:])
        length = (end - start) % (24 * 60)
        saved = [(day * 24 * 60 + start, length) for day in range(7)]
        if length < 30:
            yield Problem("aws_data_backup_window", "must be 30 minutes or longer", "Write e.g. 03:00-04:00.")
    if weekly:
        first, *begin, last, hour, minute = weekly.groups()
        start = DAYS.index(first) * 24 * 60 + minutes(*begin)
        patched = (DAYS.index(last) * 24 * 60 + minutes(hour, minute) - start) % WEEK
        if not 30 <= patched < 24 * 60:
            yield Problem(
                "aws_data_maintenance_window", "must be 30 minutes to below 24 hours", "Write e.g. sun:04:30-sun:05:30."
            )
        if any((other - start) % WEEK < patched or (start - other) % WEEK < length for other, length in saved):
            yield Problem(
                "aws_data_maintenance_window",
                f"must not meet aws_data_backup_window ({backup})",
                "Begin it after the backup's end.",
            )


@rule("aws_data_covers_uid")
def covers_uid(uid: int) -> Iterator[Problem]:
    """The access point makes everything theirs."""
    if int(uid) != STORE_UID:
        yield Problem(
            "aws_data_covers_uid",
            f"must be {STORE_UID}, the user of the store's image: covers belong to it",
            f"Remove it, or set it to {STORE_UID}.",
        )


def reserved(word: str) -> bool:
    """Whether MySQL keeps a word for itself."""
    from sqlalchemy.dialects.mysql.reserved_words import RESERVED_WORDS_MYSQL

    return word.lower() in RESERVED_WORDS_MYSQL


def minutes(hour: str, minute: str) -> int:
    """Since midnight."""
    return int(hour) * 60 + int(minute)
