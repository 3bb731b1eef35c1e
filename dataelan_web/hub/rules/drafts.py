"""Routing rules: a draft is checked as a whole and saved as a whole. What saves commits and is noted in the audit.

draft = Draft("cheap first", models=(Entry(model.id, weight=3), …), conditions={"max_cost": 0.01})
rule = drafts.save(draft, organization, user.id)          # a new one; raises Refused
rule = drafts.save(draft, organization, user.id, rule)    # in the place of another
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from psycopg2.errors import ForeignKeyViolation
from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.exc import IntegrityError

from ... import audit
from ...executions.candidates import AUTO, candidates_of
from ...extensions import db
from ...models import (
    Model,
    ModelType,
    Organization,
    Project,
    Provider,
    RoutingRule,
    RoutingRuleModel,
    Strategy,
    new_id,
    now,
)
from ...models.base import NIL
from ...models.locks import one_at_a_time
from ...router.candidates import RESERVED, Candidate, Choice
from ...router.conditions import CONDITIONS, ConditionError, Custom
from ...router.domains import DOMAINS
from ...router.plan import compatible
from ...router.rules import Rule

STEP = 10
"""Between the priorities of two rules, so that one can be put between them by hand."""
LONGEST_NAME, LONGEST_TAG = 200, 60
MOST_PRIORITY, MOST_WEIGHT, MOST_MODELS, MOST_TAGS = 1_000_000, 1_000_000, 100, 20

NO_NAME, NO_MODELS = "Give it a name.", "Add at least one model."
UNFINISHED = frozenset({NO_NAME, NO_MODELS})
"""What is not wrong yet while a rule is being written."""
GONE = "It was deleted meanwhile, or is not yours to use. Remove it."


@dataclass(frozen=True)
class Entry:
    """A model of a rule. Weight 0: never drawn, only a last resort."""

    model_id: uuid.UUID
    weight: int = 1
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Draft:
    """A rule that is not saved yet. Without a project it is the organization's, and without one the platform's."""

    name: str
    models: tuple[Entry, ...] = ()
    conditions: Mapping[str, Any] = field(default_factory=dict)
    """As router.conditions reads them."""
    model_type: ModelType = ModelType.TEXT
    strategy: Strategy = Strategy.WEIGHTED
    priority: int | None = None
    """None: after all others of its scope."""
    project_id: uuid.UUID | None = None
    is_enabled: bool = True
    goes_on_unheard: bool = False

    @classmethod
    def of(cls, row: RoutingRule) -> Draft:
        return cls(
            row.name,
            tuple(Entry(entry.model_id, entry.weight, tuple(entry.tags)) for entry in row.models),
            row.conditions,
            row.model_type,
            row.strategy,
            row.priority,
            row.project_id,
            row.is_enabled,
            row.goes_on_unheard,
        )


Problems = Mapping[str, str]
"""What is wrong with a draft, by field: name, project, priority, models, model-<id>, conditions, condition-<name>."""


class Refused(Exception):
    """A draft that cannot be saved; nothing was."""

    def __init__(self, problems: Problems):
        self.problems = problems
        about = {"condition-expression": "Its expression: "}
        super().__init__(" ".join(about.get(name, "") + text for name, text in problems.items()))


@dataclass(frozen=True)
class Checked:
    """A draft beside the hub as it is now."""

    rule: Rule
    """As the router would see it."""
    problems: Problems


def check(draft: Draft, organization: Organization | None, row: RoutingRule | None = None) -> Checked:
    """What is wrong with a draft; `row` is the rule that it would replace. Saves nothing."""
    project = db.session.get(Project, draft.project_id) if draft.project_id else None
    problems = {**_of_name(draft, organization, row), **_of_scope(draft, organization, project)}
    if draft.priority is not None and not 0 <= draft.priority <= MOST_PRIORITY:
        problems["priority"] = f"A whole number from 0 to {MOST_PRIORITY:,}."
    ids = {entry.model_id for entry in draft.models}
    candidates = candidates_of(db.session, organization, ids, project=project) if ids else {}
    rule = router_rule(draft, candidates, row.id if row else None)
    wrong = {**_of_conditions(draft.conditions), **_of_models(draft, organization)}
    if not wrong and (contradiction := rule.contradiction()):
        wrong["conditions"] = contradiction
    return Checked(rule, problems | wrong)


def save(
    draft: Draft, organization: Organization | None, user_id: uuid.UUID | None, row: RoutingRule | None = None
) -> RoutingRule:
    """A new rule, or another form of `row`. Raises Refused with everything that is wrong. Commits."""
    try:
        saved = put(draft, organization, user_id, row)
        db.session.commit()
    except Refused:
        db.session.rollback()
        raise
    except IntegrityError as error:  # what it names was deleted while it was being saved
        db.session.rollback()
        if not isinstance(error.orig, ForeignKeyViolation):
            raise
        raise Refused({"models": "A model or the project was deleted just now. Look again, then save."}) from error
    return saved


def put(
    draft: Draft, organization: Organization | None, user_id: uuid.UUID | None, row: RoutingRule | None = None
) -> RoutingRule:
    """Like `save`, within a transaction of the caller's: several rules are saved together or not at all."""
    one_at_a_time(db.session, _id(organization))
    if problems := check(draft, organization, row).problems:
        raise Refused(problems)
    before = Draft.of(row) if row else None
    priority = _last_priority(organization, draft.project_id) + STEP if draft.priority is None else draft.priority
    saved = row or RoutingRule(id=new_id(), organization_id=_id(organization), created_by=user_id)
    saved.name, saved.project_id, saved.priority = draft.name.strip(), draft.project_id, priority
    saved.model_type, saved.strategy, saved.is_enabled = draft.model_type, draft.strategy, draft.is_enabled
    saved.conditions, saved.goes_on_unheard = dict(draft.conditions), draft.goes_on_unheard
    saved.updated_at = now()
    _keep_models(saved, draft.models)
    db.session.add(saved)
    db.session.flush()
    _record(before, saved)
    return saved


def delete(row: RoutingRule) -> None:
    """Into the trash. Commits."""
    audit.record("rule.deleted", row, row.organization_id, models=len(row.models))
    row.discard(audit.actor_id())
    db.session.commit()


def set_enabled(row: RoutingRule, is_enabled: bool) -> None:
    """Commits."""
    if row.is_enabled != is_enabled:
        row.is_enabled, row.updated_at = is_enabled, now()
        audit.record("rule.enabled" if is_enabled else "rule.disabled", row, row.organization_id)
    db.session.commit()


def place(row: RoutingRule, organization: Organization | None, before: uuid.UUID | None) -> tuple[int, int]:
    """Put it before another of its scope (None: last), and number all of them anew. (its place, of how many)

    Whoever moves at the same time waits, so that every move counts and no rule is lost. Another that is gone
    meanwhile is taken for the end. Raises Refused when the rule itself is gone. Commits.
    """
    one_at_a_time(db.session, _id(organization))
    rows = _siblings(organization, row.project_id)
    if row not in rows:
        db.session.rollback()
        raise Refused({"rule": "This rule was deleted meanwhile."})
    others = [other for other in rows if other.id != row.id]
    to = next((place for place, other in enumerate(others) if other.id == before), len(others))
    rows = [*others[:to], row, *others[to:]]
    changed = [other for number, other in enumerate(rows, 1) if other.priority != number * STEP]
    for number, other in enumerate(rows, 1):
        other.priority = number * STEP
    if changed:
        audit.record("rule.moved", row, row.organization_id, place=to + 1, of=len(rows))
    db.session.commit()
    return to + 1, len(rows)


def router_rule(draft: Draft, candidates: Mapping[uuid.UUID, Candidate], id: uuid.UUID | None = None) -> Rule:
    """A draft as the router would see it; a model that is switched off or gone is not in it."""
    return Rule(
        draft.name.strip() or "this rule",
        tuple(
            Choice(candidates[entry.model_id], max(entry.weight, 0), frozenset(entry.tags))
            for entry in draft.models
            if entry.model_id in candidates
        ),
        id=id,
        model_type=draft.model_type.value,
        priority=MOST_PRIORITY if draft.priority is None else draft.priority,
        strategy=draft.strategy.value,
        conditions=draft.conditions,
        goes_on_unheard=draft.goes_on_unheard,
    )


# -- what can be wrong -----------------------------------------------------------------------------


def _of_name(draft: Draft, organization: Organization | None, row: RoutingRule | None) -> dict[str, str]:
    name = draft.name.strip()
    if not name:
        return {"name": NO_NAME}
    if len(name) > LONGEST_NAME:
        return {"name": f"At most {LONGEST_NAME} characters."}
    if not name.isprintable():
        return {"name": "A name is one line of ordinary characters."}
    if name.lower() == AUTO:
        return {"name": f"“{AUTO}” is what asks for all rules. Choose another name."}
    taken = select(RoutingRule.id).where(
        *in_scope(organization, draft.project_id),
        func.lower(RoutingRule.name) == func.lower(name),
    )
    if row is not None:
        taken = taken.where(RoutingRule.id != row.id)
    if db.session.scalar(taken.limit(1)):
        where = "This project" if draft.project_id else "The organization" if organization else "The platform"
        return {"name": f"{where} has a rule “{name}” already. Programs ask for rules by name: choose another."}
    return {}


def _of_scope(draft: Draft, organization: Organization | None, project: Project | None) -> dict[str, str]:
    is_here = draft.project_id is None or (project is not None and project.organization_id == _id(organization))
    return {} if is_here else {"project": "This project is not there. Choose another, or the whole organization."}


def _of_conditions(conditions: Mapping[str, Any]) -> dict[str, str]:
    problems = {}
    for name, value in conditions.items():
        if name not in CONDITIONS:
            problems[f"condition-{name}"] = f"“{name}” is not a condition this version can test. Remove it."
            continue
        try:
            test = CONDITIONS[name].read(value)
        except ConditionError as error:
            problems[f"condition-{name}"] = str(error)
            continue
        if isinstance(test, Custom) and (contradiction := test.contradiction(DOMAINS)):
            problems[f"condition-{name}"] = contradiction
    return problems


def _of_models(draft: Draft, organization: Organization | None) -> dict[str, str]:
    if not draft.models:
        return {"models": NO_MODELS}
    if len(draft.models) > MOST_MODELS:
        return {"models": f"At most {MOST_MODELS} models."}
    ids = [entry.model_id for entry in draft.models]
    known, problems = _known(ids, organization), {}
    for entry in draft.models:
        if problem := _of_entry(entry, known.get(entry.model_id), draft.model_type):
            problems[f"model-{entry.model_id}"] = problem
        if ids.count(entry.model_id) > 1:
            problems[f"model-{entry.model_id}"] = "It is in the rule twice. Remove one, and add up the weights."
    if not problems and all(set(entry.tags) & set(RESERVED) for entry in draft.models):
        problems["models"] = "Every model is kept as a fallback. Leave at least one to answer first."
    return problems


def _of_entry(entry: Entry, model: Model | None, rule_type: ModelType) -> str | None:
    if model is None:
        return GONE
    if model.model_type.value not in compatible(rule_type.value):
        return f"Its type is {model.model_type.value.lower()}, and this rule is for {rule_type.value.lower()} prompts."
    if not 0 <= entry.weight <= MOST_WEIGHT:
        return f"A weight is a whole number from 0 to {MOST_WEIGHT:,}."
    if len(entry.tags) > MOST_TAGS or any(not tag or len(tag) > LONGEST_TAG for tag in entry.tags):
        return f"At most {MOST_TAGS} tags of {LONGEST_TAG} characters each."
    return None


def _known(ids: Sequence[uuid.UUID], organization: Organization | None) -> dict[uuid.UUID, Model]:
    """Those that the organization may name, by id; the platform's rules name everyone's."""
    here = _id(organization) or NIL
    query = (
        select(Model)
        .join(Model.provider)
        .where(
            Model.id.in_(ids),
            Model.archived_at.is_(None),
            Provider.archived_at.is_(None),
            *(or_(own == here, own.is_(None)) for own in (Model.organization_id, Provider.organization_id)),
        )
    )
    return {model.id: model for model in db.session.scalars(query)}


# -- how it is kept --------------------------------------------------------------------------------


def _id(organization: Organization | None) -> uuid.UUID | None:
    return organization.id if organization else None


def in_scope(organization: Organization | None, project_id: uuid.UUID | None) -> tuple[ColumnElement[bool], ...]:
    """Without those in the trash."""
    return (
        RoutingRule.organization_id.is_not_distinct_from(_id(organization)),
        RoutingRule.project_id.is_not_distinct_from(project_id),
        RoutingRule.deleted_at.is_(None),
    )


def _siblings(organization: Organization | None, project_id: uuid.UUID | None) -> list[RoutingRule]:
    """All rules of one scope as they are now, in the order in which they are tried."""
    query = (
        select(RoutingRule)
        .where(*in_scope(organization, project_id))
        .order_by(RoutingRule.priority, RoutingRule.id)
        .execution_options(populate_existing=True)
    )
    return list(db.session.scalars(query))


def _last_priority(organization: Organization | None, project_id: uuid.UUID | None) -> int:
    rows = _siblings(organization, project_id)
    return rows[-1].priority if rows else 0


def _keep_models(row: RoutingRule, entries: Sequence[Entry]) -> None:
    """Rows that stay are changed, not made anew: a model may be in a rule only once."""
    kept = {entry.model_id: entry for entry in row.models}
    models = []
    for position, entry in enumerate(entries):
        one = kept.get(entry.model_id) or RoutingRuleModel(model_id=entry.model_id)
        one.position, one.weight, one.tags = position, entry.weight, list(entry.tags)
        models.append(one)
    row.models = models


def _record(before: Draft | None, row: RoutingRule) -> None:
    if before is None:
        audit.record("rule.created", row, row.organization_id, models=len(row.models))
        return
    after = Draft.of(row)
    if fields := [name for name in vars(after) if getattr(after, name) != getattr(before, name)]:
        told = [{name: _told(getattr(one, name)) for name in fields} for one in (before, after)]
        audit.record("rule.changed", row, row.organization_id, before=told[0], **told[1])


def _told(value: Any) -> Any:
    """Of a draft, for the audit log. Models by their names."""
    if isinstance(value, tuple):
        models = ((db.session.get_one(Model, entry.model_id), entry) for entry in value)
        return [
            f"{one.provider.slug}/{one.name} × {entry.weight} {' '.join(entry.tags)}".strip() for one, entry in models
        ]
    return str(value) if isinstance(value, uuid.UUID) else value
