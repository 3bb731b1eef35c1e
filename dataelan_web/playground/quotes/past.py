"""How long answers were, and how long they took: what a quote learns from."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from sqlalchemy import func, select, union

from ...extensions import db
from ...models import Execution, Origin, State
from ...router.candidates import Candidate
from ...router.prompt import Prompt, Task
from .where import Where

LATELY = 1_000
"""Runs of the organization that are looked at, of which this project's are used."""
ENOUGH = 3
"""Answers from which something can be learnt."""
USUAL = (100, 1_000)
"""Output tokens of an answer where nothing is known; of one that thinks first, and of a picture."""
USUAL_THINKING = (300, 4_000)
USUAL_PICTURE = (250, 6_300)
BYTES_A_SECOND = (4_000, 32_000)
"""Of recordings as people make them, from well compressed to uncompressed speech."""


@dataclass(frozen=True)
class Length:
    """Output tokens, from the 10th to the 90th of a hundred answers, and where that is known from."""

    low: int
    high: int
    source: str

    @property
    def middle(self) -> int:
        return (self.low + self.high) // 2


@dataclass(frozen=True)
class Run:
    is_here: bool
    """Of this session, or this saved prompt."""
    user_id: uuid.UUID | None
    model_id: uuid.UUID | None
    model_type: str
    output: int | None
    first_token: float | None
    """Seconds from the moment Run was pressed, as is `total`."""
    total: float


def runs(where: Where) -> list[Run]:
    """The last whole answers here and in the project, the latest first; in one query, by indexes. What was asked
    elsewhere and brought in was not measured by us."""
    lately = (
        select(Execution.id, Execution.project_id)
        .where(Execution.organization_id == where.project.organization_id)
        .order_by(Execution.created_at.desc())
        .limit(LATELY)
        .subquery()
    )
    here = select(where.latest.subquery().c.id)
    ids = union(select(lately.c.id).where(lately.c.project_id == where.project.id), here).subquery()
    query = (
        select(
            Execution.id.in_(here),
            Execution.user_id,
            Execution.model_id,
            Execution.model_type,
            func.coalesce(Execution.tokens_output, 0) + func.coalesce(Execution.tokens_reasoning, 0),
            _since_pressed(Execution.first_token_at),
            _since_pressed(Execution.finished_at),
        )
        .join(ids, ids.c.id == Execution.id)
        .where(Execution.state == State.COMPLETED, Execution.origin != Origin.IMPORT)
        .order_by(Execution.id.desc())
    )
    return [_run(*row) for row in db.session.execute(query)]


def _since_pressed(moment: Any) -> Any:
    return func.extract("epoch", moment - Execution.created_at)


def _run(is_here: bool, user_id: Any, model_id: Any, model_type: Any, output: int, first: Any, total: Any) -> Run:
    known = None if first is None else float(first)
    return Run(is_here, user_id, model_id, model_type.value, output or None, known, float(total or 0))


def length(past: Sequence[Run], where: Where, user_id: uuid.UUID, chosen: Candidate, prompt: Prompt) -> Length:
    """What fits best speaks: the answers here, the person's, the project's, the model's; else what is usual.
    Of pictures, voice and films only the same model's, as each counts them in its own way."""
    kind = where.model_type.value
    is_chat = prompt.task is Task.CHAT
    tiers: list[tuple[str, Callable[[Run], bool]]] = [
        (f"the last {{}} answers in {where.name}", lambda run: run.is_here),
        ("your last {} answers of this type in this project", lambda run: run.user_id == user_id),
        ("the last {} answers of this type in this project", lambda run: True),
    ]
    if not is_chat:
        tiers = [("this model’s last {} answers in this project", lambda run: run.model_id == chosen.model_id)]
    for words, fits in tiers:
        known = [run.output for run in past if run.output and run.model_type == kind and fits(run)]
        if len(known) >= ENOUGH:
            return Length(percentile(known, 0.1), percentile(known, 0.9), words.format(len(known)))
    known = [run.output for run in past if run.output and run.model_id == chosen.model_id]
    if len(known) >= ENOUGH:
        return Length(percentile(known, 0.1), percentile(known, 0.9), f"this model’s last {len(known)} answers here")
    return Length(*_usual(prompt, chosen), "what is usual, as there are no answers yet to learn from")


def _usual(prompt: Prompt, chosen: Candidate) -> tuple[int, int]:
    match prompt.task:
        case Task.IMAGE:
            return USUAL_PICTURE
        case Task.SPEECH:
            return len(prompt.words), 3 * len(prompt.words)
        case Task.TRANSCRIPTION:
            size = sum(file.size for file in prompt.files)
            return 2 * size // BYTES_A_SECOND[1], 8 * size // BYTES_A_SECOND[0]  # tokens a second
    return USUAL_THINKING if "reasoning" in chosen.abilities else USUAL


def of_model(past: Iterable[Run], model_id: uuid.UUID) -> list[Run]:
    return [run for run in past if run.model_id == model_id]


def first_word(mine: Sequence[Run]) -> float | None:
    known = [run.first_token for run in mine if run.first_token is not None]
    return median(known) if len(known) >= ENOUGH else None


def speed(mine: Sequence[Run]) -> float | None:
    """Output tokens a second after the first."""
    known = [
        run.output / (run.total - run.first_token)
        for run in mine
        if run.output and run.first_token is not None and run.total > run.first_token
    ]
    return median(known) if len(known) >= ENOUGH else None


def percentile(values: Sequence[int], share: float) -> int:
    """By nearest rank, so always one of the values."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]
