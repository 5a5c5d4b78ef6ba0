"""The language of people's mail.

The release before this one may still be writing while this runs and after: the column has a default.
As in 0001, everything can be repeated.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def _there() -> bool:
    return any(column["name"] == "language" for column in sa.inspect(op.get_bind()).get_columns("users"))


def upgrade() -> None:
    """Take everybody to speak Spanish until they log in again."""
    if not _there():
        op.add_column("users", sa.Column("language", sa.String(5), nullable=False, server_default="es"))


def downgrade() -> None:
    """Forget it."""
    if _there():
        op.drop_column("users", "language")
