"""Column types and limits that the models share."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime, Dialect, Numeric, String, types
from sqlalchemy.dialects import mysql

Money = Numeric(12, 2)
"""Amounts in the store's currency: ten digits before the point, two after."""


def exact_string(length: int) -> types.TypeEngine[str]:
    """Text that is compared byte by byte, so that ``jose`` and ``josé`` stay two accounts."""
    return String(length).with_variant(mysql.VARCHAR(length, collation="utf8mb4_bin"), "mysql")


def utcnow() -> datetime:
    """The present moment, always with its time zone."""
    return datetime.now(UTC)


class UTCDateTime(types.TypeDecorator[datetime]):
    """A moment: stored in UTC without a zone, read back with one.

    MySQL's plain DATETIME rounds to the second, which can put a moment into the future,
    so microseconds are kept.
    """

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> types.TypeEngine[Any]:
        """Choose the column type that keeps microseconds."""
        if dialect.name == "mysql":
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return dialect.type_descriptor(DateTime())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn a zoned moment into naive UTC; a naive one is a mistake of the caller."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment needs a time zone")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the stored moment its zone back."""
        return None if value is None else value.replace(tzinfo=UTC)
