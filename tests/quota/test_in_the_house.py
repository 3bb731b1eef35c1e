"""Limits and rates through the whole house: a prompt is planned, held, sent or refused, settled and explained."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from flask import Flask
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import select

from dataelan_web import quota
from dataelan_web.executions.allowance import rates
from dataelan_web.executions.execute import execute_queued
from dataelan_web.executions.facts import facts_for
from dataelan_web.executions.submit import Request, record
from dataelan_web.extensions import db
from dataelan_web.jobs.queue import store
from dataelan_web.models import (
    Budget,
    Execution,
    LedgerEntry,
    Model,
    ModelType,
    Organization,
    Origin,
    Outcome,
    Payer,
    Price,
    Project,
    RateLimit,
    RoutingRule,
    RoutingRuleModel,
    Scope,
    State,
    Strategy,
    Unit,
    UnknownPrice,
    Window,
    new_id,
)
from dataelan_web.models.base import NIL
from dataelan_web.models.records import RunRecord
from dataelan_web.quota.rates import PREFIX
from dataelan_web.router import run as running
from dataelan_web.router.rules import Rule
from dataelan_web.router.types import FilePart, ImagePart, Message, Prompt, Task, TextPart, user
from tests import people

from ..upstream import Upstream, upstream
from .steps import USD, drifted, ledger, limit, lines, state_of


@pytest.fixture
def priced(acme: people.Cast, simulated: str) -> str:
    """A model at the organization's own provider: $1 per million in, $1,000 per million out."""
    key = people.own_provider(acme, simulated)
    return name_of(people.own_model(acme, key, "simulated-instant", input=USD, output=1_000 * USD))


@pytest.fixture
def free(acme: people.Cast, simulated: str) -> str:
    key = people.own_provider(acme, simulated)
    return name_of(people.own_model(acme, key, "simulated-instant", input=0, output=0))


@pytest.fixture
def unpriced(acme: people.Cast, simulated: str) -> str:
    return name_of(people.own_model(acme, people.own_provider(acme, simulated), "simulated-instant"))


@pytest.fixture
def provider() -> Iterator[Upstream]:
    with upstream() as provider:
        yield provider


def in_order(cast: people.Cast, name: str, *models: Model) -> None:
    """A rule that asks these models one after the other."""
    rule = RoutingRule(id=new_id(), organization_id=cast.organization.id, name=name, strategy=Strategy.ORDERED)
    rule.models = [RoutingRuleModel(model_id=model.id, position=place) for place, model in enumerate(models)]
    db.session.add(rule)
    db.session.commit()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "FIRST_PAUSE", 0.02)


def name_of(model: Model) -> str:
    return f"{model.provider.slug}/{model.name}"


def request(cast: people.Cast, words: str, requested: str, prompt: Prompt | None = None, **values: Any) -> Request:
    return Request(
        project=db.session.get_one(Project, cast.project.id),
        prompt=prompt or Prompt((user(words),)),
        origin=Origin.PLAYGROUND,
        requested=requested,
        user_id=cast.mia.id,
        **values,
    )


def run(cast: people.Cast, words: str, requested: str, prompt: Prompt | None = None, **values: Any) -> Execution:
    """Asked, and run here and now, as a worker would."""
    execution = record(request(cast, words, requested, prompt, **values))
    execute_queued(execution.id)
    db.session.rollback()
    return db.session.get_one(Execution, execution.id, populate_existing=True)


def rate(
    cast: people.Cast, scope: Scope = Scope.ORGANIZATION, subject: uuid.UUID | None = None, **paces: int
) -> RateLimit:
    names = ("requests_per_minute", "tokens_per_minute", "parallel")
    values = {name: paces.get(name) for name in names}
    id = cast.organization.id
    made = quota.set_rate(db.session, id, scope, subject or id, **values)
    db.session.commit()
    assert made
    return made


def counted(made: RateLimit) -> dict[str, int]:
    found = {"r": 0, "t": 0, "running": store().zcard(f"{PREFIX}{made.id.hex}:leases")}
    for name, value in store().hgetall(f"{PREFIX}{made.id.hex}:minute").items():  # type: ignore[union-attr]
        found[name[:1].decode()] += int(value)
    return found  # type: ignore[return-value]


def outcomes(execution: Execution) -> list[str]:
    return [made["outcome"] for made in execution.body.receipt["attempts"]]


def answers(provider: Upstream, words: str, prompt: int, completion: int) -> None:
    usage = {"prompt_tokens": prompt, "completion_tokens": completion}
    provider.streams(
        {"choices": [{"delta": {"content": words}}]},
        {"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": usage},
        "[DONE]",
    )


def asked_for(provider: Upstream) -> list[int | None]:
    """The output limits that were sent."""
    return [sent["body"].get("max_tokens") for sent in provider.requests]


# -- money -----------------------------------------------------------------------------------------


def test_a_price_nobody_knows_is_refused_where_a_limit_of_money_applies(acme: people.Cast, unpriced: str) -> None:
    """Complaint 7 (li#25874, li#36561: an unknown price becomes nothing, and switches the budget off)."""
    without = run(acme, "No limit", unpriced)
    assert (without.state, without.cost) == (State.COMPLETED, None)
    limit(acme, 100 * USD)
    refused = run(acme, "A limit", unpriced)
    assert (refused.state, refused.error_kind, refused.attempts, refused.cost) == (State.FAILED, "billing", [], 0)
    assert "The price of" in refused.body.error
    assert "unknown" in refused.body.error


def test_the_output_is_lowered_to_what_can_be_paid_and_said_so(acme: people.Cast, priced: str) -> None:
    budget = limit(acme, USD // 20)  # 5 cents pay for about 50 tokens
    answered = run(acme, "!simulate tokens=500\nA long story", priced)
    assert answered.state is State.COMPLETED, answered.body.error
    assert answered.finish == "length"
    assert "The answer is limited to" in answered.body.notice
    assert "organization's limit of $0.05" in answered.body.notice
    assert 16 <= (answered.tokens_out or 0) <= 50
    assert answered.cost == ledger(acme) == state_of(budget)[0] <= USD // 20
    assert state_of(budget)[1] == 0


def test_a_prompt_that_cannot_be_paid_is_refused_and_sends_nothing(acme: people.Cast, priced: str) -> None:
    budget = limit(acme, USD // 1_000)
    refused = run(acme, "Hi", priced)
    assert (refused.state, refused.error_kind, refused.attempts) == (State.FAILED, "billing", [])
    assert "limit of $0.001" in refused.body.error
    assert outcomes(refused) == ["refused"]
    assert state_of(budget) == (0, 0)


@pytest.mark.parametrize(
    "part",
    [
        FilePart("application/pdf", url="https://example.com/report.pdf"),
        FilePart("application/pdf", "JVBERi0x" * 100, name="small.pdf"),
        ImagePart(url="https://example.com/picture.png"),
    ],
)
def test_a_file_that_may_be_anything_is_held_as_large_as_the_model_can_read(
    acme: people.Cast, provider: Upstream, part: FilePart | ImagePart
) -> None:
    """Nobody here knows what is in it: held for a page, one of a thousand would go beyond the limit."""
    key = people.own_provider(acme, provider.url)
    name = name_of(people.own_model(acme, key, "m", input=10 * USD, output=10 * USD, context_window=200_000))
    budget = limit(acme, USD)
    refused = run(acme, "", name, Prompt((Message("user", (part, TextPart("What does it say?"))),)))
    assert (refused.state, refused.refused_by) == (State.FAILED, budget.id)
    assert "all that it can read is reckoned with: 200,000 tokens." in refused.body.error
    assert (provider.requests, state_of(budget)) == ([], (0, 0))


def test_a_provider_that_counts_more_than_it_could_is_charged_in_full_and_the_next_is_refused(
    acme: people.Cast, provider: Upstream
) -> None:
    key = people.own_provider(acme, provider.url)
    name = name_of(people.own_model(acme, key, "m", input=USD, output=USD))
    budget = limit(acme, 5 * USD)
    answers(provider, "Hello", prompt=9_000_000, completion=5)
    over = run(acme, "Hi", name)
    spent, reserved = state_of(budget)
    assert over.cost == spent == ledger(acme) == 9 * USD + 5_000
    assert reserved == 0
    assert "counted more than was held for this prompt: $9.000005" in over.body.notice
    assert lines(over.attempts[0].id)[0][2] == "overrun"
    assert run(acme, "Hi", name).error_kind == "billing"
    assert not drifted(budget)


def test_what_is_free_stays_usable_when_all_money_is_spent(acme: people.Cast, free: str) -> None:
    """Complaint 7, its other half (li#14004, li#29912: local models that cost nothing are refused)."""
    limit(acme, 0)
    assert run(acme, "Hi", free).state is State.COMPLETED


def test_a_fallback_is_held_to_the_limits_too(acme: people.Cast, simulated: str, provider: Upstream) -> None:
    """Complaint 10 (li#41344, bi#2873: a free model that fails falls back to a paid one past the budget)."""
    key = people.own_provider(acme, simulated)
    gratis = people.own_model(acme, key, "simulated-fail-server_error", input=0, output=0)
    paid = people.own_model(acme, people.own_provider(acme, provider.url), "paid", input=USD, output=USD)
    in_order(acme, "cheap first", gratis, paid)
    limit(acme, 0)
    stopped = run(acme, "Hi", "cheap first")
    assert stopped.state is State.FAILED
    assert set(outcomes(stopped)) == {"failed", "refused"}
    assert outcomes(stopped)[-1] == "refused"
    assert provider.requests == []
    assert stopped.refused_by is None  # the first one's failure is what it failed of


def test_what_a_provider_calls_its_model_changes_neither_price_nor_limit(acme: people.Cast, provider: Upstream) -> None:
    """Envoy's limits count nothing where an answer names a dated model; Kong's count the model that was asked for."""
    model = people.own_model(acme, people.own_provider(acme, provider.url), "m", input=USD, output=USD)
    gone = people.own_model(acme, people.own_provider(acme, "http://127.0.0.1:9/v1"), "first", input=USD, output=USD)
    in_order(acme, "two", gone, model)
    budget = quota.set_limit(db.session, acme.organization.id, Scope.MODEL, model.id, Window.MONTH, USD)
    unused = quota.set_limit(db.session, acme.organization.id, Scope.MODEL, gone.id, Window.MONTH, USD)
    db.session.commit()
    usage = {"prompt_tokens": 100, "completion_tokens": 20}
    end = {"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": usage, "model": "m-2026-11-20"}
    provider.streams({"choices": [{"delta": {"content": "Hi"}}], "model": "m-2026-11-20"}, end, "[DONE]")
    answered = run(acme, "Hi", "two")
    assert (answered.state, answered.cost) == (State.COMPLETED, 120_000)
    assert state_of(budget) == (120_000, 0)
    assert state_of(unused) == (0, 0)


OF_A_CALL = (Scope.ORGANIZATION, Scope.PROJECT, Scope.MEMBER, Scope.PROVIDER, Scope.MODEL)


@pytest.mark.parametrize("scope", [*OF_A_CALL, Scope.KEY, Scope.PLATFORM])
def test_a_limit_on_any_of_a_calls_subjects_stops_it_before_it_is_sent(
    scope: Scope, acme: people.Cast, provider: Upstream
) -> None:
    """li#27381: the limit over all was there, and nobody asked it. A person's counts in a team too. (A program's token:
    see test_at_the_gateway.)"""
    key = people.own_provider(acme, provider.url)
    model, home = people.own_model(acme, key, "m", input=0, output=0), acme.organization.id
    subjects = dict(zip(OF_A_CALL, (home, acme.project.id, acme.mia.id, key.provider_id, model.id), strict=True)) | {
        Scope.KEY: key.id,
        Scope.PLATFORM: NIL,
    }
    name, owner = name_of(model), home
    if scope is Scope.PLATFORM:  # counts only what its own keys pay, or nobody
        owner, key.provider.needs_key, key.is_enabled = None, False, False
    budget = quota.set_limit(db.session, owner, scope, subjects[scope], Window.DAY, 0, Unit.REQUESTS)
    db.session.commit()
    try:
        refused = run(acme, "Hi", name)
    finally:
        quota.delete_limit(db.session, db.session.merge(budget))
        db.session.commit()
    assert (refused.state, refused.error_kind, outcomes(refused)) == (State.FAILED, "billing", ["refused"])
    assert refused.body.receipt["attempts"][0]["scope"] == scope.value
    assert provider.requests == []


# -- tokens and requests -----------------------------------------------------------------------------


def test_what_is_free_counts_in_tokens_and_requests(acme: people.Cast, free: str) -> None:
    tokens, requests = limit(acme, 100_000, unit=Unit.TOKENS), limit(acme, 2, unit=Unit.REQUESTS)
    for number in (1, 2):
        answered = run(acme, "!simulate tokens=20\nHi", free)
        assert answered.state is State.COMPLETED, answered.body.error
        assert state_of(requests) == (number, 0)
    assert state_of(tokens)[0] == 2 * ((answered.tokens_in or 0) + (answered.tokens_out or 0)) > 40
    assert lines(answered.attempts[0].id) == [(0, state_of(tokens)[0] // 2, "")]
    assert run(acme, "Hi", free).body.error.startswith(
        "The organization's limit of 2 requests per month has 0 requests"
    )
    assert not drifted(tokens, requests)


def test_all_classes_of_tokens_count(acme: people.Cast, free: str) -> None:
    """Complaint 5: what was read from a cache, and what was thought, was used too."""
    tokens = limit(acme, 100_000, unit=Unit.TOKENS)
    answered = run(acme, f"!simulate tokens=20 cached=100 reasoning=40\n{'A long question. ' * 50}", free)
    counters = [answered.tokens_input, answered.tokens_cache_read, answered.tokens_output, answered.tokens_reasoning]
    assert all(counters)
    assert state_of(tokens) == (sum(counter or 0 for counter in counters), 0)


def test_the_output_is_lowered_to_the_tokens_that_are_left(acme: people.Cast, free: str) -> None:
    tokens = limit(acme, 600, Scope.PROJECT, Window.DAY, Unit.TOKENS)
    answered = run(acme, "!simulate tokens=5000\nHi", free)
    assert answered.finish == "length"
    assert "The project's limit of 600 tokens per day has 600 tokens left" in answered.body.notice
    assert state_of(tokens)[0] <= 600
    assert state_of(tokens)[1] == 0


def test_money_and_tokens_lower_it_to_what_both_leave(acme: people.Cast, priced: str) -> None:
    money, tokens = limit(acme, USD // 10), limit(acme, 10_000, unit=Unit.TOKENS)
    answered = run(acme, "!simulate tokens=500\nHi", priced)
    assert "limit of $0.10" in answered.body.notice
    assert state_of(money)[0] <= USD // 10
    limit(acme, state_of(tokens)[0] + 400, unit=Unit.TOKENS)
    limit(acme, USD)
    answered = run(acme, "!simulate tokens=500\nHi", priced)
    assert "tokens per month" in answered.body.notice


def test_an_output_limit_is_asked_for_only_where_a_limit_needs_one(acme: people.Cast, provider: Upstream) -> None:
    """tz#3648: `max_tokens` demanded though no limit of tokens applies. A limit that only tells changes no answer."""
    key = people.own_provider(acme, provider.url)
    name = name_of(people.own_model(acme, key, "m", input=USD, output=USD, max_output_tokens=64_000))
    limit(acme, 100, unit=Unit.REQUESTS)
    limit(acme, 0, is_hard=False)
    run(acme, "Hi", name)
    limit(acme, 1_000 * USD, Scope.PROJECT)
    run(acme, "Hi", name)
    assert asked_for(provider) == [None, 8192]


def test_with_an_unknown_price_tokens_and_requests_still_count(acme: people.Cast, unpriced: str) -> None:
    money, tokens = limit(acme, USD), limit(acme, 100_000, unit=Unit.TOKENS)
    requests = limit(acme, 10, unit=Unit.REQUESTS)
    home = db.session.get_one(Organization, acme.organization.id)
    home.unknown_price = UnknownPrice.ALLOW
    db.session.commit()
    answered = run(acme, "Hi", unpriced)
    assert (answered.state, answered.cost) == (State.COMPLETED, None)
    assert "no limit of money counts this call" in answered.body.notice
    assert (state_of(money), state_of(requests)) == ((0, 0), (1, 0))
    assert state_of(tokens)[0] > 0
    home = db.session.get_one(Organization, acme.organization.id)
    home.unknown_price, home.unknown_price_ceiling = UnknownPrice.CEILING, USD // 4
    db.session.commit()
    answered = run(acme, "Hi", unpriced)
    assert answered.cost == state_of(money)[0] == USD // 4
    assert state_of(requests) == (2, 0)
    assert not drifted(money, tokens, requests)


def test_where_only_a_soft_limit_of_money_counts_an_unknown_price_is_let_through(
    acme: people.Cast, unpriced: str
) -> None:
    limit(acme, USD, is_hard=False)
    assert run(acme, "Hi", unpriced).state is State.COMPLETED


def test_a_request_that_a_provider_refused_was_made_and_one_that_never_left_was_not(
    acme: people.Cast, free: str
) -> None:
    requests = limit(acme, 10, unit=Unit.REQUESTS)
    failed = run(acme, "!simulate fail=invalid_request\nHi", free)
    assert [made.outcome for made in failed.attempts] == [Outcome.FAILED]
    assert state_of(requests) == (1, 0)
    nowhere = name_of(
        people.own_model(acme, people.own_provider(acme, "http://127.0.0.1:9/v1"), "m", input=0, output=0)
    )
    unsent = run(acme, "Hi", nowhere)
    assert unsent.attempts
    assert state_of(requests) == (1, 0)
    assert not drifted(requests)


def test_pictures_count_with_the_tokens_of_their_prompt_unless_tokens_are_what_they_are_paid_by(
    acme: people.Cast, simulated: str
) -> None:
    key = people.own_provider(acme, simulated)
    model = people.own_model(acme, key, "simulated-image", model_type=ModelType.IMAGE, task="image")
    db.session.add(Price(model_id=model.id, source="test", input=0, output=0, per_image=1_000))
    tokens = limit(acme, 100, unit=Unit.TOKENS)  # not the 20,000 that a picture has where tokens are its price
    prompt = Prompt((user("A fox in the snow"),), task=Task.IMAGE)
    made = run(acme, "", name_of(model), prompt, model_type=ModelType.IMAGE)
    assert made.state is State.COMPLETED, made.body.error
    assert 0 < state_of(tokens)[0] <= 100
    assert state_of(tokens)[1] == 0
    db.session.add(Price(model_id=model.id, source="test", input=0, output=1_000))
    db.session.commit()
    assert run(acme, "", name_of(model), prompt, model_type=ModelType.IMAGE).error_kind == "billing"


# -- what is told ------------------------------------------------------------------------------------


def test_a_refused_run_says_which_limit_stopped_it(acme: people.Cast, free: str) -> None:
    """Complaint 18: so that a page can offer to ask for more."""
    budget = limit(acme, 0, Scope.MEMBER, Window.DAY, Unit.REQUESTS)
    refused = run(acme, "Hi", free)
    assert refused.refused_by == budget.id
    (told,) = refused.body.receipt["attempts"]
    resets_at = told.pop("resets_at")
    assert resets_at[:10] > "2026"
    assert told == {
        "number": 1,
        "model": "Own / simulated-instant",
        "key": told["key"],
        "outcome": "refused",
        "error": refused.body.error,
        "budget": str(budget.id),
        "scope": "member",
        "window": "day",
        "unit": "requests",
        "limit": 0,
        "left": 0,
    }
    quota.delete_limit(db.session, budget)
    db.session.commit()
    db.session.refresh(refused)
    assert refused.refused_by == budget.id, "should it come back"
    quota.erase(db.session, Budget.id == budget.id)
    db.session.commit()
    db.session.refresh(refused)
    assert refused.refused_by is None


def test_a_request_that_never_began_may_come_again_under_its_key(acme: people.Cast, free: str) -> None:
    budget = limit(acme, 0, unit=Unit.REQUESTS)
    first = run(acme, "Hi", free, idempotency_key="k")
    limit(acme, 5, unit=Unit.REQUESTS)
    second = run(acme, "Hi", free, idempotency_key="k")
    third = record(request(acme, "Hi", free, idempotency_key="k"))
    assert (first.state, second.state, third.id) == (State.FAILED, State.COMPLETED, second.id)
    assert state_of(budget) == (1, 0)


def test_rules_may_ask_how_much_of_the_tightest_limit_of_any_unit_is_used(acme: people.Cast, free: str) -> None:
    limit(acme, 100 * USD), limit(acme, 2, unit=Unit.REQUESTS)
    run(acme, "Hi", free)
    execution = record(request(acme, "Hi", free))
    rule = Rule("r", (), conditions={"expression": "budget.used_percent >= 50"})
    assert facts_for(db.session, RunRecord.of(execution), [rule])["budget"] == {"used_percent": 50}
    execute_queued(execution.id)  # what is left queued, a worker would run in the midst of other tests


# -- rates -------------------------------------------------------------------------------------------


def test_a_prompt_that_comes_too_fast_is_refused_and_told_when_to_come_again(acme: people.Cast, free: str) -> None:
    made = rate(acme, requests_per_minute=1)
    assert run(acme, "Hi", free).state is State.COMPLETED
    refused = run(acme, "Hi", free)
    assert (refused.state, refused.error_kind, refused.attempts) == (State.FAILED, "rate_limit", [])
    assert "The organization's limit of 1 request per minute is reached. Try again in" in refused.body.error
    (told,) = refused.body.receipt["attempts"]
    assert (told["rate"], told["scope"], told["pace"], told["limit"]) == (str(made.id), "organization", "requests", 1)
    assert 0 < told["retry_after"] <= 61
    assert counted(made) == {"r": 1, "t": counted(made)["t"], "running": 0}


def test_a_prompt_counts_with_the_tokens_it_used_when_it_has_ended(acme: people.Cast, free: str) -> None:
    made = rate(acme, tokens_per_minute=1_000_000, parallel=5)
    answered = run(acme, "!simulate tokens=20\nHi", free)
    assert counted(made) == {"r": 1, "t": (answered.tokens_in or 0) + (answered.tokens_out or 0), "running": 0}


def test_the_output_is_lowered_to_what_a_minute_allows(acme: people.Cast, free: str) -> None:
    rate(acme, tokens_per_minute=600)
    answered = run(acme, "!simulate tokens=5000\nHi", free)
    assert answered.finish == "length"
    assert "a limit of 600 tokens per minute applies" in answered.body.notice
    rate(acme, tokens_per_minute=30)
    refused = run(acme, f"!simulate tokens=5\n{'Hello ' * 20}", free)
    assert "limit of 30 tokens per minute is less than this prompt may use" in refused.body.error


def test_a_picture_without_a_word_counts_in_a_minute(acme: people.Cast, free: str) -> None:
    """LiteLLM holds nothing where there is no text to count."""
    rate(acme, tokens_per_minute=10_000)
    picture = Prompt((Message("user", (ImagePart("image/png", data="iVBORw0KGgo="),)),))
    refused = run(acme, "", free, picture)
    assert (refused.state, refused.error_kind) == (State.FAILED, "rate_limit")
    assert "limit of 10,000 tokens per minute is less than this prompt may use" in refused.body.error


def test_another_model_with_a_rate_of_its_own_takes_over(acme: people.Cast, simulated: str) -> None:
    """Complaint 9: a limit of one model is a reason for the next one."""
    key = people.own_provider(acme, simulated)
    first, second = (
        people.own_model(acme, key, name, input=0, output=0) for name in ("simulated-fast", "simulated-instant")
    )
    in_order(acme, "two", first, second)
    rate(acme, Scope.MODEL, first.id, requests_per_minute=1)
    assert run(acme, "!simulate tokens=2\nHi", "two").model_id == first.id
    second_run = run(acme, "Hi", "two")
    assert (second_run.model_id, outcomes(second_run)) == (second.id, ["refused", "completed"])
    assert second_run.refused_by is None


def test_what_a_budget_refuses_is_counted_by_no_rate(acme: people.Cast, priced: str) -> None:
    made = rate(acme, requests_per_minute=1, parallel=1)
    limit(acme, 0)
    assert run(acme, "Hi", priced).error_kind == "billing"
    limit(acme, 100 * USD)
    assert run(acme, "!simulate tokens=2\nHi", priced).state is State.COMPLETED
    assert counted(made)["r"] == 1


def test_what_was_not_sent_is_counted_by_no_rate(acme: people.Cast) -> None:
    key = people.own_provider(acme, "http://127.0.0.1:9/v1")
    made = rate(acme, requests_per_minute=100, tokens_per_minute=10**6, parallel=5)
    run(acme, "Hi", name_of(people.own_model(acme, key, "m", input=0, output=0)))
    assert counted(made) == {"r": 0, "t": 0, "running": 0}


@pytest.fixture
def away(app: Flask, acme: people.Cast) -> Iterator[None]:
    """As if Valkey were away for rates."""
    kept = rates()
    app.extensions["dataelan_rates"] = quota.Rates(redis.Redis(port=1, retry=Retry(NoBackoff(), 0)))
    yield
    app.extensions["dataelan_rates"] = kept


def test_where_rates_cannot_be_counted_only_what_they_apply_to_is_refused(
    away: None, acme: people.Cast, free: str, priced: str
) -> None:
    """F5: closed for what costs, open for the rest; and nothing is held for what was refused."""
    budget = limit(acme, 100 * USD)
    assert run(acme, "!simulate tokens=2\nHi", priced).state is State.COMPLETED
    spent = state_of(budget)
    rate(acme, parallel=5)
    refused = run(acme, "Hi", priced, idempotency_key="k")
    assert (refused.state, refused.error_kind, refused.attempts) == (State.FAILED, "transient", [])
    assert "Valkey does not answer" in refused.body.error
    assert state_of(budget) == spent
    db.session.query(RateLimit).filter_by(organization_id=acme.organization.id).delete()
    db.session.commit()
    again = run(acme, "Hi", priced, idempotency_key="k")
    assert (again.state, again.id == refused.id) == (State.COMPLETED, False), "it was not sent, so its key is free"


def test_without_a_rate_nothing_is_asked_of_valkey(app: Flask, acme: people.Cast, free: str) -> None:
    kept = rates()
    app.extensions["dataelan_rates"] = None  # whoever asked it would break
    try:
        limit(acme, 100, unit=Unit.REQUESTS)
        assert run(acme, "Hi", free).state is State.COMPLETED
    finally:
        app.extensions["dataelan_rates"] = kept


# -- counted once ------------------------------------------------------------------------------------


def test_every_call_that_was_charged_has_one_line(acme: people.Cast, priced: str) -> None:
    """Complaint 4 (li#13280: 9 calls, 8 lines; li#37144: a key's spend is nothing while the log shows it)."""
    budgets = [limit(acme, 100 * USD, scope) for scope in (Scope.ORGANIZATION, Scope.PROJECT, Scope.MEMBER)]
    runs = [run(acme, f"!simulate tokens={number}\nHi", priced) for number in range(1, 5)]
    assert [len(lines(made.attempts[0].id)) for made in runs] == [1] * 4
    total = sum(made.cost or 0 for made in runs)
    assert [state_of(budget) for budget in budgets] == [(total, 0)] * 3
    mine = select(LedgerEntry.payer).where(LedgerEntry.organization_id == acme.organization.id)
    assert set(db.session.scalars(mine)) == {Payer.ORGANIZATION}
