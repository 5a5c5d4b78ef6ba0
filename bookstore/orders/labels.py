"""The words for states and steps."""

from flask_babel import LazyString, lazy_gettext as _l
from jinja2 import pass_context
from jinja2.runtime import Context

from ..payments.models import PaymentStatus
from ..shipping.models import DeliveryStatus
from .models import PurchaseStatus

STATES: dict[str, LazyString] = {
    f"purchase.{PurchaseStatus.RESERVED}": _l("Reserved"),
    f"purchase.{PurchaseStatus.PLACED}": _l("Ordered"),
    f"purchase.{PurchaseStatus.PAID}": _l("Paid"),
    f"purchase.{PurchaseStatus.COMPLETED}": _l("Completed"),
    f"purchase.{PurchaseStatus.CANCELLED}": _l("Cancelled"),
    f"purchase.{PurchaseStatus.EXPIRED}": _l("Expired"),
    f"payment.{PaymentStatus.PENDING}": _l("Payment awaited"),
    f"payment.{PaymentStatus.COMPLETED}": _l("Payment received"),
    f"payment.{PaymentStatus.CANCELLED}": _l("Payment cancelled"),
    f"payment.{PaymentStatus.REFUND_DUE}": _l("Refund due"),
    f"payment.{PaymentStatus.REFUNDED}": _l("Refunded"),
    f"delivery.{DeliveryStatus.PENDING}": _l("Being prepared"),
    f"delivery.{DeliveryStatus.SHIPPED}": _l("Shipped"),
    f"delivery.{DeliveryStatus.DELIVERED}": _l("Delivered"),
    f"delivery.{DeliveryStatus.CANCELLED}": _l("Delivery cancelled"),
}


# Taking the context keeps Jinja from working out a constant's word once, in one language for all.
@pass_context
def state_name(_context: Context, status: str, kind: str) -> str:
    """The word for a state of a ``purchase``, ``payment`` or ``delivery``."""
    return str(STATES[f"{kind}.{status}"])


@pass_context
def step_name(_context: Context, step: str) -> str:
    """The words for a step of a purchase's history, such as ``delivery.shipped``."""
    return str(STATES[step])
