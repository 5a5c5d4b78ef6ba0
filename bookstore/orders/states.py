"""What may follow what in the lives of a purchase, its payment and its delivery.

The only place that says so: every change of a status goes through ``move``.
"""

from collections.abc import Mapping
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import update
from sqlalchemy.sql.elements import ColumnElement

from ..errors import Conflict
from ..extensions import db
from ..payments.models import Payment, PaymentStatus
from ..shipping.models import Delivery, DeliveryStatus
from ..transactions import rows
from .models import Purchase, PurchaseEvent, PurchaseStatus

# Where a session keeps the steps of its transaction, for the notices.
STEPS = "steps"
PURCHASE: Mapping[str, frozenset[str]] = {
    PurchaseStatus.RESERVED: frozenset(
        {PurchaseStatus.PLACED, PurchaseStatus.PAID, PurchaseStatus.CANCELLED, PurchaseStatus.EXPIRED}
    ),
    PurchaseStatus.PLACED: frozenset({PurchaseStatus.PAID, PurchaseStatus.CANCELLED, PurchaseStatus.EXPIRED}),
    PurchaseStatus.PAID: frozenset({PurchaseStatus.COMPLETED, PurchaseStatus.CANCELLED}),
    PurchaseStatus.COMPLETED: frozenset(),
    PurchaseStatus.CANCELLED: frozenset(),
    PurchaseStatus.EXPIRED: frozenset(),
}
PAYMENT: Mapping[str, frozenset[str]] = {
    PaymentStatus.PENDING: frozenset({PaymentStatus.COMPLETED, PaymentStatus.CANCELLED, PaymentStatus.REFUND_DUE}),
    PaymentStatus.COMPLETED: frozenset({PaymentStatus.REFUND_DUE}),
    # The gateway's message can come after the purchase has ended.
    PaymentStatus.CANCELLED: frozenset({PaymentStatus.REFUND_DUE}),
    PaymentStatus.REFUND_DUE: frozenset({PaymentStatus.REFUNDED}),
    PaymentStatus.REFUNDED: frozenset(),
}
DELIVERY: Mapping[str, frozenset[str]] = {
    DeliveryStatus.PENDING: frozenset({DeliveryStatus.SHIPPED, DeliveryStatus.CANCELLED}),
    DeliveryStatus.SHIPPED: frozenset({DeliveryStatus.DELIVERED}),
    DeliveryStatus.DELIVERED: frozenset(),
    DeliveryStatus.CANCELLED: frozenset(),
}
_TABLES: dict[type[Any], tuple[str, Mapping[str, frozenset[str]]]] = {
    Purchase: ("purchase", PURCHASE),
    Payment: ("payment", PAYMENT),
    Delivery: ("delivery", DELIVERY),
}


class IllegalTransition(Conflict):
    """The thing is in a state that the wanted one cannot follow."""

    message = _l("This has changed in the meantime, and the step is no longer possible.")


def move(
    model: type[Purchase] | type[Payment] | type[Delivery],
    row_id: int,
    purchase_id: int,
    to: str,
    *,
    actor_id: int | None,
    where: tuple[ColumnElement[bool], ...] = (),
    values: Mapping[str, Any] | None = None,
) -> None:
    """Change a status by one conditional UPDATE and write the step into the purchase's history.

    Of many that try at once, one succeeds. The caller commits, or rolls back on the error.

    Args:
        model: whose status.
        row_id: the row's id.
        purchase_id: the purchase that it belongs to.
        to: the state to enter.
        actor_id: who does it; None is the store itself.
        where: further conditions on the row.
        values: further columns to set.

    Raises:
        IllegalTransition: the present state is none that ``to`` may follow.
    """
    kind, table = _TABLES[model]
    before = [state for state, after in table.items() if to in after]
    changed = db.session.execute(
        update(model).where(model.id == row_id, model.status.in_(before), *where).values(status=to, **(values or {})),
        execution_options={"synchronize_session": False},
    )
    if not rows(changed):
        raise IllegalTransition
    step = f"{kind}.{to}"
    db.session.add(PurchaseEvent(purchase_id=purchase_id, step=step, actor_id=actor_id))
    db.session.info.setdefault(STEPS, []).append((purchase_id, step))
