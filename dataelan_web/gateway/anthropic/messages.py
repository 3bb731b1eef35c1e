"""POST /v1/messages and /v1/messages/count_tokens."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..inbound import Inbound
from ..json_body import checked
from ..stored_prompts import OWN, named
from . import messages_answer
from .messages_request import CountRequest, MessagesRequest


def read(body: dict[str, Any]) -> Inbound:
    """Raises Refused (400) naming the first field that is wrong."""
    stored = named(body, body.get("model"))
    asked = checked({"model": OWN, **body} if stored else body, MessagesRequest)
    if not stored or asked.messages:
        asked.refuse_what_cannot_be_sent()
    prompt = asked.prompt()
    top_k = {"top_k": asked.top_k} if asked.top_k is not None else {}
    prompt = replace(
        prompt,
        max_tokens=asked.max_tokens,
        temperature=asked.temperature,
        top_p=asked.top_p,
        stop=tuple(asked.stop_sequences or ()),
        options={**prompt.options, **top_k},
        stream=bool(asked.stream),
    )
    return Inbound(asked.model, prompt, messages_answer.message, messages_answer.Events, stored=stored)


def to_count(body: dict[str, Any]) -> Inbound:
    """Raises Refused (400) naming the first field that is wrong."""
    asked = checked(body, CountRequest)
    return Inbound(asked.model, asked.prompt(), messages_answer.message)
