"""Pages for the people who run the store, and the one on which a listing is reported to them."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from ..accounts.access import admin_required, login_required, me, staff_required
from ..accounts.forms import EmptyForm
from ..pagination import MAX_ID
from . import reporting, services
from .forms import REASONS, REPORT_STATES, ROLES, ReportForm, RoleForm
from .models import ReportStatus

bp = Blueprint("admin", __name__)


@bp.get("/admin/")
@staff_required
def dashboard() -> ResponseReturnValue:
    """What waits to be done."""
    return render_template("admin/dashboard.html", waiting=services.waiting(), most=services.MOST_COUNTED)


@bp.get("/admin/users")
@staff_required
def users() -> ResponseReturnValue:
    """Everybody who has an account, or those who are looked for."""
    search = _search()
    page = services.users(search, request.args.get("after"))
    return render_template("admin/users.html", page=page, search=search, roles=ROLES)


@bp.get("/admin/users/<id:user_id>")
@staff_required
def user(user_id: int) -> ResponseReturnValue:
    """One account."""
    found = services.user(user_id)
    return render_template("admin/user.html", user=found, roles=ROLES, form=RoleForm(role=found.role))


@bp.post("/admin/users/<id:user_id>/role")
@admin_required
def change_role(user_id: int) -> ResponseReturnValue:
    """Give somebody another role."""
    form = RoleForm()
    if not form.validate_on_submit():
        return render_template("admin/user.html", user=services.user(user_id), roles=ROLES, form=form), 422
    services.change_role(me(), user_id, form.role.data)
    flash(_("The role is changed."), "success")
    return redirect(url_for("admin.user", user_id=user_id))


@bp.get("/admin/books")
@admin_required
def books() -> ResponseReturnValue:
    """All listings, or those that are looked for."""
    search = _search()
    page = services.books(search, request.args.get("after"))
    return render_template("admin/books.html", page=page, search=search, form=EmptyForm())


@bp.post("/admin/books/<id:book_id>/archive")
@admin_required
def archive_book(book_id: int) -> ResponseReturnValue:
    """Take a listing off sale."""
    services.archive_book(me(), book_id)
    flash(_("The listing is off sale."), "success")
    return redirect(url_for("admin.books"))


@bp.get("/admin/reports")
@staff_required
def reports() -> ResponseReturnValue:
    """The reported listings, those to decide about first."""
    wanted = request.args.get("status")
    status = ReportStatus(wanted) if wanted in list(ReportStatus) else ReportStatus.OPEN
    page = services.reports(status, request.args.get("after"))
    return render_template(
        "admin/reports.html", page=page, status=status, states=REPORT_STATES, reasons=REASONS, form=EmptyForm()
    )


@bp.post("/admin/reports/<id:report_id>/uphold")
@staff_required
def uphold_report(report_id: int) -> ResponseReturnValue:
    """Agree with a report."""
    services.uphold_report(me(), report_id)
    flash(_("The listing is off sale."), "success")
    return redirect(url_for("admin.reports"))


@bp.post("/admin/reports/<id:report_id>/dismiss")
@staff_required
def dismiss_report(report_id: int) -> ResponseReturnValue:
    """Disagree with a report."""
    services.dismiss_report(me(), report_id)
    flash(_("The report is dismissed; the listing stays."), "success")
    return redirect(url_for("admin.reports"))


@bp.get("/admin/audit")
@admin_required
def audit_log() -> ResponseReturnValue:
    """Who did what."""
    actor = request.args.get("actor", type=int)
    if actor is not None and not 0 < actor <= MAX_ID:
        actor = None
    page = services.audit_log(actor, request.args.get("after"))
    return render_template("admin/audit.html", page=page, actor=actor)


@bp.route("/book/<id:book_id>/report", methods=["GET", "POST"])
@login_required
def report_book(book_id: int) -> ResponseReturnValue:
    """Report a listing to the people who run the store."""
    book = reporting.reportable_book(me(), book_id)
    form = ReportForm()
    if form.validate_on_submit():
        reporting.report_book(me(), book_id, form.reason.data, form.details.data or "")
        flash(_("Thank you. We look at every report."), "success")
        return redirect(url_for("catalog.catalog"))
    status = 422 if form.is_submitted() else 200
    return render_template("admin/report_book.html", form=form, book=book), status


def _search() -> str:
    return request.args.get("q", "")[:200].strip()
