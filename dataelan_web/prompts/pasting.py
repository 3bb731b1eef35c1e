"""A prompt as it was pasted: what OpenAI's API is sent, its messages alone, or plain words."""

from __future__ import annotations

import json
import math
from typing import Any

from ..playground.chat_form import EFFORTS, stops_typed
from .content import Content, Turn
from .editor_form import clean

SYSTEM = ("system", "developer")
TAKEN = frozenset(
    "messages input instructions model max_completion_tokens max_output_tokens max_tokens temperature top_p seed stop"
    " reasoning_effort reasoning response_format text tools".split()
)
OF_THE_CALL = frozenset("stream stream_options n store metadata user safety_identifier service_tier background".split())
"""What says how it is called, and nothing of the prompt."""


def read(text: str) -> Content:
    """Chat completions and responses, `{{variables}}` and all; words that are no JSON are the first message. Raises
    ValueError with words for the person who pasted it."""
    if not text.lstrip().startswith(("{", "[")):
        return _bounded(Content(messages=(Turn("user", clean(text)),)))
    try:
        said = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise ValueError("This begins like JSON and is none that can be read.") from None
    body = said if isinstance(said, dict) else {"messages": said}
    given = body.get("messages", body.get("input"))
    messages = [{"role": "user", "content": given}] if isinstance(given, str) else given
    if not isinstance(messages, list) or not all(isinstance(one, dict) for one in messages):
        raise ValueError("There are no `messages` and no `input` in it.")
    told = [_word(body.get("instructions")), *(_text(one) for one in messages if one.get("role") in SYSTEM)]
    turns = tuple(Turn(one["role"], _text(one)) for one in messages if one.get("role") in ("user", "assistant"))
    limit = body.get("max_completion_tokens") or body.get("max_output_tokens") or body.get("max_tokens")
    return _bounded(
        Content(
            system="\n\n".join(clean(one) for one in told if one.strip()),
            messages=turns or (Turn("user", ""),),
            requested=clean(_word(body.get("model")) or "auto")[:200],
            max_tokens=_number(limit),
            temperature=_number(body.get("temperature")),
            top_p=_number(body.get("top_p")),
            seed=_number(body.get("seed")),
            stop=_stops(body.get("stop")),
            reasoning_effort=_effort(body),
            schema=_json(_schema(body)),
            tools=_json(body.get("tools") or None),
        )
    )


def left_out(text: str) -> list[str]:
    """What of it no saved prompt holds, in words: settings by their names, and what stands in messages. Only for what
    can be read."""
    if not text.lstrip().startswith(("{", "[")):
        return []
    said = json.loads(text)
    body = said if isinstance(said, dict) else {"messages": said}
    settings = [str(name)[:40] for name, value in body.items() if name not in TAKEN | OF_THE_CALL and value is not None]
    given = body.get("messages", body.get("input"))
    messages = [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []
    parts = [part for one in messages for part in _list(one.get("content")) if isinstance(part, dict)]
    counts = {
        "file or picture": sum(not isinstance(part.get("text"), str) for part in parts),
        "tool call": sum(len(_list(one.get("tool_calls"))) or one.get("type") == "function_call" for one in messages),
        "tool result": sum(one.get("role") == "tool" or one.get("type") == "function_call_output" for one in messages),
    }
    return settings[:12] + [f"{count} {what}{'s' * (count > 1)}" for what, count in counts.items() if count]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _bounded(content: Content) -> Content:
    if content.too_much:
        raise ValueError(content.too_much)
    return content


def _text(message: dict[str, Any]) -> str:
    """Of its parts the texts: pictures and files do not come along."""
    said = message.get("content")
    parts = said if isinstance(said, list) else [{"text": said}]
    texts = (part.get("text") for part in parts if isinstance(part, dict))
    return clean("\n".join(text for text in texts if isinstance(text, str)))


def _schema(body: dict[str, Any]) -> Any:
    """Of chat completions (`response_format`) or of responses (`text`)."""
    form = body.get("response_format")
    if isinstance(form, dict) and isinstance(form.get("json_schema"), dict):
        return form["json_schema"].get("schema")
    form = body.get("text")
    form = form.get("format") if isinstance(form, dict) else None
    return form.get("schema") if isinstance(form, dict) else None


def _effort(body: dict[str, Any]) -> str:
    """Of chat completions, or of responses (`reasoning`)."""
    reasoning = body.get("reasoning")
    said = body.get("reasoning_effort") or (reasoning.get("effort") if isinstance(reasoning, dict) else "")
    return said if isinstance(said, str) and said in EFFORTS else ""


def _stops(value: Any) -> str:
    """One, or a list of them."""
    given = value if isinstance(value, list) else [value]
    return clean(stops_typed([one for one in given if isinstance(one, str)]))


def _no_number(name: str) -> None:
    raise ValueError(name)  # NaN and Infinity, which are no JSON


def _word(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _number(value: Any) -> str:
    """Empty for what is none, or too large for one (1e400)."""
    if isinstance(value, float):
        return f"{value:g}" if math.isfinite(value) else ""
    return str(value) if type(value) is int else ""


def _json(value: Any) -> str:
    return "" if value is None else clean(json.dumps(value, indent=2, ensure_ascii=False))
