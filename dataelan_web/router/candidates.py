"""What can be chosen from: a model at a provider, with the keys that may be used for it. Plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from .pricing import Rates
from .types import ImagePart, Prompt, Task


@dataclass(frozen=True)
class Key:
    """A key that may be used, without its secret. `id` None: the provider asks for none."""

    id: UUID | None
    label: str
    payer: str
    weight: int = 1


@dataclass(frozen=True)
class Candidate:
    model_id: UUID
    model: str
    provider_id: UUID
    provider: str
    kind: str
    base_url: str
    keys: tuple[Key, ...]
    rates: Rates | None = None
    price_id: UUID | None = None
    model_type: str = "TEXT"
    task: Task = Task.CHAT
    capabilities: frozenset[str] | None = None
    """None: nobody says what it can do."""
    context_window: int | None = None
    max_output_tokens: int | None = None
    is_simulated: bool = False
    is_own: bool = False
    """The organization's own server or key, rather than the platform's."""
    is_trusted: bool = True
    """The operator named its address, so that may be a private one."""

    @property
    def label(self) -> str:
        return f"{self.provider} / {self.model}"


@dataclass(frozen=True)
class Choice:
    """A candidate as one rule names it."""

    candidate: Candidate
    weight: int = 1
    tags: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Rule:
    name: str
    choices: tuple[Choice, ...]
    id: UUID | None = None
    model_type: str = "TEXT"
    priority: int = 100
    strategy: str = "weighted"
    conditions: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Question:
    """The facts of one prompt that choosing depends on."""

    model_type: str = "TEXT"
    input_tokens: int = 0
    """Estimated; see `tokens_of`."""
    output_tokens: int | None = None
    needs: frozenset[str] = frozenset()
    """Capabilities the prompt cannot do without."""

    @classmethod
    def of(cls, prompt: Prompt, model_type: str) -> Question:
        return cls(model_type, tokens_of(prompt), prompt.max_tokens, _needs(prompt))


USUAL_IMAGE, LARGEST_IMAGE = 1_000, 50_000
"""Tokens of an image: what most models count, and the most that any does (gpt-4o-mini: 48,169)."""


def tokens_of(prompt: Prompt) -> int:
    """A fair guess at the input size: four bytes a token, four tokens a message. Not an upper bound."""
    return prompt.text_bytes // 4 + 4 * len(prompt.messages) + USUAL_IMAGE * _images(prompt)


def token_bound(prompt: Prompt) -> int:
    """More tokens than any tokenizer makes of this text: one a byte, and room for the wire's own markers."""
    parts = [part for message in prompt.messages for part in message.parts]
    labels = sum(len(f"{getattr(part, 'id', '')}{getattr(part, 'name', '')}".encode()) + 16 for part in parts)
    tools = sum(len(f"{tool.name}{tool.description}{tool.parameters}".encode()) + 16 for tool in prompt.tools)
    words = prompt.text_bytes + labels + tools + len(str(prompt.schema or "").encode())
    return words + 16 * len(prompt.messages) + LARGEST_IMAGE * _images(prompt) + 64


def _images(prompt: Prompt) -> int:
    return sum(isinstance(part, ImagePart) for message in prompt.messages for part in message.parts)


def _needs(prompt: Prompt) -> frozenset[str]:
    needs = set()
    if prompt.tools:
        needs.add("tools")
    if prompt.schema:
        needs.add("json_schema")
    if _images(prompt):
        needs.add("vision")
    return frozenset(needs)
