"""Forms of the catalogue."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from flask import request
from flask_babel import LazyString, lazy_gettext as _l
from werkzeug.datastructures import MultiDict
from wtforms import (
    BooleanField,
    DecimalField,
    Field,
    SearchField,
    SelectChoice,
    SelectField,
    StringField,
    TextAreaField,
    ValidationError,
)
from wtforms.validators import DataRequired, InputRequired, Length, NumberRange
from wtforms.widgets import FileInput, TextInput

from ..web import PlainText, StoreForm, WholeField, strip
from . import covers, labels
from .finding import Search, Sort
from .isbn import as_isbn13
from .models import Category, Condition, Language
from .search import MAX_QUERY_LENGTH
from .services import MAX_STOCK, BookData

# A sign only so that the range below can say what is wrong with it.
_PRICE = re.compile(r"-?[0-9]{1,15}([.,][0-9]{1,2})?")
MIN_PRICE = Decimal("0.01")
MAX_PRICE = Decimal("99999999.99")
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


class CoverField(Field):
    """A picture. Its ``data`` is the Cover made of it, or None where no file was chosen."""

    widget = FileInput()

    def process(self, formdata: Any, data: Any = None, extra_filters: Any = None) -> None:
        """Take the file from the request's files; a text in its place is not looked at."""
        self.process_errors: list[str] = []
        self.raw_data: list[Any] = []
        self.data: covers.Cover | None = None
        self.chosen = request.files.get(self.name) if formdata is not None else None

    def pre_validate(self, form: StoreForm) -> None:
        """Make the cover.

        Raises:
            ValidationError: the file cannot be a cover.
        """
        if not self.chosen or not self.chosen.filename:
            return
        if not covers.available():
            raise ValidationError(str(covers.NoPlace.message))
        try:
            self.data = covers.read(self.chosen.stream.read(covers.MAX_BYTES + 1))
        except covers.BadCover as error:
            raise ValidationError(str(error.message)) from None


def _choices(names: Mapping[str, LazyString]) -> list[SelectChoice]:
    return [SelectChoice(str(value), name) for value, name in names.items()]


class FilterForm(StoreForm):
    """What to find in the catalogue; it is sent by GET, so it has no token."""

    class Meta(StoreForm.Meta):  # noqa: D106 - it is WTForms' place for such settings
        csrf = False

    q = SearchField(_l("Search"), filters=[strip], render_kw={"maxlength": MAX_QUERY_LENGTH})
    condition = SelectField(
        _l("Condition"), choices=[SelectChoice("", _l("Any")), *_choices(labels.CONDITIONS)], default=""
    )
    category = SelectField(
        _l("Category"), choices=[SelectChoice("", _l("Any")), *_choices(labels.CATEGORIES)], default=""
    )
    language = SelectField(
        _l("Language"), choices=[SelectChoice("", _l("Any")), *_choices(labels.LANGUAGES)], default=""
    )
    price_min = MoneyField(_l("Price from"), render_kw={"inputmode": "decimal", "autocomplete": "off"})
    price_max = MoneyField(_l("Price up to"), render_kw={"inputmode": "decimal", "autocomplete": "off"})
    in_stock = BooleanField(_l("Only books in stock"), false_values=(False, "", "0", "false"))
    sort = SelectField(_l("Order"), choices=_choices(labels.SORTS), default=Sort.NEWEST.value)

    def __init__(self, args: MultiDict[str, str]) -> None:
        # An old or mistyped address of a shelf that is not there finds the books without it.
        for name in ("condition", "category", "language", "sort"):
            known = {choice.value for choice in getattr(type(self), name).kwargs["choices"]}
            if args.get(name) not in known:
                args = MultiDict((key, value) for key, value in args.items(multi=True) if key != name)
        super().__init__(args)

    def search(self) -> Search:
        """The search that the form, once validated, asks for."""
        return Search(
            q=(self.q.data or "")[:MAX_QUERY_LENGTH].strip(),
            condition=self.condition.data,
            category=self.category.data,
            language=self.language.data,
            price_min=self.price_min.data,
            price_max=self.price_max.data,
            in_stock=self.in_stock.data,
            sort=Sort(self.sort.data),
        )


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
    # What follows came later: clients that do not send it leave it as it is.
    condition = SelectField(_l("Condition"), choices=_choices(labels.CONDITIONS), default=Condition.GOOD.value)
    condition_notes = TextAreaField(
        _l("About its condition"),
        [Length(max=500, message=_l("At most 500 characters.")), PlainText(lines=True)],
        filters=[strip],
        description=_l("Underlined passages, a worn spine, a dedication: whatever a buyer should expect."),
        render_kw={"rows": 2},
    )
    category = SelectField(_l("Category"), choices=_choices(labels.CATEGORIES), default=Category.OTHER.value)
    language = SelectField(_l("Language"), choices=_choices(labels.LANGUAGES), default=Language.OTHER.value)
    isbn = StringField(
        _l("ISBN"),
        [Length(max=40, message=_l("At most 40 characters."))],
        filters=[strip],
        description=_l("Ten or thirteen digits, near the barcode. Older books have none."),
        render_kw={"inputmode": "text", "autocomplete": "off"},
    )
    cover = CoverField(
        _l("Picture of the cover"),
        description=_l("JPEG, PNG or WebP, at most 5 MB. Where and when it was taken is not kept."),
        render_kw={"accept": "image/jpeg,image/png,image/webp"},
    )
    remove_cover = BooleanField(_l("Remove the present picture"))

    def validate_isbn(self, field: StringField) -> None:
        """Raise ValidationError unless the check digit fits."""
        if field.data and not as_isbn13(field.data):
            raise ValidationError(
                str(_l("These digits are no ISBN. Please compare them with the book, or leave them out."))
            )

    def book(self) -> BookData:
        """What the form, once validated, says."""
        return BookData(
            title=self.title.data,
            author=self.author.data,
            description=self.description.data or "",
            price=self.price.data,
            stock=self.stock.data,
            condition=self.condition.data,
            condition_notes=self.condition_notes.data or "",
            category=self.category.data,
            language=self.language.data,
            isbn=as_isbn13(self.isbn.data or ""),
        )
