"""How numbers read, by the conventions of the workbench."""

from __future__ import annotations

import csv
import io
from datetime import timedelta

import pytest

from dataelan_web import formats
from dataelan_web.models import NANO, now


@pytest.mark.parametrize(
    ("nano", "text"),
    [
        (None, "–"),  # unknown is not nothing
        (0, "$0"),
        (1, "$0.000000001"),
        (4_120_000, "$0.00412"),
        (4_125_000, "$0.00413"),
        (9_999_999, "$0.01"),
        (123_456, "$0.000123"),
        (500_000_000, "$0.50"),
        (999_400_000, "$0.999"),
        (999_999_999, "$1.00"),
        (NANO, "$1.00"),
        (12 * NANO + 300_000_000, "$12.30"),
        (9_999 * NANO, "$9,999.00"),
        (10_000 * NANO, "$10,000"),
        (1_234_567 * NANO, "$1,234,567"),
    ],
)
def test_money_has_at_most_three_digits_under_a_dollar_and_never_reads_nothing(nano: int | None, text: str) -> None:
    assert formats.money(nano) == text


def test_no_amount_but_nothing_reads_as_nothing() -> None:
    amounts = {10**power * digit for power in range(12) for digit in (1, 3, 5, 9)}
    assert all(set(formats.money(amount)) & set("123456789") for amount in amounts)


def test_the_exact_amount_has_every_digit() -> None:
    assert formats.exact_money(4_120_001) == "$0.004120001"
    assert formats.exact_money(1) == "$0.000000001"
    assert formats.exact_money(None) == "The price is unknown"


@pytest.mark.parametrize(
    ("nano", "text"),
    [
        (None, "–"),
        (0, "free"),
        (37_500_000, "$0.0375"),
        (2_500_000_000, "$2.50"),
        (10 * NANO, "$10.00"),
        (100 * NANO, "$100.00"),
        (1_250 * NANO, "$1,250.00"),
        (1, "$0.000000001"),
    ],
)
def test_a_price_has_the_digits_it_needs(nano: int | None, text: str) -> None:
    assert formats.price(nano) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0, "0ms"),
        (-1, "0ms"),
        (0.84, "840ms"),
        (0.9994, "999ms"),
        (0.9996, "1.0s"),
        (3.4, "3.4s"),
        (59.94, "59.9s"),
        (59.96, "1m 0s"),
        (125, "2m 5s"),
        (3_599.6, "1h 0m"),
        (7_384, "2h 3m"),
    ],
)
def test_a_duration_has_one_or_two_units(seconds: float | None, text: str) -> None:
    assert formats.duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (None, "–"),
        (0, "0"),
        (1_204, "1,204"),
        (999_999, "999,999"),
        (1_000_000, "1.0M"),
        (1_299_999, "1.2M"),
        (999_999_999, "999.9M"),
        (1_000_000_000, "1.0B"),
    ],
)
def test_a_count_is_grouped_then_cut_and_never_rounded_up(number: int | None, text: str) -> None:
    assert formats.count(number) == text


def test_tokens_and_speed() -> None:
    assert formats.tokens((1_204, 312)) == "1,204 → 312"
    assert formats.tokens((None, 0)) == "– → 0"
    assert formats.speed(None) == "–"
    assert formats.speed(1_234.4) == "1,234 tok/s"


@pytest.mark.parametrize(
    ("back", "text"),
    [
        (timedelta(seconds=-5), "just now"),
        (timedelta(seconds=44), "just now"),
        (timedelta(seconds=50), "1 min ago"),
        (timedelta(minutes=59, seconds=59), "59 min ago"),
        (timedelta(hours=1, seconds=1), "1 h ago"),
        (timedelta(hours=23, minutes=59), "23 h ago"),
        (timedelta(days=1, seconds=1), "1 d ago"),
        (timedelta(days=29, hours=1), "29 d ago"),
    ],
)
def test_ago(back: timedelta, text: str) -> None:
    assert formats.ago(now() - back) == text


def test_long_ago_is_a_date_and_no_time_is_never() -> None:
    then = now() - timedelta(days=400)
    assert formats.ago(then) == f"{then:%-d %b %Y}"
    assert formats.ago(None) == "never"


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠", " =", "\n=", "\u3000="])
def test_no_cell_of_an_export_begins_as_a_formula(sign: str) -> None:
    """Of half and of full width; a number stays one."""
    cell = f"{sign}cmd|' /C calc'!A0"
    assert next(csv.reader(io.StringIO(formats.csv_line([cell]), newline=""))) == [f"'{cell}"]
    assert formats.csv_line(["-3.5", "+1e9", "-5 %"]) == "-3.5,+1e9,-5 %\r\n"
