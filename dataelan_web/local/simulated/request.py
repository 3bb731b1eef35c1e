"""A chat completion request as it arrived, read with suspicion and no more of it than is needed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

TOOL_CHOICES = ("auto", "none", "required")


@dataclass(frozen=True)
class Request:
    """`tool_choice` is `auto`, `none`, `required` or a tool's name; `schema` is None for free text."""

    model: str
    messages: list[dict[str, Any]]
    stream: bool
    include_usage: bool
    max_tokens: int | None
    has_temperature: bool
    stop: tuple[str, ...]
    tools: list[dict[str, Any]]
    tool_choice: str
    schema: dict[str, Any] | None

    @property
    def prompt(self) -> str:
        """The last user message's text: what is answered, and where directives are looked for."""
        users = [message for message in self.messages if message.get("role") == "user"]
        return text_of(users[-1]) if users else ""

    @property
    def images(self) -> int:
        contents = [message.get("content") for message in self.messages[-1:]]
        parts = [part for content in contents if isinstance(content, list) for part in content]
        return sum(isinstance(part, dict) and part.get("type") == "image_url" for part in parts)

    @property
    def tool_result(self) -> str | None:
        last = self.messages[-1]
        return text_of(last) if last.get("role") == "tool" else None

    @property
    def tool_results(self) -> int:
        """How many came since the last prompt."""
        roles = [str(message.get("role")) for message in self.messages]
        return roles[max((n for n, role in enumerate(roles) if role == "user"), default=0) :].count("tool")

    @property
    def tokens(self) -> int:
        """One for each four bytes of text."""
        return sum(_tokens(message) for message in self.messages)

    @property
    def cached_tokens(self) -> int:
        """As OpenAI does it: what came before the last message, in steps of 128, from 1,024 on."""
        earlier = sum(_tokens(message) for message in self.messages[:-1])
        return earlier // 128 * 128 if earlier >= 1024 else 0


def parse(body: bytes) -> Request:
    """Raises ValueError with a message for the caller."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("We could not parse the JSON body of your request.") from None
    if not isinstance(data, dict):
        raise ValueError("The body must be a JSON object.")
    messages = data.get("messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(one, dict) for one in messages):
        raise ValueError("'messages' must be a non-empty array of messages.")
    if not isinstance(data.get("model"), str):
        raise ValueError("You must provide a model parameter.")
    return Request(
        model=data["model"],
        messages=messages,
        stream=data.get("stream") is True,
        include_usage=_dict(data.get("stream_options")).get("include_usage") is True,
        max_tokens=_max_tokens(data),
        has_temperature=data.get("temperature") is not None,
        stop=_stop(data.get("stop")),
        tools=[_dict(tool.get("function")) for tool in _dicts(data.get("tools"))],
        tool_choice=_tool_choice(data.get("tool_choice")),
        schema=_schema(_dict(data.get("response_format"))),
    )


def text_of(message: dict[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(part["text"] for part in _dicts(content) if isinstance(part.get("text"), str))
    # Half a surrogate pair is legal in JSON and cannot be sent back as UTF-8.
    return content.encode(errors="replace").decode() if isinstance(content, str) else ""


def _tokens(message: dict[str, Any]) -> int:
    return -(-len(text_of(message).encode()) // 4)


def _max_tokens(data: dict[str, Any]) -> int | None:
    limit = data.get("max_completion_tokens", data.get("max_tokens"))
    if limit is None:
        return None
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        raise ValueError("'max_tokens' must be an integer of at least 1.")
    return limit


def _stop(stop: Any) -> tuple[str, ...]:
    words = [stop] if isinstance(stop, str) else stop if isinstance(stop, list) else []
    return tuple(word for word in words if isinstance(word, str) and word)


def _tool_choice(choice: Any) -> str:
    if isinstance(choice, dict):
        return str(_dict(choice.get("function")).get("name", "required"))
    return choice if choice in TOOL_CHOICES else "auto"


def _schema(response_format: dict[str, Any]) -> dict[str, Any] | None:
    if response_format.get("type") == "json_schema":
        return _dict(_dict(response_format.get("json_schema")).get("schema"))
    if response_format.get("type") == "json_object":
        return {"type": "object", "properties": {"simulated": {"const": True}, "answer": {"type": "string"}}}
    return None


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
