"""Spanish and English: choice of the language, and money and dates written the local way."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any
from urllib.parse import urlencode

from babel.dates import format_skeleton
from babel.numbers import format_currency
from flask import Flask, Response, current_app, g, request, url_for
from flask_babel import force_locale, format_datetime, get_locale, get_translations, to_user_timezone

from .extensions import babel

LANGUAGES = {"es": "Español", "en": "English"}
COOKIE = "lang"
# Numbers follow a country, not only a language: 45.000 in Bogotá, 45,000 in New York.
NUMBER_LOCALES = {"es": "es_CO", "en": "en_US"}


def init_app(app: Flask) -> None:
    """Bind Babel, the language cookie and the template helpers."""
    babel.init_app(app, locale_selector=choose_language)
    # Flask-Babel looks its translations up for each text anew, and a page has fifty.
    app.jinja_env.install_gettext_callables(  # type: ignore[attr-defined]
        gettext=lambda text: _translations(language()).ugettext(text),
        ngettext=lambda one, many, count: _translations(language()).ungettext(one, many, count),
        newstyle=True,
    )
    app.after_request(_remember_choice)
    app.add_template_filter(money)
    app.add_template_filter(moment)
    app.add_template_filter(month)
    app.context_processor(lambda: {"languages": LANGUAGES, "language": language, "language_url": language_url})


def choose_language() -> str:
    """The visitor's choice (``?lang=`` or cookie), else the best of their browser's, else Spanish.

    Spanish is the default because the store's first customers are in Colombia.
    """
    for choice in (request.args.get("lang"), request.cookies.get(COOKIE)):
        if choice in LANGUAGES:
            return str(choice)
    # Werkzeug's best_match prefers an exact "en" to an earlier "es-CO".
    for tag, quality in request.accept_languages:
        if quality and (code := tag.lower().split("-")[0]) in LANGUAGES:
            return code
    return "es"


def language() -> str:
    """Code of the language of the present page."""
    try:
        # Asked some fifty times for a page.
        return str(g.language)
    except AttributeError:
        locale = get_locale()
        g.language = locale.language if locale else "en"
        return str(g.language)
    except RuntimeError:
        # Outside the application, where a form is defined.
        return "en"


@contextmanager
def speaking(code: str) -> Iterator[None]:
    """Write in another language than the present page's."""
    before = language()
    with force_locale(code):
        g.language = code
        try:
            yield
        finally:
            g.language = before


@cache
def _translations(_language: str) -> Any:
    return get_translations()


def language_url(code: str) -> str:
    """Address of the present page in another language; of the home page after a POST."""
    if request.method == "GET" and request.endpoint and request.endpoint != "static":
        # The visitor's arguments are no arguments of url_for: some names mean something there.
        path = url_for(request.endpoint, **(request.view_args or {}))
        args = {name: value for name, value in request.args.items() if value}
        return f"{path}?{urlencode(args | {'lang': code})}"
    return url_for("catalog.home", lang=code)


def money(amount: Decimal) -> str:
    """Write an amount in the store's currency; cents only where there are any."""
    return _format_money(amount, current_app.config["CURRENCY"], NUMBER_LOCALES[language()])


@lru_cache(4096)
def _format_money(amount: Decimal, currency: str, locale: str) -> str:
    whole = amount == amount.to_integral_value()
    return format_currency(
        amount,
        currency,
        format="¤\u00a0#,##0" if whole else "¤\u00a0#,##0.00",
        locale=locale,
        currency_digits=False,
    )


def moment(value: datetime) -> str:
    """Write a moment in the visitor's language and the store's time zone, which it names by its city."""
    return str(format_datetime(value, "d MMM y, HH:mm (VVV)"))


def month(value: datetime) -> str:
    """Write a moment's month and year, for what need not be known more exactly."""
    return str(format_skeleton("yMMMM", to_user_timezone(value), locale=get_locale()))


def _remember_choice(response: Response) -> Response:
    choice = request.args.get("lang")
    if choice in LANGUAGES and request.cookies.get(COOKIE) != choice and response.status_code < 400:
        response.set_cookie(
            COOKIE,
            str(choice),
            max_age=365 * 86400,
            secure=current_app.config["SESSION_COOKIE_SECURE"],
            httponly=True,
            samesite="Lax",
        )
    if response.mimetype == "text/html":
        response.vary.update(["Accept-Language", "Cookie"])
    return response
