"""JSON that no schema describes further: OpenAI's `json_object`, Gemini's `application/json`. A prompt has it as a
schema that says nothing but that it is an object. As a schema it is refused by some (Anthropic and Cohere want more
said of an object) and by those that know this mode alone (api-docs.deepseek.com/guides/json_mode)."""

from __future__ import annotations

from dataclasses import replace

from dataelan_web.router.types import Message, Prompt, TextPart

ANY_OBJECT = {"type": "object"}
SAID = "Answer with one JSON object and nothing else: no words before or after it, and no code fence."


def is_asked(prompt: Prompt) -> bool:
    return prompt.schema is not None and not prompt.schema_told and dict(prompt.schema) == ANY_OBJECT


def named(prompt: Prompt) -> Prompt:
    """For OpenAI's way, which is refused where no message speaks of JSON (its reference of `response_format`)."""
    is_named = not is_asked(prompt) or any("json" in message.text.lower() for message in prompt.messages)
    return prompt if is_named else _said(prompt)


def in_words(prompt: Prompt) -> Prompt:
    """For who has no such mode."""
    return replace(_said(prompt), schema=None) if is_asked(prompt) else prompt


def _said(prompt: Prompt) -> Prompt:
    return replace(prompt, messages=(*prompt.messages, Message("system", (TextPart(SAID),))))
