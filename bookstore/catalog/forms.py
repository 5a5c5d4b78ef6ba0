"""Forms of the catalogue."""

from decimal import Decimal
from typing import Any

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import DecimalField, IntegerField, StringField, TextAreaField
from wtforms.validators import DataRequired, InputRequired, Length, NumberRange

from ..web import PlainText, strip

MIN_PRICE = Decimal("0.01")
MAX_PRICE = Decimal("99999999.99")
MAX_STOCK = 1_000_000
MAX_DESCRIPTION = 5_000


class MoneyField(DecimalField):
    """A price: a plain number with at most two decimals."""

    data: Any

    def _value(self) -> str:
        # Like the other fields, show again what was typed, even if it is no price.
        return str(self.raw_data[0]) if self.raw_data else str(super()._value())

    def process_formdata(self, valuelist: list[str]) -> None:
        """Read the number; anything that is none, or no finite one, is an error.

        Raises:
            ValueError: the text is not a price.
        """
        if not valuelist or not valuelist[0].strip():
            return
        self.data = None
        message = str(_l("Please enter a number, such as 25000 or 25000.50."))
        try:
            amount = Decimal(valuelist[0].strip())
            if not amount.is_finite() or abs(amount.adjusted()) > 15:
                raise ValueError(message)
            if amount != (rounded := round(amount, 2)):
                raise ValueError(str(_l("At most two decimals.")))
        except ArithmeticError:
            raise ValueError(message) from None
        self.data = rounded


class BookForm(FlaskForm):
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
    stock = IntegerField(
        _l("Copies for sale"),
        [
            InputRequired(_l("Please enter the number of copies.")),
            NumberRange(0, MAX_STOCK, _l("The number of copies must be between 0 and 1,000,000.")),
        ],
        render_kw={"inputmode": "numeric", "autocomplete": "off"},
    )
