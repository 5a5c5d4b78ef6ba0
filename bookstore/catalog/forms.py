"""Forms of the catalogue."""

import re
from decimal import Decimal
from typing import Any

from flask_babel import lazy_gettext as _l
from wtforms import DecimalField, StringField, TextAreaField
from wtforms.validators import DataRequired, InputRequired, Length, NumberRange
from wtforms.widgets import TextInput

from ..web import PlainText, StoreForm, WholeField, strip

# A sign only so that the range below can say what is wrong with it.
_PRICE = re.compile(r"-?[0-9]{1,15}([.,][0-9]{1,2})?")
MIN_PRICE = Decimal("0.01")
MAX_PRICE = Decimal("99999999.99")
MAX_STOCK = 1_000_000
MAX_DESCRIPTION = 5_000


class MoneyField(DecimalField):
    """A price: digits, and at most two decimals behind a point or a comma.

    "45.000" is forty-five thousand to one reader and forty-five to another, so separators of
    thousands are refused. A text field, since a browser's number field drops such a comma unseen.
    """

    data: Any
    widget = TextInput()

    def _value(self) -> str:
        # Like the other fields, show again what was typed, even if it is no price.
        return str(self.raw_data[0]) if self.raw_data else str(super()._value())

    def process_formdata(self, valuelist: list[str]) -> None:
        """Read the number.

        Raises:
            ValueError: the text is not a price.
        """
        if not valuelist or not (text := valuelist[0].strip()):
            return
        self.data = None
        if not _PRICE.fullmatch(text):
            raise ValueError(str(_l("Please enter digits alone, such as 25000 or 25000.50.")))
        self.data = Decimal(text.replace(",", "."))


class BookForm(StoreForm):
    """A book to sell."""

    title = StringField(
        _l("Title"),
        [
            DataRequired(_l("Please enter the title.")),
            Length(max=150, message=_l("At most 150 characters.")),
            PlainText(),
        ],
        filters=[strip],
    )
    author = StringField(
        _l("Author"),
        [
            DataRequired(_l("Please enter the author.")),
            Length(max=100, message=_l("At most 100 characters.")),
            PlainText(),
        ],
        filters=[strip],
    )
    description = TextAreaField(
        _l("Description"),
        [
            Length(max=MAX_DESCRIPTION, message=_l("At most 5,000 characters.")),
            PlainText(lines=True),
        ],
        filters=[strip],
        description=_l("Edition, condition, whatever a buyer would like to know."),
        render_kw={"rows": 6},
    )
    price = MoneyField(
        _l("Price"),
        [
            InputRequired(_l("Please enter the price.")),
            NumberRange(MIN_PRICE, MAX_PRICE, _l("The price must be between 0.01 and 99,999,999.99.")),
        ],
        render_kw={"inputmode": "decimal", "autocomplete": "off"},
    )
    stock = WholeField(
        _l("Copies for sale"),
        [
            InputRequired(_l("Please enter the number of copies.")),
            NumberRange(0, MAX_STOCK, _l("The number of copies must be between 0 and 1,000,000.")),
        ],
        render_kw={"inputmode": "numeric", "autocomplete": "off"},
    )
