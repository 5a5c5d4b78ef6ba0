"""Pages of the payments domain."""

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from ..accounts.access import login_required, me
from . import services
from .forms import PaymentForm

bp = Blueprint("payments", __name__)


@bp.route("/payment/<id:purchase_id>", methods=["GET", "POST"])
@login_required
def pay(purchase_id: int) -> ResponseReturnValue:
    """Choose a method and pay."""
    purchase = services.payable_purchase(purchase_id, me())
    form = PaymentForm()
    if form.validate_on_submit():
        services.pay(purchase_id, me(), form.method.data)
        flash(_("Thank you! Your payment is received. Now choose how it reaches you."), "success")
        return redirect(url_for("shipping.deliver", purchase_id=purchase_id))
    status = 422 if form.is_submitted() else 200
    return render_template("payments/payment.html", form=form, purchase=purchase), status
