"""Forms of the payments domain."""

from flask_babel import lazy_gettext as _l
from wtforms import HiddenField, RadioField, ValidationError
from wtforms.validators import InputRequired

from ..web import StoreForm
from .models import Method

LABELS = {
    Method.CARD: _l("Card"),
    Method.CREDIT_CARD: _l("Credit card (demonstration)"),
    Method.PAYPAL: _l("PayPal (demonstration)"),
    Method.BANK_TRANSFER: _l("Bank transfer"),
    Method.CASH_ON_DELIVERY: _l("Cash on delivery"),
}
# What a buyer is told of a payment that comes later, on the page and by mail.
THANKS = {
    Method.BANK_TRANSFER: _l("Your order is placed. Please transfer the amount and name the purchase number."),
    Method.CASH_ON_DELIVERY: _l("Your order is placed. You pay in cash when the parcel arrives."),
}


class PaymentForm(StoreForm):
    """How to pay, and the carrier; the view fills in the choices."""

    provider = RadioField(_l("Delivery service"), validate_choice=False)
    method = RadioField(_l("Payment method"), [InputRequired(_l("Please choose one of the payment methods."))])
    # Sent by the store's own page, which shows the carriers; the original store's clients choose theirs afterwards.
    carriers_shown = HiddenField(default="yes")

    def validate_provider(self, field: RadioField) -> None:
        """Let nobody pay a total that they have not seen."""
        if self.carriers_shown.raw_data and field.choices and not field.data:
            raise ValidationError(str(_l("Please choose a delivery service.")))
