"""The first tables.

MySQL commits each DDL statement by itself, so an interrupted run leaves a part of this
behind. Everything here can therefore be repeated.
"""

import sqlalchemy as sa
from alembic import op

from bookstore.columns import Money, UTCDateTime, exact_string

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

MYSQL = {"mysql_charset": "utf8mb4", "mysql_engine": "InnoDB"}
INDEXES = (
    ("ix_user_sessions_user_id", "user_sessions", ["user_id"]),
    ("ix_user_sessions_expires_at", "user_sessions", ["expires_at"]),
    ("ix_login_attempts_account", "login_attempts", ["account_hash", "attempted_at"]),
    ("ix_login_attempts_address", "login_attempts", ["address_hash", "attempted_at"]),
    ("ix_login_attempts_attempted_at", "login_attempts", ["attempted_at"]),
    ("ix_books_status", "books", ["status"]),
    ("ix_books_seller_id_status", "books", ["seller_id", "status"]),
    ("ix_purchases_buyer_id", "purchases", ["buyer_id"]),
    ("ix_purchases_book_id", "purchases", ["book_id"]),
    ("ix_purchases_status_reserved_until", "purchases", ["status", "reserved_until"]),
    ("ix_deliveries_provider_id", "deliveries", ["provider_id"]),
)


def upgrade() -> None:
    """Make tables and indexes."""
    _table(
        "users",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("email", exact_string(254), nullable=False, unique=True),
        sa.Column("password_hash", sa.String(255), nullable=False),
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("created_at", UTCDateTime, nullable=False),
    )
    _table(
        "user_sessions",
        sa.Column("token_hash", exact_string(64), primary_key=True),
        sa.Column("user_id", sa.Integer, sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
        sa.Column("created_at", UTCDateTime, nullable=False),
        sa.Column("expires_at", UTCDateTime, nullable=False),
    )
    _table(
        "login_attempts",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("account_hash", exact_string(64), nullable=False),
        sa.Column("address_hash", exact_string(64), nullable=False),
        sa.Column("attempted_at", UTCDateTime, nullable=False),
    )
    _table(
        "books",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("seller_id", sa.Integer, sa.ForeignKey("users.id"), nullable=False),
        sa.Column("title", sa.String(150), nullable=False),
        sa.Column("author", sa.String(100), nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("price", Money, nullable=False),
        sa.Column("stock", sa.Integer, nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("created_at", UTCDateTime, nullable=False),
        sa.CheckConstraint("price > 0", name="price_positive"),
        sa.CheckConstraint("stock >= 0", name="stock_not_negative"),
    )
    _table(
        "purchases",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("buyer_id", sa.Integer, sa.ForeignKey("users.id"), nullable=False),
        sa.Column("book_id", sa.Integer, sa.ForeignKey("books.id"), nullable=False),
        sa.Column("quantity", sa.Integer, nullable=False),
        sa.Column("unit_price", Money, nullable=False),
        sa.Column("total", Money, nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("reserved_until", UTCDateTime, nullable=False),
        sa.Column("created_at", UTCDateTime, nullable=False),
        sa.CheckConstraint("quantity > 0", name="quantity_positive"),
    )
    _table(
        "payments",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("purchase_id", sa.Integer, sa.ForeignKey("purchases.id"), nullable=False, unique=True),
        sa.Column("method", sa.String(30), nullable=False),
        sa.Column("amount", Money, nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("created_at", UTCDateTime, nullable=False),
    )
    _table(
        "delivery_providers",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(100), nullable=False, unique=True),
        sa.Column("cost", Money, nullable=False),
        sa.Column("active", sa.Boolean, nullable=False),
    )
    _table(
        "deliveries",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("purchase_id", sa.Integer, sa.ForeignKey("purchases.id"), nullable=False, unique=True),
        sa.Column("provider_id", sa.Integer, sa.ForeignKey("delivery_providers.id"), nullable=False),
        sa.Column("cost", Money, nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("created_at", UTCDateTime, nullable=False),
    )
    inspector = sa.inspect(op.get_bind())
    for name, table, columns in INDEXES:
        if name not in {index["name"] for index in inspector.get_indexes(table)}:
            op.create_index(name, table, columns)


def downgrade() -> None:
    """Drop the tables, those that refer to others first."""
    for table in (
        "deliveries",
        "delivery_providers",
        "payments",
        "purchases",
        "books",
        "login_attempts",
        "user_sessions",
        "users",
    ):
        op.drop_table(table, if_exists=True)


def _table(name: str, *columns: sa.schema.SchemaItem) -> None:
    op.create_table(name, *columns, if_not_exists=True, **MYSQL)
