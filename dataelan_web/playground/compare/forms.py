"""What a comparison is asked with: a chat's composer, with a column for each model or rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from flask import request
from wtforms import BooleanField, Form, SelectField, StringField
from wtforms.validators import Length

from ...executions import waiting
from ...fields import offered
from ...models import PromptSession
from ...router.types import Message, Part, Prompt
from ..chat_form import ChatForm, ChatSettings

FEWEST, MOST, MOST_REPEATS = 2, 6, 5


class ColumnForm(Form, ChatSettings):
    """One column's model, and its settings where columns are not kept in step."""

    model = StringField("Model", [Length(max=200)])

    @property
    def requested(self) -> str:
        return self.model.data or "auto"

    @property
    def remembered(self) -> dict[str, Any]:
        return {name: float(value) if isinstance(value, Decimal) else value for name, value in self.data.items()}


class CompareForm(ChatForm):
    in_step = BooleanField("Same settings for all", default=True)
    is_blind = BooleanField("Blind: hide names, costs and speeds until I choose")
    repeats = SelectField(
        "Repeat",
        choices=offered((str(n), "Once each" if n == 1 else f"{n} times each") for n in range(1, MOST_REPEATS + 1)),
        default="1",
    )

    def __init__(self, session: PromptSession, columns: Sequence[ColumnForm] | None = None, **values: Any) -> None:
        super().__init__(session, **values)
        self.columns = list(_submitted() if columns is None else columns)
        for column in self.columns:
            column.project = session.project

    def validate(self, extra_validators: Any = None) -> bool:
        valid = super().validate(extra_validators)
        # Each, so that all errors show; in step only what is sent.
        good = [one.model.validate(one) if self.in_step.data else one.validate() for one in self.columns]
        problem = self._problem() or ("" if all(good) else "Look at the settings of each: something is wrong there.")
        if problem:
            self.form_errors.append(problem)
        return valid and not problem

    def _problem(self) -> str:
        names = [column.model.data or "" for column in self.columns]
        if not FEWEST <= len(names) <= MOST:
            return f"Choose {FEWEST} to {MOST} models or rules to compare; these are {len(names)}."
        if waiting.open_before(self.continued):
            return "An answer of this session is still being written. Compare when it is there: all continue from it."
        if self.in_step.data and (twice := {name for name in names if names.count(name) > 1}):
            return f"“{min(twice)}” is there twice, with the same settings. To try a model twice, set each by itself."
        return ""

    def prompt_for(self, column: ColumnForm, parts: Sequence[Part], earlier: tuple[Message, ...]) -> Prompt:
        prompt = self.prompt(parts, earlier)
        if self.in_step.data:
            return prompt
        others = tuple(message for message in prompt.messages if message.role != "system")
        return column.applied(replace(prompt, messages=(*column.instructions, *others)))

    def change(self, add: str, remove: str) -> None:
        """A column more, with the settings of the last; or one less."""
        if add and len(self.columns) < MOST:
            self.columns.append(_column(len(self.columns), {"model": add}, self.columns[-1:]))
        if remove.isdecimal() and len(remove) < 3 and int(remove) < len(self.columns):
            kept = [column for place, column in enumerate(self.columns) if place != int(remove)]
            self.columns = [_column(place, column.data, ()) for place, column in enumerate(kept)]

    @property
    def remembered(self) -> dict[str, Any]:
        apart = [] if self.in_step.data else [column.remembered for column in self.columns]
        return self.settings | {"compared": [column.model.data for column in self.columns], "apart": apart}


def fresh(session: PromptSession, chosen: Sequence[str] = ()) -> CompareForm:
    """An empty prompt, with the settings of the time before, each column's own too, and its models where none are
    `chosen`."""
    known = {name: session.settings[name] for name in CompareForm.REMEMBERED if session.settings.get(name) is not None}
    names = [name for name in chosen if name] or session.settings.get("compared") or []
    apart = list(session.settings.get("apart") or [])
    columns = [_column(place, _settings(name, apart), ()) for place, name in enumerate(names[:MOST])]
    return CompareForm(session, columns, formdata=None, data=known | {"in_step": not session.settings.get("apart")})


def _settings(name: str, apart: list[dict[str, Any]]) -> dict[str, Any]:
    """Those of the next column of this model, the time before, which are taken out of `apart`."""
    found = next((one for one in apart if one.get("model") == name), None)
    if found is not None:
        apart.remove(found)
    return found or {"model": name}


def _submitted() -> list[ColumnForm]:
    found = []
    for place in range(MOST + 1):  # one more than may be, to be refused rather than dropped
        if f"c{place}-model" not in request.form:
            break
        found.append(ColumnForm(request.form, prefix=f"c{place}-"))
    return found


def _column(place: int, data: dict[str, Any], like: Sequence[ColumnForm]) -> ColumnForm:
    return ColumnForm(prefix=f"c{place}-", data=(like[0].data if like else {}) | data)
