"""What the model picker offers: rules, and models one can use now, by provider."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from sqlalchemy import or_, select

from ..executions.candidates import usable_models
from ..extensions import db
from ..models import Project, Provider, RoutingRule
from ..router.candidates import Candidate


def model_options(project: Project) -> dict[str, Any]:
    """{rules: [name…], groups: [(provider, [{value, name, input, output, simulated}])]}; prices per 1M tokens."""
    offered = [c for c in usable_models(db.session, project) if c.model_type in ("TEXT", "CODE")]
    ids = {candidate.provider_id for candidate in offered}
    slugs = dict(db.session.execute(select(Provider.id, Provider.slug).where(Provider.id.in_(ids))).all())
    offered.sort(key=lambda c: (c.is_simulated, c.provider.lower(), str(c.provider_id)))
    groups = [
        (name, [_option(candidate, slugs[candidate.provider_id]) for candidate in group])
        for (name, _), group in groupby(offered, key=lambda c: (c.provider, c.provider_id))
    ]
    return {"rules": _rules(project), "groups": groups}


def _option(candidate: Candidate, slug: str) -> dict[str, Any]:
    rates = candidate.rates
    return {
        "value": f"{slug}/{candidate.model}",
        "name": candidate.model,
        "input": rates.input if rates else None,
        "output": rates.output if rates else None,
        "simulated": candidate.is_simulated,
    }


def _rules(project: Project) -> list[str]:
    return list(
        db.session.scalars(
            select(RoutingRule.name)
            .where(
                RoutingRule.is_enabled,
                or_(RoutingRule.organization_id == project.organization_id, RoutingRule.organization_id.is_(None)),
                or_(RoutingRule.project_id == project.id, RoutingRule.project_id.is_(None)),
            )
            .order_by(RoutingRule.priority)
        )
    )
