"""Forms of the shipping domain."""

from flask_babel import lazy_gettext as _l
from wtforms import BooleanField, RadioField, StringField, TelField
from wtforms.validators import DataRequired, InputRequired, Length, NumberRange

from ..catalog.forms import MAX_PRICE, MoneyField
from ..web import PlainText, StoreForm, strip


def _text(label: str, problem: str, length: int, autocomplete: str) -> StringField:
    limit = Length(max=length, message=_l("This is too long."))
    return StringField(
        label, [DataRequired(problem), limit, PlainText()], filters=[strip], render_kw={"autocomplete": autocomplete}
    )


class DeliveryForm(StoreForm):
    """Which carrier, and where to; the view fills in the carriers, the service checks the answer."""

    provider = RadioField(
        _l("Delivery service"),
        [InputRequired(_l("Please choose one of the delivery services."))],
        validate_choice=False,
    )
    recipient = _text(_l("Recipient"), _l("Please enter who receives the parcel."), 100, "shipping name")
    address = _text(_l("Address"), _l("Please enter the address."), 300, "shipping street-address")
    city = _text(_l("City"), _l("Please enter the city."), 100, "shipping address-level2")
    phone = TelField(
        _l("Phone"),
        [Length(max=30, message=_l("This is too long.")), PlainText()],
        filters=[strip],
        description=_l("Only for the courier."),
        render_kw={"autocomplete": "shipping tel"},
    )


class ShippedForm(StoreForm):
    """The seller handed a parcel over."""

    tracking_number = StringField(
        _l("Tracking number"),
        [Length(max=100, message=_l("This is too long.")), PlainText()],
        filters=[strip],
        render_kw={"autocomplete": "off"},
    )


class ProviderForm(StoreForm):
    """A carrier."""

    name = StringField(
        _l("Name"),
        [
            DataRequired(_l("Please enter the name.")),
            Length(max=100, message=_l("At most 100 characters.")),
            PlainText(),
        ],
        filters=[strip],
    )
    cost = MoneyField(
        _l("Cost"),
        [
            InputRequired(_l("Please enter the cost.")),
            NumberRange(0, MAX_PRICE, _l("The cost must be between 0 and 99,999,999.99.")),
        ],
        render_kw={"inputmode": "decimal", "autocomplete": "off"},
    )
    active = BooleanField(_l("On offer"))
