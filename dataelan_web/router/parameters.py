"""Which parameters a model takes. What nobody knows of a model, it is taken to take.

Tools and schemas are told by its capabilities, as in the plan. What else it refuses is known by `Candidate.refuses`:
from its provider's list, from a refusal (Failure.refused), from a person, or at first by its name (names.py).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .candidates import Candidate
from .types import FilePart, Prompt, Task

SCHEMA, TOOLS, TEMPERATURE, EFFORT = "schema", "tools", "temperature", "reasoning_effort"
STREAM, HINT = "stream", "prompt"
"""Of sound: that an answer is told piece by piece; and words that help to write a recording down."""
NAMES = {SCHEMA: "JSON schema", TOOLS: "tools", TEMPERATURE: "temperature", EFFORT: "effort"}
REFUSABLE = {TEMPERATURE: "temperature", EFFORT: "effort", STREAM: "streaming", HINT: "hint"}
"""What can be left out of a request that a model would refuse, and the answer still be one to what was asked."""
OF_TASK = {Task.CHAT: (TEMPERATURE, EFFORT), Task.SPEECH: (STREAM,), Task.TRANSCRIPTION: (STREAM, HINT)}
_UNTOLD = (STREAM,)
"""Nobody chose it, so nobody misses it."""
_NOTHING: dict[str, Any] = {TEMPERATURE: None, EFFORT: None, STREAM: False}


def omitted(candidate: Candidate) -> frozenset[str]:
    """What of a chat's parameters this model does not take: of SCHEMA, TOOLS, TEMPERATURE and EFFORT."""
    if candidate.task is not Task.CHAT:
        return frozenset()
    able, missing = candidate.capabilities, candidate.refuses & {*OF_TASK[Task.CHAT]}
    if able is None:
        return missing
    needed = ((SCHEMA, "json_schema"), (TOOLS, "tools"), (EFFORT, "reasoning"))
    return missing | {name for name, ability in needed if ability not in able}


def fitted(prompt: Prompt, candidate: Candidate) -> tuple[Prompt, str]:
    """(the prompt without what this model would refuse, a sentence that says so or nothing). A schema or tools are
    never left out: whoever asks for them gets a model that has them, or none."""
    missing = omitted(candidate) if prompt.task is Task.CHAT else candidate.refuses
    thinks = prompt.reasoning_effort not in (None, "none") and EFFORT not in missing
    if thinks and candidate.kind == "anthropic":  # “temperature may only be set to 1 when thinking is enabled”
        missing |= {TEMPERATURE}
    left_out = [name for name in REFUSABLE if name in missing and has(prompt, name)]
    for name in left_out:
        prompt = _without(prompt, name)
    told = [REFUSABLE[name] for name in left_out if name not in _UNTOLD]
    words = " and ".join(told).capitalize()
    return prompt, f"{words} left out: {candidate.model} takes none." if told else ""


def may_think(prompt: Prompt, abilities: frozenset[str], kind: str) -> bool:
    """May a model that can do this, in this wire format, think before it answers? Most that can do so unasked."""
    if "reasoning" not in abilities or prompt.reasoning_effort == "none" or prompt.thinking_budget == 0:
        return False
    return bool(prompt.reasoning_effort or prompt.thinking_budget) or kind != "anthropic"


def has(prompt: Prompt, name: str) -> bool:
    """Is this parameter, one of REFUSABLE, sent with the prompt?"""
    if name == HINT:
        return prompt.task is Task.TRANSCRIPTION and bool(prompt.words)
    if name == STREAM:
        return prompt.stream and prompt.task in (Task.SPEECH, Task.TRANSCRIPTION)
    return getattr(prompt, name) is not None


def _without(prompt: Prompt, name: str) -> Prompt:
    if name != HINT:
        return replace(prompt, **{name: _NOTHING[name]})
    recordings = (replace(one, parts=tuple(p for p in one.parts if isinstance(p, FilePart))) for one in prompt.messages)
    return replace(prompt, messages=tuple(recordings))
