"""Forms of the payments domain."""

from flask_babel import lazy_gettext as _l
from wtforms import RadioField, SelectChoice
from wtforms.validators import InputRequired

from ..web import StoreForm
from .models import Method

LABELS = {
    Method.CREDIT_CARD: _l("Credit card"),
    Method.PAYPAL: _l("PayPal"),
    Method.BANK_TRANSFER: _l("Bank transfer"),
}


class PaymentForm(StoreForm):
    """How to pay."""

    method = RadioField(
        _l("Payment method"),
        [InputRequired(_l("Please choose one of the payment methods."))],
        choices=[SelectChoice(str(method), label) for method, label in LABELS.items()],
    )
