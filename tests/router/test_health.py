"""When a model rests, how it returns, and how good a choice it is: values in, values out."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from dataclasses import replace
from statistics import geometric_mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import balancing
from dataelan_web.router.health import (
    KEYS_OWN,
    LONGEST_RETURN,
    PROMPTS_OWN,
    SHORTEST_KEY_REST,
    USUAL_TOKENS,
    Observation,
    Vital,
    best_latency,
    kind_for_health,
    observed,
    ranked,
    work_of,
)
from dataelan_web.router.types import Failure, Kind

NOON = 1_750_000_000.0
"""15:06 UTC, in truth."""
GOOD = Observation(seconds=2.0)
UNKNOWN = Vital()
LIMITED = Observation(Kind.RATE_LIMIT, 0.1)
BROKEN = Observation(Kind.TRANSIENT, 0.1)


def after(*observations: Observation, vital: Vital = UNKNOWN, at: float = NOON, every: float = 1.0) -> Vital:
    for place, observation in enumerate(observations):
        vital = observed(vital, observation, at + place * every)
    return vital


def returned(vital: Vital) -> float:
    """When it has its whole share again."""
    return vital.resting_until + LONGEST_RETURN + 1


# -- what is measured ------------------------------------------------------------------------------


def test_the_first_call_is_the_measure_and_later_ones_move_it_by_a_fifth() -> None:
    vital = after(Observation(seconds=2.0, first_token_seconds=0.5))
    assert (vital.latency, vital.first_token_ms) == (2.0, 500.0)
    vital = after(Observation(seconds=7.0, first_token_seconds=1.0), vital=vital)
    assert (vital.latency, vital.first_token_ms) == (3.0, 600.0)


def test_latency_is_for_an_ordinary_answer_so_that_long_answers_do_not_make_a_model_look_slow() -> None:
    long_one = after(Observation(seconds=20.0, work=work_of(10 * USUAL_TOKENS)))
    assert long_one.latency == after(GOOD).latency == 2.0


def test_a_very_short_answer_is_not_blown_up() -> None:
    assert after(Observation(seconds=1.0, work=work_of(0))).latency == 4.0


def test_output_that_is_not_counted_in_tokens_is_one_unit_of_work() -> None:
    assert work_of(None) == 1.0


def test_a_failure_does_not_change_how_fast_it_is() -> None:
    assert after(GOOD, replace(BROKEN, seconds=120.0)).latency == 2.0


def test_few_calls_say_nothing_about_the_success_rate() -> None:
    assert after(*[GOOD] * 4).success_rate(NOON + 4) is None
    assert after(*[GOOD] * 4, BROKEN).success_rate(NOON + 5) == pytest.approx(0.8, abs=0.01)


def test_a_bad_success_rate_is_forgotten_so_that_a_rule_can_try_again() -> None:
    vital = after(*[GOOD, BROKEN] * 3)
    assert vital.success_rate(NOON + 6) == pytest.approx(0.5, abs=0.01)
    assert vital.success_rate(NOON + 3600) is None


@pytest.mark.parametrize("kind", sorted(PROMPTS_OWN))
def test_a_prompts_own_faults_say_nothing_about_health(kind: Kind) -> None:
    vital = after(GOOD, BROKEN, BROKEN)
    assert observed(vital, Observation(kind, 3.0, retry_after=60.0), NOON + 9) is vital


# -- when it rests ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code", "message", "kind"),
    [
        (403, "model_not_found", "Project `proj_x` does not have access to model `gpt-5`", Kind.TRANSIENT),
        (403, "", "You don't have access to the model with the specified model ID.", Kind.TRANSIENT),
        (403, "", "Forbidden", Kind.CREDENTIAL),
        (401, "invalid_api_key", "Incorrect API key provided", Kind.CREDENTIAL),
        (404, "model_not_found", "The model `old` does not exist", Kind.TRANSIENT),
        (404, "", "models/old is not found for API version v1beta", Kind.TRANSIENT),
        (404, "voice_not_found", "A voice with this voice_id was not found.", Kind.BAD_REQUEST),
        (400, "", "A tool without a name", Kind.BAD_REQUEST),
    ],
)
def test_a_model_that_a_key_is_not_given_is_a_trouble_of_both_together(
    status: int, code: str, message: str, kind: Kind
) -> None:
    """Of neither the prompt, nor of the key with its other models."""
    usual = Kind.BAD_REQUEST if status in (400, 404) else Kind.CREDENTIAL
    assert kind_for_health(Failure(usual, message, status=status, code=code)) is kind


def test_a_rate_limit_rests_at_once_and_each_time_twice_as_long_up_to_five_minutes() -> None:
    vital, rests, now = Vital(), list[float](), NOON
    for _ in range(8):
        vital = observed(vital, LIMITED, now)
        rests.append(vital.resting_until - now)
        now = vital.resting_until + 1
    assert rests == [5, 10, 20, 40, 80, 160, 300, 300]


@pytest.mark.parametrize("kind", [Kind.RATE_LIMIT, Kind.TRANSIENT])
@pytest.mark.parametrize("seconds", [0.0, 1.0, 7.5, 86400.0])
def test_retry_after_is_kept_to_exactly(kind: Kind, seconds: float) -> None:
    vital = after(Observation(kind, 0.1, retry_after=seconds))
    assert vital.resting_until == NOON + seconds
    assert vital.share(NOON + seconds - 0.001) == 0
    assert vital.share(NOON + seconds) > 0


@pytest.mark.parametrize(("wish", "rest"), [(math.inf, 7 * 86400), (1e12, 7 * 86400), (math.nan, 5), (-3.0, 0)])
def test_an_absurd_retry_after_does_no_harm(wish: float, rest: float) -> None:
    assert after(replace(LIMITED, retry_after=wish)).resting_until == NOON + rest


def test_a_later_retry_after_lengthens_a_rest_and_an_earlier_one_does_not_shorten_it() -> None:
    vital = after(replace(LIMITED, retry_after=30.0))
    assert observed(vital, replace(LIMITED, retry_after=60.0), NOON + 1).resting_until == NOON + 61
    assert observed(vital, replace(LIMITED, retry_after=2.0), NOON + 1).resting_until == NOON + 30


def test_calls_that_are_refused_together_count_once() -> None:
    assert after(*[LIMITED] * 10, every=0.01).resting_until == NOON + 5


def test_a_call_that_began_before_the_rest_does_not_lengthen_it_when_it_fails_after() -> None:
    vital = after(LIMITED)
    assert observed(vital, replace(BROKEN, seconds=60.0), NOON + 30).resting_until == NOON + 5


def test_two_failures_are_borne_and_a_third_in_a_row_rests_it() -> None:
    assert after(BROKEN, BROKEN).share(NOON + 2) == 1
    assert after(BROKEN, BROKEN, *[GOOD] * 5, BROKEN, BROKEN).share(NOON + 9) == 1
    assert after(BROKEN, BROKEN, BROKEN).resting_until == NOON + 2 + 5


def test_it_rests_when_most_of_five_calls_failed() -> None:
    assert after(BROKEN, GOOD, BROKEN, GOOD).resting_until == 0
    assert after(BROKEN, GOOD, BROKEN, GOOD, BROKEN).resting_until == NOON + 4 + 5


def test_a_failure_after_its_return_rests_it_twice_as_long() -> None:
    vital = after(BROKEN, BROKEN, BROKEN)
    again = observed(vital, BROKEN, vital.resting_until + 1)
    assert again.resting_until - again.rest.since == 10


def test_a_failure_long_after_its_return_does_too_unless_it_has_answered_since() -> None:
    vital = after(LIMITED)
    assert observed(vital, LIMITED, NOON + 3600).resting_until == NOON + 3600 + 10
    well = observed(vital, GOOD, NOON + 3600)
    assert observed(well, LIMITED, NOON + 3700).resting_until == NOON + 3700 + 5


@pytest.mark.parametrize("kind", sorted(KEYS_OWN))
def test_a_refused_or_unpaid_key_rests_for_a_minute_and_longer_up_to_an_hour(kind: Kind) -> None:
    vital, rests, now = Vital(), list[float](), NOON
    for _ in range(8):
        vital = observed(vital, Observation(kind, 0.1), now)
        rests.append(vital.resting_until - now)
        now = vital.resting_until + 1
    assert rests == [60, 120, 240, 480, 960, 1920, 3600, 3600]


def test_a_keys_rest_is_told_apart_from_the_models() -> None:
    vital = after(Observation(Kind.CREDENTIAL, 0.1))
    assert vital.key_rest.until == NOON + SHORTEST_KEY_REST
    assert (vital.rest.until, vital.calls, vital.failures, vital.errors) == (0, 0, 0, 0)


def test_why_it_rests_is_said_in_words() -> None:
    assert after(LIMITED).why == "rate limit at 15:06 UTC"
    assert after(LIMITED, Observation(Kind.BILLING)).why == "no credit left at 15:06 UTC"
    assert after(GOOD).why == ""


# -- how it returns --------------------------------------------------------------------------------


def test_after_a_rest_its_share_rises_from_a_tenth_to_all_in_as_long_as_it_rested() -> None:
    vital = after(replace(LIMITED, retry_after=20.0))
    shares = [vital.share(NOON + seconds) for seconds in (0, 19.9, 20, 30, 40, 41)]
    assert shares == pytest.approx([0, 0, 0.1, 0.55, 1, 1])


def test_the_return_from_a_long_rest_takes_five_minutes_at_most() -> None:
    vital = after(replace(LIMITED, retry_after=7200.0))
    assert vital.share(NOON + 7200 + 299) < 1
    assert vital.share(NOON + 7200 + 300) == 1


def test_one_success_does_not_bring_it_back_all_at_once() -> None:
    vital = after(replace(LIMITED, retry_after=20.0))
    assert observed(vital, GOOD, NOON + 22).share(NOON + 22) == vital.share(NOON + 22) < 0.2


def test_a_success_after_its_return_makes_the_rest_forgotten() -> None:
    vital = after(LIMITED, Observation(Kind.BILLING))
    well = observed(vital, GOOD, returned(vital))
    assert (well.resting_until, well.why, well.failures) == (0, "", 0)


# -- how good a choice it is -----------------------------------------------------------------------


def test_what_was_never_tried_comes_first_but_one_call_at_a_time() -> None:
    good = after(GOOD)
    assert Vital().score(NOON, 2.0) == 0
    assert Vital(in_flight=1).score(NOON, 2.0) > good.score(NOON, 2.0)


def test_what_only_ever_failed_comes_after_what_was_never_tried_and_what_answers() -> None:
    failed, good = after(BROKEN), after(GOOD)
    assert Vital().score(NOON, 2.0) < good.score(NOON, 2.0) < failed.score(NOON, 2.0)
    assert failed.score(NOON, 0.0) > 0


def test_eight_calls_in_flight_count_as_much_as_half_the_speed() -> None:
    vital = after(GOOD)
    assert replace(vital, in_flight=8).score(NOON, 2.0) == 2 * vital.score(NOON, 2.0)


def test_errors_weigh_ten_times() -> None:
    vital = replace(after(GOOD), in_flight=1)
    assert replace(vital, errors=0.1).score(NOON, 2.0) == 2 * vital.score(NOON, 2.0)


def test_an_idle_slow_model_comes_near_the_best_but_never_before_it() -> None:
    fast, slow = after(Observation(seconds=1.0)), after(Observation(seconds=9.0))
    scores = [slow.score(NOON + seconds, 1.0) for seconds in (0, 20, 100, 86400)]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == 9
    assert fast.score(NOON + 86400, 1.0) < scores[-1] < 1.2


def test_a_backlog_shows_before_its_slow_calls_have_ended() -> None:
    steady = replace(after(*[GOOD] * 20, every=0.1), in_flight=12)
    piled = replace(after(*[GOOD] * 20, every=1.0), in_flight=12)
    assert piled.score(NOON, 2.0) == pytest.approx(6 * steady.score(NOON, 2.0))


def test_an_hour_without_calls_does_not_look_like_a_backlog() -> None:
    steady = after(*[GOOD] * 20, every=0.1)
    rested = observed(steady, GOOD, NOON + 3600)
    assert rested.interval < 0.1 + 0.1 * GOOD.seconds


def test_those_that_rest_come_last_and_the_first_to_return_before_the_others() -> None:
    vitals = [after(replace(LIMITED, retry_after=60.0)), after(GOOD), after(replace(LIMITED, retry_after=9.0)), Vital()]
    assert ranked(vitals, NOON + 1, random.Random(1)).places == [3, 1, 2, 0]


def test_one_that_returns_is_first_as_often_as_its_share() -> None:
    fast = after(Observation(seconds=0.5), replace(LIMITED, retry_after=100.0))
    now = fast.resting_until + 25
    draw = random.Random(1)
    vitals = [fast, after(GOOD, at=now)]
    first = [ranked(vitals, now, draw).places[0] for _ in range(2000)].count(0) / 2000
    assert first == pytest.approx(fast.share(now), abs=0.03)


def test_equals_take_turns() -> None:
    draw = random.Random(1)
    assert {ranked([after(GOOD)] * 4, NOON, draw).places[0] for _ in range(100)} == {0, 1, 2, 3}


def test_the_best_of_none_that_was_measured_is_zero() -> None:
    assert best_latency([Vital(), after(BROKEN)]) == 0
    assert best_latency([Vital(), after(GOOD)]) == 2


# -- whatever comes --------------------------------------------------------------------------------

SECONDS = st.floats(-10, 1e4)
OBSERVATIONS = st.builds(
    Observation,
    kind=st.none() | st.sampled_from(Kind),
    seconds=SECONDS,
    work=st.floats(0, 100),
    first_token_seconds=st.none() | SECONDS,
    retry_after=st.none() | st.floats(),
)
HISTORIES = st.lists(st.tuples(st.floats(-5, 1000), OBSERVATIONS), max_size=40)


def lived(history: Iterable[tuple[float, Observation]]) -> tuple[Vital, float]:
    vital, now = Vital(), NOON
    for pause, observation in history:
        now += pause
        vital = observed(vital, observation, now)
    return vital, now


@given(HISTORIES, st.floats(0, 1e6), st.integers(0, 500), st.floats(0, 1e4))
def test_whatever_comes_scores_are_not_negative_and_shares_are_shares(
    history: list[tuple[float, Observation]], later: float, in_flight: int, best: float
) -> None:
    vital, now = lived(history)
    score = replace(vital, in_flight=in_flight).score(now + later, min(best, vital.latency or best))
    assert score >= 0
    assert math.isfinite(score)
    assert 0 <= vital.share(now + later) <= 1
    assert 0 <= vital.errors <= 1
    assert min(vital.calls, vital.failed, vital.failures, vital.interval, vital.latency or 0) >= 0
    assert 0 <= (vital.success_rate(now + later) or 0) <= 1


@given(HISTORIES, OBSERVATIONS)
def test_whatever_came_before_nothing_shortens_a_rest(
    history: list[tuple[float, Observation]], observation: Observation
) -> None:
    vital, now = lived(history)
    if now < vital.resting_until:
        assert observed(vital, observation, now).resting_until >= vital.resting_until


@given(HISTORIES, st.floats(0, 86400))
def test_whatever_came_before_retry_after_is_honoured(history: list[tuple[float, Observation]], wish: float) -> None:
    vital, now = lived(history)
    limited = observed(vital, replace(LIMITED, retry_after=wish), now)
    assert limited.rest.until == max(now + wish, vital.rest.until if now < vital.rest.until else 0)


@given(st.lists(st.tuples(st.sampled_from([Kind.RATE_LIMIT, Kind.TRANSIENT]), st.floats(0.2, 1000)), max_size=12))
def test_rests_grow_while_only_failures_follow(failures: list[tuple[Kind, float]]) -> None:
    vital, rests = after(LIMITED), [5.0]
    for kind, pause in failures:
        now = vital.resting_until + pause
        vital = observed(vital, Observation(kind, 0.1), now)
        rests.append(vital.resting_until - now)
    assert rests == pytest.approx([min(5.0 * 2**place, 300.0) for place in range(len(rests))])


@given(HISTORIES, st.floats(0, 1e5), st.floats(0, 1e5))
def test_a_share_never_falls_while_nothing_happens(
    history: list[tuple[float, Observation]], one: float, two: float
) -> None:
    vital, now = lived(history)
    assert vital.share(now + min(one, two)) <= vital.share(now + max(one, two))


# -- in a simulation -------------------------------------------------------------------------------

needs_simulation = pytest.mark.skipif(bool(balancing.missing()), reason=balancing.missing() or "there is one")


@needs_simulation
@pytest.mark.parametrize(("scenario", "load", "bar"), [("hetero", 0.05, 2.0), ("capacity", 0.3, 2.0)])
def test_in_a_quiet_simulation_it_stays_near_an_oracle(scenario: str, load: float, bar: float) -> None:
    assert 1 <= balancing.ratio(scenario, load, balancing.SEEDS[:1]) < bar


@needs_simulation
def test_over_a_part_of_the_simulation_it_stays_within_the_bars() -> None:
    """A third of its cells, by one of five seeds: `make bench BENCH_ARGS=balancing` runs them all."""
    ratios = [balancing.ratio(scenario, load, balancing.SEEDS[:1]) for scenario, load in balancing.CELLS[1::3]]
    assert geometric_mean(ratios) <= 1.9
    assert max(ratios) <= 7
