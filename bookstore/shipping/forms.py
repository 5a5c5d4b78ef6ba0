"""Forms of the shipping domain."""

from flask_babel import lazy_gettext as _l
from wtforms import RadioField
from wtforms.validators import InputRequired

from ..web import StoreForm


class DeliveryForm(StoreForm):
    """Which carrier; the view fills in the choices, the service checks the answer."""

    provider = RadioField(
        _l("Delivery service"),
        [InputRequired(_l("Please choose one of the delivery services."))],
        validate_choice=False,
    )
