"""Amounts as people type them, limits in words, and bars: values in, words out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataelan_web.limits import amounts, words
from dataelan_web.limits.bar import bar_of, share
from dataelan_web.models import NANO, Budget, Scope, Unit, Window
from dataelan_web.quota import Standing, said

BERLIN = ZoneInfo("Europe/Berlin")
START, END = datetime(2026, 10, 31, 23, tzinfo=UTC), datetime(2026, 11, 30, 23, tzinfo=UTC)
MIDDLE = START + (END - START) / 2


def standing(limit: int = 50 * NANO, spent: int = 0, held: int = 0, **more: Any) -> Standing:
    """Of a month's limit in Berlin, unless said otherwise."""
    values = {"window": Window.MONTH, "unit": Unit.USD, "is_hard": True, "ends_at": END, "forecast": None} | more
    budget = Budget(
        scope=Scope.PROJECT, window=values["window"], unit=values["unit"], is_hard=values["is_hard"], limit=limit,
        alerts=[50, 80, 100],
    )  # fmt: skip
    left, percent = max(0, limit - spent - held), 100 * (spent + held) // limit if limit else 100
    return Standing(budget, BERLIN, START, values["ends_at"], limit, 0, spent, held, left, percent, values["forecast"])


# -- amounts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "nano"),
    [
        ("50", 50 * NANO),
        ("2.50", 2_500_000_000),
        (" $1,234.5 ", 1_234_500_000_000),
        ("1 000 000", 1_000_000 * NANO),
        ("0.000000001", 1),
        (".5", 500_000_000),
        ("0", 0),
        ("1000000000", 10**18),
    ],
)
def test_money_is_read_to_the_billionth(typed: str, nano: int) -> None:
    assert amounts.read(typed, Unit.USD) == nano


@pytest.mark.parametrize("nano", [10_000_000, 12_345_678, 500_000_000, 12_345_500_000_000, 50 * NANO])
def test_a_limit_reads_the_same_in_a_refusal_in_its_own_words_and_beside_what_is_left(nano: int) -> None:
    refused = said(Unit.USD, nano)
    assert words.entered(nano, Unit.USD) == refused
    assert words.size(nano, Unit.USD, Window.MONTH) == f"{refused} a month"
    assert words.entered(1_234_567, Unit.TOKENS) == words.amount(1_234_567, Unit.TOKENS)


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("-5", "cannot be negative"),
        ("−5", "cannot be negative"),
        ("2,50", "Write a point for decimals"),
        ("1,23,456", "Write a point for decimals"),
        ("0.0000000001", "At most nine decimals"),
        ("1000000000.01", "is the most"),
        ("9" * 60, "US dollars"),
        ("", "US dollars"),
        ("much", "US dollars"),
        ("1e9", "US dollars"),
        ("NaN", "US dollars"),
        ("Infinity", "US dollars"),
        ("1_000", "US dollars"),
        ("٣", "US dollars"),
    ],
)
def test_money_that_is_none_is_told_why(typed: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        amounts.read(typed, Unit.USD)


@pytest.mark.parametrize(
    ("typed", "words"), [("1.5", "whole number"), ("-1", "negative"), ("1,5", "whole number"), ("9" * 20, "from 0 to")]
)
def test_tokens_are_whole(typed: str, words: str) -> None:
    assert amounts.read("120,000", Unit.TOKENS) == 120_000
    with pytest.raises(ValueError, match=words):
        amounts.read(typed, Unit.TOKENS)


@given(st.sampled_from(Unit), st.integers(0, amounts.MOST_COUNT))
def test_what_is_shown_in_a_field_is_read_back_as_it_was(unit: Unit, amount: int) -> None:
    assert amounts.read(amounts.typed(unit, amount), unit) == amount


@given(st.integers(0, 10**18))
def test_rounding_up_never_takes_away_and_adds_a_tenth_at_most(amount: int) -> None:
    rounded = amounts.rounded_up(amount)
    assert amount <= rounded <= amount * 1.1 + 1
    assert len(str(rounded).rstrip("0")) <= 2 or rounded < 100


# -- sentences -------------------------------------------------------------------------------------


def sentence(**more: Any) -> str:
    values = {
        "prompts": "prompts of project Alpha",
        "scope": Scope.PROJECT,
        "unit": Unit.USD,
        "window": Window.MONTH,
        "limit": 50 * NANO,
        "is_hard": True,
        "alerts": (50, 80, 100),
        "zone": "Europe/Berlin",
    }
    return words.sentence(**(values | more))  # type: ignore[arg-type]


def test_a_limit_says_what_it_does() -> None:
    assert sentence() == (
        "Refuse prompts of project Alpha once they cost $50.00 in a calendar month (Europe/Berlin);"
        " tell its people at 50, 80 and 100 %."
    )
    assert sentence(alerts=()).endswith("(Europe/Berlin), and tell nobody before.")
    assert "once they have used 12,000 tokens in a calendar day" in sentence(
        unit=Unit.TOKENS, limit=12_000, window=Window.DAY
    )
    assert "once there were 40 of them in all" in sentence(unit=Unit.REQUESTS, limit=40, window=Window.TOTAL)
    assert "tell them and the owners and admins at 80 %" in sentence(scope=Scope.MEMBER, alerts=(80,))


def test_a_soft_limit_says_that_it_refuses_nothing() -> None:
    assert sentence(is_hard=False) == (
        "Refuse nothing: count what prompts of project Alpha cost in a calendar month (Europe/Berlin) against $50.00,"
        " and tell its people at 50, 80 and 100 % of it."
    )


def test_a_limit_of_nothing_says_so() -> None:
    assert sentence(limit=0) == "Prompts of project Alpha that cost anything are refused: nothing at all may be used."
    assert sentence(limit=0, unit=Unit.TOKENS).startswith("All prompts of project Alpha are refused")


def test_speeds_are_said_with_what_they_limit_alone() -> None:
    assert words.rate(40, 1000, 4) == "40 requests and 1,000 tokens a minute, 4 at the same time"
    assert words.rate(1, None, None) == "1 request a minute"
    assert words.rate(None, None, 1) == "1 at the same time"
    assert words.rate_sentence("prompts of Mia", None, None, None) == ""


@pytest.mark.parametrize(
    ("delta", "said"),
    [
        ({"days": 6, "hours": 23}, "6 d"),
        ({"hours": 23, "minutes": 59}, "23 h"),
        ({"minutes": 59}, "59 min"),
        ({"seconds": 59}, "less than a minute"),
    ],
)
def test_how_long_until_it_resets(delta: dict[str, int], said: str) -> None:
    assert words.span(timedelta(**delta).total_seconds()) == said


def test_the_exact_time_is_the_organizations() -> None:
    assert words.exact_time(END, BERLIN) == "Tuesday, 1 December 2026 at 00:00 Europe/Berlin"
    assert words.last_day(END, BERLIN) == "30 November"


def test_a_forecast_says_where_it_leads() -> None:
    def said(**more: Any) -> tuple[str, str]:
        found = words.forecast(standing(**more), BERLIN, MIDDLE)
        return (found.text, found.tone) if found else ("", "")

    assert said(spent=21_050_000_000, forecast=42_100_000_000) == (
        "At this pace $42.10 by 30 November, $7.90 under.",
        "neutral",
    )
    assert said(spent=40 * NANO, forecast=80 * NANO) == (
        "At this pace $80.00 by 30 November, $30.00 over. It is used up around 19 November.",
        "warn",
    )
    assert said(spent=40 * NANO, forecast=80 * NANO, is_hard=False)[0].endswith("$30.00 over.")
    assert said(spent=50 * NANO, forecast=99 * NANO) == (
        "It is used up: prompts are refused until it resets.",
        "warn",
    )
    assert said(spent=5 * NANO) == ("", ""), "nothing can be told yet"
    assert said(spent=5 * NANO, forecast=5 * NANO, ends_at=None) == ("", ""), "it never ends"
    assert said(spent=1_000, forecast=2_000)[0].startswith("At this pace $0.000002"), "small money never reads $0.00"


# -- bars ------------------------------------------------------------------------------------------


def test_a_bar_shows_what_is_spent_held_and_where_the_window_is() -> None:
    bar = bar_of(standing(spent=25 * NANO, held=5 * NANO), MIDDLE)
    assert (bar.spent, bar.held, bar.limit, bar.pace, list(bar.marks)) == (50, 10, 100, 50, [50, 80])
    assert (bar.tone, bar.label) == (
        "good",
        "50 % spent, 10 % held for what is running, 50 % of the window has passed",
    )
    assert bar_of(standing(spent=36 * NANO, held=5 * NANO), MIDDLE).tone == "warn"
    assert bar_of(standing(spent=45 * NANO, held=5 * NANO), MIDDLE).tone == "danger"


def test_a_soft_limit_that_was_passed_is_a_line_within_its_bar() -> None:
    bar = bar_of(standing(spent=100 * NANO, is_hard=False), MIDDLE)
    assert (bar.spent, bar.limit, bar.pace, list(bar.marks), bar.tone) == (100, 50, 25, [25, 40], "danger")


def test_a_limit_of_nothing_has_a_bar_too() -> None:
    bar = bar_of(standing(0), MIDDLE)
    assert (bar.spent, bar.limit, bar.tone, bar.label) == (
        0, 0, "danger", "Nothing may be used, 50 % of the window has passed"
    )  # fmt: skip


def test_shares_are_truncated_and_never_nothing_for_something() -> None:
    assert (share(999, 1000), share(1, 1000), share(0, 1000)) == ("99 %", "under 1 %", "0 %")
