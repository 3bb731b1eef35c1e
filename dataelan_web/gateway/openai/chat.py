"""POST /v1/chat/completions."""

from __future__ import annotations

from typing import Any

from ..inbound import Inbound
from ..json_body import checked
from ..stored_prompts import OWN, named
from . import chat_answer
from .chat_request import ChatRequest


def read(body: dict[str, Any]) -> Inbound:
    """Raises Refused (400) naming the first field that is wrong."""
    stored = named(body, body.get("model"))
    asked = checked({"model": OWN, "messages": [], **body} if stored else body, ChatRequest)
    if not stored or asked.messages:
        asked.refuse_what_cannot_be_sent()
    return Inbound(
        asked.model,
        asked.prompt(),
        chat_answer.completion,
        lambda execution, model: chat_answer.Chunks(execution, model, asked.includes_usage),
        stored=stored,
    )
