"""Limits and rates as programs meet them: statuses, OpenAI's error form, and headers that tell what is left."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest
from openai import OpenAI

from dataelan_web import quota
from dataelan_web.extensions import db
from dataelan_web.models import Scope, Unit, Window
from tests import people

from ..test_gateway import ask, execution, openai_client
from .steps import USD, limit, state_of


@pytest.fixture
def client(server: str, acme: people.Cast) -> Iterator[OpenAI]:
    with openai_client(server, acme.token()) as client:
        yield client


@pytest.fixture
def model(acme: people.Cast, simulated: str) -> str:
    """$1,000 per million tokens, in and out."""
    key = people.own_provider(acme, simulated)
    made = people.own_model(acme, key, "simulated-instant", input=1_000 * USD, output=1_000 * USD)
    return f"{made.provider.slug}/{made.name}"


def rate(cast: people.Cast, **paces: int) -> None:
    names = ("requests_per_minute", "tokens_per_minute", "parallel")
    values = {name: paces.get(name) for name in names}
    quota.set_rate(db.session, cast.organization.id, Scope.PROJECT, cast.project.id, **values)
    db.session.commit()


@pytest.mark.parametrize("stream", [False, True])
def test_who_asks_too_fast_gets_429_with_a_time_to_come_again(
    client: OpenAI, acme: people.Cast, model: str, stream: bool
) -> None:
    rate(acme, requests_per_minute=1)
    ask(client, model, "!simulate tokens=2\nHi", max_tokens=20)
    with pytest.raises(openai.RateLimitError) as refused:
        ask(client, model, stream=stream)
    response = refused.value.response
    assert response.status_code == 429
    assert 1 <= int(response.headers["retry-after"]) <= 61
    error = response.json()["error"]
    assert (error["type"], error["code"], error["param"]) == ("rate_limit_error", "rate_limit_exceeded", None)
    assert error["message"].startswith("The project's limit of 1 request per minute is reached. Try again in")
    assert execution(response.headers["x-dataelan-execution-id"]).error_kind == "rate_limit"


def test_what_can_never_pass_is_429_without_a_time(client: OpenAI, acme: people.Cast, model: str) -> None:
    rate(acme, tokens_per_minute=10)
    with pytest.raises(openai.RateLimitError, match="less than this prompt may use") as refused:
        ask(client, model, "Hi " * 100)
    assert "retry-after" not in refused.value.response.headers


@pytest.mark.parametrize("unit", [Unit.TOKENS, Unit.REQUESTS])
def test_over_a_limit_of_any_unit_is_402(client: OpenAI, acme: people.Cast, model: str, unit: Unit) -> None:
    limit(acme, 0, unit=unit)
    with pytest.raises(openai.APIStatusError) as refused:
        ask(client, model)
    error = refused.value.response.json()["error"]
    assert (refused.value.status_code, error["type"], error["code"]) == (402, "insufficient_quota", "over_limit")
    assert f"limit of {quota.said(unit, 0)} per month has {quota.said(unit, 0)} left" in error["message"]


def test_headers_tell_what_is_left_of_the_tightest_limit_of_money(
    client: OpenAI, acme: people.Cast, model: str
) -> None:
    def left(**more: object) -> str | None:
        answer = client.chat.completions.with_raw_response.create(
            model=model, messages=[{"role": "user", "content": "!simulate tokens=20\nHi"}], max_tokens=50, **more
        )
        answer.parse()
        header: str | None = answer.headers.get("x-dataelan-limit-left-usd")
        return header

    assert left() is None
    wide, tight = limit(acme, 100 * USD), limit(acme, 10 * USD, Scope.PROJECT, Window.DAY)
    limit(acme, 1, Scope.MEMBER, is_hard=False), limit(acme, 10**9, unit=Unit.TOKENS)
    after = left()
    assert after
    assert float(after) == pytest.approx((10 * USD - state_of(tight)[0]) / USD)
    assert state_of(wide)[1] == 0
    streamed = left(stream=True)  # what it may cost at most is still held when the headers go out
    assert streamed
    assert float(streamed) < float(after)


def test_the_end_of_a_stream_and_a_refusal_tell_what_is_left_too(client: OpenAI, acme: people.Cast, model: str) -> None:
    budget = limit(acme, USD)
    *_, last = ask(client, model, "!simulate tokens=20\nHi", max_tokens=50, stream=True)
    spent = state_of(budget)[0]
    assert float(last.dataelan["limit_left_usd"]) == pytest.approx((USD - spent) / USD)
    limit(acme, spent + 1)
    with pytest.raises(openai.APIStatusError) as refused:
        ask(client, model)
    assert refused.value.response.headers["x-dataelan-limit-left-usd"] == "0.000000001"
