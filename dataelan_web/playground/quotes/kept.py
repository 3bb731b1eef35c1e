"""A quote that was shown, kept with the run it was for, and held against what came of it."""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import dataclass
from statistics import median
from typing import Any

from flask import current_app
from itsdangerous import BadData, URLSafeTimedSerializer
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from ...extensions import db
from ...models import Execution, PromptSession, Quote, State, now
from ..forms import PromptForm, SessionForm
from .reckoning import Reckoning
from .where import Where

GOOD_FOR = 24 * 3600
"""Seconds for which what was shown may be kept with a run."""
LAST = 20


def seal(asked: str, reckoning: Reckoning) -> str:
    """What was shown, for the form to bring along: nobody can change it, or use it for another prompt.
    `asked`: what it was for, as `asked_in_session` or another digest of all that was to be sent says."""
    chosen, wait = reckoning.candidate, reckoning.wait
    if chosen is None:
        return ""
    told = {
        "model": [str(chosen.model_id), chosen.model[:200]],
        "cost": [reckoning.low, reckoning.high],
        "wait": [wait.first_token, wait.total] if wait else [None, None],
    }
    return str(_sealer().dumps([asked, told]))


def keep(execution: Execution, asked: str, token: str) -> None:
    """With its run. One that was changed, or was for other words, is not kept. Commits."""
    try:
        was_for, told = _sealer().loads(token, max_age=GOOD_FOR)
    except BadData:
        return
    if was_for != asked:
        return
    (model_id, name), (low, high), (first, total) = told["model"], told["cost"], told["wait"]
    row = {"id": execution.id, "created_at": now(), "model_id": uuid.UUID(model_id), "model_name": name, "low": low}
    row |= {"high": high, "first_token_seconds": first, "seconds": total}
    db.session.execute(insert(Quote).values(row).on_conflict_do_nothing())
    db.session.commit()


def _sealer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(
        str(current_app.secret_key), salt="quote", signer_kwargs={"digest_method": hashlib.sha256}
    )


def asked_in_session(session: PromptSession, user_id: uuid.UUID, form: PromptForm, files: int) -> str:
    """`files`: how many come with it, beside those that are used once more."""
    return digest(session.id, user_id, form.text.data, form.requested, form.settings, files + len(form.referenced))


def asked_first(project_id: uuid.UUID, user_id: uuid.UUID, form: SessionForm) -> str:
    """Of a prompt that a session begins with."""
    return digest(project_id, user_id, form.text.data, form.model_type.data, form.model.data)


def digest(*said: Any) -> str:
    return hashlib.sha256(json.dumps(said, default=str, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Held:
    """A quote beside what came of it. `miss`: by how much the middle of the quote was too high (below 0: too low), as
    a share of the true cost; None where either is unknown, or it cost nothing."""

    quote: Quote
    cost: int | None
    seconds: float | None
    is_same_model: bool

    @property
    def did(self) -> bool | None:
        """Was the cost within the quote? None: nobody can say."""
        if self.cost is None or self.quote.low is None or self.quote.high is None:
            return None
        return self.quote.low <= self.cost <= self.quote.high

    @property
    def miss(self) -> float | None:
        if not self.cost or self.quote.low is None or self.quote.high is None:
            return None
        return (self.quote.low + self.quote.high) / 2 / self.cost - 1

    @property
    def beyond(self) -> int | None:
        """Nano-USD by which it cost more than the high end, or (below 0) less than the low one."""
        quote = self.quote
        if self.cost is None or quote.low is None or quote.high is None:
            return None
        return max(self.cost - quote.high, 0) or min(self.cost - quote.low, 0)


def of(execution: Execution) -> Held | None:
    """Of one run that is over; None where no quote was kept."""
    quote = db.session.get(Quote, execution.id) if execution.state is State.COMPLETED else None
    if quote is None:
        return None
    return Held(quote, execution.cost, execution.seconds, quote.model_id == execution.model_id)


@dataclass(frozen=True)
class Record:
    """How the last quotes of a session, or of a saved prompt, did."""

    quotes: int
    held: int
    typical: float | None
    """The middle miss; see Held.miss."""


def record(where: Where) -> Record | None:
    """Of the last quotes that can be held against anything; None: there are none."""
    known = (Quote.low.is_not(None), Execution.cost.is_not(None), Execution.state == State.COMPLETED, Quote.high > 0)
    query = select(Quote, Execution.cost).join(Execution, Execution.id == Quote.id)
    here = Quote.id.in_(select(where.latest.subquery().c.id))
    rows = db.session.execute(query.where(here, *known).order_by(Quote.id.desc()).limit(LAST)).all()
    told = [Held(quote, cost, None, True) for quote, cost in rows]
    misses = [one.miss for one in told if one.miss is not None]
    return Record(len(told), sum(bool(one.did) for one in told), median(misses) if misses else None) if told else None
