"""What can be chosen from: a model at a provider, with the keys that may be used for it. Plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple
from uuid import UUID

from . import names
from .expressions import context
from .health import RESTED, Pair, Vital
from .pricing import Rates
from .types import FilePart, Prompt, Task


@dataclass(frozen=True)
class Key:
    """A key that may be used, without its secret. `id` None: the provider asks for none."""

    id: UUID | None
    label: str
    payer: str
    weight: int = 1
    goes_first: bool = False
    """Before the payer's others, which are its spares."""


class UnusedKey(NamedTuple):
    """A key that there is, and that may not be used for this model now: what people call it, and why not."""

    label: str
    why: str


NOT_LISTED = "its provider does not list this model to it"


@dataclass(frozen=True)
class Votes:
    """Of the blind comparisons with other models that people decided."""

    won: int
    of: int


PLATFORM = "platform"
"""The payer of keys that are not the organization's."""


class Priced(NamedTuple):
    """A price, and its row in the price book."""

    rates: Rates
    id: UUID


class Room(NamedTuple):
    """Tokens that a model holds, and answers with at most; None: nobody says."""

    context_window: int | None
    max_output_tokens: int | None


STREAMING = "streaming"


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
    has_own_price: bool = False
    """The organization itself says what it costs."""
    everyones: Priced | None = None
    """What it costs where the platform's key pays, and the organization has a price of its own; None: the same, or
    nobody else knows."""
    model_type: str = "TEXT"
    task: Task = Task.CHAT
    capabilities: frozenset[str] | None = None
    """None: nobody says what it can do."""
    refuses: frozenset[str] = frozenset()
    """Parameters that are not sent to it, of parameters.REFUSABLE."""
    context_window: int | None = None
    max_output_tokens: int | None = None
    catalogues: Room | None = None
    """What everyone's catalogue says of these two, where the organization says something itself."""
    is_simulated: bool = False
    is_own: bool = False
    """The organization's own server or key, rather than the platform's."""
    is_trusted: bool = True
    """The operator named its address, so that may be a private one."""
    votes: Mapping[str, Votes] = field(default_factory=dict, compare=False)
    """By type of prompt."""
    why_not: str = ""
    """Why nothing may call it, whatever the prompt: it is switched off, say. It has no keys then."""
    unused_keys: tuple[UnusedKey, ...] = ()
    is_gone: bool = False
    """Its provider no longer lists it. It may still work, so it comes after the others of its rule."""

    @property
    def label(self) -> str:
        return f"{self.provider} / {self.model}"

    @cached_property
    def price(self) -> tuple[bool, int]:
        """To sort by: known prices first, each by what a thousand tokens, a picture, a minute and a thousand
        characters come to."""
        rates = self.rates
        if rates is None:
            return (True, 0)
        tokens = rates.dearest_input + rates.dearest_output
        media = (rates.per_image or 0) + 60 * (rates.per_second or 0) + 1000 * (rates.per_character or 0)
        return (False, tokens + 1000 * (media + rates.per_request))

    @cached_property
    def pairs(self) -> tuple[Pair, ...]:
        """Itself with each of its keys: whose health tells of it."""
        return tuple((self.model_id, key.id) for key in self.keys)

    def paid_by(self, key: Key) -> Candidate:
        """At the price that whoever's key this is pays: what an organization agreed on is for its own keys."""
        return self._at_everyones_price if self.everyones and key.payer == PLATFORM else self

    @cached_property
    def _at_everyones_price(self) -> Candidate:
        if self.everyones is None:
            return self
        return replace(
            self, rates=self.everyones.rates, price_id=self.everyones.id, has_own_price=False, everyones=None
        )

    @property
    def abilities(self) -> frozenset[str]:
        """What it can do, as somebody says; or else at least this, as its name tells."""
        return names.abilities(self.model) if self.capabilities is None else self.capabilities

    def lacks(self, needed: frozenset[str]) -> frozenset[str]:
        """What of this nobody says it can do. The answer of a chat comes as it is written in every wire format."""
        missing = needed - self.abilities
        return missing - {STREAMING} if missing and self.task is Task.CHAT else missing


UNMEASURED = Vital()

FALLBACK, CONTEXT_FALLBACK, POLICY_FALLBACK = "fallback", "context-fallback", "policy-fallback"
"""Tags that say when a model of a rule comes: after the others failed; after a prompt was too long for them; after
they would not answer it for reasons of content."""


@dataclass(frozen=True)
class Choice:
    """A candidate as one rule names it."""

    candidate: Candidate
    weight: int = 1
    tags: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Question:
    """The facts of one prompt that choosing depends on."""

    model_type: str = "TEXT"
    input_tokens: int = 0
    """Estimated; see `tokens_of`."""
    output_tokens: int | None = None
    needs: frozenset[str] = frozenset()
    """Capabilities the prompt cannot do without."""
    task: Task = Task.CHAT
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What expressions may ask (expressions.VARIABLES)."""
    vitals: Mapping[Pair, Vital] = field(default_factory=dict)
    """What was lately measured of each model with each key."""
    now: float = 0.0
    """Unix seconds."""

    @classmethod
    def of(
        cls,
        prompt: Prompt,
        model_type: str,
        facts: Mapping[str, Mapping[str, Any]] | None = None,
        vitals: Mapping[Pair, Vital] | None = None,
        now: float = 0.0,
    ) -> Question:
        said = {"prompt": facts_of(prompt), "session": {"type": model_type, "task": prompt.task.value}}
        known = said | dict(facts or {})
        size, needs = tokens_of(prompt), _needs(prompt)
        return cls(model_type, size, prompt.max_tokens, needs, prompt.task, known, vitals or {}, now)

    @cached_property
    def tokens_needed(self) -> int:
        """Room this prompt takes in a context window: itself and its output limit. What is no chat takes none: long
        recordings are cut up, and texts embedded one by one."""
        return self.input_tokens + (self.output_tokens or 0) if self.task is Task.CHAT else 0

    @cached_property
    def context(self) -> Any:
        """The facts in the form that expressions are computed on; made once for all rules."""
        return context(self.facts)

    @cached_property
    def has_rested(self) -> bool:
        """Does anything rest, or come back from a rest? Rarely; then nobody's rest need be looked at."""
        return any(vital.rest is not RESTED or vital.key_rest is not RESTED for vital in self.vitals.values())

    def vital(self, candidate: Candidate, key: Key) -> Vital:
        return self.vitals.get((candidate.model_id, key.id), UNMEASURED)

    def vitals_of(self, candidate: Candidate) -> list[Vital]:
        if not self.vitals:
            return [UNMEASURED] * len(candidate.keys)
        return [self.vitals.get(pair, UNMEASURED) for pair in candidate.pairs]


def facts_of(prompt: Prompt) -> dict[str, Any]:
    """The prompt's own variables (expressions.VARIABLES["prompt"])."""
    return {
        "tokens": tokens_of(prompt),
        "max_tokens": prompt.max_tokens or 0,
        "characters": sum(len(message.text) for message in prompt.messages),
        "text": prompt.messages[-1].text[:10_000] if prompt.messages else "",
        "turns": len(prompt.messages),
        "images": len(prompt.images),
        "files": len(prompt.files),
        "tools": len(prompt.tools),
        "wants_json": prompt.schema is not None,
        "streams": prompt.stream,
    }


USUAL_IMAGE, LARGEST_IMAGE = 1_000, 50_000
"""Tokens of an image: what most models count, and the most that any does (gpt-4o-mini: 48,169)."""
USUAL_DENSITY = {"audio": 4, "video": 2, "text": 256, "document": 30}
LARGEST_DENSITY = {"audio": 32, "video": 30, "text": 512, "document": 600}
"""Tokens of a kilobyte. Models count 32 tokens a second of sound (usually of 8 KB, and of 1 KB at least), 300 a second
of film (150 KB; 10 KB), a token for four bytes of text (one or two), and 1,500 to 3,000 a page of PDF (50 KB; 5 KB)."""
TOLD_OF_TOOLS = 600
"""Tokens in which a provider tells its model how tools are called, and counts them as input (Claude: up to 530)."""
USUAL_ELSEWHERE, LARGEST_WINDOW = 20_000, 2_097_152
"""Tokens of a file that the provider fetches, and of the largest window that there is: nobody here knows its size."""


def tokens_of(prompt: Prompt) -> int:
    """A fair guess at the input size: four bytes a token, four tokens a message. Not an upper bound."""
    files = (USUAL_ELSEWHERE if file.is_elsewhere else _file_tokens(file, USUAL_DENSITY) for file in prompt.files)
    media = USUAL_IMAGE * len(prompt.images) + sum(files)
    return prompt.text_bytes // 4 + 4 * len(prompt.messages) + media


def token_bound(prompt: Prompt, window: int | None = None) -> int:
    """More tokens than any tokenizer makes of this text: one a byte, and room for the wire's own markers. With a file
    that the provider fetches, all that fits into the model's context `window`; None: nobody knows how much that is."""
    parts = [part for message in prompt.messages for part in message.parts]
    beside = ("id", "name", "seal")
    labels = sum(len("".join(f"{getattr(part, name, '')}" for name in beside).encode()) + 16 for part in parts)
    tools = sum(len(f"{tool.name}{tool.description}{tool.parameters}".encode()) + 16 for tool in prompt.tools)
    tools += TOLD_OF_TOOLS if prompt.tools or prompt.schema else 0
    words = prompt.text_bytes + labels + tools + len(f"{prompt.schema or ''}{prompt.schema_told or ''}".encode())
    files = sum(2 * _file_tokens(file, LARGEST_DENSITY) + 1_000 for file in prompt.files)
    size = words + 16 * len(prompt.messages) + LARGEST_IMAGE * len(prompt.images) + files + 64
    return max(size, window or LARGEST_WINDOW) if any(file.is_elsewhere for file in prompt.files) else size


def _file_tokens(file: FilePart, density: Mapping[str, int]) -> int:
    kind = file.media_type.partition("/")[0]
    return -(-file.size // 1024) * density.get(kind, density["document"])


def _needs(prompt: Prompt) -> frozenset[str]:
    """Only of a chat: what other tasks need, the task itself says."""
    needs: set[str] = set()
    if prompt.task is not Task.CHAT:
        return frozenset()
    kinds = {file.media_type.partition("/")[0] for file in prompt.files}
    needs |= {f"{kind}_in" if kind in ("audio", "video") else "document_in" for kind in kinds}
    if prompt.tools:
        needs.add("tools")
    if prompt.schema:
        needs.add("json_schema")
    if len(prompt.images):
        needs.add("vision")
    return frozenset(needs)
