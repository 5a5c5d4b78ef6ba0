"""Pages of the orders domain."""

from flask import Blueprint, Flask, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _, lazy_gettext as _l

from ..accounts.access import login_required, me, staff_required
from ..columns import utcnow
from ..errors import InvalidInput
from ..payments.gateway import abandon
from . import labels, services
from .forms import BuyForm, RatingForm
from .models import PurchaseStatus
from .states import PURCHASE

bp = Blueprint("orders", __name__)


def init_app(app: Flask) -> None:
    """Give the templates what forms to buy need, and the words for states."""
    app.add_template_global(lambda: services.next_key(me()), "purchase_key")
    app.add_template_filter(labels.state_name)
    app.add_template_filter(labels.step_name)


@bp.post("/buy/<id:book_id>")
@login_required
def buy(book_id: int) -> ResponseReturnValue:
    """Reserve copies of a book, then ask for the payment."""
    form = BuyForm()
    if not form.validate_on_submit():
        raise InvalidInput(_l("The quantity must be a whole number between 1 and 100."))
    reservation = services.buy(me(), book_id, form.quantity.data, form.key.data or None)
    if reservation.status != PurchaseStatus.RESERVED:
        flash(_("You have sent this form before: here is the purchase that it made."), "success")
        return redirect(url_for("orders.purchase", purchase_id=reservation.id))
    return redirect(url_for("payments.pay", purchase_id=reservation.id))


@bp.get("/purchases")
@login_required
def purchases() -> ResponseReturnValue:
    """What the visitor bought."""
    page = services.purchases_of(me(), request.args.get("after"))
    return render_template("orders/purchases.html", page=page, statuses=PurchaseStatus, now=utcnow())


@bp.get("/purchases/<id:purchase_id>")
@login_required
def purchase(purchase_id: int) -> ResponseReturnValue:
    """One purchase with its history, for its buyer and its seller."""
    return _purchase_page(purchase_id, RatingForm())


@bp.post("/purchases/<id:purchase_id>/cancel")
@login_required
def cancel(purchase_id: int) -> ResponseReturnValue:
    """End a purchase before it is shipped."""
    abandon(services.cancel_purchase(purchase_id, me()))
    flash(_("The purchase is cancelled, and the books are back on sale."), "success")
    return redirect(url_for("orders.purchase", purchase_id=purchase_id))


@bp.post("/purchases/<id:purchase_id>/rate")
@login_required
def rate(purchase_id: int) -> ResponseReturnValue:
    """Rate the seller."""
    form = RatingForm()
    if not form.validate_on_submit():
        return _purchase_page(purchase_id, form), 422
    services.rate(purchase_id, me(), int(form.stars.data), form.comment.data or "")
    flash(_("Thank you for your rating."), "success")
    return redirect(url_for("orders.purchase", purchase_id=purchase_id))


@bp.get("/sales")
@login_required
def sales() -> ResponseReturnValue:
    """What others bought from the visitor."""
    page = services.sales_of(me(), request.args.get("after"))
    return render_template("orders/sales.html", page=page)


@bp.get("/admin/purchases")
@staff_required
def admin_purchases() -> ResponseReturnValue:
    """Everybody's purchases."""
    status = request.args.get("status")
    page = services.all_purchases(status, request.args.get("after"))
    return render_template("admin/purchases.html", page=page, status=status, states=PURCHASE)


def _purchase_page(purchase_id: int, form: RatingForm) -> str:
    found = services.purchase_page(purchase_id, me())
    return render_template("orders/purchase.html", purchase=found, form=form, now=utcnow())
