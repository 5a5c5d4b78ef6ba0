"""A page that is one form."""

from collections.abc import Callable

from flask import flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from ..errors import InvalidInput, StoreError
from .forms import TextForm


def form_page(form: TextForm, act: Callable[[], object], done: Callable[[], str], target: str) -> ResponseReturnValue:
    """Show a form; when it comes back right, act on it and go on.

    Args:
        form: the form, which brings the page's texts.
        act: what to do; what it refuses is shown above the form.
        done: the message of success.
        target: endpoint of the page that comes after.
    """
    status = 200
    headers: dict[str, str] = {}
    if form.validate_on_submit():
        try:
            act()
        except StoreError as error:
            form.form_errors.append(error.message)
            status = 422 if isinstance(error, InvalidInput) else error.status
            if error.retry_after:
                headers["Retry-After"] = str(error.retry_after)
        else:
            flash(done(), "success")
            return redirect(url_for(target))
    elif form.is_submitted():
        status = 422
    return render_template("accounts/form.html", form=form), status, headers
