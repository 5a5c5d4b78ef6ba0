"""Small things that the views share."""

from collections.abc import Hashable
from functools import cache, lru_cache
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, current_app, render_template, request, session
from flask_babel import LazyString, lazy_gettext as _l
from flask_login import current_user
from flask_wtf import FlaskForm
from werkzeug.datastructures import MultiDict
from werkzeug.routing import IntegerConverter, Map
from wtforms import Form, IntegerField, StringField, ValidationError
from wtforms.i18n import get_translations

from .i18n import language
from .pagination import MAX_ID


class IdConverter(IntegerConverter):
    """A row's id in an address; a number that no row can have is simply not found."""

    def __init__(self, url_map: Map, **options: Any) -> None:
        super().__init__(url_map, min=1, max=MAX_ID, **options)


def local_path(target: str | None) -> str | None:
    """Return ``target`` if it is a path on this site, else None.

    ``//host``, backslashes and control characters, which browsers read as another site,
    are refused.
    """
    if not target or not target.startswith("/") or target[1:2] in ("/", "\\"):
        return None
    if "\\" in target or any(ord(char) < 33 or ord(char) == 127 for char in target):
        return None
    parts = urlsplit(target)
    return None if parts.scheme or parts.netloc else target


def render_page(template: str, **shown: Hashable) -> str | bytes:
    """Render a page that shows nothing but ``shown``, its address and its visitor.

    A stranger's page is kept by all that, so it is never an old one: what is shown was read for this request. Most
    visitors look at the same few pages, and rendering takes longer than reading.

    Raises:
        RuntimeError: the template puts something into the session, as a form with a token does.
    """
    if session or current_user.is_authenticated:
        return render_template(template, **shown)
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    return _strangers_page(app, language(), request.full_path, template, tuple(shown.items()))


@lru_cache(64)
def _strangers_page(
    _app: Flask, _language: str, _address: str, template: str, shown: tuple[tuple[str, Hashable], ...]
) -> bytes:
    page = render_template(template, **dict(shown)).encode()
    if session:
        # A form's token, for one, would be shown to everybody.
        raise RuntimeError(f"{template} opened a session while it was rendered for a stranger, whose page is kept")
    return page


class StoreForm(FlaskForm):
    """Root of the forms. Its fields are texts: a file that is sent in a text's place is not looked at."""

    class Meta(FlaskForm.Meta):  # noqa: D106 - it is WTForms' place for such settings
        def wrap_formdata(self, form: "StoreForm", formdata: Any) -> Any:
            """Read the request's fields; Flask-WTF would mix its files, or JSON of any form, with them."""
            if formdata is None or isinstance(formdata, MultiDict):
                return formdata
            return request.form if form.is_submitted() else None

        def get_translations(self, form: "StoreForm") -> Any:
            """WTForms' own texts in the language of the page; Flask-WTF would read their file for each form."""
            return _form_texts(language())


@cache
def _form_texts(code: str) -> Any:
    return get_translations([code])


class WholeField(IntegerField):
    """A whole number. With hundreds of digits it would be one that WTForms' range check breaks at."""

    def process_formdata(self, valuelist: list[str]) -> None:
        """Read the number.

        Raises:
            ValueError: the text is no number, or longer than any that the store knows.
        """
        super().process_formdata([text if len(text) <= 20 else "" for text in valuelist])


def strip(value: Any) -> Any:
    """A form filter: remove the white space around a text."""
    return value.strip() if isinstance(value, str) else value


class PlainText:
    """A form validator: no control characters, except line breaks where ``lines`` is set."""

    message: LazyString = _l("Please remove the invisible control characters.")

    def __init__(self, *, lines: bool = False) -> None:
        self.allowed = "\r\n\t" if lines else ""

    def __call__(self, form: Form, field: StringField) -> None:
        """Raise ValidationError if the field holds a character that is not allowed."""
        for char in field.data or "":
            if (ord(char) < 32 or ord(char) == 127) and char not in self.allowed:
                raise ValidationError(str(self.message))
