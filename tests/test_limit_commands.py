"""`flask limits`: alerts, rates and keys of the operator's limits, by command."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from dataelan_web.extensions import db
from dataelan_web.models import NANO, APIKey, Budget, RateLimit, Scope

from .test_operators_limits import keys, of_operator, ops  # noqa: F401  (fixtures)


def run_command(app: Flask, *arguments: str) -> Any:
    return app.test_cli_runner().invoke(args=["limits", *arguments])


def test_alerts_rates_and_keys_are_set_by_command(
    app: Flask,
    keys: list[APIKey],  # noqa: F811
) -> None:
    key, other = keys
    other.last_four = "zzzz"
    db.session.commit()
    for name in (key.label, key.last_four):
        made = run_command(app, "set", "9", "--on", f"key:simulated/{name}", "--window", "day", "--alerts", "90 80")
        assert made.exit_code == 0, made.output
        assert made.output.strip().endswith("told at 80 and 90 %")
    (budget,) = db.session.scalars(select(Budget).where(Budget.subject_id == key.id))
    assert (budget.organization_id, budget.scope, budget.alerts) == (None, Scope.KEY, [80, 90])
    db.session.refresh(key)
    assert key.daily_quota == 9 * NANO
    run_command(app, "set", "8", "--on", f"key:simulated/{key.label}", "--window", "day")
    db.session.refresh(budget)
    assert (budget.limit, budget.alerts) == (8 * NANO, [80, 90]), "left out, they are as they were"
    assert "told never" in run_command(app, "set", "8", "--window", "day", "--alerts", "").output
    fast = run_command(app, "rate", "--requests-per-minute", "600", "--parallel", "40")
    assert "600 requests a minute, 40 at the same time on platform" in fast.output
    fast = run_command(app, "rate", "--tokens-per-minute", "1000")
    (rate,) = db.session.scalars(select(RateLimit).where(RateLimit.organization_id.is_(None)))
    assert (rate.scope, rate.requests_per_minute, rate.tokens_per_minute) == (Scope.PLATFORM, None, 1_000)
    listed = run_command(app, "list").output
    assert f"{rate.id}  platform  1,000 tokens a minute" in listed
    assert re.search(rf"{budget.id}  key {key.label}.*\$8.00 a day  hard  .*told at 80 and 90 %", listed)
    assert "platform is not limited" in run_command(app, "delete", str(rate.id)).output
    assert str(rate.id) not in run_command(app, "list").output
    assert {action for action, _ in of_operator()} >= {"limit.set", "rate.set", "rate.deleted"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["set", "5", "--alerts", "150"], "Enter percentages from 1 to 100"),
        (["set", "5", "--alerts", "much"], "Enter percentages"),
        (["set", "5", "--on", "key:simulated/none"], "There is no key"),
        (["rate"], "Say how fast"),
        (["rate", "--parallel", "0"], "Invalid value for '--parallel'"),
        (["rate", "--parallel", "4", "--on", "organization:nobody"], "There is no organization"),
    ],
)
def test_a_command_that_cannot_be_says_why(arguments: list[str], words: str, app: Flask) -> None:
    result = run_command(app, *arguments)
    assert result.exit_code != 0
    assert words in result.output


def test_a_key_that_is_not_alone_is_not_guessed(
    app: Flask,
    keys: list[APIKey],  # noqa: F811
) -> None:
    result = run_command(app, "set", "5", "--on", f"key:simulated/{keys[0].last_four}")
    assert result.exit_code != 0
    assert "There are several" in result.output
    assert db.session.scalars(select(Budget).where(Budget.organization_id.is_(None))).all() == []


def test_the_help_says_how(app: Flask) -> None:
    help = run_command(app, "set", "--help").output + run_command(app, "rate", "--help").output
    for words in ("--alerts", "key:PROVIDER/LABEL", "--requests-per-minute", "--tokens-per-minute", "--parallel"):
        assert words in " ".join(help.split()) or words in help.replace("\n", ""), words
