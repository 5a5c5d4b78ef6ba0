"""ISBNs: their check digits, and one spelling for all."""

import re

_SIGNS = re.compile(r"[\s\u2010-\u2015-]+")


def as_isbn13(text: str) -> str | None:
    """The thirteen digits of an ISBN-10 or ISBN-13 in any spelling, or None if it is none.

    The check digits follow the ISBN Users' Manual (International ISBN Agency, 7th edition), appendix 1.
    """
    compact = _SIGNS.sub("", re.sub(r"^isbn(-?1[03])?[:\s]*", "", text.strip().lower(), count=1))
    if re.fullmatch(r"97[89][0-9]{10}", compact):
        return compact if check_digit(compact[:12]) == compact[12] else None
    if re.fullmatch(r"[0-9]{9}[0-9x]", compact):
        total = sum((10 - place) * (10 if digit == "x" else int(digit)) for place, digit in enumerate(compact))
        return None if total % 11 else f"978{compact[:9]}{check_digit('978' + compact[:9])}"
    return None


def check_digit(digits: str) -> str:
    """The thirteenth digit of an ISBN-13 that begins with these twelve."""
    total = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(digits))
    return str(-total % 10)
