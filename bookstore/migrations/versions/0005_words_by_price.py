"""The price beside each word of the search, so that what is found comes in its order.

The release before this one may still be writing while this runs and after: the column has a default, and the books it
changes are left out where a common word's books are sorted by price, until they are changed again or `tidy` runs. As in
0001, everything can be repeated.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from alembic import op

from bookstore.catalog.search import rebuild
from bookstore.columns import Money

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

INDEX = "ix_book_terms_term_price"


def _has(items: Iterable[Mapping[str, Any]], name: str) -> bool:
    return any(item["name"] == name for item in items)


def upgrade() -> None:
    """Add the price and its index, and make the words of the books that are there."""
    inspector = sa.inspect(op.get_bind())
    if not _has(inspector.get_columns("book_terms"), "price"):
        op.add_column("book_terms", sa.Column("price", Money, nullable=False, server_default="0"))
    # Batch by batch: who buys meanwhile waits for one, not for all.
    rebuild(op.get_bind(), commit=True)
    if not _has(inspector.get_indexes("book_terms"), INDEX):
        op.create_index(INDEX, "book_terms", ["term", "price"])


def downgrade() -> None:
    """Forget it."""
    inspector = sa.inspect(op.get_bind())
    if _has(inspector.get_indexes("book_terms"), INDEX):
        op.drop_index(INDEX, "book_terms")
    if _has(inspector.get_columns("book_terms"), "price"):
        op.drop_column("book_terms", "price")
