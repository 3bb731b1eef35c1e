"""POST /v1beta/models/{model}:generateContent and :streamGenerateContent, :countTokens."""

from __future__ import annotations

from typing import Any

from ..errors import Refused
from ..inbound import Inbound
from ..json_body import checked, storable
from ..stored_prompts import named
from . import generate_answer
from .generate_request import GenerateRequest, prompt_of

LONGEST = 200


def read(body: dict[str, Any], model: str, *, streams: bool, is_sse: bool) -> Inbound:
    """Raises Refused (400) naming the first field that is wrong."""
    model = _name(model)
    stored = named(body, model)
    asked = checked(body, GenerateRequest)
    if not stored or asked.contents:
        asked.refuse_what_cannot_be_sent()
    return Inbound(
        model,
        prompt_of(asked, streams=streams),
        generate_answer.document,
        generate_answer.documents(is_sse=is_sse),
        stored=stored,
        media_type="text/event-stream" if is_sse else "application/json",
    )


def to_count(body: dict[str, Any], model: str) -> Inbound:
    """The whole request may be wrapped, to count its system and tools too. Raises Refused (400)."""
    model = _name(model)
    wrapped = body.get("generateContentRequest") or body.get("generate_content_request")
    asked = checked(wrapped if isinstance(wrapped, dict) else body, GenerateRequest)
    return Inbound(model, prompt_of(asked, streams=False), generate_answer.document)


def _name(model: str) -> str:
    """The address names it, where other formats have a field that is checked."""
    if len(model) > LONGEST:
        raise Refused(400, f"model: a name has {LONGEST} characters at most.", "invalid_value", "model")
    return str(storable(model))
