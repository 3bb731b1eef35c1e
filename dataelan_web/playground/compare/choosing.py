"""Which answer was the best, and with which the conversation goes on.

A choice is a thumb up as well, so that whoever looks at that run, or learns from ratings, finds it there.
"""

from __future__ import annotations

import uuid

from sqlalchemy import delete, update
from sqlalchemy.dialects.postgresql import insert

from ... import audit
from ...extensions import db
from ...models import Comparison, ComparisonRun, Execution, Feedback, new_id, now


def choose(comparison: Comparison, run: ComparisonRun, user_id: uuid.UUID) -> None:
    """It may be changed as often as one likes; what was chosen blind stays on record beside. Commits."""
    if not comparison.is_revealed:
        comparison.blind_choice_id = run.id
    _take_back_thumb(comparison)
    comparison.chosen_id, comparison.chosen_by, comparison.chosen_at = run.id, user_id, now()
    _thumb_up(comparison)
    audit.record("comparison.chosen", comparison, comparison.session.project.organization_id, model=run.requested)
    db.session.commit()


def _thumb_up(comparison: Comparison) -> None:
    """What this person said of the run by themselves before stays as it is."""
    at = comparison.chosen_at
    row = {"execution_id": comparison.chosen_id, "user_id": comparison.chosen_by, "is_good": True, "note": ""}
    db.session.execute(
        insert(Feedback).values(id=new_id(), created_at=at, updated_at=at, **row).on_conflict_do_nothing()
    )


def _take_back_thumb(comparison: Comparison) -> None:
    """Of the choice before, unless it was changed since: then it is that person's own word."""
    mine = Feedback.execution_id == comparison.chosen_id, Feedback.user_id == comparison.chosen_by
    db.session.execute(delete(Feedback).where(*mine, Feedback.updated_at == comparison.chosen_at))


def go_on(comparison: Comparison, run: ComparisonRun) -> None:
    """The session's conversation continues from this answer, which takes the comparison's place in it. Commits."""
    compared = [one.id for one in comparison.runs]
    followed = Execution.continues_id.in_(compared), Execution.id > run.id
    db.session.execute(update(Execution).where(*followed).values(continues_id=run.id))
    comparison.continued_id = comparison.shown_id = run.id
    audit.record("comparison.continued", comparison, comparison.session.project.organization_id, model=run.requested)
    db.session.commit()
