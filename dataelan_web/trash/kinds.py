"""The kinds of things that one can delete: what each is called, and where it is found when it is back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import url_for
from sqlalchemy import or_, select

from .. import place, quota
from ..extensions import db
from ..models import (
    Annotation,
    Asset,
    Base,
    Batch,
    BatchCheck,
    Budget,
    Comment,
    DeclaredAction,
    Execution,
    Project,
    PromptSession,
    RateLimit,
    RoutingRule,
    SavedView,
    Template,
    TemplateCase,
    Unit,
    Webhook,
    Window,
)
from ..notify import words


@dataclass(frozen=True)
class Kind:
    name: str
    """In addresses, and in the audit log: `session.deleted`."""
    model: Any
    noun: str
    icon: str
    title: Callable[[Any], str]
    url: Callable[[Any], str]
    is_operators: bool = False
    """The operator has such things too, and a trash for them."""

    @property
    def nouns(self) -> str:
        return f"{self.noun}{'es' if self.noun.endswith('ch') else 's'}"


def _words(text: str, most: int = 120) -> str:
    line = " ".join(text[: 4 * most].split())
    return f"{line[:most].rstrip()}…" if len(line) > most else line


def _run_title(run: Execution) -> str:
    return _words(run.prompt.text if run.prompt else "") or f"A run of {run.requested}"


def _run_url(run: Execution) -> str:
    if run.session_id is None:
        return url_for("playground.execution", id=run.id)
    return url_for("playground.show", id=run.session_id, run=run.id, _anchor=f"run-{run.id}")


def _project_url(project: Project) -> str:
    return url_for("projects.show", id=project.id)


def _session_url(session: PromptSession) -> str:
    return url_for("playground.show", id=session.id)


def _template_url(template: Template) -> str:
    return url_for("prompts.show", id=template.id)


def _case_url(case: TemplateCase) -> str:
    return url_for("prompts.all_cases", id=case.template_id)


def _comment_url(comment: Comment) -> str:
    return url_for("playground.execution", id=comment.execution_id, _anchor=f"run-{comment.execution_id}-talk")


def _batch_url(batch: Batch) -> str:
    return url_for("batches.show", id=batch.id)


def _check_url(check: BatchCheck) -> str:
    return url_for("batches.show", id=check.batch_id)


def _check_title(check: BatchCheck) -> str:
    said = check.settings.get("model") or check.settings.get("text", "")
    return f"{check.kind.value.capitalize()}: {_words(said, 80)}"


def _action_url(action: DeclaredAction) -> str:
    return url_for("actions.show", id=action.id)


def _limit_title(budget: Budget) -> str:
    per = "in all" if budget.window is Window.TOTAL else f"per {budget.window.value}"
    return f"{words.subject(db.session, budget)}: {quota.said(budget.unit, budget.limit)} {per}"


def _limit_url(budget: Budget) -> str:
    return place.url("limits", "limit", id=budget.id)


def _rate_title(rate: RateLimit) -> str:
    minute = ((Unit.REQUESTS, rate.requests_per_minute), (Unit.TOKENS, rate.tokens_per_minute))
    said = [f"{quota.said(unit, most)} a minute" for unit, most in minute if most is not None]
    said += [f"{rate.parallel:,} at once"] if rate.parallel is not None else []
    return f"{words.subject(db.session, rate)}: {', '.join(said)}"


def _rate_url(rate: RateLimit) -> str:
    return place.url("limits", "overview", _anchor=f"rate-{rate.id}")


def _rule_url(rule: RoutingRule) -> str:
    return place.url("hub", "rules_page")


def _webhook_url(webhook: Webhook) -> str:
    return url_for("notices.webhook", id=webhook.id)


def _view_url(view: SavedView) -> str:
    return url_for("dashboards.views")


def _note_url(note: Annotation) -> str:
    return url_for("dashboards.show", range="30d")


def _file_url(file: Asset) -> str:
    if file.is_kept:
        return url_for("playground.files", id=file.project_id)
    mine = or_(Execution.id == file.execution_id, Execution.prompt_id == file.prompt_id)
    run = db.session.scalars(select(Execution).where(mine, Execution.deleted_at.is_(None)).limit(1)).first()
    return _run_url(run) if run else url_for("projects.show", id=file.project_id)


KINDS = {
    kind.name: kind
    for kind in (
        Kind("project", Project, "project", "folder", lambda row: row.name, _project_url),
        Kind("session", PromptSession, "session", "message-square", lambda row: row.title, _session_url),
        Kind("prompt", Template, "saved prompt", "scroll-text", lambda row: row.name, _template_url),
        Kind("case", TemplateCase, "saved case", "check-check", lambda row: row.name, _case_url),
        Kind("batch", Batch, "batch", "layers", lambda row: row.name, _batch_url),
        Kind("check", BatchCheck, "batch check", "check", _check_title, _check_url),
        Kind("action", DeclaredAction, "declared action", "zap", lambda row: row.name, _action_url),
        Kind("run", Execution, "run", "activity", _run_title, _run_url),
        Kind("file", Asset, "file", "paperclip", lambda row: row.name, _file_url),
        Kind("comment", Comment, "comment", "reply", lambda row: _words(row.text), _comment_url),
        Kind("view", SavedView, "saved view", "layout-dashboard", lambda row: row.name, _view_url),
        Kind("note", Annotation, "note", "pencil", lambda row: _words(row.text), _note_url),
        Kind("limit", Budget, "limit", "gauge", _limit_title, _limit_url, is_operators=True),
        Kind("rate", RateLimit, "speed limit", "timer", _rate_title, _rate_url, is_operators=True),
        Kind("rule", RoutingRule, "routing rule", "route", lambda row: row.name, _rule_url, is_operators=True),
        Kind("webhook", Webhook, "webhook", "webhook", lambda row: row.label, _webhook_url),
    )
}


def kind_of(row: Base) -> Kind:
    return next(kind for kind in KINDS.values() if isinstance(row, kind.model))


def undo_url(row: Base) -> str:
    """Where to POST to take it out of the trash again."""
    return place.undo_url(kind_of(row).name, row.id)
