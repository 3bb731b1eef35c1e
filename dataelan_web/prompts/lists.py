"""A project's prompts with what one wants to know of each, and the runs of one."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from flask_login import current_user
from sqlalchemy import BigInteger, Select, func, or_, select
from sqlalchemy.orm import contains_eager, defer, joinedload

from .. import access
from ..extensions import db
from ..models import (
    Execution,
    Origin,
    Project,
    Proposal,
    ProposalState,
    State,
    Template,
    TemplateLabel,
    TemplateRun,
    TemplateVersion,
    now,
)
from ..playground.conversation import CARD

RECENT = timedelta(days=30)
TRIED = 6
"""Runs of one's own that the editor shows again."""


@dataclass(frozen=True)
class Line:
    template: Template
    newest: TemplateVersion | None
    runs: int = 0
    spent: int = 0
    """In the last 30 days, as far as costs are known. Nano-USD."""
    proposals: int = 0
    labels: dict[str, int] = field(default_factory=dict)


def of(project: Project, words: str, page: int, size: int) -> tuple[list[Line], bool]:
    """By last change, and are there more? Five queries."""
    query = access.scoped(Template).where(Template.project_id == project.id)
    for word in words.split()[:8]:
        found = [
            column.icontains(word, autoescape=True) for column in (Template.name, Template.slug, Template.description)
        ]
        query = query.where(or_(*found))
    query = query.order_by(Template.updated_at.desc(), Template.id.desc()).limit(size + 1).offset((page - 1) * size)
    templates = list(db.session.scalars(query))
    return _lines(templates[:size]), len(templates) > size


def _lines(templates: list[Template]) -> list[Line]:
    ids = [template.id for template in templates]
    if not ids:
        return []
    newest = {version.template_id: version for version in db.session.scalars(_newest(ids))}
    labels: dict[uuid.UUID, dict[str, int]] = {id: {} for id in ids}
    for label in db.session.scalars(
        select(TemplateLabel).where(TemplateLabel.template_id.in_(ids)).order_by(TemplateLabel.name)
    ):
        labels[label.template_id][label.name] = label.number
    runs = {id: (count, spent) for id, count, spent in db.session.execute(_runs(ids))}
    proposals = dict(
        db.session.execute(
            select(Proposal.template_id, func.count())
            .where(Proposal.template_id.in_(ids), Proposal.state == ProposalState.OPEN)
            .group_by(Proposal.template_id)
        ).all()
    )
    return [
        Line(one, newest.get(one.id), *runs.get(one.id, (0, 0)), proposals.get(one.id, 0), labels[one.id])
        for one in templates
    ]


def _newest(ids: Iterable[uuid.UUID]) -> Select[TemplateVersion]:
    return (
        select(TemplateVersion)
        .join(Template, (Template.id == TemplateVersion.template_id) & (Template.newest == TemplateVersion.number))
        .where(Template.id.in_(ids))
        .options(defer(TemplateVersion.content), joinedload(TemplateVersion.author))
    )


def _runs(ids: Iterable[uuid.UUID]) -> Select[uuid.UUID, int, int]:
    return (
        select(TemplateRun.template_id, func.count(), func.coalesce(func.sum(Execution.cost), 0).cast(BigInteger))
        .join(Execution, Execution.id == TemplateRun.id)
        .where(TemplateRun.template_id.in_(ids), TemplateRun.created_at > now() - RECENT)
        .group_by(TemplateRun.template_id)
    )


def tried(template: Template) -> list[list[Execution]]:
    """One's own last runs of it, the latest first; those that were compared side by side."""
    groups: dict[uuid.UUID, list[Execution]] = {}
    for execution in db.session.scalars(_mine(template).options(*CARD)):
        run = execution.template_run
        groups.setdefault(run.together if run and run.together else execution.id, []).append(execution)
    return [sorted(group, key=lambda execution: execution.id) for group in groups.values()]


def states(template: Template) -> list[tuple[uuid.UUID, State]]:
    """Of the same."""
    return [
        (id, state)
        for id, state in db.session.execute(_mine(template).with_only_columns(Execution.id, Execution.state))
    ]


def _mine(template: Template) -> Select[Execution]:
    return (
        select(Execution)
        .join(TemplateRun, TemplateRun.id == Execution.id)
        .where(
            TemplateRun.template_id == template.id,
            TemplateRun.case_id.is_(None),
            Execution.user_id == current_user.id,
            Execution.origin == Origin.PLAYGROUND,
            Execution.deleted_at.is_(None),
        )
        .order_by(TemplateRun.created_at.desc(), TemplateRun.id.desc())
        .limit(TRIED)
    )


def asked_together(template: Template, together: uuid.UUID) -> list[Execution]:
    """Runs that were started to be compared, in the order in which they were asked."""
    query = (
        select(Execution)
        .join(TemplateRun, TemplateRun.id == Execution.id)
        .where(
            TemplateRun.template_id == template.id,
            TemplateRun.together == together,
            TemplateRun.case_id.is_(None),
            Execution.deleted_at.is_(None),
        )
        .order_by(TemplateRun.id)
        .options(joinedload(Execution.body), joinedload(Execution.model), joinedload(Execution.template_run))
    )
    return list(db.session.scalars(query))


def runs_of(template: Template, page: int, size: int) -> tuple[list[TemplateRun], bool]:
    """All of its runs, programs' too, the latest first; and are there more?"""
    query = (
        select(TemplateRun)
        .join(TemplateRun.execution)
        .where(TemplateRun.template_id == template.id, Execution.deleted_at.is_(None))
        .order_by(TemplateRun.created_at.desc(), TemplateRun.id.desc())
        .limit(size + 1)
        .offset((page - 1) * size)
        .options(
            contains_eager(TemplateRun.execution).joinedload(Execution.model),
            contains_eager(TemplateRun.execution).joinedload(Execution.user),
            joinedload(TemplateRun.case),
        )
    )
    runs = list(db.session.scalars(query))
    return runs[:size], len(runs) > size


def versions_of(template: Template, page: int, size: int) -> tuple[list[TemplateVersion], bool]:
    query = (
        select(TemplateVersion)
        .where(TemplateVersion.template_id == template.id)
        .order_by(TemplateVersion.number.desc())
        .limit(size + 1)
        .offset((page - 1) * size)
        .options(defer(TemplateVersion.content), joinedload(TemplateVersion.author))
    )
    versions = list(db.session.scalars(query))
    return versions[:size], len(versions) > size
