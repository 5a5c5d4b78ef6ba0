"""Pages of the shipping domain."""

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from wtforms import SelectChoice

from ..accounts.access import login_required, me
from ..errors import InvalidInput
from ..i18n import money
from . import services
from .forms import DeliveryForm

bp = Blueprint("shipping", __name__)


@bp.route("/delivery/<id:purchase_id>", methods=["GET", "POST"])
@login_required
def deliver(purchase_id: int) -> ResponseReturnValue:
    """Choose the carrier of a paid purchase."""
    purchase = services.deliverable_purchase(purchase_id, me())
    form = DeliveryForm()
    if form.validate_on_submit():
        try:
            services.choose_provider(purchase_id, me(), form.provider.data)
        except InvalidInput as error:
            form.provider.errors = [error.message]
        else:
            flash(_("Everything is arranged. Enjoy your reading!"), "success")
            return redirect(url_for("catalog.catalog"))
    providers = services.active_providers()
    form.provider.choices = [SelectChoice(str(p.id), f"{p.name} · {money(p.cost)}") for p in providers]
    status = 422 if form.is_submitted() else 200
    return render_template("shipping/delivery.html", form=form, purchase=purchase), status
