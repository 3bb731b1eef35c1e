"""Why spend changed: steps that add up to the difference, to the nano-USD, and each for what it says."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from flask import Flask

from dataelan_web.dashboards.changes import Steps, steps
from dataelan_web.dashboards.prices import Listed
from dataelan_web.dashboards.sums import Sums
from dataelan_web.models import now

from . import people
from .test_dashboards import page, ran, rows
from .test_rollups import count_all

LISTED = Listed(input=1_000, cache_read=100, cache_write=1_250, output=4_000)


def used(runs: int, cost: int, *, input: int = 0, read: int = 0, output: int = 0) -> Sums:
    return Sums(runs=runs, cost=cost, tokens_input=input, tokens_cache_read=read, tokens_output=output)


def changed(found: Steps | None) -> dict[str, int]:
    assert found
    return {name: value for name in ("volume", "mix", "tokens", "cache", "price") if (value := getattr(found, name))}


def test_the_steps_add_up_whatever_happened() -> None:
    dice = random.Random(7)

    def some() -> Sums:
        counters = ("tokens_input", "tokens_cache_read", "tokens_cache_write", "tokens_output", "tokens_reasoning")
        tokens = {name: dice.choice([0, dice.randrange(10**9)]) for name in counters}
        return Sums(
            runs=dice.choice([0, 1, dice.randrange(10**6)]), cost=dice.choice([0, dice.randrange(10**14)]), **tokens
        )

    for _ in range(300):
        models = range(dice.randrange(1, 8))
        after = {model: some() for model in models if dice.random() < 0.8}
        before = {model: some() for model in models if dice.random() < 0.8}
        lists = {m: Listed(*(dice.randrange(10**10) for _ in range(4))) for m in models if dice.random() < 0.7}
        found = steps(after, before, lists)
        if found is None:
            assert not sum(one.runs for one in before.values())
            continue
        parts = found.volume + found.mix + found.tokens + found.cache + found.price
        assert found.before == sum(one.cost for one in before.values())
        assert found.after == sum(one.cost for one in after.values())
        assert found.before + parts == found.after
        assert all(isinstance(value, int) for value in vars(found).values())


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (used(20, 2_000, input=200, output=20), {"volume": 1_000}),
        (used(10, 3_000, input=300, output=30), {"tokens": 2_000}),
        (used(10, 700, input=100, output=10), {"price": -300}),
        (used(10, 1_000, input=100, output=10), {}),
    ],
)
def test_each_cause_is_told_by_its_own_step(one: Sums, expected: dict[str, int]) -> None:
    was = used(10, 1_000, input=100, output=10)
    assert changed(steps({"a": one}, {"a": was}, {"a": LISTED})) == expected


def test_what_the_cache_spares_is_told_apart_from_prices() -> None:
    was, one = used(10, 140_000, input=100, output=10), used(10, 95_000, input=50, read=50, output=10)
    assert changed(steps({"a": one}, {"a": was}, {"a": LISTED})) == {"cache": -45_000}
    assert changed(steps({"a": one}, {"a": was}, {})) == {"price": -45_000}, "without a price list nobody can say"


def test_other_models_are_mix() -> None:
    cheap, dear = used(5, 50, input=10), used(5, 500, input=10)
    found = steps({"a": cheap + cheap, "new": used(0, 7)}, {"a": cheap, "b": dear}, {})
    assert changed(found) == {"mix": 100 - 550 + 7}


def test_the_page_says_why_it_changed(app: Flask, acme: people.Cast) -> None:
    asked = now() - timedelta(days=35)
    ran(acme, 4_000, created_at=asked, first_token_at=asked, finished_at=asked + timedelta(seconds=1))
    count_all()
    client = people.browser(app, acme.olivia)
    assert "no runs in the period before" in page(client, acme, "?range=7d")
    for cost in (4_000, 6_000):
        ran(acme, cost)
    count_all()
    found = {row[0]: row[1] for row in rows(client, acme, "/overview/why.csv")[1:]}
    assert (found["Before"], found["Now"]) == ("0.000004", "0.00001")
    assert (found["Volume"], found["Price"]) == ("0.000004", "0.000002")
    assert "Why it changed" in page(client, acme)
