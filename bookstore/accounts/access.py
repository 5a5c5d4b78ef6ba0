"""Who may open a page."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, cast

from flask import Flask, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _l
from flask_login import current_user

from ..errors import Forbidden, error_response, wants_json
from ..extensions import login_manager
from .models import User
from .services import user_of_session

P = ParamSpec("P")
View = Callable[P, ResponseReturnValue]


def init_app(app: Flask) -> None:
    """Teach Flask-Login to find the user of a session."""
    login_manager.user_loader(user_of_session)
    login_manager.unauthorized_handler(ask_to_log_in)
    # People change networks; a session that ends for that would only annoy them.
    login_manager.session_protection = None


def me() -> User:
    """The logged-in user of this request; only for views behind ``login_required``."""
    return cast(User, current_user._get_current_object())


def login_required(view: View[P]) -> View[P]:
    """Send anonymous visitors to the log-in page and back afterwards."""

    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
        if not current_user.is_authenticated:
            return ask_to_log_in()
        return view(*args, **kwargs)

    return guarded


def admin_required(view: View[P]) -> View[P]:
    """Let administrators in; 403 for other users.

    Raises:
        Forbidden: the visitor is logged in without that role.
    """
    return _required(view, lambda user: user.is_admin)


def staff_required(view: View[P]) -> View[P]:
    """Let administrators and support in; 403 for other users.

    Raises:
        Forbidden: the visitor is logged in without one of these roles.
    """
    return _required(view, lambda user: user.is_staff)


def _required(view: View[P], may: Callable[[User], bool]) -> View[P]:
    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
        if not may(me()):
            raise Forbidden
        return view(*args, **kwargs)

    return login_required(guarded)


def ask_to_log_in() -> ResponseReturnValue:
    """The answer to somebody who has to log in first."""
    if wants_json():
        return error_response(401, _l("Please log in to continue."))
    # After a POST there is no page to come back to.
    back = request.full_path.rstrip("?") if request.method == "GET" else None
    return redirect(url_for("accounts.login", next=back))
