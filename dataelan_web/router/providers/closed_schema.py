"""JSON Schema for who demands of each object that nothing may be added to it: Anthropic, in its own API and in Bedrock
(platform.claude.com/docs/en/build-with-claude/structured-outputs). Google's clients never say so, OpenAI's only where
they are strict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

AS_IT_IS = {"enum", "const", "default", "examples", "required", "allOf"}
"""Values, and parts of which each says only some of the properties."""
SAY_MORE = {"additionalProperties", "patternProperties", "allOf", "anyOf", "oneOf", "$ref", "if"}
BY_NAME = {"properties", "$defs", "definitions"}


def closed(schema: Any) -> Any:
    """What satisfies it satisfies the schema as it was. An object that is said to be open, that names no property, or
    of which more is said beside, stays as it is: closed it would be another."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, Mapping):
        return schema
    made = {name: _within(name, value) for name, value in schema.items()}
    is_open = bool(made.get("properties")) and not made.keys() & SAY_MORE
    return made | {"additionalProperties": False} if is_open else made


def _within(name: str, value: Any) -> Any:
    if name in BY_NAME and isinstance(value, Mapping):
        return {key: closed(one) for key, one in value.items()}
    return value if name in AS_IT_IS else closed(value)
