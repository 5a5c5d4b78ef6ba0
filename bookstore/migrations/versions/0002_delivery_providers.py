"""The carriers that the store starts with; one that is there already stays as it is."""

from decimal import Decimal

import sqlalchemy as sa
from alembic import op

from bookstore.columns import Money

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

PROVIDERS = (("DHL", 50), ("FedEx", 45), ("Envia", 20), ("Servientrega", 15))
providers = sa.table(
    "delivery_providers",
    sa.column("name", sa.String),
    sa.column("cost", Money),
    sa.column("active", sa.Boolean),
)


def upgrade() -> None:
    """Add the carriers that are missing."""
    known = set(op.get_bind().scalars(sa.select(providers.c.name)))
    op.bulk_insert(
        providers,
        [{"name": name, "cost": Decimal(cost), "active": True} for name, cost in PROVIDERS if name not in known],
    )


def downgrade() -> None:
    """Leave the carriers: deliveries refer to them, and the upgrade tolerates them."""
