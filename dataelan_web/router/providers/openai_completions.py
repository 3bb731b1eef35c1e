"""OpenAI's legacy text completions: a text to be continued, without roles, tools or pictures. Base models, and the
older servers of Together, vLLM and llama.cpp, know only this.

Source: openai/openai-openapi (f85dbe2).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dataelan_web.router.providers.format import Format
from dataelan_web.router.providers.framing import decoder
from dataelan_web.router.providers.openai_chat import dialect_of, key_headers
from dataelan_web.router.providers.openai_chat_answer import ChatAnswer
from dataelan_web.router.types import Call, Decoder, Message, Prompt, TextPart, Unsupported


class OpenAICompletions(Format):
    def __init__(self, base_url: str) -> None:
        super().__init__(base_url)
        self._dialect = dialect_of(self.base_url)

    def call(self, prompt: Prompt, model: str, key: str) -> Call:
        if prompt.tools or prompt.schema is not None:
            raise Unsupported("It only continues texts; it knows neither tools nor JSON schemas.")
        body: dict[str, Any] = {"model": model, "prompt": _text(prompt.messages)}
        options = {
            "max_tokens": prompt.max_tokens,
            "temperature": prompt.temperature,
            "top_p": prompt.top_p,
            "stop": list(prompt.stop) or None,
            self._dialect.seed: prompt.seed,
            "stream": prompt.stream or None,
            "stream_options": {"include_usage": True} if prompt.stream and self._dialect.stream_options else None,
        }
        body |= {name: value for name, value in options.items() if value is not None}
        return Call(f"{self.base_url}/completions", body, key_headers(self.base_url, key))

    def decoder(self) -> Decoder:
        return decoder(_CompletionAnswer())


def _text(messages: tuple[Message, ...]) -> str:
    """All that was said, a blank line between turns and no names before them: the model goes on where it ends."""
    if any(not isinstance(part, TextPart) for message in messages for part in message.parts):
        raise Unsupported("It only continues texts; it takes no pictures, files or tool calls.")
    return "\n\n".join(message.text for message in messages if message.text)


class _CompletionAnswer(ChatAnswer):
    """Differs from a chat completion only in where a choice keeps its text."""

    def _said(self, choice: Mapping[str, Any], whole: bool) -> Mapping[str, Any]:
        return {"content": choice.get("text")}
