from __future__ import annotations

from flask import Response, jsonify

from ..executions.candidates import rules_for, usable_models
from ..extensions import db
from ..models import ModelType
from . import stored_prompts
from .answering import answered, json_body
from .blueprint import bp
from .openai import chat
from .tokens import authenticate


@bp.get("/v1/models")
def models() -> Response:
    """What this project can name as `model`: its models, its rules, its prompts, and `auto`."""
    token = authenticate()
    rules = rules_for(db.session, token.project, "auto", ModelType.TEXT)
    names = [("auto", "dataelan"), *((rule.name, "dataelan") for rule in rules if rule.id)]
    names += [(candidate.model, candidate.provider) for candidate in usable_models(db.session, token.project)]
    names += [(name, "dataelan") for name in stored_prompts.names(token.project)]
    unique = dict(reversed(names))
    data = [{"id": name, "object": "model", "created": 0, "owned_by": unique[name]} for name in dict(names)]
    return jsonify(object="list", data=data)


@bp.post("/v1/chat/completions")
def chat_completions() -> Response:
    return answered(lambda: chat.read(json_body()))
