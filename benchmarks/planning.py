"""Choosing a model: a plan over 500 models and 50 rules, with and without measured speed."""

from __future__ import annotations

import json
import random
import time
from dataclasses import replace
from uuid import uuid4

from dataelan_web.router.candidates import Candidate, Choice, Key, Question, UnusedKey
from dataelan_web.router.health import Vital
from dataelan_web.router.plan import plan
from dataelan_web.router.pricing import Rates
from dataelan_web.router.rules import Rule
from dataelan_web.router.types import Prompt, user

from .report import spread

MODELS, RULES, ROUNDS = 500, 50, 400
STRATEGIES = ("weighted", "cheapest", "fastest", "balanced", "ordered")


def measure() -> None:
    models = [model(number) for number in range(MODELS)]
    early, late, last = (rules(models, matching) for matching in (0, RULES // 2, RULES - 1))
    question = Question.of(Prompt((user("Summarize the attached text, please. " * 40),), max_tokens=500), "TEXT")
    vitals = {(model.model_id, key.id): vital() for model in models for key in model.keys}
    for name, made in (("the first rule", early), ("a rule in the middle", late), ("the last rule", last)):
        spread(f"plan, {name} decides", timed(question, made, {}), "bar: 1 ms at the median")
        receipt = plan(question, made, random.Random(1)).receipt
        print(f"  its receipt: {len(json.dumps(receipt, ensure_ascii=False).encode()) / 1000:.1f} KB")
    for strategy in STRATEGIES:
        decides = [*last[:-1], replace(last[-1], strategy=strategy)]
        name = f"plan, the last rule decides, {strategy}, all models measured"
        spread(name, timed(question, decides, vitals), "bar: 1 ms at the median")


def timed(question: Question, made: list[Rule], vitals: dict) -> list[float]:  # type: ignore[type-arg]
    draw, seconds = random.Random(1), []
    for _ in range(ROUNDS):
        asked = Question(
            question.model_type,
            question.input_tokens,
            question.output_tokens,
            facts=question.facts,
            vitals=vitals,
            now=1_000.0,
        )
        started = time.perf_counter()
        planned = plan(asked, made, draw)
        seconds.append(time.perf_counter() - started)
        assert planned.steps
    return seconds


def model(number: int) -> Candidate:
    """Every second has two keys, and some that are not used; every eleventh is switched off."""
    rates = None if number % 17 == 0 else Rates(1_000_000 * (number + 1), 4_000_000 * (number + 1))
    is_off = number % 11 == 10
    keys = tuple(Key(uuid4(), f"key {place}", "organization") for place in range(0 if is_off else 1 + number % 2))
    unused = tuple(UnusedKey(f"old {place}", "it expired on 1 May 2026 at 12:00 UTC") for place in range(number % 3))
    window = 8_000 * (1 + number % 25)
    able = frozenset({"tools", "vision"} if number % 3 else {"tools"})
    return Candidate(
        uuid4(), f"model-{number}", uuid4(), f"provider {number % 20}", "openai", "https://x/v1", keys, rates,
        capabilities=able, context_window=window, unused_keys=() if is_off else unused,
        why_not="it is switched off in the Model Hub" if is_off else "",
    )  # fmt: skip


def rules(models: list[Candidate], matching: int) -> list[Rule]:
    """Every rule names ten models of its own, and the one that matches all 500; those before it fail on a condition."""
    made = []
    for place in range(RULES):
        own = models[place * 10 : place * 10 + 10]
        failing = [{"max_cost": "0.0000001"}, {"expression": "prompt.tokens > 100000 && time.hour < 9"},
                   {"capabilities": ["levitation"]}, {"min_context_window": 10_000_000}][place % 4]  # fmt: skip
        conditions = {"max_cost": 1000, "capabilities": ["tools"]} if place == matching else failing
        chosen = models if place == matching else own
        choices = tuple(Choice(candidate, 1 + number % 5) for number, candidate in enumerate(chosen))
        made.append(Rule(f"rule {place}", choices, strategy=STRATEGIES[place % 5], conditions=conditions))
    return made


def vital() -> Vital:
    return Vital(latency=random.uniform(0.5, 4), first_token_ms=random.uniform(100, 900), calls=20, seen_at=990.0)
