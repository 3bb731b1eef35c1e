"""The way on for a program that a limit stopped: the page where its people see which one, and ask for more of it."""

from __future__ import annotations

from dataclasses import replace

from flask import current_app, url_for

from ..api_errors import Problem
from ..extensions import db
from ..models import Organization
from ..models.records import RunRecord
from ..router.types import Failure

OVER, TOO_FAST = "over_limit", "rate_limit_exceeded"


def with_the_way(problem: Problem, failure: Failure, execution: RunRecord) -> Problem:
    """Its `url`, and the same in its words, where a limit of ours refused it: the run's page, which offers whoever
    opens it what they may do: raise it, or ask."""
    if failure.sent or failure.code not in (OVER, TOO_FAST):
        return problem
    slug = db.session.get_one(Organization, execution.organization_id).slug
    path = url_for("playground.execution", slug=slug, id=execution.id)
    url = f"{current_app.extensions['dataelan_settings'].public_url}{path}"
    return replace(problem, message=f"{problem.message} Ask for more: {url}", url=url)
