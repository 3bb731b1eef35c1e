"""Which model a rule puts first when speed, rest and kinds of failure play a part; and what a rule says of itself."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from dataelan_web.router.candidates import CONTEXT_FALLBACK, FALLBACK, POLICY_FALLBACK, Candidate, Choice, Question
from dataelan_web.router.conditions import ConditionError
from dataelan_web.router.health import TALLY, Rest, Vital
from dataelan_web.router.plan import LONGEST_REST, MOST_MODELS, Plan
from dataelan_web.router.receipt import ENOUGH_OTHERS
from dataelan_web.router.rules import Rule
from dataelan_web.router.types import Kind, Task

from .test_plan import key, model, names, planned, rule

NOW = 10_000.0
RATE_LIMIT = Rest(NOW - 10, NOW + 50, Kind.RATE_LIMIT)


def asked(vitals: dict[Candidate, Vital], **values: Any) -> Question:
    measured = {(c.model_id, k.id): vital for c, vital in vitals.items() for k in c.keys}
    return Question(vitals=measured, now=NOW, **values)


def measured(latency: float, **values: Any) -> Vital:
    return Vital(latency=latency, seen_at=NOW, calls=20, **values)


def reasons(made: Plan) -> dict[str, str]:
    return {dropped.choice.candidate.model: dropped.reason for dropped in made.rejected}


# -- fallbacks for a kind of failure ---------------------------------------------------------------


def test_models_kept_for_long_or_refused_prompts_wait_for_their_failure() -> None:
    usual, spare, long, frank = (model(name) for name in ("usual", "spare", "long", "frank"))
    made = planned(
        rule(
            Choice(frank, tags=frozenset({POLICY_FALLBACK})),
            Choice(long, tags=frozenset({CONTEXT_FALLBACK})),
            Choice(usual),
            Choice(spare, tags=frozenset({FALLBACK})),
        )
    )
    assert [(step.candidate.model, step.only_after) for step in made.steps] == [
        ("usual", None),
        ("spare", None),
        ("long", Kind.CONTEXT_TOO_LONG),
        ("frank", Kind.CONTENT_POLICY),
    ]
    told = {row["model"]: row["reason"] for row in made.receipt["candidates"]}
    assert told["long"] == "kept for prompts too long for the others"
    assert told["frank"] == "kept for prompts the others refuse"


def test_a_fallback_may_also_be_the_one_for_long_or_refused_prompts() -> None:
    usual, next_one, both = model("usual"), model("next"), model("both")
    made = planned(
        rule(
            Choice(both, tags=frozenset({FALLBACK, CONTEXT_FALLBACK, POLICY_FALLBACK})),
            Choice(usual),
            Choice(next_one, tags=frozenset({FALLBACK})),
            strategy="ordered",
        )
    )
    assert [(step.candidate.model, step.only_after, step.also_after) for step in made.steps] == [
        ("usual", None, frozenset()),
        ("both", None, {Kind.CONTEXT_TOO_LONG, Kind.CONTENT_POLICY}),
        ("next", None, frozenset()),
    ]
    told = {row["model"]: row["reason"] for row in made.receipt["candidates"]}
    assert told["both"] == (
        "fallback, should all before it fail, and next for prompts too long for the others"
        " and prompts the others refuse"
    )


def test_a_prompt_that_only_the_model_for_long_ones_can_take_goes_there_at_once() -> None:
    short, long = model("short", context_window=1_000), model("long", context_window=100_000)
    made = planned(
        rule(Choice(short), Choice(long, tags=frozenset({CONTEXT_FALLBACK}))), question=Question(input_tokens=5_000)
    )
    assert [(step.candidate.model, step.only_after) for step in made.steps] == [("long", None)]


# -- speed -------------------------------------------------------------------------------------------


def test_the_fastest_is_the_one_that_lately_answered_soonest_and_the_untried_gets_its_try() -> None:
    slow, quick, new = model("slow"), model("quick"), model("new")
    shared = rule(Choice(slow), Choice(quick), Choice(new), strategy="fastest")
    vitals = {slow: measured(4.0), quick: measured(1.0), new: Vital()}
    assert names(planned(shared, question=asked(vitals))) == ["new", "quick", "slow"]
    busy = vitals | {new: Vital(in_flight=1)}
    assert names(planned(shared, question=asked(busy))) == ["quick", "slow", "new"]


def test_a_busy_or_failing_model_is_not_the_fastest() -> None:
    quick, calm = model("quick"), model("calm")
    shared = rule(Choice(quick), Choice(calm), strategy="fastest")
    assert names(planned(shared, question=asked({quick: measured(1.0), calm: measured(1.5)})))[0] == "quick"
    crowded = {quick: measured(1.0, in_flight=8), calm: measured(1.5, in_flight=1)}
    assert names(planned(shared, question=asked(crowded)))[0] == "calm"
    failing = {quick: measured(1.0, errors=0.3, in_flight=1), calm: measured(1.5, in_flight=1)}
    assert names(planned(shared, question=asked(failing)))[0] == "calm"


def test_balanced_takes_half_the_price_for_twice_the_wait_and_no_more() -> None:
    dear = model("dear", price=4_000)
    cheap, idle = model("cheap", price=1_000), {"in_flight": 1}
    shared = rule(Choice(dear), Choice(cheap), strategy="balanced")
    assert (
        names(planned(shared, question=asked({dear: measured(1.0, **idle), cheap: measured(3.0, **idle)})))[0]
        == "cheap"
    )
    assert (
        names(planned(shared, question=asked({dear: measured(1.0, **idle), cheap: measured(5.0, **idle)})))[0] == "dear"
    )


def test_latency_and_success_conditions_hold_back_what_was_measured_badly_and_let_the_unmeasured_pass() -> None:
    slow, flaky, good, new = model("slow"), model("flaky"), model("good"), model("new")
    shared = rule(
        *(Choice(each) for each in (slow, flaky, good, new)),
        strategy="ordered",
        conditions={"max_latency_ms": 500, "min_success_rate": 0.9},
    )
    vitals = {
        slow: measured(1, first_token_ms=900),
        flaky: measured(1, first_token_ms=100, failed=5),
        good: measured(1, first_token_ms=100, failed=1),
    }
    made = planned(shared, question=asked(vitals))
    assert names(made) == ["good", "new"]
    assert "900 ms" in reasons(made)["slow"]
    assert "75%" in reasons(made)["flaky"]


def test_a_reason_never_reads_as_if_the_condition_held() -> None:
    slow, flaky = model("slow"), model("flaky")
    shared = rule(Choice(slow), Choice(flaky), conditions={"max_latency_ms": 500, "min_success_rate": 0.995})
    vitals = {slow: measured(1, first_token_ms=500.2), flaky: Vital(latency=1, seen_at=NOW, calls=1000, failed=5.4)}
    told = reasons(planned(shared, question=asked(vitals)))
    assert told["slow"] == "its first token lately took 501 ms, over the rule's 500"
    assert told["flaky"] == "only 99.4% of its calls lately succeeded, under the rule's 99.5%"


def test_a_slow_first_token_shuts_a_model_out_only_while_it_tells_of_now() -> None:
    slow, other = model("slow"), model("other")
    shared = rule(Choice(slow), Choice(other), strategy="ordered", conditions={"max_latency_ms": 500})

    def first(age: float) -> str:
        vital = Vital(latency=1, first_token_ms=900, seen_at=NOW - age, calls=1)
        return names(planned(shared, question=asked({slow: vital})))[0]

    assert (first(0), first(TALLY - 1), first(TALLY)) == ("other", "other", "slow")


# -- rest --------------------------------------------------------------------------------------------


def test_what_rests_is_left_out_with_its_reason() -> None:
    tired, fresh = model("tired"), model("fresh")
    made = planned(rule(Choice(tired, 100), Choice(fresh)), question=asked({tired: measured(1, rest=RATE_LIMIT)}))
    assert names(made) == ["fresh"]
    assert "rests for 50 s more (rate limit at" in reasons(made)["tired"]


def test_of_several_keys_the_one_that_returns_first_says_why_a_model_rests() -> None:
    keys = key("refused"), key("limited")
    tired, fresh = model("tired", keys=keys), model("fresh")
    refused = Rest(NOW - 10, NOW + 3600, Kind.CREDENTIAL)
    vitals = dict(zip(tired.pairs, (measured(1, key_rest=refused), measured(1, rest=RATE_LIMIT)), strict=True))
    made = planned(rule(Choice(tired), Choice(fresh)), question=Question(vitals=vitals, now=NOW))
    assert "rests for 50 s more (rate limit at" in reasons(made)["tired"]


def test_where_all_rest_the_one_that_returns_first_is_waited_for() -> None:
    late, soon = model("late"), model("soon")
    vitals = {late: measured(1, rest=RATE_LIMIT), soon: measured(1, rest=Rest(NOW - 5, NOW + 4, Kind.TRANSIENT))}
    made = planned(rule(Choice(late), Choice(soon)), question=asked(vitals))
    assert [(step.candidate.model, step.wait) for step in made.steps] == [("soon", 4.0), ("late", 0.0)]


def test_nobody_waits_longer_than_a_little_while() -> None:
    tired = model("tired")
    made = planned(rule(Choice(tired)), question=asked({tired: measured(1, rest=Rest(NOW, NOW + LONGEST_REST + 1))}))
    assert [step.wait for step in made.steps] == [0.0]


def test_a_key_that_rests_leaves_the_model_to_the_other_key() -> None:
    weak, strong = key("weak"), key("strong")
    shared = model("m", keys=(weak, strong))
    vitals = {(shared.model_id, weak.id): Vital(key_rest=Rest(NOW, NOW + 60, Kind.CREDENTIAL))}
    made = planned(rule(Choice(shared)), question=Question(vitals=vitals, now=NOW))
    assert [step.key.label for step in made.steps] == ["strong"]


def test_where_all_keys_rest_the_one_that_wakes_first_is_waited_for_and_asked() -> None:
    dead, soon = key("dead", weight=5), key("soon")
    shared = model("m", keys=(dead, soon))
    vitals = {
        (shared.model_id, dead.id): Vital(key_rest=Rest(NOW, NOW + 3600, Kind.CREDENTIAL)),
        (shared.model_id, soon.id): Vital(rest=Rest(NOW, NOW + 3, Kind.RATE_LIMIT)),
    }
    made = planned(rule(Choice(shared)), question=Question(vitals=vitals, now=NOW))
    assert [(step.key.label, step.wait) for step in made.steps][:1] == [("soon", 3.0)]


def test_one_that_returns_from_a_rest_gets_its_weight_back_little_by_little() -> None:
    back, other = model("back"), model("other")
    shared = rule(Choice(back), Choice(other))

    def share(seconds: float) -> float:
        resting = {back: measured(1, rest=Rest(NOW - seconds - 60, NOW - seconds, Kind.TRANSIENT))}
        drawn = Counter(names(planned(shared, question=asked(resting), seed=seed))[0] for seed in range(2_000))
        return drawn["back"] / 2_000

    assert share(0.1) < 0.15 < share(30) < 0.45 < share(61) < 0.55
    made = planned(shared, question=asked({back: measured(1, rest=Rest(NOW - 60, NOW - 0.1, Kind.TRANSIENT))}))
    assert 0.1 <= made.receipt["draw"]["weights"]["Acme AI / back"] < 0.11


# -- tasks -------------------------------------------------------------------------------------------


def test_a_model_is_only_asked_for_what_it_does() -> None:
    speaker, listener = (model(t.value, model_type="VOICE", task=t) for t in (Task.SPEECH, Task.TRANSCRIPTION))
    shared = rule(Choice(speaker), Choice(listener), model_type="VOICE")
    made = planned(shared, question=Question("VOICE", task=Task.TRANSCRIPTION))
    assert names(made) == ["transcription"]
    assert reasons(made) == {"speech": "it does speech, and the prompt asks for transcription"}


def test_a_plan_over_hundreds_of_models_stays_short_and_so_does_its_receipt() -> None:
    many = [model(f"m{number}", price=number) for number in range(300)]
    made = planned(rule(*(Choice(each) for each in many), strategy="cheapest"))
    assert names(made) == [f"m{number}" for number in range(MOST_MODELS)]
    assert made.receipt["omitted"] == {ENOUGH_OTHERS: 300 - MOST_MODELS}
    assert len(made.receipt["candidates"]) + sum(made.receipt["omitted"].values()) == 300
    assert len(made.receipt["candidates"]) <= 60


# -- what a rule says of itself ------------------------------------------------------------------------


def test_a_rule_says_itself_in_plain_words() -> None:
    made = rule(
        Choice(model("gpt-4"), 7),
        Choice(model("claude-2"), 3),
        Choice(model("spare"), tags=frozenset({FALLBACK})),
        conditions={"max_cost": 0.05, "min_context_window": 8_000, "expression": "time.hour < 9"},
    )
    assert made.words == (
        "Text prompts when time.hour < 9 go 70 % to gpt-4 and 30 % to claude-2, then spare when they fail,"
        " of models at most $50 per 1M tokens and at least 8,000 tokens of context."
    )
    assert rule(Choice(model("a")), Choice(model("b")), strategy="fastest").words == (
        "Text prompts go to a or b: the one that lately answered soonest."
    )
    assert "cannot be used" in rule(Choice(model("a")), conditions={"nonsense": 1}).words
    gone = Choice(model("gone", is_gone=True), 7)
    assert rule(Choice(model("a"), 3), Choice(model("b"), 1), gone).words == (
        "Text prompts go 75 % to a and 25 % to b, last gone, no longer listed."
    )
    assert rule(gone).words == "Text prompts go to gone."
    never = rule(Choice(model("a"), 0), Choice(model("b"), 0))
    assert never.words == "Text prompts go to a or b: in this order.", "none of them is ever drawn"
    assert names(planned(never)) == ["a", "b"]


def test_a_rule_whose_first_models_are_gone_says_where_its_prompts_go_now() -> None:
    gone, spare = Choice(model("gone", is_gone=True), 7), Choice(model("spare"), tags=frozenset({FALLBACK}))
    made = rule(gone, spare)
    assert names(planned(made)) == ["spare", "gone"]
    assert made.words == "Text prompts go to spare, last gone, no longer listed."
    assert rule(spare).words == "Text prompts go to spare.", "the others are switched off"
    long = Choice(model("long"), tags=frozenset({CONTEXT_FALLBACK}))
    assert rule(gone, long).words == "Text prompts go to gone, then long when the prompt is too long for them."
    assert rule(long).words == "Text prompts go to long."


@pytest.mark.parametrize(
    ("conditions", "word"),
    [
        ({"max_cost": 0}, "over the rule's"),
        ({"providers": ["Nobody"]}, "not among the rule's providers"),
        ({"tags": ["gold"]}, "not tagged gold"),
        ({"capabilities": ["vision"], "max_cost": 100}, "nobody says that it has vision"),
        ({"min_context_window": 10**9}, "unknown"),
    ],
)
def test_conditions_that_no_model_of_the_rule_can_pass_are_a_contradiction(
    conditions: dict[str, Any], word: str
) -> None:
    made = rule(Choice(model("a")), Choice(model("b")), conditions=conditions)
    assert word in (made.contradiction() or "")
    assert "the other is out too" in (made.contradiction() or "")


def test_a_rule_that_some_model_can_pass_is_no_contradiction_and_a_wrong_condition_is_an_error() -> None:
    assert rule(Choice(model("a", price=None)), Choice(model("b")), conditions={"max_cost": 1}).contradiction() is None
    assert Rule("empty", ()).contradiction() is None
    with pytest.raises(ConditionError):
        rule(Choice(model("a")), conditions={"max_cost": -1}).contradiction()
