"""What lists of books show of each.

A card comes from the database as one JSON array: the driver, which is written in Python, spends longer on each value
of a row than the database and the JSON decoder, which are not, spend on the array.
"""

import json
from collections.abc import Iterable
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Label, Select, Text, func, select

from ..accounts.models import User
from .models import Book

# Characters of a description that a list needs; it shows up to 145 of them.
DESCRIPTION = 150
_DECODER = json.JSONDecoder(parse_float=Decimal)


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


_PRICE = Card._fields.index("price")


def cards() -> Select[str]:
    """A query for all books; ``card`` reads its rows."""
    other = {"description": func.substr(Book.description, 1, DESCRIPTION), "seller": User.name}
    columns = (other[name] if name in other else getattr(Book, name) for name in Card._fields)
    return select(packed(columns)).join_from(Book, User, User.id == Book.seller_id)


def packed(columns: Iterable[Any]) -> Label[str]:
    """The column ``packed`` that holds the values of other columns; ``unpacked`` reads it."""
    return func.json_array(*columns, type_=Text).label("packed")


@lru_cache(1024)
def card(packed: str) -> Card:
    """Read a row of ``cards``."""
    values = unpacked(packed)
    values[_PRICE] = Decimal(values[_PRICE])
    return Card._make(values)


def unpacked(packed: str) -> list[Any]:
    """Read what ``packed`` wrote, except that on SQLite whole prices are integers."""
    return list(_DECODER.decode(packed))
