"""A comparison as its page shows it: columns of answers, what they cost and how they spread."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from statistics import median
from string import ascii_uppercase
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from ...extensions import db
from ...limits import refusals
from ...models import Comparison, ComparisonRun, Execution
from ..display import settings_said

ANSWER = (
    joinedload(ComparisonRun.execution).joinedload(Execution.body),
    joinedload(ComparisonRun.execution).joinedload(Execution.model),
    joinedload(ComparisonRun.execution).joinedload(Execution.provider),
)


@dataclass(frozen=True)
class Spread:
    """The least, the middle and the most of what repeats came to. Cost in nano-USD."""

    least: float
    middle: float
    most: float


@dataclass
class Column:
    """`place`: from 0. `runs`: one a turn, in order."""

    place: int
    requested: str
    runs: list[ComparisonRun] = field(default_factory=list)

    @property
    def letter(self) -> str:
        return ascii_uppercase[self.place]

    @property
    def settings(self) -> list[str]:
        """What it was told beside the prompt, shortly."""
        body = self.runs[0].execution.body
        return settings_said(body.request) if body and not self.runs[0].is_gone else []

    @property
    def spreads(self) -> list[tuple[str, Spread]]:
        """Of cost, length, first token and total; where there were repeats and all is known."""
        if len(self.runs) < 2:
            return []
        done = [run.execution for run in self.runs if not run.execution.is_open]
        kinds: dict[str, list[float | None]] = {
            "Cost": [one.cost for one in done],
            "Tokens out": [one.tokens_out for one in done],
            "First token": [one.first_token_seconds for one in done],
            "Total": [one.seconds for one in done],
        }
        return [(name, spread(values)) for name, values in kinds.items() if len(known(values)) > 1]

    @property
    def alike(self) -> Alike | None:
        """How the answers themselves spread; None where there are no two."""
        texts = [run.text for run in self.runs if run.is_whole and run.text]
        return alike(texts) if len(texts) > 1 else None


def known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def spread(values: Iterable[float | None]) -> Spread:
    numbers = known(values)
    return Spread(min(numbers), median(numbers), max(numbers))


@dataclass(frozen=True)
class Alike:
    """How much repeats agree. `share`: of their words, those that two of them have in common on average, 0 to 1."""

    answers: int
    different: int
    share: float


def alike(texts: Sequence[str]) -> Alike:
    """Order does not count, how often a word is said does."""
    words = [Counter(text.lower().split()) for text in texts]
    shares = [(one & two).total() / max((one | two).total(), 1) for one, two in combinations(words, 2)]
    return Alike(len(texts), len({" ".join(text.split()) for text in texts}), sum(shares) / len(shares))


@dataclass(frozen=True)
class Board:
    comparison: Comparison
    columns: list[Column]

    @property
    def is_open(self) -> bool:
        return any(run.execution.is_open for run in self.runs)

    @property
    def is_hidden(self) -> bool:
        """Are names, costs and speeds to be hidden?"""
        return not self.comparison.is_revealed

    @property
    def holds_back(self) -> bool:
        """Blind answers come all at once: who is quick would give itself away."""
        return self.is_hidden and self.is_open

    @property
    def runs(self) -> list[ComparisonRun]:
        return [run for column in self.columns for run in column.runs]

    @property
    def chosen(self) -> Column | None:
        return next((one for one in self.columns if self.comparison.chosen_id in [run.id for run in one.runs]), None)

    @property
    def cost(self) -> int | None:
        costs = [run.execution.cost for run in self.runs]
        return None if None in costs else sum(cost or 0 for cost in costs)

    def run_at(self, place: int, turn: int) -> ComparisonRun | None:
        """None: there is no such answer."""
        return next((run for run in self.runs if (run.place, run.turn) == (place, turn)), None)

    def name_of(self, run: ComparisonRun) -> str:
        """As it is called where one chooses among all answers: “B2 · a model”."""
        letter = f"{ascii_uppercase[run.place]}{run.turn + 1 if self.comparison.repeats > 1 else ''}"
        return f"Answer {letter}" if self.is_hidden else f"{letter} · {run.requested}"


def board(comparison: Comparison) -> Board:
    """With everything its page needs, in one query; of retries the latest."""
    query = select(ComparisonRun).where(ComparisonRun.comparison_id == comparison.id).options(*ANSWER)
    rows = db.session.scalars(query.order_by(ComparisonRun.id).execution_options(populate_existing=True)).all()
    latest: dict[tuple[int, int], ComparisonRun] = {(run.place, run.turn): run for run in rows}
    columns: dict[int, Column] = {}
    for (place, _), run in sorted(latest.items(), key=lambda item: item[0]):
        columns.setdefault(place, Column(place, run.requested)).runs.append(run)
    return Board(comparison, list(columns.values()))


def tell_refusals(found: Board) -> None:
    """Which limit stopped an answer, and what can be done. Of hidden ones it would tell whose they are."""
    if not found.is_hidden:
        refusals.tell(run.execution for run in found.runs if not run.is_gone)


def open_ids(found: Board) -> dict[uuid.UUID, ComparisonRun]:
    return {run.id: run for run in found.runs if run.execution.is_open}


def context(comparison: Comparison, **more: Any) -> dict[str, Any]:
    found = board(comparison)
    tell_refusals(found)
    return {"comparison": comparison, "board": found, "session": comparison.session} | more
