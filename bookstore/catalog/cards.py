"""What lists of books show of each: a few columns in one row, since a page has two dozen of them."""

from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import Select, func, select

from ..accounts.models import User
from .models import Book

# Characters of a description that a list needs; it shows up to 145 of them.
DESCRIPTION = 150


class Card(NamedTuple):
    """A book in a list."""

    id: int
    title: str
    author: str
    description: str
    condition: str
    price: Decimal
    stock: int
    status: str
    cover: str | None
    seller_id: int
    seller: str


def cards() -> Select[Any]:
    """A query for the cards of all books."""
    other = {"description": func.substr(Book.description, 1, DESCRIPTION), "seller": User.name}
    columns = (other[name] if name in other else getattr(Book, name) for name in Card._fields)
    return select(*columns).select_from(Book).join(User, User.id == Book.seller_id)
