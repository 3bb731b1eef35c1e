"""What a call is charged that broke off before its words or its thoughts were heard: a guess is made high."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from dataelan_web.executions import live
from dataelan_web.executions.execute import execute
from dataelan_web.executions.health import health
from dataelan_web.executions.submit import record
from dataelan_web.executions.unsaid import FASTEST, may_have_made, speed_of
from dataelan_web.extensions import db
from dataelan_web.jobs import queue
from dataelan_web.models import Attempt, Execution, Hold, Reservation, State, Unit, new_id
from dataelan_web.models.records import RunRecord
from dataelan_web.router.health import Observation
from dataelan_web.router.types import Prompt, user
from tests import people
from tests.conftest import wait_until
from tests.test_executions import let_the_lease_run_out

from .steps import USD, drifted, ledger, limit, lines, state_of
from .test_in_the_house import name_of, request, run


@pytest.mark.parametrize(
    ("stream", "seconds", "most", "thinks", "tokens"),
    [
        (False, 0.1, 8_192, False, 8_192),
        (False, 900.0, 8_192, True, 8_192),
        (True, 0.1, 8_192, False, 50),
        (True, 120.0, 8_192, True, 8_192),
        (True, 120.0, None, False, 0),
        (True, 1.0, None, True, 500),
    ],
)
def test_what_was_asked_for_as_a_whole_may_be_written_to_its_end_and_a_stream_until_it_was_left(
    stream: bool, seconds: float, most: int | None, thinks: bool, tokens: int
) -> None:
    prompt = Prompt((user("Hi"),), stream=stream, max_tokens=most)
    assert may_have_made(prompt, seconds, FASTEST, thinks=thinks) == tokens


def test_a_model_is_as_fast_as_it_lately_was_with_a_margin_and_never_faster_than_any(
    acme: people.Cast,
) -> None:
    slow, quick, unknown = ((new_id(), None) for _ in range(3))
    for pair, seconds in ((slow, 8.0), (quick, 0.5)):
        health().begin(pair, new_id())
        health().end(pair, new_id(), Observation(seconds=seconds, work=1.0))
    health().settle()
    assert [speed_of(pair) for pair in (slow, quick, unknown)] == [100, FASTEST, FASTEST]


@pytest.mark.parametrize("is_limited", [True, False])
def test_a_thinking_model_that_is_cut_amid_its_words_is_charged_what_it_may_have_thought(
    acme: people.Cast, simulated: str, is_limited: bool
) -> None:
    """It thinks before it writes, and what that comes to is told with the end of its answer alone."""
    key = people.own_provider(acme, simulated)
    model = people.own_model(acme, key, "simulated-fail-cut", input=USD, output=1_000 * USD, capabilities=["reasoning"])
    budget = limit(acme, 10 * USD) if is_limited else None
    prompt = Prompt((user("!simulate after=3 first_token_ms=700\nHi"),), max_tokens=600)
    cut = run(acme, "", name_of(model), prompt)
    (attempt,) = cut.attempts
    assert (cut.state, bool(cut.body.text), attempt.usage_is_estimated) == (State.INTERRUPTED, True, True)
    assert 350 <= (attempt.tokens_reasoning or 0) + (attempt.tokens_output or 0) <= 600
    assert 350 * 1_000_000 <= (cut.cost or 0) == ledger(acme)
    if budget:
        assert state_of(budget) == (cut.cost, 0)
        assert not drifted(budget)


@pytest.mark.parametrize("unit", [Unit.USD, Unit.TOKENS])
def test_no_guess_is_above_what_was_held(acme: people.Cast, simulated: str, unit: Unit) -> None:
    """A soft limit tells no model how long its answer may be."""
    key = people.own_provider(acme, simulated)
    values: dict[str, Any] = {"input": USD, "output": USD, "capabilities": ["reasoning"], "max_output_tokens": 50}
    model = people.own_model(acme, key, "simulated-fail-cut", **values)
    budget = limit(acme, 10 * USD, unit=unit, is_hard=False)
    cut = run(acme, "!simulate after=3 first_token_ms=700\nHi", name_of(model))
    (attempt,) = cut.attempts
    (charged,) = lines(attempt.id)
    assert charged[2] == "estimated", "no overrun"
    assert "counted more than was held" not in cut.body.notice
    held = db.session.scalar(select(Hold.amount).join(Reservation).where(Reservation.attempt_id == attempt.id))
    assert state_of(budget) == (held, 0)


@pytest.mark.parametrize("asked", [{"capabilities": ["tools"]}, {"effort": "none", "capabilities": ["reasoning"]}])
def test_a_model_that_does_not_think_is_charged_what_was_heard(
    acme: people.Cast, simulated: str, asked: dict[str, Any]
) -> None:
    key = people.own_provider(acme, simulated)
    effort, values = asked.pop("effort", None), {"input": USD, "output": 1_000 * USD, **asked}
    model = people.own_model(acme, key, "simulated-fail-cut", **values)
    words = user("!simulate after=3 first_token_ms=700\nHi")
    cut = run(acme, "", name_of(model), Prompt((words,), max_tokens=600, reasoning_effort=effort))
    assert cut.state is State.INTERRUPTED
    assert 0 < (cut.tokens_out or 0) < 20


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_that_broke_off_unheard_is_charged_what_it_may_have_said(
    acme: people.Cast, simulated: str, stream: bool
) -> None:
    """The provider may have said all of it, and bills that: Q11 and I8."""
    key = people.own_provider(acme, simulated)
    model = people.own_model(acme, key, "simulated-fail-cut", input=USD, output=1_000 * USD)
    money, tokens = limit(acme, 10 * USD), limit(acme, 10_000, unit=Unit.TOKENS)
    prompt = Prompt((user("!simulate after=0\nHi"),), max_tokens=600, stream=stream)
    cut = run(acme, "", name_of(model), prompt)
    (attempt,) = cut.attempts
    assert (cut.state, cut.body.text, attempt.usage_is_estimated) == (State.INTERRUPTED, "", True)
    held = db.session.scalar(select(Reservation.amount).where(Reservation.attempt_id == attempt.id))
    assert held
    assert state_of(money) == (cut.cost, 0)
    assert cut.cost == ledger(acme) <= held
    if stream:
        assert 0 < (cut.tokens_out or 0) <= 600
    else:
        assert cut.tokens_out == 600
        assert (cut.cost or 0) >= 600 * 1_000_000
    assert state_of(tokens)[0] >= (cut.tokens_out or 0)
    assert not drifted(money, tokens)


@pytest.mark.parametrize("capabilities", [["reasoning"], ["tools"]])
def test_a_worker_that_died_amid_the_words_of_a_thinking_model_leaves_what_that_may_have_thought(
    acme: people.Cast, simulated: str, capabilities: list[str]
) -> None:
    key = people.own_provider(acme, simulated)
    model = people.own_model(acme, key, "simulated-fast", input=USD, output=1_000 * USD, capabilities=capabilities)
    budget = limit(acme, 10 * USD)
    prompt = Prompt((user("!simulate tokens=400 rate=20\nHi"),), max_tokens=600)
    execution = record(request(acme, "", name_of(model), prompt), claimed_by="test")
    events, pen = execute(RunRecord.of(execution), execution.fence), live.Writer(queue.store(), execution.id)
    next(events)
    pen.add(live.TEXT, "What arrived of it.")
    wait_until(lambda: live.written(queue.store(), execution.id).text != "")
    long_ago = {"started_at": func.now() - timedelta(seconds=31)}
    db.session.execute(update(Attempt).where(Attempt.execution_id == execution.id).values(long_ago))
    let_the_lease_run_out(execution.id)
    dead = db.session.get_one(Execution, execution.id, populate_existing=True)
    (attempt,) = dead.attempts
    made = (attempt.tokens_reasoning or 0) + (attempt.tokens_output or 0)
    assert (dead.state, dead.body.text) == (State.INTERRUPTED, "What arrived of it.")
    assert made == 600 if "reasoning" in capabilities else 0 < made < 20
    assert state_of(budget) == (dead.cost, 0)
    events.close()
