"""A small value that satisfies a JSON Schema: the arguments of a tool call, or a structured answer."""

from __future__ import annotations

import re
from typing import Any

DEEP = 8  # below this, objects hold only what is required: a recursive schema must come to an end
BOTTOM = 16
LARGEST = 2000  # values in all; what is asked for beyond is null
FORMATS = {
    "date": "2026-01-15",
    "date-time": "2026-01-15T12:00:00Z",
    "time": "12:00:00Z",
    "email": "ada@example.org",
    "uri": "https://example.org/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def sample(schema: Any, prompt: str) -> Any:
    return _Sampler(schema, prompt).value(schema, "", 0)


class _Sampler:
    """Strings and numbers are taken from the prompt where it offers some, so that they look meant."""

    def __init__(self, root: Any, prompt: str):
        self.root = root
        self.left = LARGEST
        self.names = re.findall(r"(?<=[a-z,:] )[A-Z][a-zà-ÿ]+(?: [A-Z][a-zà-ÿ]+)*", prompt[:2000])
        self.numbers = re.findall(r"\b\d{1,6}\b", prompt[:2000])

    def value(self, schema: Any, name: str, depth: int) -> Any:
        self.left -= 1
        if not isinstance(schema, dict) or depth > BOTTOM or self.left < 0:
            return None
        for word in ("const", "default"):
            if word in schema:
                return schema[word]
        for word in ("enum", "examples"):
            if isinstance(schema.get(word), list) and schema[word]:
                return schema[word][0]
        if "$ref" in schema:
            return self.value(self._referred(schema["$ref"]), name, depth + 1)
        for word in ("anyOf", "oneOf", "allOf"):
            if isinstance(schema.get(word), list) and schema[word]:
                return self.value(schema[word][0], name, depth + 1)
        return self._typed(schema, name, depth)

    def _typed(self, schema: dict[str, Any], name: str, depth: int) -> Any:
        kind = schema.get("type", "object" if "properties" in schema else "string")
        match kind[0] if isinstance(kind, list) and kind else kind:
            case "object":
                return self._object(schema, depth)
            case "array":
                items, count = schema.get("items", {"type": "string"}), 0 if depth > DEEP else 1
                count = min(max(_whole(schema.get("minItems"), 0), count), 20)
                return [self.value(items, name, depth + 1) for _ in range(count)]
            case "integer":
                return int(self._number(schema))
            case "number":
                return self._number(schema)
            case "boolean":
                return True
            case "null":
                return None
        return self._string(schema, name)

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties")
        required = schema.get("required")
        if not isinstance(properties, dict):
            return {}
        if depth > DEEP:
            properties = {name: properties[name] for name in required or () if name in properties}
        return {name: self.value(one, name, depth + 1) for name, one in list(properties.items())[:100]}

    def _number(self, schema: dict[str, Any]) -> float:
        number: float = int(self.numbers[0]) if self.numbers else 1
        if isinstance(low := schema.get("minimum"), int | float):
            number = max(number, low)
        if isinstance(high := schema.get("maximum"), int | float):
            number = min(number, high)
        return number

    def _string(self, schema: dict[str, Any], name: str) -> str:
        found = self.names[0] if self.names else f"example {name}".strip()
        text = FORMATS.get(str(schema.get("format")), found)
        text = text.ljust(min(_whole(schema.get("minLength"), 0), 1000), ".")
        return text[: _whole(schema.get("maxLength"), 1000)]

    def _referred(self, reference: Any) -> Any:
        target = self.root
        for step in str(reference).removeprefix("#").strip("/").split("/"):
            if step and isinstance(target, dict):
                target = target.get(step.replace("~1", "/").replace("~0", "~"))
        return target


def _whole(value: Any, otherwise: int) -> int:
    return value if isinstance(value, int) and value >= 0 else otherwise
