"""Rules and candidates → an ordered plan, and a receipt that tells why."""

from __future__ import annotations

import io
import json
import random
import wave
from base64 import b64encode
from collections import Counter
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataelan_web.router import conditions
from dataelan_web.router.candidates import Candidate, Choice, Key, Question
from dataelan_web.router.plan import Plan, plan
from dataelan_web.router.pricing import Rates
from dataelan_web.router.rules import Rule
from dataelan_web.router.sizes import LARGEST_WINDOW, token_bound, tokens_of
from dataelan_web.router.types import (
    FilePart,
    ImagePart,
    Kind,
    Message,
    Prompt,
    Task,
    TextPart,
    ThoughtPart,
    Tool,
    user,
)

OWN, PLATFORM = "organization", "platform"


def key(label: str = "Main", payer: str = OWN, weight: int = 1) -> Key:
    return Key(uuid4(), label, payer, weight)


def model(name: str, price: int | None = 1_000, **values: Any) -> Candidate:
    defaults: dict[str, Any] = {"provider": "Acme AI", "kind": "openai", "base_url": "http://x/v1", "keys": (key(),)}
    rates = None if price is None else Rates(price, price)
    return Candidate(model_id=uuid4(), model=name, provider_id=uuid4(), rates=rates, **(defaults | values))


def rule(*choices: Choice, name: str = "Everyday", **values: Any) -> Rule:
    return Rule(name, choices, id=uuid4(), **values)


def planned(*rules: Rule, question: Question | None = None, seed: int = 1, requested: str = "auto") -> Plan:
    return plan(question or Question(), rules, random.Random(seed), requested)


def names(made: Plan) -> list[str]:
    return list(dict.fromkeys(step.candidate.model for step in made.steps))


# -- order ---------------------------------------------------------------------------------------


def test_an_ordered_rule_keeps_its_order() -> None:
    choices = [Choice(model(name)) for name in ("first", "second", "third")]
    assert names(planned(rule(*choices, strategy="ordered"))) == ["first", "second", "third"]


def test_the_first_rule_with_a_usable_model_decides_and_the_others_are_told_about() -> None:
    empty = rule(Choice(model("no key", keys=())), name="Empty")
    made = planned(empty, rule(Choice(model("a")), name="Second"), rule(Choice(model("b")), name="Third"))
    assert names(made) == ["a"]
    assert [(entry["name"], entry["matched"]) for entry in made.receipt["rules"]] == [
        ("Empty", False),
        ("Second", True),
    ]
    assert "no usable key" in made.receipt["rules"][0]["reason"]


def test_weights_are_kept_over_10_000_draws() -> None:
    weights = {"one": 1, "two": 2, "seven": 7}
    shared = rule(*(Choice(model(name), weight) for name, weight in weights.items()))
    draw = random.Random(20)
    drawn = Counter(plan(Question(), [shared], draw).steps[0].candidate.model for _ in range(10_000))
    for name, weight in weights.items():
        share, deviation = weight / 10, (weight / 10 * (1 - weight / 10) / 10_000) ** 0.5
        assert abs(drawn[name] / 10_000 - share) < 4 * deviation, drawn


def test_the_second_place_is_drawn_by_weight_too() -> None:
    shared = rule(Choice(model("big"), 1_000_000), Choice(model("one"), 1), Choice(model("three"), 3))
    draw = random.Random(3)
    second = Counter(names(plan(Question(), [shared], draw))[1] for _ in range(4_000))
    assert abs(second["three"] / 4_000 - 0.75) < 0.03


def test_a_missing_weight_is_1() -> None:
    shared = rule(Choice(model("unsaid")), Choice(model("said"), 1))
    draw = random.Random(5)
    drawn = Counter(plan(Question(), [shared], draw).steps[0].candidate.model for _ in range(4_000))
    assert abs(drawn["unsaid"] / 4_000 - 0.5) < 0.032


def test_weight_0_is_a_last_resort_and_never_drawn() -> None:
    shared = rule(Choice(model("off"), 0), Choice(model("on"), 1))
    assert all(names(planned(shared, seed=seed)) == ["on", "off"] for seed in range(200))


def test_when_all_weights_are_0_the_order_of_the_rule_holds() -> None:
    assert names(planned(rule(Choice(model("a"), 0), Choice(model("b"), 0)))) == ["a", "b"]


@pytest.mark.parametrize("strategy", ["weighted", "ordered", "cheapest"])
def test_what_is_tagged_fallback_comes_after_all_others_whatever_its_weight_and_price(strategy: str) -> None:
    last = Choice(model("spare", price=0), 1_000, frozenset({"fallback"}))
    shared = rule(last, Choice(model("a")), Choice(model("b")), strategy=strategy)
    for seed in range(50):
        assert names(planned(shared, seed=seed))[-1] == "spare"


def test_fallbacks_alone_are_used_when_nothing_else_is_left() -> None:
    shared = rule(Choice(model("a", keys=())), Choice(model("spare"), tags=frozenset({"fallback"})))
    assert names(planned(shared)) == ["spare"]


def test_cheapest_sorts_by_price_and_puts_unknown_prices_last() -> None:
    choices = [
        Choice(model("unknown", None)),
        Choice(model("dear", 9)),
        Choice(model("free", 0)),
        Choice(model("b", 5)),
    ]
    assert names(planned(rule(*choices, strategy="cheapest"))) == ["free", "b", "dear", "unknown"]


# -- keys ----------------------------------------------------------------------------------------


def test_all_keys_of_a_model_come_before_the_next_model() -> None:
    two = (key("k1"), key("k2"))
    made = planned(rule(Choice(model("a", keys=two)), Choice(model("b", keys=two)), strategy="ordered"))
    assert [step.candidate.model for step in made.steps] == ["a", "a", "b", "b"]


def test_own_keys_come_before_the_platforms_and_each_is_spread_by_weight() -> None:
    keys = (key("own 1", weight=1), key("own 3", weight=3), key("ours", PLATFORM, weight=1_000))
    shared, draw, first = rule(Choice(model("a", keys=keys))), random.Random(7), Counter[str]()
    for _ in range(4_000):
        labels = [step.key.label for step in plan(Question(), [shared], draw).steps]
        first[labels[0]] += 1
        assert sorted(labels) == ["ours", "own 1", "own 3"]
        assert labels[-1] == "ours"
    assert abs(first["own 3"] / 4_000 - 0.75) < 0.03


def test_keys_of_weight_0_are_tried_last_of_their_payer() -> None:
    shared = rule(Choice(model("a", keys=(key("off", weight=0), key("on")))))
    assert all([s.key.label for s in planned(shared, seed=seed).steps] == ["on", "off"] for seed in range(50))


# -- what a prompt needs -------------------------------------------------------------------------


def test_a_prompt_that_does_not_fit_the_context_window_goes_elsewhere() -> None:
    small, large = model("small", context_window=8_000), model("large", context_window=100_000)
    made = planned(rule(Choice(small), Choice(large), strategy="ordered"), question=Question("TEXT", 7_000, 2_000))
    assert names(made) == ["large"]
    assert "9,000 tokens do not fit" in made.receipt["candidates"][1]["reason"]


def test_a_prompt_that_fits_nowhere_is_too_long() -> None:
    made = planned(rule(Choice(model("small", context_window=10))), question=Question("TEXT", 100))
    assert not made.steps
    assert made.problem_kind is Kind.CONTEXT_TOO_LONG
    assert "context window" in made.problem


def test_a_prompt_with_tools_and_pictures_needs_a_model_that_knows_them() -> None:
    prompt = Prompt((Message("user", (TextPart("?"), ImagePart("image/png", "AA=="))),), tools=(Tool("f"),))
    question = Question.of(prompt, "TEXT")
    able, unsaid = model("able", capabilities=frozenset({"tools", "vision"})), model("unsaid", capabilities=None)
    blind = model("blind", capabilities=frozenset({"tools"}))
    made = planned(rule(Choice(blind), Choice(able), Choice(unsaid), strategy="ordered"), question=question)
    assert names(made) == ["able", "unsaid"]
    assert made.receipt["candidates"][-1]["reason"] == "the prompt needs vision"


@pytest.mark.parametrize(
    ("asked", "offered", "fits"), [("TEXT", "CODE", True), ("CODE", "TEXT", True), ("TEXT", "IMAGE", False)]
)
def test_text_models_write_code_and_no_others_do(asked: str, offered: str, fits: bool) -> None:
    made = planned(rule(Choice(model("m", model_type=offered))), question=Question(asked))
    assert bool(made.steps) is fits


# -- the receipt ---------------------------------------------------------------------------------


def test_an_unknown_condition_refuses_the_whole_rule() -> None:
    strange = rule(Choice(model("a")), name="Strange", conditions={"moon_phase": "full"})
    made = planned(strange, rule(Choice(model("b")), name="Plain"))
    assert names(made) == ["b"]
    assert "moon_phase: not a condition" in made.receipt["candidates"][1]["reason"]


def test_nothing_to_choose_from_is_said_with_what_to_do() -> None:
    assert "Add a provider key" in planned().problem
    assert "No model or rule named “gpt-9”" in planned(requested="gpt-9").problem
    assert planned(rule(Choice(model("a", keys=())))).problem.startswith("Acme AI / a cannot be used")


tags = st.frozensets(st.sampled_from(["fallback", "eu", "fast"]), max_size=2)
abilities = st.none() | st.frozensets(st.sampled_from(["tools", "vision", "json_schema"]))
candidates = st.builds(
    lambda name, price, window, able, provider, keys, kind: model(
        name, price, context_window=window, capabilities=able, provider=provider, keys=keys, model_type=kind
    ),
    st.sampled_from("abcdef"),
    st.none() | st.integers(0, 10**10),
    st.none() | st.integers(0, 200_000),
    abilities,
    st.sampled_from(["Acme AI", "Rival AI"]),
    st.lists(st.builds(key, st.text(max_size=3), st.sampled_from([OWN, PLATFORM]), st.integers(0, 3)), max_size=3).map(
        tuple
    ),
    st.sampled_from(["TEXT", "CODE", "IMAGE"]),
)
some_conditions = st.fixed_dictionaries(
    {},
    optional={
        "max_cost": st.integers(0, 10_000_000).map(lambda nano: nano / 10**9),
        "min_context_window": st.integers(0, 200_000),
        "capabilities": st.lists(st.sampled_from(["tools", "vision"]), max_size=2),
        "providers": st.lists(st.sampled_from(["acme ai", "Rival AI"]), max_size=2),
        "tags": st.lists(st.sampled_from(["eu", "fast"]), max_size=2),
        "moon_phase": st.just("full"),
    },
)
rules = st.builds(
    lambda choices, strategy, wanted: rule(*choices, strategy=strategy, conditions=wanted),
    st.lists(st.builds(Choice, candidates, st.integers(0, 5), tags), max_size=5),
    st.sampled_from(["weighted", "ordered", "cheapest"]),
    some_conditions,
)
questions = st.builds(
    Question,
    st.sampled_from(["TEXT", "CODE", "IMAGE"]),
    st.integers(0, 200_000),
    st.none() | st.integers(1, 10_000),
    st.frozensets(st.sampled_from(["tools", "vision"])),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(rules, max_size=3), questions, st.integers())
def test_no_plan_holds_what_breaks_a_condition_and_every_rejection_has_its_reason(
    given_rules: list[Rule], question: Question, seed: int
) -> None:
    made = plan(question, given_rules, random.Random(seed))
    receipt = json.loads(json.dumps(made.receipt))
    assert receipt == made.receipt
    assert receipt["summary"]
    assert bool(made.steps) is not bool(made.problem)
    for row in receipt["candidates"]:
        assert row["reason"]
        assert row["kept"] or not row["chosen"]
    assert len(receipt["rules"]) <= len(given_rules)
    if not made.steps:
        assert len(receipt["candidates"]) == sum(len(each.choices) for each in given_rules)
        return
    assert made.rule is not None
    tests = conditions.read(made.rule.conditions)
    chosen = {step.candidate.model_id for step in made.steps}
    for choice in made.rule.choices:
        if choice.candidate.model_id in chosen:
            assert tests.reason_against(choice, question) is None
            assert choice.candidate.keys
            assert choice.candidate.capabilities is None or question.needs <= choice.candidate.capabilities
            needed = question.input_tokens + (question.output_tokens or 0)
            assert choice.candidate.context_window is None or needed <= choice.candidate.context_window
    calls = [(step.candidate.model_id, step.key.id) for step in made.steps]
    assert len(set(calls)) == len(calls)
    assert sum(row["chosen"] for row in receipt["candidates"]) == 1


@given(st.integers(), st.lists(st.integers(0, 9), min_size=1, max_size=6))
def test_the_same_draw_gives_the_same_plan(seed: int, weights: list[int]) -> None:
    shared = rule(*(Choice(model(str(place)), weight) for place, weight in enumerate(weights)))
    assert planned(shared, seed=seed) == planned(replace(shared), seed=seed)


def test_the_size_of_a_prompt_is_never_underestimated_by_its_bound() -> None:
    plain = Prompt((user("Grüße " * 100),))
    assert token_bound(plain) > len(("Grüße " * 100).encode()) > tokens_of(plain)
    picture = Prompt((Message("user", (ImagePart("image/png", "A" * 100),)),))
    assert 48_169 <= token_bound(picture) < 60_000
    named = Prompt((user("x"),), tools=(Tool("n" * 64, "d" * 500, {"type": "object"}),))
    assert token_bound(named) > token_bound(Prompt((user("x"),))) + 560
    small = Prompt((user("x"),), tools=(Tool("n", "", {}),))
    assert token_bound(small) > token_bound(Prompt((user("x"),))) + 530, "its provider says how tools are called"
    dense = Prompt((Message("user", (FilePart("text/plain", "A" * 4_000),)),))
    assert token_bound(dense) > 3_000, "a token a byte, in a file too"
    sealed = Prompt((Message("assistant", (ThoughtPart("", "c" * 5_000, "anthropic", is_hidden=True),)),))
    assert token_bound(sealed) > 5_000, "what the model thought, and its provider hides, it reads again"


def test_a_file_that_the_provider_fetches_may_fill_the_whole_window() -> None:
    """Nobody here knows its size: held for a page, a report of a thousand would go beyond any limit."""
    fetched = Prompt((Message("user", (FilePart("application/pdf", url="https://example.com/a.pdf"),)),))
    assert token_bound(fetched, 200_000) == 200_000
    assert token_bound(fetched) > 2_000_000
    assert 1_000 < tokens_of(fetched) < 100_000
    words = Prompt((Message("user", (*fetched.messages[0].parts, TextPart("Long. " * 100_000))),))
    assert token_bound(words, 200_000) > 600_000


@pytest.mark.parametrize(
    "part",
    [
        FilePart("application/pdf", "A" * 4_000, name="a thousand pages, packed.pdf"),
        FilePart("application/pdf", "A" * 40_000_000),
        FilePart("video/mp4", "A" * 4_000, name="an hour of a black screen.mp4"),
        FilePart("audio/flac", "A" * 4_000, name="an hour of silence.flac"),
        FilePart("audio/mpeg", "A" * 4_000, name="no MP3 at all.mp3"),
        FilePart("", "A" * 4_000),
        FilePart("text/plain", url="https://example.com/all-of-wikipedia.txt"),
        ImagePart(url="https://example.com/a-film-it-is.png"),
        ImagePart("video/mp4", "A" * 4_000),
    ],
)
def test_a_file_that_may_be_anything_is_as_large_as_the_window(part: FilePart | ImagePart) -> None:
    """Whoever means to packs thousands of pages into a kilobyte; and no more than the window is ever read."""
    prompt = Prompt((Message("user", (part, TextPart("What is it about?"))),))
    assert token_bound(prompt, 200_000) == 200_000
    assert token_bound(prompt) == LARGEST_WINDOW


def test_sound_whose_bytes_say_how_long_it_is_at_most_is_held_by_them() -> None:
    def bound(rate: int) -> int:
        sound = FilePart("audio/wav", b64encode(_silence(8_000, rate)).decode())
        return token_bound(Prompt((Message("user", (sound,)),)), 2_000_000)

    assert 1 * 32 < bound(8_000) < 10_000
    assert 8_000 * 32 < bound(1) < 2_000_000, "played so slowly that a few kilobytes last for two hours"


def _silence(samples: int, rate: int) -> bytes:
    """A WAV file."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)
        file.setframerate(rate)
        file.writeframes(bytes(samples))
    return out.getvalue()


@pytest.mark.parametrize(
    ("media_type", "size", "most"),
    [("application/pdf", 1_000_000, 60_000), ("audio/wav", 2_000_000, 20_000), ("video/mp4", 20_000_000, 100_000)],
)
def test_an_ordinary_file_fits_an_ordinary_window(media_type: str, size: int, most: int) -> None:
    """Twenty pages; a minute of sound; two minutes of film."""
    prompt = Prompt((Message("user", (FilePart(media_type, "A" * (size * 4 // 3)), TextPart("What is it about?"))),))
    assert 500 < tokens_of(prompt) < most
    assert token_bound(prompt) > 10 * tokens_of(prompt)
    asked = Question.of(prompt, "TEXT")
    assert names(planned(rule(Choice(model("usual", context_window=128_000))), question=asked)) == ["usual"]


def test_a_long_recording_is_transcribed_whatever_the_window() -> None:
    """Those who transcribe cut it up."""
    prompt = Prompt((Message("user", (FilePart("audio/mpeg", "A" * 20_000_000),)),), task=Task.TRANSCRIPTION)
    ear = model("ear", context_window=16_000, model_type="VOICE", task=Task.TRANSCRIPTION)
    assert names(planned(rule(Choice(ear)), question=Question.of(prompt, "VOICE"))) == ["ear"]
