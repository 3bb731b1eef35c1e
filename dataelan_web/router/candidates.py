"""What can be chosen from: a model at a provider, with the keys that may be used for it. Plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple
from uuid import UUID

from . import names
from .expressions import context
from .health import Pair, Vital
from .pricing import Rates
from .sizes import tokens_of
from .types import Prompt, Task


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


class Catalogued(NamedTuple):
    """What everyone's catalogue says that a model can do, holds, and answers with at most; None: nobody says."""

    capabilities: frozenset[str] | None
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
    catalogues: Catalogued | None = None
    """Where the organization says something of it itself."""
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
        return self._able(self.capabilities)

    @property
    def abilities_at_most(self) -> frozenset[str]:
        """With what everyone's catalogue says: whoever says less of a model pays for it all the same."""
        return self.abilities | self._able(self.catalogues.capabilities) if self.catalogues else self.abilities

    def _able(self, said: frozenset[str] | None) -> frozenset[str]:
        return names.abilities(self.model) if said is None else said

    def lacks(self, needed: frozenset[str]) -> frozenset[str]:
        """What of this nobody says it can do. The answer of a chat comes as it is written in every wire format."""
        missing = needed - self.abilities
        return missing - {STREAMING} if missing and self.task is Task.CHAT else missing


UNMEASURED = Vital()

FALLBACK, CONTEXT_FALLBACK, POLICY_FALLBACK = "fallback", "context-fallback", "policy-fallback"
RESERVED = FALLBACK, CONTEXT_FALLBACK, POLICY_FALLBACK
"""Tags that say when a model of a rule comes: after the others failed; after a prompt was too long for them; after
they would not answer it for reasons of content."""


@dataclass(frozen=True)
class Choice:
    """A candidate as one rule names it."""

    candidate: Candidate
    weight: int = 1
    tags: frozenset[str] = frozenset()

    @property
    def is_for_all(self) -> bool:
        """Not kept for after one kind of failure alone."""
        return FALLBACK in self.tags or self.tags.isdisjoint(RESERVED)


@dataclass
class Question:
    """The facts of one prompt that choosing depends on. Made for each, so not frozen."""

    model_type: str = "TEXT"
    input_tokens: int = 0
    """Estimated; see `tokens_of`."""
    output_tokens: int | None = None
    needs: frozenset[str] = frozenset()
    """Capabilities the prompt cannot do without."""
    task: Task = Task.CHAT
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What expressions may ask (expressions.VARIABLES) beside the prompt and its session."""
    vitals: Mapping[Pair, Vital] = field(default_factory=dict)
    """What was lately measured of each model with each key."""
    now: float = 0.0
    """Unix seconds."""
    prompt: Prompt | None = None
    """None: no certain one, of which expressions cannot ask."""
    has_rested: bool = field(init=False)
    """Does anything rest, or come back from a rest? Rarely; then nobody's rest need be looked at."""

    def __post_init__(self) -> None:
        self.has_rested = bool([vital for vital in self.vitals.values() if not vital.never_rested])

    @classmethod
    def of(
        cls,
        prompt: Prompt,
        model_type: str,
        facts: Mapping[str, Mapping[str, Any]] | None = None,
        vitals: Mapping[Pair, Vital] | None = None,
        now: float = 0.0,
    ) -> Question:
        size, needs = tokens_of(prompt), _needs(prompt)
        return cls(model_type, size, prompt.max_tokens, needs, prompt.task, facts or {}, vitals or {}, now, prompt)

    @property
    def tokens_needed(self) -> int:
        """Room this prompt takes in a context window: itself and its output limit. What is no chat takes none: long
        recordings are cut up, and texts embedded one by one."""
        return self.input_tokens + (self.output_tokens or 0) if self.task is Task.CHAT else 0

    @cached_property
    def context(self) -> Any:
        """All facts in the form that expressions are computed on; made once for all rules, where one has any."""
        said: dict[str, Mapping[str, Any]] = {}
        if self.prompt:
            said["prompt"] = facts_of(self.prompt, self.input_tokens)
            said["session"] = {"type": self.model_type, "task": self.task.value}
        return context({**said, **self.facts})

    def vital(self, candidate: Candidate, key: Key) -> Vital:
        return self.vitals.get((candidate.model_id, key.id), UNMEASURED)

    def vitals_of(self, candidate: Candidate) -> list[Vital]:
        if not self.vitals:
            return [UNMEASURED] * len(candidate.keys)
        return [self.vitals.get(pair, UNMEASURED) for pair in candidate.pairs]


def facts_of(prompt: Prompt, tokens: int) -> dict[str, Any]:
    """The prompt's own variables (expressions.VARIABLES["prompt"])."""
    return {
        "tokens": tokens,
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


def _needs(prompt: Prompt) -> frozenset[str]:
    """Only of a chat: what other tasks need, the task itself says."""
    needs: set[str] = set()
    if prompt.task is not Task.CHAT:
        return frozenset()
    if files := prompt.files:
        kinds = {file.media_type.partition("/")[0] for file in files}
        needs |= {f"{kind}_in" if kind in ("audio", "video") else "document_in" for kind in kinds}
    if prompt.tools:
        needs.add("tools")
    if prompt.schema:
        needs.add("json_schema")
    if prompt.images:
        needs.add("vision")
    return frozenset(needs)
