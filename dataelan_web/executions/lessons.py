"""What a provider's answers teach of a model, for every prompt after: what it does not take, its format, its end.

A refusal of a parameter is believed as it stands. That a model refuses chat completions is believed once it has
answered in the Responses format: some say it of models that answer in neither.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from sqlalchemy import update

from ..extensions import db
from ..models import Model
from ..router.candidates import Candidate
from ..router.parameters import CHAT_COMPLETIONS
from ..router.run import Result
from ..router.types import Failure

IN_RESPONSES = "asked in the Responses format"


class Lessons:
    """Of one run."""

    def __init__(self) -> None:
        self._refused_chat: set[uuid.UUID] = set()
        """Models that did, in this run."""

    def of_format(self, candidate: Candidate) -> str:
        """For the receipt of this call; empty: it is asked as it was expected to be."""
        return IN_RESPONSES if candidate.model_id in self._refused_chat else ""

    def notice(self, candidate: Candidate) -> str:
        """For the run; may be empty."""
        is_news = candidate.model_id in self._refused_chat
        return f"{candidate.model} refused chat completions, so it was {IN_RESPONSES}." if is_news else ""

    def heard(self, candidate: Candidate, failure: Failure | None) -> None:
        """How a call ended (None: well)."""
        if failure is not None and failure.refused == CHAT_COMPLETIONS:
            self._refused_chat.add(candidate.model_id)

    def has_any(self, candidate: Candidate, result: Result) -> bool:
        """Is there something to keep of a call that completed?"""
        is_news = self._refused_chat or (result.done and result.done.model_ends)
        return bool(is_news) and not candidate.is_simulated

    def keep(self, candidate: Candidate, result: Result) -> None:
        """… in the transaction that writes it."""
        if candidate.is_simulated:
            return
        failure = result.failure
        if result.done and result.done.model_ends:
            _learn_end(candidate, result.done.model_ends)
        if failure is None and candidate.model_id in self._refused_chat:
            _learn(candidate, candidate.refuses)
        elif failure is not None and failure.refused not in {"", CHAT_COMPLETIONS, *candidate.refuses}:
            _learn(candidate, candidate.refuses | {failure.refused})


def _learn_end(candidate: Candidate, said: str) -> None:
    """Written only where it is news: models that end say so with every answer."""
    is_news = Model.shutdown_on.is_distinct_from(said[:200])
    learnt = update(Model).where(Model.id == candidate.model_id, is_news).values(shutdown_on=said[:200])
    db.session.execute(learnt.execution_options(synchronize_session=False))


def _learn(candidate: Candidate, refuses: Iterable[str]) -> None:
    learnt = update(Model).where(Model.id == candidate.model_id).values(refuses=sorted(refuses))
    db.session.execute(learnt.execution_options(synchronize_session=False))
