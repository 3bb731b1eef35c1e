"""What the page of one model shows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from flask import g
from sqlalchemy import func, select

from ... import access
from ...executions import votes
from ...extensions import db
from ...models import Execution, Model, Price, Project, State, User, now
from ...models.base import NIL
from ...router.providers import KINDS
from ..endings import replacements
from ..endings.dependents import uses_of
from . import browse, catalogue, corrections, parameters, prices
from .browse import FOR_PROGRAMS, Line
from .prices import Amount
from .purpose import sought_of

RECENT = timedelta(days=30)


@dataclass(frozen=True)
class Recent:
    """What this organization did with it in the last 30 days."""

    runs: int
    failed: int
    spent: int | None
    unpriced: int
    """Runs whose cost is unknown, which `spent` is without."""
    seconds: float | None
    """The median from asking to the end, of what was completed."""
    first_token: float | None


@dataclass(frozen=True)
class Version:
    """A row of the price book as its history shows it."""

    price: Price
    state: str
    """in force, to come, ended, replaced, or overridden: everyone's, while there is one of its own"""
    by: str

    @property
    def amounts(self) -> list[Amount]:
        return prices.amounts(self.price)


def page_of(line: Line) -> dict[str, Any]:
    """The template's context."""
    model, provider = line.model, line.model.provider
    use = uses_of([line])[line.id]
    is_own, may_administer = model.organization_id == g.organization.id, access.may(access.ADMINISTER)
    others = browse.lines(Model.provider_id == provider.id) if line.ends else []
    return {
        "line": line,
        "model": model,
        "known": catalogue.look_up(provider.catalogue, model.name),
        "amounts": prices.amounts(line.price) if line.price else [],
        "variants": prices.variants(line.price) if line.price else [],
        "price_classes": prices.BY_NAME,
        "refused": parameters.in_words(model),
        "refusable": parameters.refusable_by(model),
        "abilities": sought_of(model.name, model.task, line.capabilities),
        "said": corrections.said(line.correction),
        "catalogues_abilities": sought_of(model.name, model.task, model.capabilities),
        "versions": versions(line),
        "use": use,
        "recent": recent(model),
        "votes": votes.of_models(db.session, g.organization.id, {model.id}).get(model.id, {}),
        "replacement": replacements.replacement_for(line, others) if line.ends else None,
        "projects": _projects() if is_playable(model) else [],
        "is_own": is_own,
        "may_administer": may_administer,
    }


def versions(line: Line) -> list[Version]:
    rows = prices.history(line.model, g.organization)
    ids = {price.created_by for price in rows if price.created_by}
    names = dict(db.session.execute(select(User.id, User.name).where(User.id.in_(ids))).all())
    return [Version(price, _state(price, rows, line.price), names.get(price.created_by or NIL, "")) for price in rows]


def _state(price: Price, rows: list[Price], in_force: Price | None) -> str:
    moment = now()
    if in_force and price.id == in_force.id:
        return "in force"
    if price.ends_at and price.ends_at <= max(moment, price.effective_at):
        return "ended"
    if price.effective_at > moment:
        return "to come"
    newest = next(row for row in rows if row.effective_at <= moment and row.organization_id == price.organization_id)
    return "overridden" if price.organization_id is None and price.id == newest.id else "replaced"


def recent(model: Model) -> Recent:
    done = Execution.state == State.COMPLETED
    took = func.extract("epoch", Execution.finished_at - Execution.created_at)
    first = func.extract("epoch", Execution.first_token_at - Execution.created_at)
    row = db.session.execute(
        select(
            func.count(),
            func.count().filter(Execution.state == State.FAILED),
            func.sum(Execution.cost),
            func.count().filter(done, Execution.cost.is_(None)),
            func.percentile_cont(0.5).within_group(took).filter(done),
            func.percentile_cont(0.5).within_group(first).filter(done),
        ).where(
            Execution.organization_id == g.organization.id,
            Execution.model_id == model.id,
            Execution.created_at > now() - RECENT,
        )
    ).one()
    runs, failed, spent, unpriced, took_usually, first_usually = row
    return Recent(runs, failed, None if spent is None else int(spent), unpriced, took_usually, first_usually)


def is_playable(model: Model) -> bool:
    """Is there an adapter for what it makes, and is that for a person to look at?"""
    return model.task not in FOR_PROGRAMS and model.task in KINDS.get(model.provider.kind, {})


def _projects() -> list[Project]:
    if not access.may(access.EDIT):
        return []
    return list(db.session.scalars(access.scoped(Project).order_by(Project.created_at).limit(200)))
