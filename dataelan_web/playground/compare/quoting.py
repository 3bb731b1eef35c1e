"""The quote of a comparison: the sum of its columns, as often as each is asked."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from ...formats import duration
from ...models import PromptSession
from ..quotes import past, reckoning, words
from ..quotes.reckoning import Reckoning
from ..quotes.where import in_session
from ..quotes.words import Said
from .forms import CompareForm


@dataclass(frozen=True)
class Sum:
    """`columns`: (what was chosen, its quote, its words), of one turn each."""

    columns: list[tuple[str, Reckoning, Said]]
    repeats: int

    @property
    def tone(self) -> str:
        tones = {said.tone for _, _, said in self.columns}
        return "danger" if "danger" in tones else "warn" if "warn" in tones else ""

    @property
    def cost(self) -> str:
        """Those whose price is known; what else there is, is said."""
        known = [one for _, one, _ in self.columns if one.low is not None and one.high is not None]
        if not known:
            return "Cost unknown" if any(one.candidate for _, one, _ in self.columns) else "Would not run"
        low = self.repeats * sum(one.low or 0 for one in known)
        high = self.repeats * sum(one.high or 0 for one in known)
        total = words.cost_range(low, high)
        return f"{total} and unknown" if len(known) < len(self.columns) else total

    @property
    def wait(self) -> str:
        """Of the slowest: they answer at the same time. One whose time is unknown may take longer."""
        running = [one for _, one, _ in self.columns if one.candidate and not one.foresight.is_refused]
        known = [one.wait.total for one in running if one.wait and one.wait.total is not None]
        if not known:
            return ""
        return f"{'~' if len(known) == len(running) else 'at least '}{duration(max(known))}"


def reckon(session: PromptSession, form: CompareForm, files: Sequence[tuple[str, int]], user_id: uuid.UUID) -> Sum:
    parts, earlier = reckoning.parts_of(session, form, files)
    where = in_session(session)
    runs = past.runs(where)
    columns = []
    for column in form.columns:
        prompt, requested = form.prompt_for(column, parts, earlier), column.model.data or "auto"
        found = reckoning.reckon(where, prompt, requested, user_id, runs)
        columns.append((requested, found, words.said(found)))
    return Sum(columns, int(form.repeats.data or 1))
