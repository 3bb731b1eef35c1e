"""The way on for a program that names what is not there: the names most like it, of those that it may ask for."""

from __future__ import annotations

from dataclasses import replace

from rapidfuzz import process

from ..api_errors import Problem
from ..router.plan import NO_SUCH_MODEL
from ..router.types import Failure
from .model_lists import listed
from .tokens import authenticate

MOST = 3
LIKE, BESIDE = 70, 8
"""Of 100, by `rapidfuzz.fuzz.WRatio`: a slip of the pen has 90, a part of a name too, and an older version 70; and how
much less the others may have than the one that is most like it."""


def with_near_names(problem: Problem, failure: Failure, requested: str) -> Problem:
    """Of a call that was not made, as no model, rule or prompt is called so. Raises Refused where its token is over."""
    if failure.sent or failure.code != NO_SUCH_MODEL:
        return problem
    names = [one.name for one in listed(authenticate())]
    near = process.extract(requested, names, processor=str.lower, score_cutoff=LIKE, limit=MOST)
    meant = [name for name, like, _ in near if like >= near[0][1] - BESIDE]
    asked = f"Did you mean {' or '.join(meant)}? " if meant else ""
    return replace(problem, message=f"{problem.message} {asked}GET /v1/models lists them.")
