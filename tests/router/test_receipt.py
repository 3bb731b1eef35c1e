"""The receipt leaves nothing out: each model of each rule, each key, each draw; and it stays short."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataelan_web.router.candidates import FALLBACK, NOT_LISTED, Candidate, Choice, Question, UnusedKey
from dataelan_web.router.health import Rest, Vital
from dataelan_web.router.keys import MOST_TOLD
from dataelan_web.router.plan import MOST_MODELS, NO_SUCH_MODEL, Plan, plan
from dataelan_web.router.receipt import ENOUGH_OTHERS, MOST_REASONS, MOST_ROWS, OTHER_REASONS
from dataelan_web.router.rules import STRATEGIES, Rule
from dataelan_web.router.types import Kind

from .test_plan import PLATFORM, key, model, names, planned, questions, rule, some_conditions

NOW = 1_764_000_000.0
OFF = "it is switched off in the Model Hub"


def off(name: str) -> Candidate:
    return model(name, keys=(), why_not=OFF)


def rows(made: Plan) -> dict[str, dict[str, Any]]:
    return {row["model"]: row for row in made.receipt["candidates"]}


# -- models --------------------------------------------------------------------------------------


def test_a_model_that_is_switched_off_is_told_with_its_reason_and_never_planned() -> None:
    made = planned(rule(Choice(off("off"), 1_000), Choice(model("on"))))
    assert names(made) == ["on"]
    assert rows(made)["off"]["reason"] == OFF
    assert made.receipt["draw"] is None, "nothing was drawn between the two"


def test_whoever_names_what_is_switched_off_is_told_why_and_finds_nothing() -> None:
    made = planned(rule(Choice(off("gpt-9"))), requested="gpt-9")
    assert made.problem == f"Acme AI / gpt-9 cannot be used: {OFF}."
    assert made.problem_code == NO_SUCH_MODEL
    assert planned(rule(Choice(off("a")), Choice(model("b", keys=()))), requested="x").problem_code == ""


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_its_provider_no_longer_lists_comes_last_and_is_not_lost(strategy: str) -> None:
    gone = Choice(model("gone", price=0, is_gone=True), 1_000)
    spare = Choice(model("spare"), tags=frozenset({FALLBACK}))
    shared = rule(gone, Choice(model("a")), spare, strategy=strategy)
    for seed in range(20):
        made = planned(shared, seed=seed)
        assert names(made) == ["a", "spare", "gone"]
    assert rows(made)["gone"]["reason"] == "last, for its provider no longer lists it"
    alone = planned(rule(gone, strategy=strategy))
    assert names(alone) == ["gone"]
    assert rows(alone)["gone"]["reason"] == "first choice, though its provider no longer lists it"


def test_the_models_of_the_rule_that_decides_are_told_before_those_of_rules_that_did_not() -> None:
    empty = rule(*(Choice(model(f"e{number}", keys=())) for number in range(2 * MOST_ROWS)), name="Empty")
    made = planned(empty, rule(Choice(model("a")), Choice(off("b"))))
    assert rows(made)["b"]["reason"] == OFF
    assert len(made.receipt["candidates"]) == MOST_ROWS
    assert made.receipt["omitted"] == {"there is no usable key for Acme AI": 2 * MOST_ROWS - (MOST_ROWS - 2)}


def test_of_very_many_models_only_the_most_frequent_reasons_are_counted_one_by_one() -> None:
    many = [Choice(model(f"m{number}", context_window=number)) for number in range(400)]
    made = planned(rule(*many, Choice(model("large"))), question=Question(input_tokens=1_000))
    omitted = made.receipt["omitted"]
    assert len(omitted) == MOST_REASONS + 1
    assert len(made.receipt["candidates"]) + sum(omitted.values()) == 401
    assert omitted[OTHER_REASONS] == 401 - MOST_ROWS - MOST_REASONS
    assert len(json.dumps(made.receipt)) < 20_000


def test_those_that_rest_are_counted_once() -> None:
    resting = [model(f"r{number}") for number in range(MOST_MODELS + 5)]
    vitals = {(c.model_id, c.keys[0].id): Vital(rest=Rest(NOW - 1, NOW + 60, Kind.TRANSIENT)) for c in resting}
    made = planned(rule(*map(Choice, resting)), question=Question(vitals=vitals, now=NOW))
    assert len(made.receipt["candidates"]) == MOST_MODELS + 5
    assert "omitted" not in made.receipt


# -- keys ----------------------------------------------------------------------------------------


def test_the_draw_among_keys_is_told_with_weights_and_in_the_order_in_which_they_are_tried() -> None:
    keys = (key("one", weight=1), key("three", weight=3), key("the platform’s key", PLATFORM, weight=9))
    for seed in range(10):
        made = planned(rule(Choice(model("a", keys=keys))), seed=seed)
        told = rows(made)["a"]["keys"]
        assert [row["key"] for row in told] == [step.key.label for step in made.steps]
        assert {row["key"]: row.get("weight") for row in told} == {"one": 1, "three": 3, "the platform’s key": None}


def test_a_single_key_needs_no_words() -> None:
    assert "keys" not in rows(planned(rule(Choice(model("a")))))["a"]


def test_a_key_that_rests_is_told_until_when_and_one_that_returns_with_the_weight_it_has_again() -> None:
    shared = model("m", keys=(key("resting"), key("back", weight=10), key("well", weight=10)))
    resting, back, _ = (k.id for k in shared.keys)
    vitals = {
        (shared.model_id, resting): Vital(key_rest=Rest(NOW, NOW + 60, Kind.CREDENTIAL)),
        (shared.model_id, back): Vital(rest=Rest(NOW - 100, NOW - 50, Kind.RATE_LIMIT)),
    }
    half = replace(vitals[shared.model_id, back], rest=Rest(NOW - 150, NOW - 50, Kind.RATE_LIMIT))
    vitals[shared.model_id, back] = half
    made = planned(rule(Choice(shared)), question=Question(vitals=vitals, now=NOW))
    told = {row["key"]: row for row in rows(made)["m"]["keys"]}
    assert told["resting"]["why"] == "it rests until 16:01:00 UTC (key refused at 16:00 UTC)"
    assert (told["back"]["weight"], told["well"]["weight"]) == (5.5, 10)


def test_of_a_model_that_rests_each_key_is_told() -> None:
    tired, other = model("tired", keys=(key("k1"), key("k2"))), model("other")
    until = dict(zip(tired.keys, (60, 2 * 86_400), strict=True))
    vitals = {
        (tired.model_id, k.id): Vital(rest=Rest(NOW, NOW + seconds, Kind.RATE_LIMIT)) for k, seconds in until.items()
    }
    made = planned(rule(Choice(tired), Choice(other)), question=Question(vitals=vitals, now=NOW))
    whys = [row["why"] for row in rows(made)["tired"]["keys"]]
    assert whys == [
        "it rests until 16:01:00 UTC (rate limit at 16:00 UTC)",
        "it rests until 26 November, 16:00 UTC (rate limit at 16:00 UTC)",
    ]


def test_keys_that_may_not_be_used_are_told_of_what_is_chosen_and_of_what_lacks_a_key() -> None:
    expired = UnusedKey("Old", "it expired")
    used = model("used", unused_keys=(expired,))
    lacking = model("lacking", keys=(), unused_keys=(expired, UnusedKey("New", NOT_LISTED)))
    unlisted = model("unlisted", keys=(), unused_keys=(UnusedKey("New", NOT_LISTED),))
    small = model("small", unused_keys=(expired,), context_window=1)
    made = planned(rule(*map(Choice, (used, lacking, unlisted, small))), question=Question(input_tokens=9))
    told = rows(made)
    assert told["used"]["keys"][1:] == [{"key": "Old", "why": "it expired"}]
    assert [row["key"] for row in told["lacking"]["keys"]] == ["Old", "New"]
    assert told["lacking"]["reason"] == "there is no usable key for Acme AI"
    assert told["unlisted"]["reason"] == "Acme AI does not list it"
    assert "keys" not in told["small"], "its keys are not why"


def test_keys_that_are_left_out_of_many_models_for_the_same_reasons_are_told_once() -> None:
    unused, provider = (UnusedKey("Old", "it expired"), UnusedKey("Narrow", "it is not for this model")), uuid4()
    one, other, plain = (
        replace(model(name, keys=keys, unused_keys=unused), provider_id=provider)
        for name, keys in {"one": (key("k1"), key("k2")), "other": (key("k1"), key("k2")), "plain": (key("k"),)}.items()
    )
    stranger, lacking = model("stranger", unused_keys=unused), replace(one, model="lacking", model_id=uuid4(), keys=())
    told = rows(planned(rule(*map(Choice, (one, other, plain, stranger, lacking)), strategy="ordered")))
    assert {row["key"]: row.get("why") for row in told["one"]["keys"]} == {"k1": None, "k2": None, **dict(unused)}
    assert {row["key"] for row in told["other"]["keys"]} == {"k1", "k2"}
    assert [told[name].get("unused_as_of") for name in ("one", "other", "plain", "lacking")] == [None, *["one"] * 3]
    assert "keys" not in told["plain"]
    assert len(told["stranger"]["keys"]) == 3, "another provider's are others"


def test_of_very_many_keys_only_so_many_are_told_and_how_many_more() -> None:
    many = model("m", keys=tuple(key(f"k{number}") for number in range(MOST_TOLD + 3)))
    row = rows(planned(rule(Choice(many))))["m"]
    assert (len(row["keys"]), row["more_keys"]) == (MOST_TOLD, 3)


# -- speed ---------------------------------------------------------------------------------------


def test_a_rule_for_speed_tells_the_waits_it_went_by_and_the_chances_of_those_that_return() -> None:
    quick, slow, back, new = (model(name) for name in ("quick", "slow", "back", "new"))
    measured = {
        quick: Vital(latency=1.0, seen_at=NOW, calls=9, in_flight=1),
        slow: Vital(latency=3.0, seen_at=NOW, calls=9, in_flight=1),
        back: Vital(latency=0.5, seen_at=NOW, calls=9, in_flight=1, rest=Rest(NOW - 150, NOW - 50, Kind.TRANSIENT)),
    }
    question = Question(vitals={(c.model_id, c.keys[0].id): vital for c, vital in measured.items()}, now=NOW)
    shared = rule(*map(Choice, (quick, slow, back, new)), strategy="fastest")
    came = Counter[bool]()
    for seed in range(200):
        made = planned(shared, question=question, seed=seed)
        told = rows(made)
        assert told["quick"]["wait"] == pytest.approx(1.125)
        assert "wait" not in told["new"], "it was never tried"
        chance = told["back"]["chance"]
        assert chance["share"] == 0.55
        assert names(made).index("back") == (1 if chance["came"] else 3)
        came[chance["came"]] += 1
    assert 80 < came[True] < 140
    balanced = rows(planned(replace(shared, strategy="balanced"), question=question))
    assert balanced["slow"]["wait"] == pytest.approx(3.375)


# -- nothing is left out -------------------------------------------------------------------------


def mixed(name: str, state: str, keys: int, window: int | None, kind: str) -> Candidate:
    values: dict[str, Any] = {"keys": tuple(key(f"k{number}") for number in range(keys)), "model_type": kind}
    if state == "off":
        values |= {"keys": (), "why_not": OFF}
    unused = (UnusedKey("Old", "it expired"),) if state == "expired" else ()
    return model(name, context_window=window, is_gone=state == "gone", unused_keys=unused, **values)


mixed_models = st.builds(
    mixed,
    st.sampled_from("abcdef"),
    st.sampled_from(["", "", "off", "gone", "expired"]),
    st.integers(0, 3),
    st.none() | st.integers(0, 200_000),
    st.sampled_from(["TEXT", "TEXT", "IMAGE"]),
)
tagged = st.frozensets(st.sampled_from(["fallback", "context-fallback", "policy-fallback", "eu"]), max_size=2)
mixed_rules = st.builds(
    lambda choices, strategy, wanted: rule(*choices, strategy=strategy, conditions=wanted),
    st.lists(st.builds(Choice, mixed_models, st.integers(0, 3), tagged), max_size=30),
    st.sampled_from(list(STRATEGIES)),
    some_conditions,
)
ages = st.sampled_from([None, None, (-60, 60), (-100, -10), (-500, -400)])


@settings(max_examples=200, deadline=None)
@given(st.lists(mixed_rules, max_size=4), questions, st.lists(ages, min_size=1, max_size=9), st.integers())
def test_each_model_of_each_rule_considered_is_chosen_or_kept_or_has_its_reason(
    given_rules: list[Rule], question: Question, rests: list[tuple[int, int] | None], seed: int
) -> None:
    pairs = [(c.candidate.model_id, k.id) for each in given_rules for c in each.choices for k in c.candidate.keys]
    vitals = {
        pair: Vital(latency=1.0, rest=Rest(NOW + rest[0], NOW + rest[1], Kind.TRANSIENT))
        for place, pair in enumerate(pairs)
        if (rest := rests[place % len(rests)])
    }
    question = replace(question, vitals=vitals, now=NOW)
    made = plan(question, given_rules, random.Random(seed))
    told = made.receipt
    assert json.loads(json.dumps(told)) == told
    considered = given_rules[: len(told["rules"])]
    assert all(row["reason"] for row in told["rules"])
    for row in told["candidates"]:
        assert row["reason"]
        assert all(told_key["key"] for told_key in row.get("keys", ()))
    if not made.steps:
        assert len(considered) == len(given_rules)
    # A rule that is not for this prompt has one reason for all of its models; some_conditions asks nothing of prompts.
    models = sum(len(each.choices) for each in considered)
    assert len(told["candidates"]) + sum(told.get("omitted", {}).values()) == models
    kept = {row["model"] for row in told["candidates"] if row["kept"]}
    assert kept == {step.candidate.model for step in made.steps}
    assert sum(row["chosen"] for row in told["candidates"]) == bool(made.steps)
    omitted = told.get("omitted", {})
    by_reason = Counter(dropped.reason for dropped in made.rejected)
    assert (
        sum(by_reason.values()) + omitted.get(ENOUGH_OTHERS, 0) + sum(row["kept"] for row in told["candidates"])
        == models
    )
    for dropped in made.rejected:
        assert not any(step.candidate is dropped.choice.candidate for step in made.steps)
