"""Each condition: when it holds, what it says when it does not, and what it refuses to read."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from dataelan_web.router.candidates import Candidate, Choice, Question, Votes
from dataelan_web.router.conditions import CONDITIONS, ConditionError, read
from dataelan_web.router.pricing import Rates
from dataelan_web.router.types import Task

CENT = 10_000_000


def choice(rates: Rates | None = None, tags: tuple[str, ...] = (), model: str = "m", **values: Any) -> Choice:
    made = Candidate(uuid4(), model, uuid4(), "OpenAI", "openai", "http://x/v1", (), rates, **values)
    return Choice(made, tags=frozenset(tags))


def against(conditions: dict[str, Any], subject: Choice) -> str | None:
    return read(conditions).reason_against(subject, Question())


@pytest.mark.parametrize(
    ("limit", "input", "output", "holds"),
    [
        (0.01, 5 * CENT, 10_000 * CENT // 10, True),  # $0.01 per 1K is $10 per million
        (0.01, 0, 1_000 * CENT + 1000, False),
        ("0.01", 1_001 * CENT, 0, False),
        (0, 0, 0, True),
        (0, 1_000, 0, False),
    ],
)
def test_max_cost_is_in_usd_per_1k_tokens_of_the_dearer_side(limit: Any, input: int, output: int, holds: bool) -> None:
    assert (against({"max_cost": limit}, choice(Rates(input, output))) is None) is holds


def test_an_unknown_price_does_not_pass_a_price_limit() -> None:
    assert "price is unknown" in str(against({"max_cost": 100}, choice(None)))


def test_a_price_just_over_the_limit_is_not_rounded_down_to_it() -> None:
    assert against({"max_cost": 0}, choice(Rates(1, 1))) is not None


def test_the_dearer_tier_a_prompt_can_reach_counts_against_max_cost() -> None:
    tiered = Rates(CENT, CENT, tiers=((200_000, Rates(1_000 * CENT, 2_000 * CENT)),))
    test = read({"max_cost": 0.01})
    assert test.reason_against(choice(tiered), Question(input_tokens=1_000)) is None
    assert test.reason_against(choice(tiered), Question(input_tokens=300_000)) is not None


def test_a_context_window_that_is_small_or_unknown_does_not_pass() -> None:
    assert against({"min_context_window": 1000}, choice(context_window=1000)) is None
    assert "is under 1,000" in str(against({"min_context_window": 1000}, choice(context_window=999)))
    assert "unknown" in str(against({"min_context_window": 1000}, choice(context_window=None)))


@pytest.mark.parametrize(("won", "of", "holds"), [(0, 4, True), (0, 5, False), (2, 5, True), (39, 100, False)])
def test_what_people_choose_too_seldom_does_not_pass_once_enough_is_known(won: int, of: int, holds: bool) -> None:
    test = {"min_win_rate": 0.4}
    assert (against(test, choice(votes={"TEXT": Votes(won, of)})) is None) is holds
    assert against(test, choice(votes={"CODE": Votes(won, of)})) is None, "votes on code tell nothing of text"


def test_capabilities_must_all_be_there_and_unknown_ones_are_not() -> None:
    wanted = {"capabilities": ["tools", "vision"]}
    assert against(wanted, choice(capabilities=frozenset({"tools", "vision", "x"}))) is None
    assert against(wanted, choice(capabilities=frozenset({"tools"}))) == "it lacks vision"
    assert against(wanted, choice(capabilities=None)) == "nobody says that it has tools, vision"


def test_where_nobody_says_what_a_model_can_its_name_tells() -> None:
    wanted = {"capabilities": ["tools", "reasoning"]}
    assert against(wanted, choice(model="gpt-6-sol")) is None
    assert against(wanted, choice(model="gpt-4o")) == "nobody says that it has reasoning"
    assert against(wanted, choice(model="gpt-6-sol", capabilities=frozenset({"tools"}))) == "it lacks reasoning"


def test_every_chat_streams_whether_anyone_says_so_or_not() -> None:
    wanted = {"capabilities": ["streaming"]}
    assert against(wanted, choice()) is None
    assert against(wanted, choice(capabilities=frozenset({"tools"}))) is None
    assert against(wanted, choice(task=Task.IMAGE)) == "it lacks streaming"


def test_providers_are_named_without_regard_to_case() -> None:
    assert against({"providers": ["openai"]}, choice()) is None
    assert "OpenAI is not among" in str(against({"providers": ["Mistral"]}, choice()))


def test_all_tags_are_needed() -> None:
    assert against({"tags": ["eu"]}, choice(tags=("eu", "fast"))) is None
    assert against({"tags": ["eu", "fast"]}, choice(tags=("eu",))) == "it is not tagged fast"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("max_cost", value) for value in ("cheap", -1, "NaN", "Infinity", None, [], {}, True, "1e999999999")),
        *(("min_context_window", value) for value in ("8k", -1, 1.5, True, None)),
        *((name, value) for name in ("capabilities", "providers", "tags") for value in ("tools", [1], None, {})),
        ("moon_phase", "full"),
    ],
)
def test_a_value_that_is_not_understood_is_refused_with_its_name(name: str, value: Any) -> None:
    with pytest.raises(ConditionError, match=name):
        read({name: value})


def test_every_condition_can_be_read_and_none_is_ignored() -> None:
    everything = {
        "max_cost": 1, "min_context_window": 1, "capabilities": [], "max_latency_ms": 9, "min_success_rate": 0.9,
        "min_win_rate": 0.4, "providers": ["x"], "tags": [], "expression": "prompt.tokens > 1",
    }  # fmt: skip
    assert set(everything) == set(CONDITIONS)
    assert {type(test) for test in read(everything).all} == set(CONDITIONS.values())
