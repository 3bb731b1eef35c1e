"""Models that end: what in this organization needs them, and what to use instead.

Templates of prompts, once there are some, will be a third thing that can name a model.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from flask import g
from sqlalchemy import func, select

from ... import access, audit
from ...extensions import db
from ...models import Execution, Model, PromptSession, RoutingRule, RoutingRuleModel, now
from ..models.browse import SOON, Line, lines
from .days import End
from .replacements import Replacement, is_alike, names_of, replacement_for

SHOWN = 3
RECENT = timedelta(days=30)


class CannotReplace(Exception):
    """The message says why."""


@dataclass(frozen=True)
class Session:
    id: uuid.UUID
    title: str


@dataclass(frozen=True)
class Use:
    """What names one model."""

    rules: list[RoutingRule] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    """The latest few."""
    sessions_count: int = 0
    runs: int = 0
    """In the last 30 days."""

    def __bool__(self) -> bool:
        return bool(self.rules or self.sessions_count or self.runs)


@dataclass(frozen=True)
class Shutdown:
    line: Line
    end: End
    use: Use
    replacement: Replacement | None

    @property
    def is_soon(self) -> bool:
        return self.end.days_left is not None and self.end.days_left <= SOON.days


def shutdowns() -> list[Shutdown]:
    """Every model in use here that ends or has ended, the soonest first; one whose day cannot be read comes last."""
    found = [(line, end) for line in lines(Model.shutdown_on.is_not(None)) if (end := line.ends)]
    uses = uses_of([line for line, _ in found])
    used = [(line, end, uses[line.id]) for line, end in found if uses[line.id]]
    others = lines(Model.provider_id.in_({line.provider_id for line, _, _ in used})) if used else []
    listed = [Shutdown(line, end, use, replacement_for(line, others)) for line, end, use in used]
    return sorted(listed, key=lambda one: (one.end.day is None, one.end.day or now().date(), one.line.name))


def soon() -> list[tuple[Line, End]]:
    """Those in use that have ended, or end within 60 days: for the notice on the hub's pages."""
    found = [(line, end) for line in lines(Model.shutdown_on.is_not(None)) if (end := line.ends)]
    near = [(line, end) for line, end in found if end.days_left is not None and end.days_left <= SOON.days]
    uses = uses_of([line for line, _ in near])
    return sorted(((line, end) for line, end in near if uses[line.id]), key=lambda pair: str(pair[1].day))


def uses_of(models: Sequence[Line]) -> dict[uuid.UUID, Use]:
    """What names each of these models: three queries, however many there are."""
    if not models:
        return {}
    rules, sessions, runs = _rules(models), _sessions(models), _runs(models)
    uses = {}
    for line in models:
        by_name = [sessions.get(name, ([], 0)) for name in (line.full_name, line.name)]
        latest = [session for found, _ in by_name for session in found]
        uses[line.id] = Use(rules[line.id], latest[:SHOWN], sum(count for _, count in by_name), runs.get(line.id, 0))
    return uses


def _rules(models: Sequence[Line]) -> dict[uuid.UUID, list[RoutingRule]]:
    found: dict[uuid.UUID, list[RoutingRule]] = defaultdict(list)
    query = (
        access.scoped(RoutingRule)
        .join(RoutingRuleModel, RoutingRuleModel.rule_id == RoutingRule.id)
        .where(RoutingRuleModel.model_id.in_([line.id for line in models]))
        .add_columns(RoutingRuleModel.model_id)
        .order_by(RoutingRule.priority, RoutingRule.name)
    )
    for rule, model_id in db.session.execute(query):
        found[model_id].append(rule)
    return found


def _sessions(models: Sequence[Line]) -> dict[str, tuple[list[Session], int]]:
    """The name that sessions remember -> (the latest few of them, how many there are)."""
    named = PromptSession.settings["model"].astext
    within = {"partition_by": named, "order_by": PromptSession.updated_at.desc()}
    ranked = (
        access.scoped(PromptSession)
        .where(named.in_(names_of(models)))
        .with_only_columns(
            PromptSession.id,
            PromptSession.title,
            named.label("named"),
            func.row_number().over(**within).label("place"),
            func.count().over(partition_by=named).label("sessions_count"),
        )
        .subquery()
    )
    found: dict[str, tuple[list[Session], int]] = {}
    for row in db.session.execute(select(ranked).where(ranked.c.place <= SHOWN).order_by(ranked.c.place)):
        found.setdefault(row.named, ([], row.sessions_count))[0].append(Session(row.id, row.title))
    return found


def _runs(models: Sequence[Line]) -> dict[uuid.UUID, int]:
    query = (
        select(Execution.model_id, func.count())
        .where(
            Execution.organization_id == g.organization.id,
            Execution.created_at > now() - RECENT,
            Execution.model_id.in_([line.id for line in models]),
        )
        .group_by(Execution.model_id)
    )
    return {id: count for id, count in db.session.execute(query) if id}


def replace_in_rule(rule: RoutingRule, old: Line, new: Line) -> None:
    """Another model in the same place of a rule, with the same weight and tags. Raises CannotReplace. Commits."""
    entries = {entry.model_id: entry for entry in rule.models}
    if old.id not in entries:
        raise CannotReplace(f"“{rule.name}” does not use {old.name} any more.")
    if new.id in entries:
        raise CannotReplace(f"“{rule.name}” uses {new.name} already. Take {old.name} out of the rule instead.")
    if not is_alike(old, new):
        raise CannotReplace(f"{new.name} does not do what {old.name} does.")
    entries[old.id].model_id = new.id
    rule.updated_at = now()
    audit.record("rule.model_replaced", rule, rule.organization_id, old=old.full_name, new=new.full_name)
    db.session.commit()
