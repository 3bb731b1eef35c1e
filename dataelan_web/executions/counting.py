"""How many tokens a prompt has before it is asked: as the provider that would answer counts them, or as we guess."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from flask import current_app

from ..extensions import db
from ..models import journal
from ..models.records import RunRecord
from ..router.candidates import Candidate
from ..router.exchange import ask
from ..router.plan import Step
from ..router.providers import counter
from ..router.sizes import tokens_of
from ..router.types import Failure, Prompt, Unsupported
from ..router.wire import Client, Clients
from .execute import choose
from .key_use import KeyUse

log = logging.getLogger(__name__)

SECONDS = 10.0
"""As long as a provider may take to count."""


@dataclass(frozen=True)
class Count:
    tokens: int
    by: Step | None
    """Who would answer, and counted; None: it is a guess, for nobody there counts."""


def count(execution: RunRecord, prompt: Prompt) -> Count:
    """Nothing is generated, recorded or charged. `execution`: as it would be recorded; it needs not be in the database.
    Raises Failure where nobody could answer it."""
    plan = choose(execution, prompt)
    if not plan.steps:
        raise Failure(plan.problem_kind, plan.problem, code=plan.problem_code, sent=False)
    step = plan.steps[0]
    exact = _asked(step, prompt)
    return Count(tokens_of(prompt), None) if exact is None else Count(exact, step)


def _asked(step: Step, prompt: Prompt) -> int | None:
    """None where the provider does not count, or does not now: a guess is of more use than an error."""
    candidate = step.candidate
    counting = counter(candidate.kind, candidate.base_url)
    if counting is None:
        return None
    try:
        key = KeyUse.of(step.key.id, journal.key_of(db.session, step.key.id))
        db.session.commit()  # no connection is held while it counts
        call = counting.count_call(prompt.as_sent_to(candidate.kind), candidate.model, key.secret)
        return counting.counted(ask(_http(candidate), call, counting.failure, seconds=SECONDS))
    except (Failure, Unsupported) as problem:
        log.info("%s did not count a prompt: %s", candidate.label, problem)
        return None


def _http(candidate: Candidate) -> Client:
    clients: Clients = current_app.extensions["dataelan_http"]
    return clients.reaching(candidate.is_trusted)
