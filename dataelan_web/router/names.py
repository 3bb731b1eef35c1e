"""What the name of a model tells, where nobody has told more (names.yaml). No other code knows a model by its name."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import yaml

REMEMBERED = 20_000


@lru_cache(REMEMBERED)
def refused(model: str) -> frozenset[str]:
    """Parameters that a model of this name is known to answer 400 to (parameters.py)."""
    return frozenset(name for row in _told()["refuses"] if _fits(row["names"], model) for name in row["parameters"])


@lru_cache(REMEMBERED)
def takes_one_of_both(model: str) -> bool:
    """Does it answer 400 to a temperature beside a top p?"""
    return _fits(_told()["one_of_both"], model)


@lru_cache(REMEMBERED)
def abilities(model: str) -> frozenset[str]:
    """What a model of this name can do at least. It says nothing of the rest."""
    if _fits(_told()["made_for_else"], model):
        return frozenset()
    return frozenset(ability for row in _told()["abilities"] if _fits(row["names"], model) for ability in row["can"])


def purpose(model: str) -> tuple[str, str]:
    """(type, task)"""
    found = next((row for row in _told()["purposes"] if _fits(row["names"], model)), {"type": "TEXT", "task": "chat"})
    return found["type"], found["task"]


def is_unusable(model: str) -> bool:
    """Is it for nothing that we can ask of a model?"""
    return _fits(_told()["unusable"], model)


@lru_cache(REMEMBERED)
def is_for_responses(model: str) -> bool:
    """Does OpenAI answer for it in its Responses format only?"""
    return _fits(_told()["responses_only"], model)


@lru_cache(REMEMBERED)
def bedrock_body(model: str) -> str:
    """Which body Bedrock's InvokeModel wants for it: messages, nova, titan …, or chat, which is all others'."""
    return next((body for part, body in _told()["bedrock"] if part in model), "chat")


def is_google_agent(model: str) -> bool:
    return _fits(_told()["google_agents"], model)


def _fits(names: str, model: str) -> bool:
    return re.search(names, model, re.IGNORECASE) is not None


@cache
def _told() -> dict[str, Any]:
    told: dict[str, Any] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text())
    return told
