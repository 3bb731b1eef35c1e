"""The platform's keys pay what everyone's price book says: no organization's word about prices opens the operator's
limits; nor does its calendar (test_windows)."""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Iterator
from dataclasses import replace

import pytest
from flask import Flask

from dataelan_web import quota
from dataelan_web.executions.candidates import candidates_of
from dataelan_web.extensions import db
from dataelan_web.hub.keys.keeping import seal
from dataelan_web.hub.models import prices
from dataelan_web.models import (
    Execution,
    KeyStrategy,
    Model,
    Organization,
    Payer,
    Price,
    Provider,
    State,
    UnknownPrice,
    new_id,
)
from dataelan_web.router.candidates import Candidate, Key
from dataelan_web.router.plan import Step
from dataelan_web.router.pricing import Rates
from dataelan_web.router.run import _told
from dataelan_web.router.types import Failure, Kind, Prompt
from tests import people

from ..upstream import Reply, Upstream, upstream
from .steps import USD, drifted, limit, state_of
from .test_in_the_house import answers, in_order, name_of, outcomes, run

FREE = {"input": 0, "output": 0}
OURS = "sk-ours-1234567890"


@pytest.fixture
def provider() -> Iterator[Upstream]:
    with upstream() as provider:
        yield provider


@pytest.fixture
def everyones(acme: people.Cast, provider: Upstream) -> Iterator[Provider]:
    """A provider that everyone has, with a key of the platform's."""
    made = Provider(id=new_id(), slug=f"shared-{uuid.uuid4().hex[:6]}", name="Vendor", kind="openai")
    made.base_url, made.is_trusted = provider.url, True
    db.session.add(made)
    db.session.flush()
    seal(made, None, None, "Main", "sk-platform-1234567890")
    home = db.session.get_one(Organization, acme.organization.id)
    home.key_strategy = KeyStrategy.HYBRID
    db.session.commit()
    yield made
    db.session.rollback()
    made.is_enabled = False
    quota.forget(db.session, acme.organization.id)  # superusers of other tests would be told of the operator's
    db.session.commit()


def model_of(provider: Provider, *, owner: uuid.UUID | None = None, price: int | None = USD) -> Model:
    """At a price of everyone's, in nano-USD per million tokens in and out."""
    model = Model(id=new_id(), provider_id=provider.id, organization_id=owner, name="m", display_name="m")
    model.prices = [] if price is None else [Price(source="test", input=price, output=price)]
    db.session.add(model)
    db.session.commit()
    return model


def says(cast: people.Cast, model: Model, values: dict[str, int]) -> None:
    prices.set_price(model, cast.organization, cast.olivia.id, values)


def of_the_operators(cast: people.Cast, amount: int) -> uuid.UUID:
    """A budget of the operator's on this organization."""
    return limit(cast, amount, owner=None).id


def paid(execution: Execution) -> list[tuple[Payer, int | None]]:
    return [(made.payer, made.cost) for made in execution.attempts]


def test_what_an_organization_calls_free_costs_the_platforms_keys_what_it_costs(
    acme: people.Cast, everyones: Provider, provider: Upstream
) -> None:
    model = model_of(everyones, price=1_000 * USD)
    says(acme, model, FREE)
    operators = of_the_operators(acme, USD)
    answers(provider, "Hello", prompt=950, completion=40)
    answered = run(acme, "Hi", name_of(model))
    assert answered.state is State.COMPLETED, answered.body.error
    assert paid(answered) == [(Payer.PLATFORM, 990_000_000)]
    assert state_of(operators) == (990_000_000, 0)
    refused = run(acme, "Hi", name_of(model))
    assert (refused.error_kind, refused.refused_by) == ("billing", operators)
    assert len(provider.requests) == 1


def test_its_own_key_pays_what_it_agreed_on_and_the_platforms_what_everyone_pays(
    acme: people.Cast, everyones: Provider, provider: Upstream
) -> None:
    """In one run, where the first is refused for its pace: each attempt at the price, and in the limits, of its key."""
    model = model_of(everyones, price=50 * USD)
    seal(everyones, acme.organization, acme.olivia.id, "Ours", OURS)
    says(acme, model, {"input": USD, "output": USD})
    operators, own = of_the_operators(acme, 100 * USD), limit(acme, 100 * USD)
    answers(provider, "Hello", prompt=1_000, completion=10)
    assert paid(run(acme, "Hi", name_of(model))) == [(Payer.ORGANIZATION, 1_010 * 1_000)]
    assert (state_of(operators), state_of(own)) == ((0, 0), (1_010 * 1_000, 0))
    provider.by_key[OURS] = Reply(b'{"error": {"message": "Slow down"}}', 429)
    both = run(acme, "Hi", name_of(model))
    assert both.state is State.COMPLETED, both.body.error
    assert paid(both) == [(Payer.ORGANIZATION, 0), (Payer.PLATFORM, 1_010 * 50_000)]
    assert (state_of(operators), state_of(own)) == ((1_010 * 50_000, 0), (1_010 * 51_000, 0))
    assert not drifted(own)


def test_what_a_model_is_found_to_refuse_changes_no_keys_price() -> None:
    """It is asked again without that parameter, with this key and then with the next."""
    candidate = Candidate(new_id(), "m", new_id(), "Vendor", "openai", "", (), Rates(0, 0))
    steps = [Step(replace(candidate, rates=rates), Key(None, "a", "b")) for rates in (Rates(0, 0), Rates(50, 50))]
    failure = Failure(Kind.BAD_REQUEST, "No", status=400, refused="temperature")
    told = _told(deque(steps), failure, Prompt((), temperature=1.0), {"temperature"})
    assert told
    assert [one.candidate.rates for one in told] == [Rates(0, 0), Rates(50, 50)]


def test_a_model_that_only_the_organization_prices_is_refused_where_the_operator_limits_money(
    acme: people.Cast, everyones: Provider, provider: Upstream
) -> None:
    """Of no price in everyone's book, such as one that it added itself: its word is good for its own limits alone."""
    model = model_of(everyones, owner=acme.organization.id, price=None)
    says(acme, model, FREE)
    answers(provider, "Hello", prompt=10, completion=5)
    assert run(acme, "Hi", name_of(model)).state is State.COMPLETED
    of_the_operators(acme, 100 * USD)
    refused = run(acme, "Hi", name_of(model))
    assert (refused.state, refused.error_kind) == (State.FAILED, "billing")
    assert "is not in everyone's price book" in refused.body.error
    assert len(provider.requests) == 1


@pytest.mark.parametrize("policy", [UnknownPrice.ALLOW, UnknownPrice.CEILING])
def test_what_an_organization_wishes_of_unknown_prices_does_not_hold_for_the_operators_limits(
    acme: people.Cast, everyones: Provider, provider: Upstream, policy: UnknownPrice
) -> None:
    model = model_of(everyones, price=None)
    home = db.session.get_one(Organization, acme.organization.id)
    home.unknown_price, home.unknown_price_ceiling = policy, 1
    db.session.commit()
    operators = of_the_operators(acme, 100 * USD)
    refused = run(acme, "Hi", name_of(model))
    assert (refused.state, refused.error_kind) == (State.FAILED, "billing")
    assert provider.requests == []
    assert state_of(operators) == (0, 0)


def test_a_fallback_that_is_dearer_is_held_by_its_own_price(acme: people.Cast, provider: Upstream) -> None:
    cheap = people.own_model(acme, people.own_provider(acme, provider.url, secret=OURS), "cheap", input=USD, output=USD)
    dearer = people.own_provider(acme, provider.url)
    dear = people.own_model(acme, dearer, "dear", input=100_000 * USD, output=100_000 * USD)
    in_order(acme, "cheap first", cheap, dear)
    budget = limit(acme, USD)
    provider.by_key[OURS] = Reply(b'{"error": {"message": "Broken"}}', 500)
    stopped = run(acme, "Hi", "cheap first")
    assert outcomes(stopped)[-1] == "refused"
    assert {sent["body"]["model"] for sent in provider.requests} == {"cheap"}
    assert state_of(budget) == (0, 0)


def test_a_step_knows_the_price_of_its_key(acme: people.Cast, everyones: Provider) -> None:
    model = model_of(everyones, price=50 * USD)
    says(acme, model, {"input": USD, "output": USD})
    home = db.session.get_one(Organization, acme.organization.id)
    (only,) = candidates_of(db.session, home, [model.id]).values()
    assert (only.rates, only.has_own_price) == (Rates(50 * USD, 50 * USD), False), "no key of its own could pay"
    seal(everyones, acme.organization, acme.olivia.id, "Ours", OURS)
    db.session.commit()
    (both,) = candidates_of(db.session, home, [model.id]).values()
    by_payer = {key.payer: both.paid_by(key) for key in both.keys}
    assert by_payer[Payer.ORGANIZATION].rates == Rates(USD, USD)
    assert by_payer[Payer.PLATFORM].rates == Rates(50 * USD, 50 * USD)
    assert by_payer[Payer.PLATFORM].price_id != both.price_id


def test_the_operator_says_what_a_model_costs_everyone_and_no_catalogue_unsays_it(
    app: Flask, acme: people.Cast, everyones: Provider, provider: Upstream
) -> None:
    model = model_of(everyones, price=None)
    of_the_operators(acme, 100 * USD)
    name = name_of(model)

    def command(*words: str) -> str:
        return str(app.test_cli_runner().invoke(args=["models", "price", *words]).output)

    assert command(name, "input=1.25", "output=10") == f"{name} costs from now on: Input $1.25, Output $10.\n"
    answers(provider, "Hello", prompt=1_000, completion=10)
    assert paid(run(acme, "Hi", name)) == [(Payer.PLATFORM, 1_000 * 1_250 + 10 * 10_000)]
    everyones.catalogue = "openai"
    model.name = "gpt-4o"
    db.session.commit()
    assert prices.refresh([model]) == 0
    assert "costs from now on: nothing" in command(name_of(model), "--free")
    assert paid(run(acme, "Hi", name_of(model))) == [(Payer.PLATFORM, 0)]
    for wrong, why in (
        ((name_of(model),), "Say what it costs"),
        ((name_of(model), "inputs=1"), "There is no class “inputs”"),
        ((name_of(model), "input=-1"), "cannot be negative"),
        ((f"{everyones.slug}/other", "--free"), "No model of everyone's is called"),
    ):
        assert why in command(*wrong)
