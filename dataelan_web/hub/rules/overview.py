"""The list of rules, in exactly the order in which they are tried."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby

from sqlalchemy import case, func, or_, select
from sqlalchemy.orm import selectinload

from ... import place
from ...executions.candidates import candidates_of, rule_of
from ...extensions import db
from ...models import Execution, Model, Project, RoutingRule, now
from ...router.conditions import ConditionError
from ...router.rules import Rule
from ..models import browse
from ..models.browse import Line
from .beside import Note, Segment, notes_of, role_of, segments
from .drafts import Draft
from .reach import SCANNED

RECENT = timedelta(days=30)


@dataclass(frozen=True)
class ListedModel:
    id: uuid.UUID
    name: str
    role: str
    """Such as 70 %, fallback, last resort."""
    is_drawn: bool
    notes: list[Note]


@dataclass(frozen=True)
class ListedRule:
    row: RoutingRule
    said: str
    segments: list[Segment]
    models: list[ListedModel]
    runs: int
    """That it decided in the last 30 days; of a rule of the platform's, for its operator: of the latest `SCANNED`."""
    problem: str
    """Why it never answers as it is; empty: it can."""


@dataclass(frozen=True)
class Group:
    """The rules of one scope."""

    title: str
    why: str
    rules: list[ListedRule]
    project: Project | None = None
    is_ours: bool = True
    """False: the platform's, for an organization, which only its operator changes."""


def groups() -> list[Group]:
    """Project by project, then the organization's, then the platform's; lowest priority number first."""
    rows = _rows()
    ids = {entry.model_id for row in rows for entry in row.models}
    candidates = candidates_of(db.session, place.organization(), ids) if ids else {}
    lines = {line.id: line for line in browse.lines(Model.id.in_(ids))} if ids else {}
    runs = _runs(rows)
    projects = {row.id: row for row in db.session.scalars(place.seen(Project))}
    found = []
    for (project_id, owner), members in groupby(rows, key=lambda row: (row.project_id, row.organization_id)):
        listed = [_listed(row, rule_of(row, candidates), lines, runs.get(row.id, 0)) for row in members]
        found.append(_group(projects[project_id] if project_id else None, owner, listed))
    if not any(group.is_ours and group.project is None for group in found):
        at = next((at for at, group in enumerate(found) if not group.is_ours), len(found))
        found.insert(at, _group(None, place.owner_id(), []))
    return found


def _group(project: Project | None, owner: uuid.UUID | None, rules: list[ListedRule]) -> Group:
    if project:
        return Group(project.name, "Only prompts of this project try these.", rules, project)
    here = place.organization()
    if here is None:
        return Group("The platform", "Every organization’s prompts try these, after their own.", rules)
    if owner:
        return Group(here.name, "Every project’s prompts try these.", rules)
    return Group(
        "The platform",
        "Tried after yours, by everyone’s prompts. Whoever runs Dataelan writes them.",
        rules,
        is_ours=False,
    )


def _rows() -> list[RoutingRule]:
    """In the order of executions.candidates: a project's rules before the organization's before the platform's. Of
    those, an organization is shown what is in use."""
    scope = case((RoutingRule.project_id.is_not(None), 0), (RoutingRule.organization_id.is_not(None), 1), else_=2)
    ours = RoutingRule.organization_id == place.owner_id()
    query = (
        select(RoutingRule)
        .outerjoin(Project, Project.id == RoutingRule.project_id)
        .where(or_(ours, RoutingRule.organization_id.is_(None) & RoutingRule.is_enabled))
        .where(RoutingRule.deleted_at.is_(None), Project.deleted_at.is_(None))
        .options(selectinload(RoutingRule.models))
        .order_by(scope, func.lower(Project.name), Project.id, RoutingRule.priority, RoutingRule.id)
    )
    return list(db.session.scalars(query))


def _runs(rows: list[RoutingRule]) -> dict[uuid.UUID, int]:
    decided = select(Execution.rule_id)
    if (here := place.owner_id()) is None:  # nobody counts everybody's of a month; their ids are in the order of time
        decided = decided.order_by(Execution.id.desc()).limit(SCANNED)
    else:
        decided = decided.where(Execution.organization_id == here, Execution.created_at > now() - RECENT)
    by = decided.subquery().c.rule_id
    query = select(by, func.count()).where(by.in_([row.id for row in rows])).group_by(by)
    return {id: count for id, count in db.session.execute(query) if id} if rows else {}


def _listed(row: RoutingRule, rule: Rule, lines: Mapping[uuid.UUID, Line], runs: int) -> ListedRule:
    models = []
    for entry in Draft.of(row).models:
        if line := lines.get(entry.model_id):
            role, percent = role_of(entry, rule)
            models.append(ListedModel(line.id, line.display_name, role, percent > 0, notes_of(line, rule)))
    return ListedRule(row, rule.words, segments(rule), models, runs, _problem(row, rule, lines))


def _problem(row: RoutingRule, rule: Rule, lines: Mapping[uuid.UUID, Line]) -> str:
    if not row.models:
        return "It names no model any more: what it named was deleted. Prompts pass it by."
    try:
        if contradiction := rule.contradiction():
            return contradiction
    except ConditionError:
        return ""  # the sentence says so itself
    if not any((line := lines.get(entry.model_id)) and line.is_usable for entry in row.models):
        return "None of its models can be used now. Prompts pass it by."
    return ""
