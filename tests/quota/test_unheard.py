"""What a call is charged that was taken, and broke off before a word of it was heard: a guess is made high."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from dataelan_web.executions.measures import FASTEST, unheard
from dataelan_web.extensions import db
from dataelan_web.models import Reservation, State, Unit
from dataelan_web.router.types import Prompt, user
from tests import people

from .steps import USD, drifted, ledger, limit, state_of
from .test_in_the_house import name_of, run


@pytest.mark.parametrize(
    ("stream", "seconds", "most", "tokens"),
    [
        (False, 0.1, 8_192, 8_192),
        (False, 900.0, 8_192, 8_192),
        (True, 0.1, 8_192, FASTEST // 10),
        (True, 120.0, 8_192, 8_192),
        (True, 120.0, None, 0),
    ],
)
def test_what_was_asked_for_as_a_whole_may_be_written_to_its_end_and_a_stream_until_it_was_left(
    stream: bool, seconds: float, most: int | None, tokens: int
) -> None:
    assert unheard(Prompt((user("Hi"),), stream=stream, max_tokens=most), seconds) == tokens


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
