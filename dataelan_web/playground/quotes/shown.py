"""A quote as it stands beside Run."""

from __future__ import annotations

import uuid

from flask import Response

from ...executions.candidates import AUTO
from ...router.prompt import Prompt
from ...web import piece
from . import kept, words
from .reckoning import reckon
from .where import Where


def quote(where: Where, prompt: Prompt, requested: str, user_id: uuid.UUID, asked: str) -> Response:
    """`asked`: see kept.seal."""
    found = reckon(where, prompt, requested, user_id)
    rule = found.foresight.plan.rule
    return piece(
        "playground/quotes/quote.html",
        reckoning=found,
        said=words.said(found),
        record=kept.record(where),
        token=kept.seal(asked, found),
        is_chosen_by_rule=requested == AUTO or (rule and rule.id),
    )


def line(where: Where, prompt: Prompt, requested: str, user_id: uuid.UUID) -> Response:
    """Beside a Run of a small form: what it costs and how long it takes, and what would stop it."""
    found = reckon(where, prompt, requested, user_id)
    return piece("playground/quotes/line.html", said=words.said(found), is_chosen_by_rule=True, is_alone=True)


def nothing() -> Response:
    """It could not be run as it stands."""
    return piece("playground/quotes/quote.html")
