"""Pages of the catalogue."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from ..accounts.access import login_required, me
from ..accounts.forms import EmptyForm
from ..orders.services import MAX_QUANTITY
from . import services
from .forms import BookForm

bp = Blueprint("catalog", __name__)
HOME_BOOKS = 8


@bp.get("/")
def home() -> ResponseReturnValue:
    """Welcome, and the newest books."""
    page = services.books_on_sale(None)
    return render_template("catalog/home.html", books=page.rows[:HOME_BOOKS], most=MAX_QUANTITY)


@bp.get("/book/catalog")
def catalog() -> ResponseReturnValue:
    """Every book on sale, page by page."""
    after = request.args.get("after")
    page = services.books_on_sale(after)
    return render_template("catalog/catalog.html", page=page, after=after, most=MAX_QUANTITY)


@bp.get("/book/my_books")
@login_required
def my_books() -> ResponseReturnValue:
    """The visitor's own books."""
    page = services.books_of(me(), request.args.get("after"))
    return render_template("catalog/my_books.html", page=page, form=EmptyForm())


@bp.route("/book/add_book", methods=["GET", "POST"])
@login_required
def add_book() -> ResponseReturnValue:
    """Put a book on sale."""
    form = BookForm()
    if form.validate_on_submit():
        services.add_book(me(), _data(form))
        flash(_("Your book is on sale."), "success")
        return redirect(url_for("catalog.catalog"))
    status = 422 if form.is_submitted() else 200
    return render_template("catalog/book_form.html", form=form, book=None), status


@bp.route("/book/edit_book/<id:book_id>", methods=["GET", "POST"])
@login_required
def edit_book(book_id: int) -> ResponseReturnValue:
    """Change one's own book."""
    book = services.own_book(book_id, me())
    form = BookForm(obj=book)
    if form.validate_on_submit():
        seen = request.form.get("stock_seen", type=int)
        in_range = seen is not None and 0 <= seen <= 1_000_000
        services.edit_book(book_id, me(), _data(form), stock_seen=seen if in_range else None)
        flash(_("Your changes are saved."), "success")
        return redirect(url_for("catalog.catalog"))
    status = 422 if form.is_submitted() else 200
    return render_template("catalog/book_form.html", form=form, book=book), status


@bp.post("/book/delete_book/<id:book_id>")
@login_required
def delete_book(book_id: int) -> ResponseReturnValue:
    """Take one's own book off sale."""
    if services.remove_book(book_id, me()):
        flash(_("The book is deleted."), "success")
    else:
        flash(_("The book is off sale. It stays on the purchases of those who bought it."), "success")
    return redirect(url_for("catalog.my_books"))


def _data(form: BookForm) -> services.BookData:
    return services.BookData(
        title=form.title.data,
        author=form.author.data,
        description=form.description.data or "",
        price=form.price.data,
        stock=form.stock.data,
    )
