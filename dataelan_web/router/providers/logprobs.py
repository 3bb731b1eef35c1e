"""How likely each token of an answer was, as Text.logprobs has it, whoever told it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from dataelan_web.router.providers.json_values import mapping, mappings, string

Logprobs = tuple[Mapping[str, Any], ...]
UNLIKELY = -9999.0
"""OpenAI's word for a token that it would never have written."""


def of_openai(told: Any) -> Logprobs:
    """A list of tokens, each with others that might have stood there."""
    return tuple(
        {**_token(one, one.get("logprob")), "top_logprobs": _others(one.get("top_logprobs"), "logprob")}
        for one in mappings(told)
    )


def of_gemini(told: Any) -> Logprobs:
    """Two lists of the same length: what was chosen, and what there was to choose from."""
    said = mapping(told)
    steps = mappings(said.get("topCandidates"))
    return tuple(
        {
            **_token(one, one.get("logProbability")),
            "top_logprobs": _others(steps[n].get("candidates"), "logProbability") if n < len(steps) else [],
        }
        for n, one in enumerate(mappings(said.get("chosenCandidates")))
    )


def _others(told: Any, name: str) -> list[dict[str, Any]]:
    return [_token(other, other.get(name)) for other in mappings(told)]


def _token(one: Mapping[str, Any], likely: Any) -> dict[str, Any]:
    """Its bytes may be half a letter; who does not tell them means those of its text."""
    text, told = string(one.get("token")), one.get("bytes")
    is_told = isinstance(told, list) and all(isinstance(byte, int) for byte in told)
    is_number = isinstance(likely, int | float) and math.isfinite(likely)
    return {
        "token": text,
        "logprob": likely if is_number else UNLIKELY,
        "bytes": told if is_told else list(text.encode(errors="replace")),
    }
