"""Pages of the shipping domain."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from wtforms import SelectChoice

from ..accounts.access import admin_required, login_required, me, staff_required
from ..errors import InvalidInput
from ..i18n import money
from ..orders.models import PurchaseStatus
from ..orders.states import DELIVERY
from . import services
from .forms import DeliveryForm, ProviderForm, ShippedForm

bp = Blueprint("shipping", __name__)
ADDRESS_FIELDS = ("recipient", "address", "city", "phone")


@bp.route("/delivery/<id:purchase_id>", methods=["GET", "POST"])
@login_required
def deliver(purchase_id: int) -> ResponseReturnValue:
    """Choose the carrier of a purchase, and say where to."""
    purchase = services.deliverable_purchase(purchase_id, me())
    form = DeliveryForm()
    # The original store's clients know no addresses.
    addressed = request.method == "GET" or any(name in request.form for name in ADDRESS_FIELDS)
    if not addressed:
        for name in ADDRESS_FIELDS:
            delattr(form, name)
    if purchase.delivery and addressed:
        del form.provider
    if form.validate_on_submit():
        address = services.Address(**{name: form[name].data for name in ADDRESS_FIELDS}) if addressed else None
        choice = form.provider.data if "provider" in form else None
        try:
            services.choose_provider(purchase_id, me(), choice, address)
        except InvalidInput as error:
            form.provider.errors = [error.message]
        else:
            paid = purchase.status == PurchaseStatus.PAID
            flash(_("Everything is arranged. Enjoy your reading!") if paid else _("Everything is arranged."), "success")
            if addressed:
                return redirect(url_for("orders.purchase", purchase_id=purchase_id))
            return redirect(url_for("catalog.catalog"))
    if "provider" in form:
        providers = services.active_providers()
        form.provider.choices = [SelectChoice(str(p.id), f"{p.name} · {money(p.cost)}") for p in providers]
    status = 422 if form.is_submitted() else 200
    return render_template("shipping/delivery.html", form=form, purchase=purchase), status


@bp.post("/sales/<id:purchase_id>/shipped")
@login_required
def shipped(purchase_id: int) -> ResponseReturnValue:
    """The seller handed the parcel over."""
    form = ShippedForm()
    if not form.validate_on_submit():
        raise InvalidInput(_("Please check the tracking number."))
    services.mark_shipped(purchase_id, me(), form.tracking_number.data or "")
    flash(_("The parcel is marked as shipped."), "success")
    return redirect(url_for("orders.purchase", purchase_id=purchase_id))


@bp.post("/purchases/<id:purchase_id>/received")
@login_required
def received(purchase_id: int) -> ResponseReturnValue:
    """The buyer has the parcel."""
    services.mark_delivered(purchase_id, me())
    flash(_("Enjoy your reading! You can rate the seller below."), "success")
    return redirect(url_for("orders.purchase", purchase_id=purchase_id))


@bp.get("/admin/deliveries")
@staff_required
def admin_deliveries() -> ResponseReturnValue:
    """Everybody's deliveries."""
    status = request.args.get("status")
    page = services.all_deliveries(status, request.args.get("after"))
    return render_template("admin/deliveries.html", page=page, status=status, states=DELIVERY)


@bp.get("/admin/providers")
@staff_required
def admin_providers() -> ResponseReturnValue:
    """The carriers."""
    return render_template("admin/providers.html", providers=services.all_providers())


@bp.route("/admin/providers/new", methods=["GET", "POST"], defaults={"provider_id": None})
@bp.route("/admin/providers/<id:provider_id>", methods=["GET", "POST"])
@admin_required
def admin_provider(provider_id: int | None) -> ResponseReturnValue:
    """Add a carrier, change or retire one."""
    provider = services.find_provider(provider_id) if provider_id else None
    form = ProviderForm(obj=provider, active=provider.active if provider else True)
    if form.validate_on_submit():
        try:
            services.save_provider(provider_id, form.name.data, form.cost.data, form.active.data, me())
        except services.NameTaken as error:
            form.name.errors = [error.message]
        else:
            flash(_("Your changes are saved."), "success")
            return redirect(url_for("shipping.admin_providers"))
    status = 422 if form.is_submitted() else 200
    return render_template("admin/provider.html", form=form, provider=provider), status
