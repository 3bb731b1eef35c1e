"""The attempts of a worker that is gone: closed by estimate, because they may have reached the provider."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Sequence

from sqlalchemy import func, select, update

from .. import quota
from ..extensions import db
from ..models import Attempt, Model, Outcome, now
from ..models.journal import COUNTERS
from ..models.records import RunRecord
from ..router import names, pricing
from ..router.parameters import may_think
from ..router.types import Prompt, Task, Usage
from ..storage import Unavailable
from . import assets
from .bill import charge
from .measures import counted_tokens, estimated, measured, to_json
from .prompts import from_json, with_files
from .rates import rates_of
from .unsaid import with_unsaid


def close_attempts(execution: RunRecord, text: str) -> Sequence[Attempt]:
    """Settle what was left open: by the `text` that had arrived, or else by all that is held for it. Returns every
    attempt of the execution, in order."""
    made = db.session.scalars(
        select(Attempt)
        .where(Attempt.execution_id == execution.id)
        .order_by(Attempt.number)
        .with_for_update()  # its worker may be writing its end at this moment
        .execution_options(populate_existing=True)
    ).all()
    for attempt in made:
        if attempt.outcome is Outcome.SENT:
            _close(execution, attempt, text)
    return made


def take_back(attempt_id: uuid.UUID) -> None:
    """Of a call that was surely not made, though the commit that announced it may have succeeded unheard. Commits."""
    unsent = update(Attempt).where(Attempt.id == attempt_id, Attempt.outcome == Outcome.SENT)
    db.session.execute(unsent.values(outcome=Outcome.FAILED, ended_at=func.now(), cost=0))
    quota.void(db.session, attempt_id)
    db.session.commit()


def _close(execution: RunRecord, attempt: Attempt, text: str) -> None:
    prompt = _prompt_of(execution)
    usage = _may_have_used(execution, attempt, prompt, estimated(prompt, measured(prompt, (), Usage()), text))
    rates = rates_of(attempt.price) if attempt.price else None
    cost, tokens = pricing.cost(usage, rates, prompt.media), counted_tokens(prompt, usage, rates)
    most = quota.held(db.session, attempt.id)
    if most and prompt.task is Task.CHAT and not text:
        cost, tokens = most.usd or cost, most.tokens  # nobody heard it; it may have said all that it was allowed to
    elif most:
        tokens = min(tokens, most.tokens or tokens)
        cost = (most.usd or None) if cost is None else min(cost, most.usd or cost)
    attempt.cost = cost
    attempt.outcome, attempt.ended_at, attempt.usage_is_estimated = Outcome.INTERRUPTED, func.clock_timestamp(), True
    attempt.error, attempt.job = "The worker that ran it stopped.", None
    attempt.measures = to_json(usage)
    for name, counter in zip(COUNTERS, usage.counters, strict=True):
        setattr(attempt, name, counter)
    db.session.flush()
    charge(execution.organization_id, attempt, tokens)


def _may_have_used(execution: RunRecord, attempt: Attempt, prompt: Prompt, usage: Usage) -> Usage:
    """With what it thought until its worker's lease ran out: when that died before, nobody knows."""
    model = db.session.get(Model, attempt.model_id) if attempt.model_id else None
    if model is None:
        return usage
    abilities = frozenset(model.capabilities) or names.abilities(model.name)
    lasted = (execution.lease_until or execution.finished_at or now()) - attempt.started_at
    pair, thinks = (model.id, attempt.api_key_id), may_think(prompt, abilities, model.provider.kind)
    return with_unsaid(usage, prompt, pair, max(0.0, lasted.total_seconds()), thinks=thinks, is_heard=True)


def _prompt_of(execution: RunRecord) -> Prompt:
    """With its files, where they are still there."""
    prompt = from_json(execution.request)
    with contextlib.suppress(Unavailable):
        return with_files(prompt, assets.read)
    return prompt
