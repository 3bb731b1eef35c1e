"""What a row is in, and how one comes from it to there: a project, a session, a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Select, select
from sqlalchemy.orm import aliased

from . import (
    ActionCall,
    Annotation,
    Asset,
    Base,
    Batch,
    BatchCheck,
    Budget,
    Collaborator,
    Comment,
    Comparison,
    CopiedAnswer,
    DeclaredAction,
    Execution,
    GatewayToken,
    Increase,
    Model,
    Project,
    Prompt,
    PromptSession,
    RateLimit,
    RoutingRule,
    SavedView,
    Template,
    TemplateCase,
    Webhook,
)
from .base import first_of

Row = TypeVar("Row", bound=Base)

_Run = aliased(Execution)

HOLDERS: dict[type[Base], tuple[Any, ...]] = {
    Project: (Project,),
    PromptSession: (Project, PromptSession),
    Comparison: (Project, PromptSession),
    Batch: (Project, Batch),
    BatchCheck: (Project, Batch, BatchCheck),
    Execution: (Project, PromptSession, Batch, Execution),
    Asset: (Project, PromptSession, Batch, Execution, Asset),
    Comment: (Project, PromptSession, Batch, Execution, Comment),
    GatewayToken: (Project,),
    Collaborator: (Project,),
    Template: (Project, Template),
    TemplateCase: (Project, Template, TemplateCase),
    DeclaredAction: (Project, DeclaredAction),
    ActionCall: (Project, PromptSession, Execution),
    Increase: (Budget, RateLimit),
    **{model: (model,) for model in (Annotation, Budget, RateLimit, RoutingRule, SavedView, Webhook)},
}
"""What a row is in, from outside inwards, as far as it can be in the trash."""


def joined(model: type[Row]) -> Select[Row]:
    return _JOINS.get(model, _itself)(select(model))


def _itself(query: Select[Any]) -> Select[Any]:
    return query


def _asset(query: Select[Any]) -> Select[Any]:
    """A file of a prompt is in the trash with the last of the prompt's runs."""
    runs = select(_Run.id).where(_Run.prompt_id == Asset.prompt_id)
    is_left_over = runs.exists() & ~runs.where(_Run.deleted_at.is_(None)).exists()
    session = first_of(Execution.session_id, Prompt.session_id, CopiedAnswer.session_id)
    return (
        query.join(Project, Asset.project_id == Project.id)
        .outerjoin(Execution, Asset.execution_id == Execution.id)
        .outerjoin(Batch, Execution.batch_id == Batch.id)
        .outerjoin(Prompt, Asset.prompt_id == Prompt.id)
        .outerjoin(CopiedAnswer, Asset.copied_answer_id == CopiedAnswer.id)
        .outerjoin(PromptSession, PromptSession.id == session)
        .where(~is_left_over)
    )


_JOINS: dict[type[Base], Callable[[Select[Any]], Select[Any]]] = {
    Model: lambda query: query.join(Model.provider),
    PromptSession: lambda query: query.join(Project, PromptSession.project_id == Project.id),
    Comparison: lambda query: query.join(Comparison.session).join(Project, PromptSession.project_id == Project.id),
    Batch: lambda query: query.join(Project, Batch.project_id == Project.id),
    BatchCheck: lambda query: _JOINS[Batch](query.join(Batch, BatchCheck.batch_id == Batch.id)),
    Execution: lambda query: (
        query.outerjoin(PromptSession, Execution.session_id == PromptSession.id)
        .outerjoin(Batch, Execution.batch_id == Batch.id)
        .join(Project, first_of(PromptSession.project_id, Execution.project_id) == Project.id)
    ),
    Asset: _asset,
    Comment: lambda query: _JOINS[Execution](query.join(Comment.execution)),
    GatewayToken: lambda query: query.join(Project, GatewayToken.project_id == Project.id),
    Collaborator: lambda query: query.join(Project, Collaborator.project_id == Project.id),
    Increase: lambda query: query.outerjoin(Increase.budget).outerjoin(Increase.rate),
    Template: lambda query: query.join(Project, Template.project_id == Project.id),
    TemplateCase: lambda query: _JOINS[Template](query.join(TemplateCase.template)),
    DeclaredAction: lambda query: query.join(Project, DeclaredAction.project_id == Project.id),
    ActionCall: lambda query: _JOINS[Execution](query.join(Execution, ActionCall.execution_id == Execution.id)),
}
