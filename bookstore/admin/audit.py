"""The log of administrative acts. Rows are only ever added."""

from typing import Any

from sqlalchemy import event
from sqlalchemy.orm import Mapper

from ..accounts.models import User
from ..extensions import db
from .models import AuditEntry


def record(actor: User | None, action: str, target: str, details: str = "") -> None:
    """Write down an act in the transaction that does it; the caller commits both.

    Args:
        actor: who did it; None is a command on the host.
        action: what, as ``noun.verb``.
        target: to what, such as ``payment 17``.
        details: from what to what; no personal data.
    """
    db.session.add(
        AuditEntry(actor_id=actor.id if actor else None, action=action[:50], target=target[:100], details=details[:500])
    )


@event.listens_for(AuditEntry, "before_update")
@event.listens_for(AuditEntry, "before_delete")
def _refuse(mapper: Mapper[Any], connection: Any, target: AuditEntry) -> None:
    raise RuntimeError("the audit log is append-only")
