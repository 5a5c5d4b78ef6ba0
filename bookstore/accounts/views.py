"""Pages of the accounts domain for visitors who are not logged in; ``account_views`` has the others."""

from flask import Blueprint, flash, make_response, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_login import current_user, login_user, logout_user

from .. import mail
from ..errors import InvalidInput
from ..web import local_path
from . import recovery, services, tokens
from .access import login_required, me
from .forms import ConfirmForm, EmptyForm, ForgottenForm, LoginForm, RegistrationForm, ResetForm
from .pages import form_page
from .throttle import TooManyAttempts

bp = Blueprint("accounts", __name__)


@bp.route("/register", methods=["GET", "POST"])
def register() -> ResponseReturnValue:
    """Create an account."""
    if current_user.is_authenticated:
        return redirect(url_for("catalog.catalog"))
    form = RegistrationForm()
    status = 200
    headers: dict[str, str] = {}
    if form.validate_on_submit():
        try:
            services.sign_up(form.name.data, form.email.data, form.password.data, request.remote_addr or "")
        except (InvalidInput, services.EmailTaken) as error:
            form.email.errors = [*form.email.errors, error.message]
            status = 409 if error.status == 409 else 422
        except TooManyAttempts as error:
            form.form_errors.append(error.message)
            status, headers = error.status, {"Retry-After": str(error.retry_after)}
        else:
            flash(_registered(), "success")
            return redirect(url_for("accounts.login"))
    elif form.is_submitted():
        status = 422
    return render_template("accounts/register.html", form=form), status, headers


def _registered() -> str:
    if not mail.enabled():
        return str(_("Your account is ready. Please log in."))
    # The same for an address that has an account already.
    sent = _("We have sent an e-mail to this address. If it is new here, your account is ready: please log in.")
    return str(sent)


@bp.route("/login", methods=["GET", "POST"])
def login() -> ResponseReturnValue:
    """Start a session."""
    target = local_path(request.args.get("next")) or url_for("catalog.catalog")
    if current_user.is_authenticated:
        return redirect(target)
    form = LoginForm()
    status = 200
    headers: dict[str, str] = {}
    if form.validate_on_submit():
        try:
            user = services.log_in(
                form.email.data, form.password.data, request.remote_addr or "", tokens.known_device()
            )
        except (services.BadCredentials, TooManyAttempts) as error:
            form.form_errors.append(error.message)
            status = error.status
            if error.retry_after:
                headers["Retry-After"] = str(error.retry_after)
        else:
            # Nothing of the anonymous session, its token included, lives on in the new one.
            session.clear()
            login_user(user)
            session.permanent = True
            response = make_response(redirect(target))
            tokens.remember_device(response, user)
            return response
    elif form.is_submitted():
        status = 422
    return render_template("accounts/login.html", form=form), status, headers


@bp.route("/logout", methods=["GET", "POST"])
@login_required
def logout() -> ResponseReturnValue:
    """End the session by POST; a GET, as old bookmarks send, only asks."""
    if request.method != "POST":
        return render_template("accounts/logout.html", form=EmptyForm())
    services.close_session(me())
    logout_user()
    session.clear()
    flash(_("You are logged out."), "success")
    return redirect(url_for("accounts.login"))


# The token of a link is an argument of the query: logs hold paths, and must not hold keys to accounts.


@bp.route("/password/forgot", methods=["GET", "POST"])
def forgot_password() -> ResponseReturnValue:
    """Ask for a link to choose a new password; the answer is the same for unknown addresses."""
    form = ForgottenForm()
    if not mail.enabled():
        form.problem = _(
            "This store sends no mail, so it cannot send you a link. Please write to the people who run it."
        )
    return form_page(
        form,
        lambda: recovery.ask_reset(form.email.data, request.remote_addr or ""),
        lambda: _("If this address has an account, a link to choose a new password is on its way to it."),
        "accounts.login",
    )


@bp.route("/password/reset", methods=["GET", "POST"])
def reset_password() -> ResponseReturnValue:
    """Choose a new password, by the link of a mail."""
    token = request.args.get("token", "")
    tokens.read_link_token(tokens.Purpose.RESET_PASSWORD, token)
    form = ResetForm()
    return form_page(
        form,
        lambda: recovery.reset_password(token, form.password.data),
        lambda: _("Your new password is set. Please log in."),
        "accounts.login",
    )


@bp.route("/email/confirm", methods=["GET", "POST"])
def confirm_email() -> ResponseReturnValue:
    """Confirm an e-mail address, by the link of a mail."""
    token = request.args.get("token", "")
    _user, email = tokens.read_link_token(tokens.Purpose.CONFIRM_EMAIL, token)
    form = ConfirmForm()
    form.intro = email
    return form_page(
        form,
        lambda: recovery.confirm_email(token),
        lambda: _("Thank you. Your e-mail address is confirmed."),
        "account.overview" if current_user.is_authenticated else "accounts.login",
    )
