"""Runs that were made, as the questions they put to the router: for asking what other rules would have done.

Their facts are those of then as far as they are kept: the prompt, the time of day, who asked and through which door.
What a member may do, how much of a budget is spent and how models answer is as it is now.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from sqlalchemy import func, select

from ... import quota
from ...executions import measures
from ...executions.facts import Facts, asked_by, request_of, time_at
from ...executions.prompts import from_json
from ...extensions import db
from ...models import Execution, ExecutionBody, GatewayToken, Membership, ModelType, Organization, Project, User
from ...models.executions import Payer
from ...router.candidates import Question
from ...router.rules import Rule
from ...router.types import Prompt, Usage
from .reach import Which

LARGEST = 256 * 1024
"""Bytes of a stored prompt (compressed) beyond which a run is left out: it would take too long to read."""
BATCH = 50


@dataclass(frozen=True)
class Run:
    id: uuid.UUID
    organization_id: uuid.UUID
    project_id: uuid.UUID
    model_type: ModelType
    requested: str
    prompt: Prompt
    question: Question
    """Without what was measured of models: that is as it is now."""
    usage: Usage
    seconds: float | None
    """From its start to its end."""


def runs(which: Which, limit: int, rules_of: Callable[[uuid.UUID], Iterable[Rule]]) -> Iterator[Run | None]:
    """The latest that are over, newest first; None for one too large to read. `rules_of`: an organization's, by its id:
    they say which facts of its runs matter."""
    rows = db.session.execute(_found(which, limit)).all()
    users = {row.Execution.user_id for row in rows}

    @cache
    def facts_of(id: uuid.UUID) -> _Facts:
        return _Facts(db.session.get_one(Organization, id), asked_by(rules_of(id)), users)

    for start in range(0, len(rows), BATCH):
        batch = rows[start : start + BATCH]
        ids = [row.Execution.id for row in batch if row.size <= LARGEST]
        bodies = {
            id: (request, said or {})
            for id, request, said in db.session.execute(
                select(ExecutionBody.id, ExecutionBody.request, ExecutionBody.receipt["prompt"]).where(
                    ExecutionBody.id.in_(ids)
                )
            )
        }
        for run in (row.Execution for row in batch):
            yield _run(run, *bodies[run.id], facts_of(run.organization_id)) if run.id in bodies else None


def _found(which: Which, limit: int) -> Any:
    query = (
        select(Execution, func.pg_column_size(ExecutionBody.request).label("size"))
        .join(ExecutionBody, ExecutionBody.id == Execution.id)
        .where(which.condition)
        .order_by(Execution.created_at.desc(), Execution.id.desc())
        .limit(limit)
    )
    return which.among(query)


def _run(row: Execution, request: dict[str, Any], said: dict[str, Any], facts: _Facts) -> Run:
    prompt = from_json(request)
    question = Question.of(prompt, row.model_type.value, facts.of(row))
    if isinstance(size := said.get("input_tokens_estimated"), int):  # with the files that came with it
        question = replace(question, input_tokens=size)
    usage = Usage(
        row.tokens_input,
        row.tokens_cache_read,
        row.tokens_cache_write,
        row.tokens_output,
        row.tokens_reasoning,
        **measures.from_json(row.measures),
    )
    took = (row.finished_at - row.started_at).total_seconds() if row.finished_at and row.started_at else None
    return Run(
        row.id, row.organization_id, row.project_id, row.model_type, row.requested, prompt, question, usage, took
    )


class _Facts:
    """What expressions ask beside the prompt, read once for all runs of one organization and only where some rule asks
    for it."""

    def __init__(self, organization: Organization, asked: set[str], users: set[uuid.UUID | None]):
        self.organization, self.asked, self.users = organization, asked, users
        self._members: dict[uuid.UUID, dict[str, Any]] | None = None
        self._tokens: dict[uuid.UUID, str] | None = None
        self._projects: dict[uuid.UUID, str] | None = None
        self._used: dict[tuple[Any, ...], int] = {}

    def of(self, row: Execution) -> Facts:
        readers = {
            "project": self._project,
            "member": self._member,
            "request": self._request,
            "time": self._time,
            "budget": self._budget,
        }
        return {name: read(row) for name, read in readers.items() if name in self.asked}

    def _time(self, row: Execution) -> dict[str, Any]:
        return time_at(row.created_at, self.organization.time_zone)

    def _project(self, row: Execution) -> dict[str, Any]:
        if self._projects is None:
            query = select(Project.id, Project.name).where(Project.organization_id == self.organization.id)
            self._projects = dict(db.session.execute(query).all())
        return {"name": self._projects.get(row.project_id, ""), "id": str(row.project_id)}

    def _member(self, row: Execution) -> dict[str, Any]:
        if row.user_id is None or row.token_id is not None:
            return {}
        if self._members is None:
            here = (Membership.user_id == User.id) & (Membership.organization_id == self.organization.id)
            query = select(User.id, User.email, Membership.role).outerjoin(Membership, here)
            self._members = {
                found.id: {"email": found.email, "role": found.role.value if found.role else "GUEST"}
                for found in db.session.execute(query.where(User.id.in_(self.users)))
            }
        return self._members.get(row.user_id, {})

    def _request(self, row: Execution) -> dict[str, Any]:
        if self._tokens is None:
            mine = select(Project.id).where(Project.organization_id == self.organization.id)
            query = select(GatewayToken.id, GatewayToken.label).where(GatewayToken.project_id.in_(mine))
            self._tokens = dict(db.session.execute(query).all())
        label = self._tokens.get(row.token_id, "") if row.token_id else ""
        return request_of(row, label)

    def _budget(self, row: Execution) -> dict[str, Any]:
        who = (row.organization_id, row.project_id, row.user_id, row.token_id)
        if who not in self._used:
            subjects = quota.Subjects(*who, None, None, None, Payer.NOBODY)
            self._used[who] = quota.used_percent(db.session, subjects)
        return {"used_percent": self._used[who]}
