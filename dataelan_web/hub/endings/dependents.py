"""What needs a model in this organization: the rules it is in, what asks for it by its name, and its runs.

BY_NAME is the place for another thing that names models: a function that finds it, and a line.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from flask import g
from sqlalchemy import Select, and_, exists, func, or_, select, true

from ... import access
from ...extensions import db
from ...models import (
    Batch,
    BatchCheck,
    BatchState,
    CheckKind,
    Execution,
    GatewayToken,
    PromptSession,
    RoutingRule,
    RoutingRuleModel,
    ServiceAccount,
    Template,
    TemplateLabel,
    TemplateVersion,
    now,
)
from ..models.browse import Line
from .replacements import names_of

SHOWN = 3
RECENT = timedelta(days=30)


@dataclass(frozen=True)
class Named:
    """Something that asks for a model by name, and the page where that is changed (`id`: what that page is of)."""

    id: uuid.UUID
    title: str
    endpoint: str


@dataclass(frozen=True)
class Group:
    """Those of one kind: the latest few, and how many there are."""

    latest: tuple[Named, ...] = ()
    count: int = 0


@dataclass(frozen=True)
class Use:
    """What needs one model."""

    rules: list[RoutingRule] = field(default_factory=list)
    by_name: Mapping[str, Group] = field(default_factory=dict)
    """What kind of thing → those that ask for it."""
    runs: int = 0
    """In the last 30 days."""
    platforms_rules: list[RoutingRule] = field(default_factory=list)
    """The operator's, of a model that can be used here: only the operator changes them."""

    def __bool__(self) -> bool:
        named = any(group.count for group in self.by_name.values())
        return bool(self.rules or self.platforms_rules or self.runs or named)


def uses_of(models: Sequence[Line]) -> dict[uuid.UUID, Use]:
    """What needs each of these models: a query for each kind of thing, however many models there are."""
    if not models:
        return {}
    rules, platforms = _rules(models), _platforms_rules(models)
    runs, names = _runs(models), names_of(models)
    named = {kind: find(names) for kind, find in BY_NAME.items()}
    return {line.id: Use(rules[line.id], _of(line, named), runs.get(line.id, 0), platforms[line.id]) for line in models}


def _of(line: Line, named: Mapping[str, Mapping[str, Group]]) -> dict[str, Group]:
    """A model is asked for with its provider's name or without."""
    groups = {}
    for kind, found in named.items():
        both = [found.get(name, Group()) for name in (line.full_name, line.name)]
        latest = [one for group in both for one in group.latest]
        groups[kind] = Group(tuple(latest[:SHOWN]), sum(group.count for group in both))
    return groups


def sessions_naming(names: set[str]) -> dict[str, Group]:
    """Sessions whose next prompt asks for one of these names, by name."""
    named = PromptSession.settings["model"].astext
    asking = access.scoped(PromptSession).where(named.in_(names))
    shown = PromptSession.id, PromptSession.title, named, PromptSession.updated_at
    return _grouped(asking, "playground.show", *shown)


def prompts_naming(names: set[str]) -> dict[str, Group]:
    """Prompts with variables that ask for one of these names, by name: in their newest version, or in one that a label
    stands for, which programs go on asking for."""
    named = TemplateVersion.content["requested"].astext
    is_labelled = exists().where(
        TemplateLabel.template_id == TemplateVersion.template_id, TemplateLabel.number == TemplateVersion.number
    )
    in_use = and_(
        TemplateVersion.template_id == Template.id, or_(TemplateVersion.number == Template.newest, is_labelled)
    )
    asking = access.scoped(Template).join(TemplateVersion, in_use).where(named.in_(names)).group_by(Template.id, named)
    return _grouped(asking, "prompts.show", Template.id, Template.name, named, Template.updated_at)


def tokens_naming(names: set[str]) -> dict[str, Group]:
    """Tokens of programs that may ask for one of these names and for little else, by name; a service account's under
    its name too. They are changed on the page of their project's tokens, which everyone may look at."""
    named = _each_of(GatewayToken.allows)
    asking = (
        access.scoped(GatewayToken)
        .join(named, true())
        .outerjoin(ServiceAccount, ServiceAccount.id == GatewayToken.service_account_id)
        .where(named.c.value.in_(names), GatewayToken.revoked_at.is_(None))
        .where(or_(GatewayToken.expires_at.is_(None), GatewayToken.expires_at > func.now()))
    )
    title = func.concat(GatewayToken.label, " (" + ServiceAccount.name + ")")  # NULL, and so nothing, of a person's
    return _grouped(asking, "projects.tokens", GatewayToken.project_id, title, named.c.value, GatewayToken.created_at)


def batches_naming(names: set[str]) -> dict[str, Group]:
    """Batches that have yet to ask for one of these names: not begun, paused or at work."""
    named = _each_of(Batch.models)
    is_over = Batch.state.in_([BatchState.DONE, BatchState.CANCELLED])
    asking = access.scoped(Batch).join(named, true()).where(named.c.value.in_(names), ~is_over)
    return _grouped(asking, "batches.show", Batch.id, Batch.name, named.c.value, Batch.created_at)


def judges_naming(names: set[str]) -> dict[str, Group]:
    """Judges that have yet to score the answers of a batch and ask for one of these names, by name: under the batch's,
    on whose page they are changed."""
    named = BatchCheck.settings["model"].astext
    is_over = Batch.state.in_([BatchState.DONE, BatchState.CANCELLED])
    asking = access.scoped(BatchCheck).where(BatchCheck.kind == CheckKind.JUDGE, named.in_(names), ~is_over)
    return _grouped(asking, "batches.show", Batch.id, Batch.name, named, Batch.created_at)


def _each_of(column: Any) -> Any:
    """A row for each name in a list that is kept as JSON."""
    return func.jsonb_array_elements_text(column).table_valued("value").render_derived(name="named").lateral()


def _grouped(asking: Select[Any], endpoint: str, id: Any, title: Any, named: Any, at: Any) -> dict[str, Group]:
    within = {"partition_by": named, "order_by": at.desc()}
    ranked = asking.with_only_columns(
        id.label("id"),
        title.label("title"),
        named.label("named"),
        func.row_number().over(**within).label("place"),
        func.count().over(partition_by=named).label("among"),
    ).subquery()
    found: dict[str, Group] = {}
    for row in db.session.execute(select(ranked).where(ranked.c.place <= SHOWN).order_by(ranked.c.place)):
        before = found.get(row.named, Group())
        found[row.named] = Group((*before.latest, Named(row.id, row.title, endpoint)), row.among)
    return found


BY_NAME: dict[str, Callable[[set[str]], Mapping[str, Group]]] = {
    "session": sessions_naming,
    "saved prompt": prompts_naming,
    "gateway token": tokens_naming,
    "batch": batches_naming,
    "judge": judges_naming,
}
"""What a page calls one → finds those that ask for any of these names in this organization, by name."""


def _rules(models: Sequence[Line]) -> dict[uuid.UUID, list[RoutingRule]]:
    return _by_model(access.scoped(RoutingRule), models)


def _platforms_rules(models: Sequence[Line]) -> dict[uuid.UUID, list[RoutingRule]]:
    """Those in use: every organization's prompts try them after its own (hub.rules.overview shows them too)."""
    in_use = RoutingRule.organization_id.is_(None), RoutingRule.is_enabled, RoutingRule.deleted_at.is_(None)
    return _by_model(select(RoutingRule).where(*in_use), [line for line in models if line.is_usable])


def _by_model(rules: Select[Any], models: Sequence[Line]) -> dict[uuid.UUID, list[RoutingRule]]:
    found: dict[uuid.UUID, list[RoutingRule]] = defaultdict(list)
    query = (
        rules.join(RoutingRuleModel, RoutingRuleModel.rule_id == RoutingRule.id)
        .where(RoutingRuleModel.model_id.in_([line.id for line in models]))
        .add_columns(RoutingRuleModel.model_id)
        .order_by(RoutingRule.priority, RoutingRule.name)
    )
    for rule, model_id in db.session.execute(query):
        found[model_id].append(rule)
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
