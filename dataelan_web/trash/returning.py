"""How each kind of thing comes out of the trash: most simply do, the others mind what is there by now."""

from __future__ import annotations

from collections.abc import Collection
from itertools import count
from typing import Any

from flask_login import current_user
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from .. import quota
from ..extensions import db
from ..jobs import queue
from ..models import BatchCheck, Budget, RateLimit, RoutingRule, SavedView
from ..models.batches import cells_of, score_again, weigh
from ..models.locks import one_at_a_time

LIMIT_IS_THERE = (
    "There is another limit of this kind on the same by now, and there can be one. Delete that one first, or change it."
)


class Hindered(Exception):
    """It cannot come back while something else is there; the message says what."""


def bring_back(row: Any) -> None:
    """Raises Hindered, and has rolled back then. Does not commit."""
    try:
        _bring_back(row)
        db.session.flush()
    except (quota.Replaced, IntegrityError) as error:
        db.session.rollback()
        if isinstance(row, Budget | RateLimit):
            raise Hindered(LIMIT_IS_THERE) from None
        raise error


def _bring_back(row: Any) -> None:
    match row:
        case Budget():
            quota.restore_limit(db.session, row)
        case RateLimit():
            quota.restore_rate(db.session, row)
        case RoutingRule():
            _rule(row)
        case SavedView():
            _view(row)
        case BatchCheck():
            _check(row)
        case _:
            row.restore()


def _rule(row: RoutingRule) -> None:
    """Programs ask for rules by name."""
    one_at_a_time(db.session, row.organization_id)
    owner = RoutingRule.organization_id.is_not_distinct_from(row.organization_id)
    around = owner, RoutingRule.project_id.is_not_distinct_from(row.project_id), RoutingRule.deleted_at.is_(None)
    row.name = _free(row.name, db.session.scalars(select(func.lower(RoutingRule.name)).where(*around)).all())
    row.restore()


def _view(row: SavedView) -> None:
    of_whom = SavedView.is_shared if row.is_shared else ~SavedView.is_shared & (SavedView.user_id == row.user_id)
    around = SavedView.organization_id == row.organization_id, of_whom, SavedView.deleted_at.is_(None)
    row.name = _free(row.name, db.session.scalars(select(func.lower(SavedView.name)).where(*around)).all())
    row.restore()


def _check(row: BatchCheck) -> None:
    """What it scored counts again; what was answered meanwhile is scored in a moment."""
    row.restore()
    db.session.flush()
    weigh(db.session, cells_of(db.session, row))
    score_again(db.session, row.batch_id, current_user.id)
    queue.stir()


def _free(wanted: str, taken: Collection[str]) -> str:
    """It, or with a number where it is taken, in whatever letters."""
    numbered = (f"{wanted[:190]} ({number})" for number in count(2))
    return wanted if wanted.lower() not in taken else next(name for name in numbered if name.lower() not in taken)
