"""Pages of the accounts domain."""

from flask import Blueprint, flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_login import current_user, login_user, logout_user

from ..errors import InvalidInput
from ..web import local_path
from . import services
from .access import login_required, me
from .forms import EmptyForm, LoginForm, RegistrationForm
from .throttle import TooManyAttempts

bp = Blueprint("accounts", __name__)


@bp.route("/register", methods=["GET", "POST"])
def register() -> ResponseReturnValue:
    """Create an account."""
    if current_user.is_authenticated:
        return redirect(url_for("catalog.catalog"))
    form = RegistrationForm()
    status = 200
    if form.validate_on_submit():
        try:
            services.register(form.name.data, form.email.data, form.password.data)
        except (InvalidInput, services.EmailTaken) as error:
            form.email.errors = [*form.email.errors, error.message]
            status = 409 if error.status == 409 else 422
        else:
            flash(_("Your account is ready. Please log in."), "success")
            return redirect(url_for("accounts.login"))
    elif form.is_submitted():
        status = 422
    return render_template("accounts/register.html", form=form), status


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
            user = services.authenticate(form.email.data, form.password.data, request.remote_addr or "")
        except (services.BadCredentials, TooManyAttempts) as error:
            form.form_errors.append(error.message)
            status = error.status
            if error.retry_after:
                headers["Retry-After"] = str(error.retry_after)
        else:
            # Nothing of the anonymous session, its token included, lives on in the new one.
            session.clear()
            services.open_session(user)
            login_user(user)
            session.permanent = True
            return redirect(target)
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
