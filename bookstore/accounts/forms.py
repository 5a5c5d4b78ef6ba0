"""Forms of the accounts domain."""

from flask_babel import LazyString, lazy_gettext as _l
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


def _present_password() -> PasswordField:
    return PasswordField(
        _l("Your present password"),
        [InputRequired(_l("Please enter your password."))],
        render_kw={"autocomplete": "current-password"},
    )


class TextForm(StoreForm):
    """A form whose page needs no template of its own: it brings the page's texts."""

    heading: LazyString
    intro: LazyString | str = ""
    button = _l("Save")
    # Where the visitor goes instead.
    cancel = "account.overview"
    # Whether the button does what cannot be undone.
    danger = False
    # Why the form is of no use at present.
    problem: LazyString | str = ""


class ForgottenForm(TextForm):
    """Where to send the link to a new password."""

    heading = _l("Forgot your password?")
    intro = _l("We send you a link to choose a new one.")
    button = _l("Send the link")
    cancel = "accounts.login"
    email = RegistrationForm.email


class ResetForm(TextForm):
    """A new password, by a link."""

    heading = _l("Choose a new password")
    cancel = "accounts.login"
    password = RegistrationForm.password


class ConfirmForm(TextForm):
    """Only a button: programs that look into mails open links, and must not confirm anything by that."""

    heading = _l("Confirm your e-mail address")
    button = _l("Confirm")
    cancel = "catalog.home"


class NameForm(TextForm):
    """Another name."""

    heading = _l("Change your name")
    name = RegistrationForm.name


class EmailForm(TextForm):
    """Another e-mail address."""

    heading = _l("Change your e-mail address")
    email = RegistrationForm.email
    present = _present_password()


class PasswordForm(TextForm):
    """Another password."""

    heading = _l("Change your password")
    intro = _l("Everywhere else you will be logged out.")
    present = _present_password()
    password = RegistrationForm.password


class DeleteForm(TextForm):
    """Good-bye."""

    heading = _l("Delete your account")
    intro = _l(
        "Your name, your addresses and your books on sale are deleted. What others bought from you or sold to you"
        " stays in their records, without your name. This cannot be undone."
    )
    button = _l("Delete my account for good")
    danger = True
    present = _present_password()
