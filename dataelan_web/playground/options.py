"""What the model picker offers: rules, and models one can use now, by provider."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from sqlalchemy import or_, select

from ..executions.candidates import usable_models
from ..extensions import db
from ..formats import price
from ..models import ModelType, Project, Provider, RoutingRule
from ..router.candidates import Candidate
from ..router.parameters import omitted
from ..router.plan import compatible
from ..router.pricing import Rates
from ..router.types import Task

MILLION = 1_000_000


def model_options(project: Project, model_type: ModelType = ModelType.TEXT, task: Task = Task.CHAT) -> dict[str, Any]:
    """{rules: [name…], groups: [(provider, [{value, name, price, simulated, omits, most}])]} for one task of a type
    of session. `omits`: parameters it does not take; `most`: output tokens."""
    types = compatible(model_type.value)
    offered = [c for c in usable_models(db.session, project) if c.model_type in types and c.task is task]
    ids = {candidate.provider_id for candidate in offered}
    slugs = dict(db.session.execute(select(Provider.id, Provider.slug).where(Provider.id.in_(ids))).all())
    offered.sort(key=lambda c: (c.is_simulated, c.provider.lower(), str(c.provider_id)))
    groups = [
        (name, [_option(candidate, slugs[candidate.provider_id]) for candidate in group])
        for (name, _), group in groupby(offered, key=lambda c: (c.provider, c.provider_id))
    ]
    return {"rules": _rules(project, types), "groups": groups}


def values_of(options: dict[str, Any]) -> set[str]:
    """Every model it offers."""
    return {model["value"] for _, models in options["groups"] for model in models}


def _option(candidate: Candidate, slug: str) -> dict[str, Any]:
    return {
        "value": f"{slug}/{candidate.model}",
        "name": candidate.model,
        "price": "simulated" if candidate.is_simulated else _price(candidate.rates),
        "simulated": candidate.is_simulated,
        "omits": " ".join(sorted(omitted(candidate))),
        "most": candidate.max_output_tokens if candidate.task is Task.CHAT else None,
    }


def _price(rates: Rates | None) -> str:
    """The price in the unit that tells most."""
    if rates is None:
        return "price unknown"
    if rates.is_free:
        return "free"
    for nano, unit in (
        (rates.per_image, "a picture"),
        (rates.per_second and rates.per_second * 60, "a minute"),
        (rates.per_character and rates.per_character * MILLION, "per 1M characters"),
    ):
        if nano:
            return f"{price(nano)} {unit}"
    output = rates.output_image or rates.output_audio or rates.output
    return f"{price(rates.input)} in, {price(output)} out" if output else f"{price(rates.input)} in"


def _rules(project: Project, types: tuple[str, ...]) -> list[str]:
    return list(
        db.session.scalars(
            select(RoutingRule.name)
            .where(
                RoutingRule.is_enabled,
                RoutingRule.deleted_at.is_(None),
                RoutingRule.model_type.in_(types),
                or_(RoutingRule.organization_id == project.organization_id, RoutingRule.organization_id.is_(None)),
                or_(RoutingRule.project_id == project.id, RoutingRule.project_id.is_(None)),
            )
            .order_by(RoutingRule.priority)
        )
    )
