"""Which answer was the best, and with which the conversation goes on."""

from __future__ import annotations

import uuid

from ... import audit
from ...extensions import db
from ...models import Comparison, ComparisonRun, State, now


def choose(comparison: Comparison, run: ComparisonRun, user_id: uuid.UUID) -> None:
    """It may be changed as often as one likes; what was chosen blind stays on record beside. Commits."""
    if not comparison.is_revealed:
        comparison.blind_choice_id = run.id
    comparison.chosen_id, comparison.chosen_by, comparison.chosen_at = run.id, user_id, now()
    audit.record("comparison.chosen", comparison, comparison.session.project.organization_id, model=run.requested)
    db.session.commit()


def go_on(comparison: Comparison, run: ComparisonRun) -> None:
    """The session's conversation continues from this answer, which takes the comparison's place in it. Commits."""
    comparison.continued_id = comparison.shown_id = run.id
    audit.record("comparison.continued", comparison, comparison.session.project.organization_id, model=run.requested)
    db.session.commit()


def is_whole(run: ComparisonRun | None) -> bool:
    return run is not None and run.execution.state is State.COMPLETED
