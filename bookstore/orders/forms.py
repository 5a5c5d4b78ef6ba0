"""Forms of the orders domain."""

from flask_babel import lazy_gettext as _l
from wtforms import IntegerField
from wtforms.validators import InputRequired

from ..web import StoreForm


class BuyForm(StoreForm):
    """How many copies. The price is not asked for: it is the store's to know."""

    quantity = IntegerField(_l("Quantity"), [InputRequired()])
