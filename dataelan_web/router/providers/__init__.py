"""Wire formats, one a file. A provider of a known format is a row of data; only a new format is a new file here."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from dataelan_web.router.types import Adapter

# name -> "module:Class", imported on first use. "openai" is the chat completions format, which also speaks for
# Ollama (/v1), vLLM, LM Studio, llama.cpp, Groq, DeepSeek, Mistral, Together, OpenRouter, xAI and many more.
KINDS: dict[str, str] = {
    "openai": "openai_chat:OpenAIChat",
    "anthropic": "anthropic_messages:AnthropicMessages",
    "google": "gemini:Gemini",
}


def adapter(kind: str, base_url: str) -> Adapter:
    """The adapter for a wire format. `base_url` includes the version prefix, as in https://api.openai.com/v1."""
    return _adapter_class(kind)(base_url)


@cache
def _adapter_class(kind: str) -> type[Adapter]:
    if kind not in KINDS:
        raise LookupError(f"No wire format is called {kind!r}. Known: {', '.join(sorted(KINDS))}.")
    module, _, name = KINDS[kind].partition(":")
    found: type[Adapter] = getattr(import_module(f"{__name__}.{module}"), name)
    return found
