"""What the form of a rule shows beside what was typed: the sentence, shares of the draw, and what stands against it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from ... import place
from ...extensions import db
from ...models import Model, ModelType, Project, RoutingRule, Strategy
from ...router.candidates import CONTEXT_FALLBACK, FALLBACK, POLICY_FALLBACK, Choice, Question
from ...router.conditions import CONDITIONS, ConditionError
from ...router.expressions import FUNCTIONS, VARIABLES
from ...router.plan import compatible
from ...router.rules import Rule
from ...router.types import Task
from ..models import browse
from ..models.browse import SOON, Line
from ..models.purpose import SOUGHT, ability_words
from .drafts import GONE, Checked, Draft, Entry, check
from .forms import STILL_TO_DO, ConditionRow, ModelRow, RuleForm

OFFERED = 8
SHADOWS = "A model has this name too. Whoever asks for the name gets this rule; the model answers to provider/model."
STRATEGIES: Mapping[Strategy, tuple[str, str]] = {
    Strategy.WEIGHTED: ("By weight", "Each prompt draws one of them; twice the weight is drawn twice as often."),
    Strategy.ORDERED: ("In order", "The first answers; the next only when it fails."),
    Strategy.CHEAPEST: ("Cheapest", "The lowest price first; an unknown price comes last."),
    Strategy.FASTEST: ("Fastest", "The one that lately answered soonest."),
    Strategy.BALANCED: ("Balanced", "Price and speed: half the price makes up for twice the wait."),
}
USUAL = {ModelType.TEXT: Task.CHAT, ModelType.CODE: Task.CHAT, ModelType.IMAGE: Task.IMAGE, ModelType.VIDEO: Task.VIDEO}
WHEN = {
    FALLBACK: ("Fallback", "when the others fail"),
    CONTEXT_FALLBACK: ("Long prompts", "when a prompt is too long for the others"),
    POLICY_FALLBACK: ("Refused prompts", "when the others refuse what it says"),
}
EXAMPLES = (
    ("Long prompts", "prompt.tokens > 20000"),
    ("Code", 'prompt.text.contains("```") || session.type == "CODE"'),
    ("Office hours", "time.weekday <= 5 && time.hour >= 8 && time.hour < 18"),
    ("One program", 'request.origin == "gateway" && request.token == "ci"'),
    ("Budget nearly spent", "budget.used_percent >= 80"),
    ("With pictures", "prompt.images > 0"),
)


@dataclass(frozen=True)
class Input:
    """How a condition is filled in."""

    label: str
    hint: str
    kind: str = "text"
    """text, choices, or expression."""
    before: str = ""
    after: str = ""
    placeholder: str = ""


INPUTS: Mapping[str, Input] = {
    "max_cost": Input(
        "Price at most",
        "The dearer of input and output. A model whose price is unknown is passed over.",
        before="$",
        after="per 1M tokens",
        placeholder="2.50",
    ),
    "min_context_window": Input(
        "Context of at least",
        "Every prompt must fit anyway; this asks for more room than it needs.",
        after="tokens",
        placeholder="128,000",
    ),
    "capabilities": Input("Able to do", "A model must be able to do all that is ticked.", kind="choices"),
    "max_latency_ms": Input(
        "First token within",
        "As lately measured. What was never measured passes, or it never would be.",
        after="ms",
        placeholder="800",
    ),
    "min_success_rate": Input(
        "Succeeding at least",
        "Of the calls of the last minutes. Too few calls to tell: it passes.",
        after="% of the time",
        placeholder="95",
    ),
    "min_win_rate": Input(
        "Winning at least",
        "Of the blind comparisons that people here decided, of prompts of this type. Fewer than 5: it passes.",
        after="% of the time",
        placeholder="40",
    ),
    "providers": Input("Of these providers", "Only models of what is ticked.", kind="choices"),
    "tags": Input("Tagged", "Only models of this rule that carry all of these tags.", placeholder="eu, approved"),
    "expression": Input(
        "Only when",
        "A CEL expression about the prompt. Where it is not true the rule is passed over.",
        kind="expression",
        placeholder="prompt.tokens > 20000",
    ),
}


@dataclass(frozen=True)
class Note:
    tone: str
    """warn or neutral."""
    text: str


@dataclass(frozen=True)
class ShownModel:
    row: ModelRow
    line: Line | None
    share: str
    """Such as 70 %, fallback, last resort; empty where nothing is drawn."""
    percent: float
    notes: list[Note]
    problem: str = ""


@dataclass(frozen=True)
class ShownCondition:
    row: ConditionRow
    input: Input | None
    """None: not a condition this version can test."""
    choices: list[tuple[str, str]]
    problem: str = ""


@dataclass(frozen=True)
class Segment:
    """A part of the bar of shares: where it begins and how long it is, in percent."""

    name: str
    at: float
    percent: float


@dataclass(frozen=True)
class RuleView:
    """A form beside what is known of it now."""

    form: RuleForm
    draft: Draft
    checked: Checked
    models: list[ShownModel]
    conditions: list[ShownCondition]
    problems: Mapping[str, str]
    """What is wrong, by field; what is merely not done yet is in `to_do`."""
    to_do: list[str]
    shadows_model: bool = False
    """A model has the same name, and is reached by its provider's only."""

    @property
    def said(self) -> str:
        return self.checked.rule.words

    @property
    def segments(self) -> list[Segment]:
        return segments(self.checked.rule)

    @property
    def titles(self) -> dict[str, str]:
        """Field → what people call it."""
        conditions = {f"condition-{name}": one.label for name, one in INPUTS.items()}
        models = {f"model-{shown.row.id}": shown.line.display_name for shown in self.models if shown.line}
        return {"name": "Name", "project": "Prompts of", "priority": "Priority"} | conditions | models

    @property
    def said_twice(self) -> list[str]:
        """Parts of its expression that change nothing."""
        try:
            return self.checked.rule.warnings()
        except ConditionError:
            return []  # said beside the condition itself

    @property
    def warnings(self) -> list[tuple[str, str]]:
        """(model or field, what to look at before saving)"""
        told = [("Name", SHADOWS)] if self.shadows_model else []
        told += [(INPUTS["expression"].label, words) for words in self.said_twice]
        for shown in self.models:
            told += [(shown.line.display_name, note.text) for note in shown.notes if shown.line and note.tone == "warn"]
        return told

    @property
    def addable(self) -> list[tuple[str, str]]:
        """Conditions that are not in the rule yet."""
        return [(name, one.label) for name, one in INPUTS.items() if not self.form.condition(name)]


def view_of(form: RuleForm, row: RoutingRule | None = None, *, is_final: bool = False) -> RuleView:
    """`is_final`: somebody wants to save it, so that what is not done yet is wrong as well."""
    draft, unread = form.draft()
    checked = check(draft, place.organization(), row)
    wrong = {**checked.problems, **unread}
    problems = {name: text for name, text in wrong.items() if is_final or text not in STILL_TO_DO}
    to_do = [] if is_final else list(dict.fromkeys(_to_do(*one) for one in wrong.items() if one[1] in STILL_TO_DO))
    ids = [entry.model_id for entry in draft.models]
    lines = {line.id: line for line in browse.lines(Model.id.in_(ids))} if ids else {}
    return RuleView(
        form,
        draft,
        checked,
        [
            _shown(model, entry, lines.get(model.id), checked, problems)
            for model, entry in zip(form.models, draft.models, strict=True)
        ],
        [_condition(one, lines.values(), problems) for one in form.conditions],
        problems,
        to_do,
        bool(browse.lines(Model.name == draft.name)),
    )


def _to_do(name: str, text: str) -> str:
    """Away from its field, which condition it is of has to be said."""
    condition = INPUTS.get(name.removeprefix("condition-")) if name.startswith("condition-") else None
    return f"{condition.label}: {text[0].lower()}{text[1:]}" if condition else text


def found(form: RuleForm, q: str) -> list[Line]:
    """Models that fit the rule and are not in it yet, by the words of a search."""
    is_type = form.model_type in set(ModelType)
    types = compatible(form.model_type) if is_type else ()
    return browse.offered(q, types, {row.id for row in form.models}, OFFERED)


def choices() -> dict[str, Any]:
    """What does not depend on the rule: for the selects and the words beside them."""
    organization = place.organization()
    projects = db.session.scalars(place.seen(Project).order_by(Project.name))
    of_all = [("", f"All of {organization.name}" if organization else "Everybody")]
    return {
        "projects": [*of_all, *((str(row.id), row.name) for row in projects)],
        "types": [(one.value, one.value.capitalize()) for one in ModelType],
        "strategies": [(one.value, *words) for one, words in STRATEGIES.items()],
        "when": WHEN,
        "examples": EXAMPLES,
        "variables": VARIABLES,
        "functions": FUNCTIONS,
    }


# -- models ----------------------------------------------------------------------------------------


def shares(rule: Rule) -> dict[UUID, float]:
    """Model → percent of the draws, for those that can be drawn at all."""
    total = sum(choice.weight for choice in rule.primaries)
    if rule.strategy != Strategy.WEIGHTED or not total:
        return {}
    return {choice.candidate.model_id: 100 * choice.weight / total for choice in rule.primaries if choice.weight}


def segments(rule: Rule) -> list[Segment]:
    """The bar of a weighted rule; none for other strategies."""
    percents, at, bar = shares(rule), 0.0, []
    for choice in rule.choices:
        if percent := percents.get(choice.candidate.model_id, 0.0):
            bar.append(Segment(choice.candidate.model, round(at, 3), round(percent, 3)))
            at += percent
    return bar


def role_of(entry: Entry, rule: Rule) -> tuple[str, float]:
    """(what a model is in a rule, its percent of the draws)"""
    if reserved := [WHEN[tag][0].lower() for tag in entry.tags if tag in WHEN]:
        return " · ".join(reserved), 0.0
    if rule.strategy != Strategy.WEIGHTED:
        return "", 0.0
    percent = shares(rule).get(entry.model_id, 0.0)
    return (f"{percent:.0f} %" if percent >= 1 or not percent else "< 1 %") if entry.weight else "last resort", percent


def notes_of(line: Line, rule: Rule) -> list[Note]:
    """What stands against a model of a rule, the worst first."""
    told: list[str] = []
    ends = line.ends
    if not line.is_enabled or not line.provider.is_enabled:
        told.append("It is switched off, and passed over.")
    elif not line.is_allowed:
        told.append(f"Your organization does not allow {line.provider.name}: it is passed over.")
    elif not line.is_usable:
        told.append(f"There is no usable key for {line.provider.name}.")
    if ends and ends.is_over:
        told.append(f"It ended on {ends}.")
    elif ends and (ends.days_left is None or ends.days_left <= SOON.days):
        told.append(f"It ends on {ends}.")
    choice = next((choice for choice in rule.choices if choice.candidate.model_id == line.id), None)
    if choice and choice.candidate.is_gone:
        told.append(f"{line.provider.name} does not list it any more: it is asked last.")
    elif line.is_gone:
        told.append(f"{line.provider.name} does not list it any more.")
    if shut_out := _shut_out(choice, rule):
        told.append(f"The conditions shut it out: {shut_out}.")
    elif line.price is None and rule.strategy in (Strategy.CHEAPEST, Strategy.BALANCED):
        told.append("Its price is unknown: it comes last.")
    notes = [Note("warn", text) for text in told]
    if line.task != USUAL.get(line.model_type):
        notes.append(Note("neutral", f"Only for {line.task} prompts."))
    return notes


def _shut_out(choice: Choice | None, rule: Rule) -> str | None:
    try:
        tests = rule.tests
    except ConditionError:
        return None  # said beside the condition itself
    return tests.reason_against(choice, Question(rule.model_type)) if choice else None


def _shown(row: ModelRow, entry: Entry, line: Line | None, checked: Checked, problems: Mapping[str, str]) -> ShownModel:
    role, percent = role_of(entry, checked.rule)
    problem = problems.get(f"model-{row.id}", "" if line else GONE)
    return ShownModel(row, line, role, percent, notes_of(line, checked.rule) if line else [], problem)


# -- conditions ------------------------------------------------------------------------------------


def _condition(row: ConditionRow, lines: Iterable[Line], problems: Mapping[str, str]) -> ShownCondition:
    problem = problems.get(f"condition-{row.name}", "")
    if row.name not in CONDITIONS or row.name not in INPUTS:
        return ShownCondition(row, None, [], problem)
    offered: list[tuple[str, str]] = []
    if row.name == "capabilities":
        offered = [(name, ability_words(name)) for name in dict.fromkeys([*SOUGHT, *row.values])]
    elif row.name == "providers":
        row.values = [value.lower() for value in row.values]
        named = {line.provider.name.lower(): line.provider.name for line in lines}
        offered = [(name, named.get(name, name)) for name in sorted({*named, *row.values})]
    return ShownCondition(row, INPUTS[row.name], offered, problem)
