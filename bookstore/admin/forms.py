"""Forms of the administration."""

from flask_babel import lazy_gettext as _l
from wtforms import RadioField, SelectChoice, TextAreaField
from wtforms.validators import InputRequired, Length

from ..accounts.models import Role
from ..web import PlainText, StoreForm, strip
from .models import ReportReason, ReportStatus

ROLES = {Role.USER: _l("User"), Role.SUPPORT: _l("Support"), Role.ADMINISTRATOR: _l("Administrator")}
REASONS = {
    ReportReason.WRONG_DESCRIPTION: _l("It is not what the description says"),
    ReportReason.COUNTERFEIT: _l("It is an illegal copy"),
    ReportReason.OFFENSIVE: _l("It is offensive or against the law"),
    ReportReason.NOT_A_BOOK: _l("It is not a book"),
    ReportReason.OTHER: _l("Something else"),
}
REPORT_STATES = {
    ReportStatus.OPEN: _l("Open"),
    ReportStatus.UPHELD: _l("Upheld"),
    ReportStatus.DISMISSED: _l("Dismissed"),
}


class RoleForm(StoreForm):
    """Somebody's role."""

    role = RadioField(
        _l("Role"),
        [InputRequired(_l("Please choose one of the roles."))],
        choices=[SelectChoice(str(role), label) for role, label in ROLES.items()],
    )


class ReportForm(StoreForm):
    """What is wrong with a listing."""

    reason = RadioField(
        _l("What is wrong?"),
        [InputRequired(_l("Please choose one of the reasons."))],
        choices=[SelectChoice(str(reason), label) for reason, label in REASONS.items()],
    )
    details = TextAreaField(
        _l("Details"),
        [Length(max=1000, message=_l("At most 1,000 characters.")), PlainText(lines=True)],
        filters=[strip],
        description=_l("Optional. Only the people who run the store read this."),
        render_kw={"rows": 4},
    )
