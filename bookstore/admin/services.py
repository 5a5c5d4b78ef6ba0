"""What administrators look at."""

from sqlalchemy import select

from ..accounts.models import User
from ..pagination import Page, newest_first


def users(after: str | None) -> Page[User]:
    """A page of all users, newest first."""
    return newest_first(select(User), User.id, after)
