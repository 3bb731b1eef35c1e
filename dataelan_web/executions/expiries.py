"""What more of a limit was granted until a time is over by itself; and the audit log says so, in a line of its own."""

from __future__ import annotations

from datetime import datetime
from typing import cast

from sqlalchemy import func, select, update

from .. import audit
from ..extensions import db
from ..models import Answer, Increase

AT_ONCE = 100


def note_expired() -> int:
    """A line for each increase that is over, however many look at once. Returns how many. Commits."""
    over = (
        select(Increase.id)
        .where(Increase.answer == Answer.APPROVED, Increase.ended_at.is_(None), Increase.expires_at <= func.now())
        .order_by(Increase.expires_at)
        .limit(AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    noted = update(Increase).where(Increase.id.in_(over)).values(ended_at=func.now()).returning(Increase)
    found = db.session.scalars(noted.execution_options(synchronize_session=False)).all()
    for increase in found:
        counted = {"pace": increase.pace.value} if increase.pace else {"unit": increase.counted_in.value}
        until = cast(datetime, increase.expires_at).isoformat()
        detail = {"limit": str(increase.of.id), **counted, "amount": increase.granted, "until": until}
        audit.record("increase.ended", increase, **detail)
    db.session.commit()
    return len(found)
