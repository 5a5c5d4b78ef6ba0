"""Forms of the accounts domain."""

from flask_babel import lazy_gettext as _l
from wtforms import EmailField, PasswordField, StringField
from wtforms.validators import DataRequired, InputRequired, Length

from ..web import PlainText, StoreForm, strip
from .passwords import MAX_LENGTH, MIN_LENGTH


class RegistrationForm(StoreForm):
    """A new account."""

    name = StringField(
        _l("Name"),
        [
            DataRequired(_l("Please enter your name.")),
            Length(max=100, message=_l("At most 100 characters.")),
            PlainText(),
        ],
        filters=[strip],
        render_kw={"autocomplete": "name"},
    )
    email = EmailField(
        _l("E-mail address"),
        [
            InputRequired(_l("Please enter a valid e-mail address.")),
            Length(max=254, message=_l("Please enter a valid e-mail address.")),
            PlainText(),
        ],
        filters=[strip],
        render_kw={"autocomplete": "email"},
    )
    password = PasswordField(
        _l("Password"),
        [
            InputRequired(_l("Please choose a password.")),
            Length(
                MIN_LENGTH,
                MAX_LENGTH,
                _l("The password must have between 10 and 128 characters."),
            ),
        ],
        description=_l("At least 10 characters. A short sentence is easy to remember."),
        render_kw={"autocomplete": "new-password"},
    )


class LoginForm(StoreForm):
    """E-mail and password; anything in them is worth a try, so nothing else is checked."""

    email = EmailField(
        _l("E-mail address"),
        [InputRequired(_l("Please enter a valid e-mail address."))],
        filters=[strip],
        render_kw={"autocomplete": "username"},
    )
    password = PasswordField(
        _l("Password"),
        [InputRequired(_l("Please enter your password."))],
        render_kw={"autocomplete": "current-password"},
    )


class EmptyForm(StoreForm):
    """Only the token: for buttons."""
