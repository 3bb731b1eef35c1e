"""POST /v1/responses."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from ...models import Project
from ..continued import conversation, with_items
from ..inbound import Inbound
from ..json_body import checked
from ..stored_prompts import OWN, named
from . import responses_answer
from .responses_request import ReasoningConfig, ResponsesRequest


def read(body: dict[str, Any], project: Project) -> Inbound:
    """Raises Refused: 400 naming the first field that is wrong, 404 for an answer to go on from that is not there."""
    stored = named(body, body.get("model"))
    body = {**body, "input": with_items(project, body["input"])} if "input" in body else body
    asked = checked({"model": OWN, **body} if stored else body, ResponsesRequest)
    if not stored or asked.input:
        asked.refuse_what_cannot_be_sent()
    prompt, echo = asked.prompt(), _echo(asked, body)
    if asked.previous_response_id:
        before = conversation(project, asked.previous_response_id, keeps_system=not asked.instructions)
        prompt = replace(prompt, messages=(*before, *prompt.messages))
        stored = replace(stored, goes_on=True) if stored else None
    whole = partial(responses_answer.response, echo)
    return Inbound(asked.model, prompt, whole, responses_answer.events(echo), stored=stored, is_continued=True)


def _echo(asked: ResponsesRequest, body: dict[str, Any]) -> responses_answer.Echo:
    parallel, thinking = asked.parallel_tool_calls, asked.reasoning or ReasoningConfig()
    return {
        "instructions": asked.instructions,
        "max_output_tokens": asked.max_output_tokens,
        "metadata": asked.metadata or {},
        "parallel_tool_calls": True if parallel is None else parallel,
        "previous_response_id": asked.previous_response_id,
        "reasoning": {"effort": thinking.effort, "summary": thinking.told},
        "temperature": asked.temperature,
        "text": body.get("text") or {"format": {"type": "text"}},
        "tool_choice": body.get("tool_choice") or "auto",
        "tools": body.get("tools") or [],
        "top_p": asked.top_p,
        "truncation": "disabled",
    }
