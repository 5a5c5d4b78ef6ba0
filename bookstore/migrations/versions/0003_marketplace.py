"""Covers, conditions and search; states and histories; ratings, reports and the audit log.

The release before this one may still be writing while this runs and after: whatever it does not know has a default.
As in 0001, everything can be repeated.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from bookstore.columns import UTCDateTime, exact_string

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

MYSQL = {"mysql_charset": "utf8mb4", "mysql_engine": "InnoDB"}


def _text(name: str, length: int, default: str = "") -> sa.Column[Any]:
    return sa.Column(name, sa.String(length), nullable=False, server_default=default)


def _moment(name: str = "created_at", *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, UTCDateTime, nullable=nullable)


def _reference(name: str, target: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Integer, sa.ForeignKey(target), nullable=nullable)


INDEXES = (
    ("uq_purchases_idempotency_key", "purchases", ["buyer_id", "book_id", "idempotency_key"]),
    ("uq_payments_reference", "payments", ["reference"]),
    ("ix_books_status_price", "books", ["status", "price"]),
    ("ix_books_status_title", "books", ["status", "title"]),
    ("ix_books_status_category", "books", ["status", "category"]),
    ("ix_books_status_language", "books", ["status", "language"]),
    ("ix_books_author", "books", ["author", "status"]),
    ("ix_books_isbn", "books", ["isbn"]),
    ("ix_books_cover", "books", ["cover"]),
    ("ix_payments_status", "payments", ["status"]),
    ("ix_deliveries_status", "deliveries", ["status"]),
    ("ix_book_terms_book_id", "book_terms", ["book_id"]),
    ("ix_purchase_events_purchase_id", "purchase_events", ["purchase_id"]),
    ("ix_ratings_seller_id", "ratings", ["seller_id"]),
    ("ix_reports_status", "reports", ["status"]),
)
TABLES = ("audit_entries", "reports", "ratings", "purchase_events", "gateway_events", "book_terms")


def upgrade() -> None:
    """Add columns, tables and indexes; 0005 makes the search's words of the books that are there."""
    for table, columns in _columns().items():
        known = {column["name"] for column in sa.inspect(op.get_bind()).get_columns(table)}
        for column in columns:
            if column.name not in known:
                op.add_column(table, column)
    _tables()
    inspector = sa.inspect(op.get_bind())
    for name, table, names in INDEXES:
        if name not in {index["name"] for index in inspector.get_indexes(table)}:
            op.create_index(name, table, names, unique=name.startswith("uq_"))


def _columns() -> dict[str, tuple[sa.Column[Any], ...]]:
    # Made anew at each call: a column belongs to one table only.
    return {
        "users": (
            _moment("email_verified_at", nullable=True),
            _moment("deleted_at", nullable=True),
            sa.Column("rating_count", sa.Integer, nullable=False, server_default="0"),
            sa.Column("rating_sum", sa.Integer, nullable=False, server_default="0"),
        ),
        "books": (
            _text("condition", 20, "good"),
            _text("condition_notes", 500),
            _text("category", 20, "other"),
            _text("language", 10, "other"),
            sa.Column("isbn", exact_string(13)),
            sa.Column("cover", exact_string(64)),
        ),
        "purchases": (sa.Column("idempotency_key", exact_string(64)),),
        "payments": (sa.Column("reference", exact_string(255)),),
        "deliveries": (
            _text("recipient", 100),
            _text("address", 300),
            _text("city", 100),
            _text("phone", 30),
            _text("tracking_number", 100),
        ),
    }


def _tables() -> None:
    _table(
        "book_terms",
        sa.Column("term", exact_string(32), primary_key=True),
        sa.Column("book_id", sa.Integer, sa.ForeignKey("books.id", ondelete="CASCADE"), primary_key=True),
    )
    _table(
        "gateway_events",
        sa.Column("id", exact_string(255), primary_key=True),
        _moment(),
    )
    _table(
        "purchase_events",
        sa.Column("id", sa.Integer, primary_key=True),
        _reference("purchase_id", "purchases.id"),
        sa.Column("step", sa.String(40), nullable=False),
        _reference("actor_id", "users.id", nullable=True),
        _moment(),
    )
    _table(
        "ratings",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("purchase_id", sa.Integer, sa.ForeignKey("purchases.id"), nullable=False, unique=True),
        _reference("seller_id", "users.id"),
        sa.Column("stars", sa.Integer, nullable=False),
        sa.Column("comment", sa.String(1000), nullable=False),
        _moment(),
        sa.CheckConstraint("stars BETWEEN 1 AND 5", name="stars_in_range"),
    )
    _table(
        "reports",
        sa.Column("id", sa.Integer, primary_key=True),
        _reference("book_id", "books.id"),
        _reference("reporter_id", "users.id"),
        sa.Column("reason", sa.String(30), nullable=False),
        sa.Column("details", sa.String(1000), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        _moment(),
        sa.UniqueConstraint("book_id", "reporter_id", name="uq_reports_book_id"),
    )
    _table(
        "audit_entries",
        sa.Column("id", sa.Integer, primary_key=True),
        _reference("actor_id", "users.id", nullable=True),
        sa.Column("action", sa.String(50), nullable=False),
        sa.Column("target", sa.String(100), nullable=False),
        sa.Column("details", sa.String(500), nullable=False),
        _moment(),
    )


def downgrade() -> None:
    """Take all of it away again."""
    for table in TABLES:
        op.drop_table(table, if_exists=True)
    inspector = sa.inspect(op.get_bind())
    for name, table, _names in INDEXES:
        if table not in TABLES and name in {index["name"] for index in inspector.get_indexes(table)}:
            op.drop_index(name, table)
    for table, columns in _columns().items():
        known = {column["name"] for column in sa.inspect(op.get_bind()).get_columns(table)}
        for column in columns:
            if column.name in known:
                op.drop_column(table, str(column.name))


def _table(name: str, *columns: sa.schema.SchemaItem) -> None:
    op.create_table(name, *columns, if_not_exists=True, **MYSQL)
