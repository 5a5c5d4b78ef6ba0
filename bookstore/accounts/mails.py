"""The mails of the accounts domain. None holds a name: a stranger can have one sent to any address."""

from email.message import EmailMessage

from ..mail import compose, link
from .models import User
from .tokens import Purpose, make_link_token


def confirmation(user: User, email: str) -> EmailMessage:
    """Ask the owner of ``email`` to confirm that it is this account's."""
    token = make_link_token(Purpose.CONFIRM_EMAIL, user, email)
    return compose(email, "confirm", link=link("accounts.confirm_email", token=token))


def taken(email: str) -> EmailMessage:
    """Tell an owner that somebody gave their address, which has an account already."""
    return compose(email, "taken", link=link("accounts.forgot_password"))


def reset(user: User) -> EmailMessage:
    """Send the link to choose a new password."""
    token = make_link_token(Purpose.RESET_PASSWORD, user)
    return compose(user.email, "reset", link=link("accounts.reset_password", token=token))


def address_change(user: User) -> EmailMessage:
    """Warn the present address while the change can still be stopped."""
    return compose(user.email, "change", link=link("account.password"))
