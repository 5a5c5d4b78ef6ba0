"""Forms of the orders domain."""

from flask_babel import lazy_gettext as _l
from wtforms import RadioField, SelectChoice, StringField, TextAreaField
from wtforms.validators import InputRequired, Length

from ..web import PlainText, StoreForm, WholeField, strip
from .services import MAX_COMMENT


class BuyForm(StoreForm):
    """How many copies. The price is not asked for: it is the store's to know."""

    quantity = WholeField(_l("Quantity"), [InputRequired()])
    # Sent by the store's own forms, see services.next_key.
    key = StringField(validators=[Length(max=64), PlainText()])


class RatingForm(StoreForm):
    """Stars, and a word about the seller."""

    stars = RadioField(
        _l("Your rating"),
        [InputRequired(_l("Please choose from one to five stars."))],
        choices=[SelectChoice(str(n), "★" * n) for n in range(5, 0, -1)],
    )
    comment = TextAreaField(
        _l("Comment"),
        [Length(max=MAX_COMMENT, message=_l("At most 1,000 characters.")), PlainText(lines=True)],
        filters=[strip],
        description=_l("Everybody can read it on the seller's page."),
        render_kw={"rows": 3},
    )
