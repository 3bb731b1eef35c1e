"""What a token can name as `model`, in the form of each API's list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..api_errors import Api
from ..executions.candidates import rules_for, slugs_of, usable_models
from ..extensions import db
from ..models import ModelType
from ..models.records import TokenRecord
from ..router.candidates import Candidate
from ..router.types import Task
from . import stored_prompts
from .errors import Refused

OURS = "dataelan"
BORN = "1970-01-01T00:00:00Z"
"""No provider's model has a birthday that is known here."""
METHODS = {Task.CHAT: ["generateContent", "streamGenerateContent", "countTokens"]}


@dataclass(frozen=True)
class Listed:
    name: str
    owner: str
    candidate: Candidate | None = None
    """None: a rule, a prompt, or `auto`."""
    whole_name: str = ""
    """provider/model"""


def listed(token: TokenRecord) -> list[Listed]:
    """`auto`, the project's rules, models and prompts, as far as this token may ask for them. Of one name, the first is
    meant."""
    project = token.project
    rules = rules_for(db.session, project, "auto", ModelType.TEXT)
    found = [Listed("auto", OURS), *(Listed(rule.name, OURS) for rule in rules if rule.id)]
    models = usable_models(db.session, project)
    slugs = slugs_of(db.session, models)
    found += [Listed(one.model, one.provider, one, f"{slugs[one.provider_id]}/{one.model}") for one in models]
    found += [Listed(name, OURS) for name in stored_prompts.names(project)]
    allowed = [named for one in found if (named := _as_allowed(token, one))]
    return list({one.name: one for one in reversed(allowed)}.values())[::-1]


def _as_allowed(token: TokenRecord, one: Listed) -> Listed | None:
    """Under the name by which this token may ask for it."""
    names = filter(None, (one.name, one.whole_name))
    return next((replace(one, name=name) for name in names if token.may_ask(name)), None)


def whole(found: list[Listed], api: Api) -> dict[str, Any]:
    if api is Api.GEMINI:
        return {"models": [described(one, api) for one in found]}
    data = [described(one, api) for one in found]
    if api is Api.ANTHROPIC:
        names: list[str | None] = [one.name for one in found] or [None]
        return {"data": data, "has_more": False, "first_id": names[0], "last_id": names[-1]}
    return {"object": "list", "data": data}


def one_of(found: list[Listed], name: str, api: Api) -> dict[str, Any]:
    """Raises Refused (404)."""
    for one in found:
        if name in (one.name, one.whole_name):
            return described(one, api)
    raise Refused(404, f"This project can use no model or rule that is called “{name}”.", "model_not_found", "model")


def described(one: Listed, api: Api) -> dict[str, Any]:
    return _FORMS[api](one)


def _openai(one: Listed) -> dict[str, Any]:
    return {"id": one.name, "object": "model", "created": 0, "owned_by": one.owner}


def _anthropic(one: Listed) -> dict[str, Any]:
    return {"type": "model", "id": one.name, "display_name": one.name, "created_at": BORN}


def _gemini(one: Listed) -> dict[str, Any]:
    task = one.candidate.task if one.candidate else Task.CHAT
    said: Mapping[str, Any] = {
        "inputTokenLimit": one.candidate.context_window if one.candidate else None,
        "outputTokenLimit": one.candidate.max_output_tokens if one.candidate else None,
    }
    made = {"name": f"models/{one.name}", "displayName": one.name, "supportedGenerationMethods": METHODS.get(task, [])}
    return made | {name: value for name, value in said.items() if value}


_FORMS = {Api.OPENAI: _openai, Api.ANTHROPIC: _anthropic, Api.GEMINI: _gemini}
