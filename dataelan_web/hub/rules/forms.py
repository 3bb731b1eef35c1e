"""The form of a rule: what was typed, as it was typed, so that it comes back whole; and the draft it makes.

Fields: name, project_id, model_type, strategy, priority, is_enabled, goes_on_unheard; `model` once for each model, in
order, with weight-<id>, when-<id> (reserved tags) and tags-<id>; `condition` once for each, with condition-<name>.
`change` names what a button does to the form: add-condition, remove-condition:<name>, add-model:<id>,
remove-model:<id>, up:<id>, down:<id>.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from werkzeug.datastructures import MultiDict

from ...models import ModelType, Strategy
from ...router.candidates import RESERVED
from ...router.conditions import CONDITIONS
from ..blueprint import id_in
from .drafts import MOST_MODELS, MOST_PRIORITY, MOST_WEIGHT, UNFINISHED, Draft, Entry

EMPTY = "Fill this in, or remove the condition."
STILL_TO_DO = UNFINISHED | {EMPTY}
MOST_USD, MOST_TOKENS, MOST_MS = 1_000_000, 100_000_000, 600_000
DECIMALS, LONGEST_NUMBER = 9, 20
THOUSAND = 1_000
"""A price is typed per 1,000,000 tokens, and stored per 1,000 (docs/routing.md): so with three decimals more."""


@dataclass
class ModelRow:
    id: uuid.UUID
    weight: str = "1"
    when: list[str] = field(default_factory=list)
    """Reserved tags: after what it comes."""
    tags: str = ""
    """Free ones, between commas."""


@dataclass
class ConditionRow:
    name: str
    values: list[str] = field(default_factory=list)
    """One, but for lists of choices."""

    @property
    def value(self) -> str:
        return self.values[0] if self.values else ""


@dataclass
class RuleForm:
    name: str = ""
    project_id: str = ""
    model_type: str = ModelType.TEXT.value
    strategy: str = Strategy.WEIGHTED.value
    priority: str = ""
    is_enabled: bool = True
    goes_on_unheard: bool = False
    models: list[ModelRow] = field(default_factory=list)
    conditions: list[ConditionRow] = field(default_factory=list)
    focus: str = ""
    """The id of the field to go on with after a button has changed the form."""

    @classmethod
    def read(cls, posted: MultiDict[str, str]) -> RuleForm:
        """404 for ids that are none: no form of ours sends them."""
        ids = [id_in(text) for text in posted.getlist("model")[: MOST_MODELS + 1]]
        names = list(dict.fromkeys(posted.getlist("condition")[:50]))
        return cls(
            posted.get("name", "").strip(),
            posted.get("project_id", ""),
            posted.get("model_type", ""),
            posted.get("strategy", ""),
            posted.get("priority", "").strip(),
            posted.get("is_enabled") == "yes",
            posted.get("goes_on_unheard") == "yes",
            [
                ModelRow(
                    id,
                    posted.get(f"weight-{id}", "").strip(),
                    posted.getlist(f"when-{id}"),
                    posted.get(f"tags-{id}", "").strip(),
                )
                for id in ids
            ],
            [ConditionRow(name[:100], posted.getlist(f"condition-{name}")) for name in names],
        )

    @classmethod
    def of(cls, draft: Draft) -> RuleForm:
        return cls(
            draft.name,
            str(draft.project_id or ""),
            draft.model_type.value,
            draft.strategy.value,
            "" if draft.priority is None else str(draft.priority),
            draft.is_enabled,
            draft.goes_on_unheard,
            [_model_row(entry) for entry in draft.models],
            [ConditionRow(name, _as_typed(name, value)) for name, value in draft.conditions.items()],
        )

    def change(self, act: str, new_condition: str) -> None:
        """What a button does to the form, without saving. An act on what is not there changes nothing."""
        verb, _, which = act.partition(":")
        place = next((place for place, row in enumerate(self.models) if str(row.id) == which), None)
        match verb:
            case "add-condition" if new_condition in CONDITIONS and not self.condition(new_condition):
                self.conditions.append(ConditionRow(new_condition))
                self.focus = f"condition-{new_condition}"
            case "remove-condition":
                self.conditions = [row for row in self.conditions if row.name != which]
                self.focus = "new_condition"
            case "add-model" if place is None:
                self.models.append(ModelRow(id_in(which)))
                self.focus = "q"
            case "remove-model":
                self.models = [row for row in self.models if str(row.id) != which]
                self.focus = "q"
            case "up" | "down" if place is not None:
                to = max(place + (1 if verb == "down" else -1), 0)
                self.models.insert(to, self.models.pop(place))

    def condition(self, name: str) -> ConditionRow | None:
        return next((row for row in self.conditions if row.name == name), None)

    def draft(self) -> tuple[Draft, dict[str, str]]:
        """(what was meant, what could not be read, by field). What could not be read is left out of the draft."""
        problems: dict[str, str] = {}
        conditions = {}
        for row in self.conditions:
            try:
                conditions[row.name] = READ[row.name](row.values) if row.name in READ else row.values
            except ValueError as error:
                problems[f"condition-{row.name}"] = str(error)
        return (
            Draft(
                self.name,
                tuple(_entry(row, problems) for row in self.models),
                conditions,
                _choice(ModelType, self.model_type, "model_type", problems),
                _choice(Strategy, self.strategy, "strategy", problems),
                _read_as(_priority, self.priority, "priority", problems) if self.priority else None,
                id_in(self.project_id) if self.project_id else None,
                self.is_enabled,
                self.goes_on_unheard,
            ),
            problems,
        )


def _model_row(entry: Entry) -> ModelRow:
    free = [tag for tag in entry.tags if tag not in RESERVED]
    return ModelRow(
        entry.model_id, str(entry.weight), [tag for tag in entry.tags if tag in RESERVED], ", ".join(free)
    )  # fmt: skip


def _entry(row: ModelRow, problems: dict[str, str]) -> Entry:
    weight = _read_as(_weight, row.weight, f"model-{row.id}", problems) if row.weight else 1
    free = [tag for tag in tags_in(row.tags) if tag not in RESERVED]
    return Entry(row.id, 1 if weight is None else weight, (*(tag for tag in RESERVED if tag in row.when), *free))


def tags_in(text: str) -> list[str]:
    return list(dict.fromkeys(tag for part in text.split(",") if (tag := part.strip())))


def _choice(choices: Any, said: str, name: str, problems: dict[str, str]) -> Any:
    if said in set(choices):
        return choices(said)
    problems[name] = "Choose one of these."
    return next(iter(choices))


def _read_as(read: Callable[[str], int], text: str, name: str, problems: dict[str, str]) -> int | None:
    try:
        return read(text)
    except ValueError as error:
        problems[name] = str(error)
        return None


# -- values as people type them --------------------------------------------------------------------


def _whole(text: str, least: int, most: int, what: str) -> int:
    """Thousands may be set apart: 128,000 or 128 000."""
    digits = text.replace(",", "").replace(" ", "").replace("_", "")
    is_number = digits.isascii() and digits.isdecimal() and len(digits) <= LONGEST_NUMBER
    if not is_number or not least <= int(digits) <= most:
        raise ValueError(f"{what} is a whole number from {least:,} to {most:,}.")
    return int(digits)


def _weight(text: str) -> int:
    return _whole(text, 0, MOST_WEIGHT, "A weight")


def _priority(text: str) -> int:
    return _whole(text, 0, MOST_PRIORITY, "A priority")


def _decimal(text: str, problem: str, decimals: int = DECIMALS) -> Decimal:
    try:
        number = Decimal(text[:LONGEST_NUMBER])
    except InvalidOperation as error:
        raise ValueError(problem) from error
    if len(text) > LONGEST_NUMBER or not number.is_finite() or -int(number.normalize().as_tuple().exponent) > decimals:
        raise ValueError(f"{problem} At most {decimals} decimals.")
    return number


def _usd(values: Sequence[str]) -> float | int:
    """USD per 1,000,000 tokens → per 1,000."""
    text = _one(values).removeprefix("$").strip()
    problem = "Enter an amount in USD per 1M tokens, with a point for decimals, such as 2.50."
    usd = _decimal(text, problem, DECIMALS - 3)
    if usd < 0 or usd > MOST_USD:
        raise ValueError("A price cannot be negative." if usd < 0 else f"${MOST_USD:,} is the most that makes sense.")
    return _number(usd / THOUSAND)


def _share(values: Sequence[str]) -> float | int:
    """Percent → a share from 0 to 1."""
    percent = _decimal(_one(values).removesuffix("%").strip(), "Enter a percentage from 0 to 100, such as 95.")
    if not 0 <= percent <= 100:
        raise ValueError("Enter a percentage from 0 to 100, such as 95.")
    return _number(percent / 100)


def _number(value: Decimal) -> float | int:
    """As JSON has it. Nine decimals come back from a float as they were."""
    return int(value) if value == value.to_integral_value() else float(value)


def _one(values: Sequence[str]) -> str:
    if not values or not values[0].strip():
        raise ValueError(EMPTY)
    return values[0].strip()


def _several(values: Sequence[str]) -> list[str]:
    chosen = list(dict.fromkeys(value.strip() for value in values if value.strip()))
    if not chosen:
        raise ValueError(EMPTY)
    return chosen


READ: dict[str, Callable[[Sequence[str]], Any]] = {
    "max_cost": _usd,
    "min_context_window": lambda values: _whole(_one(values), 1, MOST_TOKENS, "A context window"),
    "capabilities": _several,
    "max_latency_ms": lambda values: _whole(_one(values), 1, MOST_MS, "A wait in milliseconds"),
    "min_success_rate": _share,
    "min_win_rate": _share,
    "providers": _several,
    "tags": lambda values: _several(tags_in(",".join(values))),
    "expression": _one,
}
"""Condition → how its fields are read; ValueError has words for the person who typed them."""


TIMES = {"max_cost": THOUSAND, "min_success_rate": 100, "min_win_rate": 100}
"""Condition → how many times what is stored a person types."""


def _as_typed(name: str, value: Any) -> list[str]:
    """A stored value as a person would type it."""
    if name == "tags" and isinstance(value, list):
        return [", ".join(str(item) for item in value)]
    if isinstance(value, list):
        return [str(item) for item in value]
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return [str(value)]
    return [f"{(number * TIMES.get(name, 1)).normalize():f}"]
