"""How a program asks for a prompt: code that is ready to paste."""

from __future__ import annotations

import json
from typing import Any

from flask import request

from ..models import Template
from . import labels, versions
from .content import Content
from .variables import Kind, Variable

PREFIX = "prompt:"
_EXAMPLES: dict[Kind, Any] = {Kind.NUMBER: 3, Kind.YES_NO: True, Kind.JSON: {"key": "value"}}


def of(template: Template) -> dict[str, str]:
    """{model, curl, python}: for production, or else for the newest version; nothing before there is one."""
    standing = labels.of(template)
    newest = versions.newest(template)
    if newest is None:
        return {}
    label = labels.PRODUCTION if labels.PRODUCTION in standing else ""
    shown = versions.numbered(template, standing[label]) if label else newest
    content = Content.of(shown.content)
    model = f"{PREFIX}{template.slug}{f'@{label}' if label else ''}"
    values = {variable.name: _value(variable) for variable in content.variables}
    messages = [{"role": "user", "content": "Hello"}] if content.needs_word else []
    return {"model": model, "curl": _curl(model, values, messages), "python": _python(model, values, messages)}


def _value(variable: Variable) -> Any:
    if variable.kind is Kind.CHOICE:
        return variable.options[0] if variable.options else ""
    return _EXAMPLES.get(variable.kind, variable.default or "…")


def _curl(model: str, values: dict[str, Any], messages: list[dict[str, str]]) -> str:
    body = {"model": model, "messages": messages, "prompt": {"variables": values}}
    text = json.dumps(body, indent=2, ensure_ascii=False).replace("'", "'\\''")
    return (
        f"curl {request.host_url}v1/chat/completions \\\n"
        '  -H "Authorization: Bearer dlan_…" \\\n'
        '  -H "Content-Type: application/json" \\\n'
        f"  -d '{text}'"
    )


def _python(model: str, values: dict[str, Any], messages: list[dict[str, str]]) -> str:
    lines = [
        "from openai import OpenAI",
        "",
        "client = OpenAI(",
        f'    base_url="{request.host_url}v1",',
        '    api_key="dlan_…",',
        ")",
        "answer = client.chat.completions.create(",
        f"    model={_literal(model)},",
        f"    messages={_literal(messages)},",
        '    extra_body={"prompt": {"variables": {',
        *(f"        {_literal(name)}: {_literal(value)}," for name, value in values.items()),
        "    }}},",
        ")",
        "print(answer.choices[0].message.content)",
    ]
    return "\n".join(lines)


def _literal(value: Any) -> str:
    """Of Python; JSON's differs in its words for yes, no and nothing only."""
    return repr(value) if isinstance(value, bool) else json.dumps(value, ensure_ascii=False)
