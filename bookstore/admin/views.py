"""Pages for administrators."""

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from ..accounts.access import admin_required
from . import audit, services  # noqa: F401 - its tables and guard

bp = Blueprint("admin", __name__, url_prefix="/admin")


@bp.get("/users")
@admin_required
def users() -> ResponseReturnValue:
    """Everybody who has an account."""
    return render_template("admin/users.html", page=services.users(request.args.get("after")))
