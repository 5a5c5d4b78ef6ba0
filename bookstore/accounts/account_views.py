"""Pages on which people look after their own account."""

from flask import Blueprint, Response, flash, redirect, render_template, request, session, stream_with_context, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_login import logout_user

from .. import mail
from ..errors import StoreError
from . import erasure, export, profile, recovery, services
from .access import login_required, me
from .forms import DeleteForm, EmailForm, NameForm, PasswordForm
from .pages import form_page

bp = Blueprint("account", __name__, url_prefix="/account")


@bp.get("")
@login_required
def overview() -> ResponseReturnValue:
    """The visitor's own account."""
    user = me()
    sessions = profile.sessions(user)
    return render_template(
        "accounts/account.html",
        user=user,
        sessions=sessions[: profile.MOST_SESSIONS],
        more=len(sessions) > profile.MOST_SESSIONS,
        is_own=profile.is_own,
        sends_mail=mail.enabled(),
    )


@bp.route("/name", methods=["GET", "POST"])
@login_required
def name() -> ResponseReturnValue:
    """Change the name."""
    form = NameForm(obj=me())
    return form_page(
        form,
        lambda: profile.rename(me(), form.name.data),
        lambda: _("Your changes are saved."),
        "account.overview",
    )


@bp.route("/email", methods=["GET", "POST"])
@login_required
def email() -> ResponseReturnValue:
    """Change the e-mail address."""
    form = EmailForm()
    if mail.enabled():
        form.intro = _("We send a link to the new address. It becomes yours when you open it.")

    def change() -> None:
        _confirm(form)
        profile.change_email(me(), form.email.data, request.remote_addr or "")

    def done() -> str:
        sent = _("We have sent a link to the new address. Until you open it, the present one stays.")
        return str(sent if mail.enabled() else _("Your changes are saved."))

    return form_page(form, change, done, "account.overview")


@bp.post("/email/confirmation")
@login_required
def send_confirmation() -> ResponseReturnValue:
    """Send the link that confirms the address once more."""
    try:
        recovery.send_confirmation(me(), me().email, request.remote_addr or "")
    except StoreError as error:
        flash(str(error.message), "error")
    else:
        flash(_("We have sent you a link. Please look into your mailbox."), "success")
    return redirect(url_for("account.overview"))


@bp.route("/password", methods=["GET", "POST"])
@login_required
def password() -> ResponseReturnValue:
    """Change the password."""
    form = PasswordForm()

    def change() -> None:
        _confirm(form)
        profile.change_password(me(), form.password.data)

    return form_page(form, change, lambda: _("Your new password is set."), "account.overview")


@bp.post("/sessions/end")
@login_required
def end_sessions() -> ResponseReturnValue:
    """Log out everywhere else."""
    profile.end_other_sessions(me())
    flash(_("You are logged out everywhere else."), "success")
    return redirect(url_for("account.overview"))


@bp.get("/export")
@login_required
def export_data() -> ResponseReturnValue:
    """What the store knows about the visitor."""
    response = Response(stream_with_context(export.export(me())), mimetype="application/json")
    response.headers["Content-Disposition"] = 'attachment; filename="bookstore.json"'
    return response


@bp.route("/delete", methods=["GET", "POST"])
@login_required
def delete() -> ResponseReturnValue:
    """Delete the account."""
    form = DeleteForm()

    def act() -> None:
        _confirm(form)
        erasure.delete_account(me())
        logout_user()
        session.clear()

    return form_page(form, act, lambda: _("Your account is deleted. Good-bye!"), "catalog.home")


def _confirm(form: EmailForm | PasswordForm | DeleteForm) -> None:
    services.confirm_password(me(), form.present.data, request.remote_addr or "")
