"""Pages of the catalogue."""

from collections.abc import Iterator, Sequence
from dataclasses import fields
from functools import lru_cache
from io import BytesIO
from typing import NamedTuple

from flask import Blueprint, Response, current_app, flash, redirect, render_template, request, send_file, url_for
from flask.typing import ResponseReturnValue
from flask_babel import format_decimal, gettext as _
from flask_login import current_user
from markupsafe import Markup
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import NotFound as NoSuchPage

from ..accounts.access import login_required, me
from ..accounts.forms import EmptyForm
from ..accounts.models import User
from ..i18n import LANGUAGES, language, money
from ..orders.services import MAX_QUANTITY
from ..web import render_page
from . import covers, labels, services
from .cards import Card
from .covers import NoPlace
from .finding import Search, find
from .forms import BookForm, FilterForm
from .models import Book, BookStatus, Category, Language
from .services import Details

bp = Blueprint("catalog", __name__)
HOME_BOOKS = 8
_SEARCH_FIELDS = frozenset(field.name for field in fields(Search))


@bp.app_template_global()
def card_fronts(books: Sequence[Card]) -> list[tuple[Card, Markup]]:
    """Some books, each with its card, which lacks what is the visitor's own."""
    code, currency = language(), current_app.config["CURRENCY"]
    return [(book, _card_front(code, currency, book)) for book in books]


@lru_cache(1024)
def _card_front(_language: str, _currency: str, book: Card) -> Markup:
    # Kept by all that it shows: most visitors look at the same shelves, and rendering is most of a page's time.
    return Markup(current_app.jinja_env.get_template("catalog/_card.html").render(book=book))  # noqa: S704 - escaped


@bp.app_template_filter()
def condition(value: str) -> str:
    """The name of a condition."""
    return _condition(value, language())


@lru_cache(len(labels.CONDITIONS) * len(LANGUAGES))
def _condition(value: str, code: str) -> str:
    return str(labels.CONDITIONS.get(value, value))


@bp.app_template_filter()
def stars(seller: User | Details) -> str:
    """The average of a seller's ratings, such as 4.6, written the local way."""
    return str(format_decimal(seller.rating_sum / seller.rating_count, "0.0"))


@bp.get("/")
def home() -> ResponseReturnValue:
    """Welcome, and the newest books."""
    page = find(Search(), None)
    return render_page("catalog/home.html", books=tuple(page.rows[:HOME_BOOKS]), most=MAX_QUANTITY)


class Asked(NamedTuple):
    """What a visitor looks for, and the parts of the page that depend on that alone."""

    search: Search | None
    form: Markup
    filters: tuple[tuple[str, str], ...] = ()
    sorts: tuple[tuple[str, str, bool], ...] = ()


@bp.get("/book/catalog")
def catalog() -> ResponseReturnValue:
    """The books on sale that meet a search, page by page."""
    args = tuple((name, value) for name, value in request.args.items(multi=True) if name in _SEARCH_FIELDS)
    asked = _asked(language(), current_app.config["CURRENCY"], args)
    if asked.search is None:
        return render_template("catalog/catalog.html", asked=asked, search=Search(), page=None), 422
    page = find(asked.search, request.args.get("after"))
    return render_page("catalog/catalog.html", asked=asked, search=asked.search, page=page, most=MAX_QUANTITY)


@lru_cache(256)
def _asked(_language: str, _currency: str, args: tuple[tuple[str, str], ...]) -> Asked:
    # Kept by all that it shows: to make a form and its fields takes longer than to find the books.
    form = FilterForm(MultiDict(args))
    search = form.search() if form.validate() else None
    shown = Markup(render_template("catalog/_filters.html", form=form))  # noqa: S704 - escaped
    if search is None:
        return Asked(None, shown)
    sorts = (
        (str(name), url_for("catalog.catalog", **search.args(sort=value)), value == search.sort)
        for value, name in labels.SORTS.items()
    )
    return Asked(search, shown, tuple(_filters(search)), tuple(sorts))


def _filters(search: Search) -> Iterator[tuple[str, str]]:
    """The name of each filter that is set, and the address of the search without it."""
    names = {
        "condition": labels.CONDITIONS.get(search.condition),
        "category": labels.CATEGORIES.get(search.category),
        "language": labels.LANGUAGES.get(search.language),
        "price_min": search.price_min is not None and _("From %(price)s", price=money(search.price_min)),
        "price_max": search.price_max is not None and _("Up to %(price)s", price=money(search.price_max)),
        "in_stock": search.in_stock and _("In stock"),
    }
    for field, name in names.items():
        if name:
            yield str(name), url_for("catalog.catalog", **search.args(**{field: ""}))


@bp.get("/book/<id:book_id>")
def book(book_id: int) -> ResponseReturnValue:
    """Everything about a book, and the form to buy it."""
    found, others = services.book_page(book_id, me() if current_user.is_authenticated else None)
    category = labels.CATEGORIES.get(found.category) if found.category != Category.OTHER else None
    book_language = labels.LANGUAGES.get(found.language) if found.language != Language.OTHER else None
    return render_page(
        "catalog/book.html",
        book=found,
        others=others,
        category=category and str(category),
        book_language=book_language and str(book_language),
        on_sale=found.status == BookStatus.ACTIVE,
        most=MAX_QUANTITY,
    )


@bp.get("/seller/<id:user_id>")
def seller(user_id: int) -> ResponseReturnValue:
    """Who sells: since when, what buyers say, and the books."""
    person = services.seller_page(user_id)
    return render_template(
        "catalog/seller.html",
        seller=person,
        ratings=services.latest_ratings(person),
        page=services.books_of(person, request.args.get("after")),
        most=MAX_QUANTITY,
    )


@bp.get("/covers/<name>")
def cover(name: str) -> Response:
    """A cover's file, where no web server in front sends it. Its name is its content's, so it never changes.

    Raises:
        NotFound: there is no such file.
    """
    match = covers.NAME.fullmatch(name)
    try:
        content = covers.load(match[1], match[2]) if match else None
    except (OSError, NoPlace):
        content = None
    if content is None:
        raise NoSuchPage
    response = send_file(BytesIO(content), "image/webp", max_age=31536000, etag=name)
    response.cache_control.immutable = True
    return response


@bp.get("/book/my_books")
@login_required
def my_books() -> ResponseReturnValue:
    """The visitor's own books, paused ones too."""
    page = services.books_of(me(), request.args.get("after"), paused=True)
    sold = services.copies_sold(page.rows)
    return render_template("catalog/my_books.html", page=page, sold=sold, states=BookStatus, form=EmptyForm())


@bp.route("/book/add_book", methods=["GET", "POST"])
@login_required
def add_book() -> ResponseReturnValue:
    """Put a book on sale."""
    form = BookForm()
    if form.validate_on_submit():
        try:
            services.add_book(me(), form.book(), form.cover.data)
        except NoPlace as error:
            form.cover.errors = [str(error.message)]
        else:
            flash(_("Your book is on sale."), "success")
            return redirect(url_for("catalog.catalog"))
    return _book_form(form)


@bp.route("/book/edit_book/<id:book_id>", methods=["GET", "POST"])
@login_required
def edit_book(book_id: int) -> ResponseReturnValue:
    """Change one's own book."""
    book = services.own_book(book_id, me())
    form = BookForm(obj=book)
    if form.validate_on_submit():
        seen = request.form.get("stock_seen", type=int)
        try:
            services.edit_book(
                book_id,
                me(),
                form.book(),
                stock_seen=seen if seen is not None and 0 <= seen <= services.MAX_STOCK else None,
                cover=form.cover.data,
                remove_cover=form.remove_cover.data,
            )
        except NoPlace as error:
            form.cover.errors = [str(error.message)]
        else:
            flash(_("Your changes are saved."), "success")
            return redirect(url_for("catalog.catalog"))
    return _book_form(form, book)


def _book_form(form: BookForm, book: Book | None = None) -> ResponseReturnValue:
    status = 422 if form.is_submitted() else 200
    return render_template("catalog/book_form.html", form=form, book=book, covers=covers.state()), status


@bp.post("/book/pause_book/<id:book_id>")
@login_required
def pause_book(book_id: int) -> ResponseReturnValue:
    """Take one's own book off sale for a while."""
    services.pause_book(book_id, me())
    flash(_("The book is paused. Nobody sees it until you put it on sale again."), "success")
    return redirect(url_for("catalog.my_books"))


@bp.post("/book/resume_book/<id:book_id>")
@login_required
def resume_book(book_id: int) -> ResponseReturnValue:
    """Put one's own paused book on sale again."""
    services.resume_book(book_id, me())
    flash(_("The book is on sale again."), "success")
    return redirect(url_for("catalog.my_books"))


@bp.post("/book/delete_book/<id:book_id>")
@login_required
def delete_book(book_id: int) -> ResponseReturnValue:
    """Take one's own book off sale for good."""
    if services.remove_book(book_id, me()):
        flash(_("The book is deleted."), "success")
    else:
        flash(_("The book is off sale. It stays on the purchases of those who bought it."), "success")
    return redirect(url_for("catalog.my_books"))
