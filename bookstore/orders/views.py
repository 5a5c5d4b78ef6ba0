"""Pages of the orders domain."""

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _l

from ..accounts.access import login_required, me
from ..columns import utcnow
from ..errors import InvalidInput
from . import services
from .forms import BuyForm
from .models import PurchaseStatus

bp = Blueprint("orders", __name__)


@bp.post("/buy/<id:book_id>")
@login_required
def buy(book_id: int) -> ResponseReturnValue:
    """Reserve copies of a book, then ask for the payment."""
    form = BuyForm()
    if not form.validate_on_submit():
        raise InvalidInput(_l("The quantity must be a whole number between 1 and 100."))
    purchase = services.buy(me(), book_id, form.quantity.data)
    return redirect(url_for("payments.pay", purchase_id=purchase.id))


@bp.get("/purchases")
@login_required
def purchases() -> ResponseReturnValue:
    """What the visitor bought."""
    page = services.purchases_of(me(), request.args.get("after"))
    return render_template("orders/purchases.html", page=page, statuses=PurchaseStatus, now=utcnow())
