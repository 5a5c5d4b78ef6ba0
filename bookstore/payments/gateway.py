"""The card gateway, Stripe Checkout: the buyer pays on its page, a signed message says so. No card number comes here.

https://docs.stripe.com/payments/checkout and https://docs.stripe.com/webhooks
"""

import logging
from datetime import timedelta
from decimal import Decimal
from typing import Any

import stripe
from flask import current_app, url_for
from flask_babel import get_locale, lazy_gettext as _l

from ..errors import InvalidInput, StoreError
from ..orders.models import Purchase
from .models import Payment

log = logging.getLogger(__name__)
TIMEOUT_SECONDS = 10
# Stripe ends a session after 30 minutes at the earliest; the copies are held a little longer than the session lives.
HOLD = timedelta(minutes=35)
_MARGIN = timedelta(minutes=4)
# https://docs.stripe.com/currencies#zero-decimal
_ZERO_DECIMAL = "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF UGX VND VUV XAF XOF XPF"


class GatewayUnavailable(StoreError):
    """The gateway does not answer, or refuses the store's keys."""

    status = 503
    message = _l("Card payments do not work at the moment. Please choose another way to pay, or try again later.")
    retry_after = 30


class ForgedMessage(InvalidInput):
    """A message that the gateway has not signed, or signed long ago."""

    message = _l("The signature of this message is not valid.")


def enabled() -> bool:
    """Whether the store has keys of the gateway."""
    return bool(current_app.config["STRIPE_SECRET_KEY"])


def minor_units(amount: Decimal, currency: str) -> int:
    """An amount as the gateway counts it: in cents, or whole where the currency has none."""
    return int(amount) if currency in _ZERO_DECIMAL.split() else int(amount * 100)


def open_session(purchase: Purchase, amount: Decimal) -> tuple[str, str]:
    """Ask for a page where the buyer pays ``amount``.

    Asked twice for the same purchase, amount and end, the gateway gives the same session.

    Returns:
        The session's id, and the page's address.

    Raises:
        GatewayUnavailable: there is none to be had now.
    """
    currency = current_app.config["CURRENCY"]
    units = minor_units(amount, currency)
    end = int((purchase.reserved_until - _MARGIN).timestamp())
    product = {"name": purchase.book.title, "description": f"{purchase.quantity} ×"}
    params: Any = {
        "mode": "payment",
        "client_reference_id": str(purchase.id),
        "line_items": [
            {"quantity": 1, "price_data": {"currency": currency.lower(), "unit_amount": units, "product_data": product}}
        ],
        "locale": str(get_locale() or "auto"),
        "success_url": url_for("orders.purchase", purchase_id=purchase.id, _external=True),
        "cancel_url": url_for("payments.pay", purchase_id=purchase.id, _external=True),
        "expires_at": end,
    }
    try:
        session = _client().v1.checkout.sessions.create(
            params, {"idempotency_key": f"purchase-{purchase.id}-{units}-{end}"}
        )
    except stripe.StripeError as error:
        log.error("gateway: no session for purchase %s: %s", purchase.id, type(error).__name__)
        raise GatewayUnavailable from None
    return session.id, str(session.url)


def abandon(session_id: str | None) -> None:
    """Close the page of a payment that is not wanted any more, if there is one; best effort.

    Should the buyer pay all the same, the message about it settles a purchase that still waits; else a
    refund is due.
    """
    if not session_id or not enabled():
        return
    try:
        _client().v1.checkout.sessions.expire(session_id)
    except stripe.StripeError as error:
        log.warning("gateway: session %s stays open: %s", session_id, type(error).__name__)


def give_back(payment: Payment) -> None:
    """Return a card payment.

    Raises:
        GatewayUnavailable: it could not be returned now.
    """
    try:
        client = _client()
        session = client.v1.checkout.sessions.retrieve(str(payment.reference))
        params: Any = {"payment_intent": session.payment_intent}
        client.v1.refunds.create(params, {"idempotency_key": f"refund-{payment.id}"})
    except stripe.StripeError as error:
        log.error("gateway: payment %s is not returned: %s", payment.id, type(error).__name__)
        raise GatewayUnavailable from None


def read_message(body: bytes, signature: str) -> stripe.Event:
    """Check a message's signature and read it.

    Raises:
        ForgedMessage: it is not signed with the store's secret within the last five minutes, or is no event.
    """
    try:
        return stripe.Webhook.construct_event(  # type: ignore[no-any-return]
            body, signature, current_app.config["STRIPE_WEBHOOK_SECRET"]
        )
    except (ValueError, KeyError, TypeError, stripe.SignatureVerificationError):
        raise ForgedMessage from None


def _client() -> stripe.StripeClient:
    base = current_app.config["STRIPE_API_BASE"]
    return stripe.StripeClient(
        current_app.config["STRIPE_SECRET_KEY"],
        base_addresses={"api": base} if base else {},
        http_client=stripe.RequestsClient(timeout=TIMEOUT_SECONDS),
        max_network_retries=1,
    )
