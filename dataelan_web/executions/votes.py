"""What people chose blind: how often each model was compared with another, and how often it won, by type of prompt.

Counted of the models that answered, whatever was asked for (a rule, `auto`), over all of an organization. A choice that
was made with the names in view is a thumb, and no vote.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Collection, Mapping

from sqlalchemy import func, select
from sqlalchemy.orm import aliased

from ..models import Comparison, ComparisonRun, Execution, Model
from ..models.base import DbSession
from ..router.candidates import Votes

_WON = Comparison.blind_choice_id == ComparisonRun.id
_other_run, _other = aliased(ComparisonRun), aliased(Execution)
_HAD_A_RIVAL = (
    select(_other.id)
    .join(_other_run, _other_run.id == _other.id)
    .where(_other_run.comparison_id == Comparison.id, _other.model_id != Execution.model_id)
    .exists()
)
_VOTES = (
    select(
        Model.id,
        Execution.model_type,
        func.count(Comparison.id.distinct()).filter(_WON),
        func.count(Comparison.id.distinct()),
    )
    .select_from(Execution)
    .join(Model, Model.id == Execution.model_id)
    .join(ComparisonRun, ComparisonRun.id == Execution.id)
    .join(Comparison, Comparison.id == ComparisonRun.comparison_id)
    .where(Comparison.blind_choice_id.is_not(None), _HAD_A_RIVAL)
    .group_by(Model.id, Execution.model_type)
)


def of_models(
    session: DbSession, organization_id: uuid.UUID, models: Collection[uuid.UUID]
) -> Mapping[uuid.UUID, dict[str, Votes]]:
    """Model → type of session → its votes; nothing for what was never compared blind."""
    found: dict[uuid.UUID, dict[str, Votes]] = defaultdict(dict)
    query = _VOTES.where(Execution.organization_id == organization_id, Model.id.in_(models))
    for model_id, model_type, won, of in session.execute(query) if models else ():
        found[model_id][model_type.value] = Votes(won, of)
    return found
