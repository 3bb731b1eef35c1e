"""Gemini's own schema → JSON Schema. It is OpenAPI's with types in capitals, `nullable`, and numbers as text.

Source: googleapis/python-genai, types.Schema.
"""

from __future__ import annotations

import re
from typing import Any

NUMBER = re.compile(r"[0-9]{1,9}")
COUNTS = {f"{end}{what}" for end in ("min", "max") for what in ("Items", "Length", "Properties")}
AS_IT_IS = {"enum", "required", "default", "example", "const"}
BY_NAME = {"properties": "properties", "defs": "$defs"}
"""What holds schemas by names of the program's own, and what JSON Schema calls it."""


def json_schema(schema: Any) -> Any:
    if isinstance(schema, list):
        return [json_schema(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made: dict[str, Any] = {}
    for name, value in schema.items():
        plain = re.sub(r"_([a-z])", lambda found: found[1].upper(), name)
        if plain in BY_NAME and isinstance(value, dict):
            made[BY_NAME[plain]] = {key: json_schema(one) for key, one in value.items()}
        elif plain == "ref" and isinstance(value, str):
            made["$ref"] = value.replace("#/defs/", "#/$defs/", 1)
        elif plain == "type" and isinstance(value, str):
            made[plain] = value.lower()
        elif plain in AS_IT_IS:
            made[plain] = value
        elif plain in COUNTS and NUMBER.fullmatch(str(value)):
            made[plain] = int(value)
        elif plain not in ("nullable", "propertyOrdering"):
            made[plain] = json_schema(value)
    return _nullable(made) if schema.get("nullable") is True else made


def _nullable(made: dict[str, Any]) -> dict[str, Any]:
    """Nothing is as good as any of what it says, wherever it says what is good."""
    if isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
    if isinstance(made.get("enum"), list) and None not in made["enum"]:
        made["enum"] = [*made["enum"], None]
    if isinstance(made.get("anyOf"), list):
        made["anyOf"] = [*made["anyOf"], {"type": "null"}]
    return made
