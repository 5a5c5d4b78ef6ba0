"""Pages of the payments domain."""

from flask import Blueprint, current_app, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from wtforms import SelectChoice

from ..accounts.access import admin_required, login_required, me, staff_required
from ..errors import InvalidInput, NotFound
from ..extensions import csrf
from ..i18n import money
from ..orders.models import Purchase
from ..shipping.models import DeliveryProvider
from ..shipping.services import active_providers
from . import gateway, services
from .forms import LABELS, THANKS, PaymentForm
from .models import Method, PaymentStatus

bp = Blueprint("payments", __name__)


@bp.route("/payment/<id:purchase_id>", methods=["GET", "POST"])
@login_required
def pay(purchase_id: int) -> ResponseReturnValue:
    """Choose a carrier and a method, see the total, and pay."""
    purchase = services.payable_purchase(purchase_id, me())
    form = PaymentForm()
    _fill_in(form, purchase)
    if form.validate_on_submit():
        try:
            address = services.pay(purchase_id, me(), form.method.data, form.provider.data)
        except InvalidInput as error:
            form.provider.errors = [error.message]
        else:
            if address:
                return redirect(address)
            thanks = THANKS.get(form.method.data)
            flash(thanks or _("Thank you! Your payment is received. Now choose how it reaches you."), "success")
            return redirect(url_for("shipping.deliver", purchase_id=purchase_id))
    status = 422 if form.is_submitted() else 200
    simulated = any(method in services.SIMULATED for method in services.methods())
    page = render_template("payments/payment.html", form=form, purchase=purchase, simulated=simulated)
    return page, status


@bp.post("/payments/messages")
@csrf.exempt  # type: ignore[untyped-decorator]
def messages() -> ResponseReturnValue:
    """What the card gateway tells; its signature is its proof."""
    if not current_app.config["STRIPE_WEBHOOK_SECRET"]:
        raise NotFound
    services.receive_message(gateway.read_message(request.get_data(), request.headers.get("Stripe-Signature", "")))
    return {"received": True}


@bp.get("/admin/payments")
@staff_required
def admin_payments() -> ResponseReturnValue:
    """Money that is awaited, or due back."""
    status = request.args.get("status")
    page = services.waiting_payments(status, request.args.get("after"))
    return render_template(
        "admin/payments.html", page=page, status=status, statuses=PaymentStatus, labels=LABELS, card=Method.CARD
    )


@bp.post("/admin/payments/<id:payment_id>/confirm")
@admin_required
def confirm(payment_id: int) -> ResponseReturnValue:
    """The money is there."""
    services.confirm_payment(payment_id, me())
    flash(_("The payment is confirmed."), "success")
    return redirect(url_for("payments.admin_payments"))


@bp.post("/admin/payments/<id:payment_id>/refund")
@admin_required
def refund(payment_id: int) -> ResponseReturnValue:
    """The money went back."""
    services.refund_payment(payment_id, me())
    flash(_("The payment is marked as refunded."), "success")
    return redirect(url_for("payments.admin_payments", status=PaymentStatus.REFUND_DUE))


def _fill_in(form: PaymentForm, purchase: Purchase) -> None:
    form.method.choices = [SelectChoice(str(method), LABELS[method]) for method in services.methods()]
    form.provider.choices = [SelectChoice(str(p.id), _with_total(p, purchase)) for p in active_providers()]


def _with_total(provider: DeliveryProvider, purchase: Purchase) -> str:
    """The carrier, its cost and what both come to: that needs no script, and nobody has to add up."""
    cost, total = money(provider.cost), money(purchase.total + provider.cost)
    return str(_("%(name)s, %(cost)s: %(total)s in all", name=provider.name, cost=cost, total=total))
