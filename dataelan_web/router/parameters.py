"""Which parameters a model takes. What nobody knows of a model, it is taken to take.

Tools and schemas are told by its capabilities, as in the plan. What else it refuses is known by `Candidate.refuses`:
from its provider's list, from a refusal (Failure.refused), from a person, or at first by its name (names.py).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from functools import lru_cache
from typing import Any

from . import names, providers
from .candidates import Candidate
from .types import FilePart, Prompt, Task

SCHEMA, TOOLS, TEMPERATURE, EFFORT = "schema", "tools", "temperature", "reasoning_effort"
TOP_P, SEED, STOP = "top_p", "seed", "stop"
STREAM, HINT = "stream", "prompt"
"""Of sound: that an answer is told piece by piece; and words that help to write a recording down."""
CHAT_COMPLETIONS = "chat_completions"
"""No parameter but the format: such a model is asked in the Responses format (run.py)."""
REFUSABLE = {
    TEMPERATURE: "temperature",
    TOP_P: "top p",
    SEED: "seed",
    STOP: "stop sequences",
    EFFORT: "effort",
    STREAM: "streaming",
    HINT: "hint",
    CHAT_COMPLETIONS: "chat completions",
}
"""What can be left out of a request that a model would refuse, and the answer still be one to what was asked."""
_SETTINGS = TEMPERATURE, TOP_P, SEED, STOP, EFFORT
_ANY_SETTING = frozenset(_SETTINGS)
OF_TASK = {
    Task.CHAT: (*_SETTINGS, CHAT_COMPLETIONS),
    Task.SPEECH: (STREAM,),
    Task.TRANSCRIPTION: (STREAM, HINT),
}
OF_CHAT = (SCHEMA, TOOLS, *_SETTINGS)
UNTOLD = frozenset({STREAM})
"""Nobody chose it, so nobody misses it."""
_NOTHING: dict[str, Any] = {TEMPERATURE: None, TOP_P: None, SEED: None, STOP: (), EFFORT: None, STREAM: False}
LEAST_THINKING_TOP_P = 0.95
"""“top_p can be set to values between 1 and 0.95 when thinking is enabled”, in Anthropic's format."""


def omitted(candidate: Candidate) -> frozenset[str]:
    """What of a chat's parameters (OF_CHAT) this model does not take, or its wire format has no word for."""
    if candidate.task is not Task.CHAT:
        return frozenset()
    able, missing = candidate.capabilities, candidate.refuses & _ANY_SETTING
    refuses_chat = CHAT_COMPLETIONS in candidate.refuses
    missing |= wordless(candidate.kind, candidate.base_url, candidate.model, refuses_chat=refuses_chat)
    if able is None:
        return missing
    needed = ((SCHEMA, "json_schema"), (TOOLS, "tools"), (EFFORT, "reasoning"))
    return missing | {name for name, ability in needed if ability not in able}


def fitted(prompt: Prompt, candidate: Candidate, only: Collection[str] = REFUSABLE) -> tuple[Prompt, str]:
    """(the prompt without what of these this model would refuse, sentences that say so or nothing). A schema or tools
    are never left out: whoever asks for them gets a model that has them, or none."""
    missing = omitted(candidate) if prompt.task is Task.CHAT else candidate.refuses
    thinks = prompt.reasoning_effort not in (None, "none") and EFFORT not in missing
    if thinks and candidate.kind == "anthropic":
        missing |= _unthinking(prompt)
    left_out = list[str]()
    if not missing.isdisjoint(only):
        left_out = [name for name in REFUSABLE if name in missing and name in only and has(prompt, name)]
    for name in left_out:
        prompt = _without(prompt, name)
    told = [REFUSABLE[name] for name in left_out if name not in UNTOLD]
    said = [f"{_listed(told).capitalize()} left out: {candidate.model} takes none."] if told else []
    if only == UNTOLD:  # what a program wishes goes as it is
        return prompt, " ".join(said)
    if has(prompt, TEMPERATURE) and has(prompt, TOP_P) and names.takes_one_of_both(candidate.model):
        prompt = _without(prompt, TOP_P)
        said.append(f"Top p left out: {candidate.model} takes none beside a temperature.")
    if (most := candidate.max_output_tokens) and prompt.task is Task.CHAT and (prompt.max_tokens or 0) > most:
        prompt = replace(prompt, max_tokens=most)
        said.append(f"Max tokens lowered to {most:,}: {candidate.model} writes no more.")
    return prompt, " ".join(said)


def _unthinking(prompt: Prompt) -> frozenset[str]:
    """“temperature may only be set to 1 when thinking is enabled”"""
    is_low = prompt.top_p is not None and prompt.top_p < LEAST_THINKING_TOP_P
    return frozenset({TEMPERATURE, TOP_P} if is_low else {TEMPERATURE})


def _listed(words: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


@lru_cache(names.REMEMBERED)
def wordless(kind: str, base_url: str, model: str, *, refuses_chat: bool) -> frozenset[str]:
    """What of a chat's parameters cannot be said in the wire format in which this model is asked."""
    try:
        format = providers.format_for(kind, base_url, model, Task.CHAT, refuses_chat=refuses_chat)
        return providers.adapter(format, base_url).wordless(model)
    except (providers.UnknownFormat, ValueError):  # no address: who calls it says so
        return frozenset()


def may_think(prompt: Prompt, abilities: frozenset[str], kind: str) -> bool:
    """May a model that can do this, in this wire format, think before it answers? Most that can do so unasked."""
    if "reasoning" not in abilities or prompt.reasoning_effort == "none" or prompt.thinking_budget == 0:
        return False
    return bool(prompt.reasoning_effort or prompt.thinking_budget) or kind != "anthropic"


def has(prompt: Prompt, name: str) -> bool:
    """Is this parameter, one of REFUSABLE, sent with the prompt?"""
    if name == CHAT_COMPLETIONS:
        return False
    if name == HINT:
        return prompt.task is Task.TRANSCRIPTION and bool(prompt.words)
    if name == STREAM:
        return prompt.stream and prompt.task in (Task.SPEECH, Task.TRANSCRIPTION)
    return getattr(prompt, name) not in (None, ())


def _without(prompt: Prompt, name: str) -> Prompt:
    if name != HINT:
        return replace(prompt, **{name: _NOTHING[name]})
    recordings = (replace(one, parts=tuple(p for p in one.parts if isinstance(p, FilePart))) for one in prompt.messages)
    return replace(prompt, messages=tuple(recordings))
