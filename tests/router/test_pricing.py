"""Usage × price → whole nano-USD, exact, and a bound that no bill within it exceeds."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from math import ceil
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataelan_web.router.pricing import Most, Rates, Variant, affordable_output, cost, upper_bound
from dataelan_web.router.types import Usage

USD = 1_000_000_000


def test_the_five_counters_are_disjoint_and_each_has_its_price() -> None:
    rates = Rates(input=3 * USD, output=15 * USD, cache_read=300_000_000, cache_write=3_750_000_000)
    usage = Usage(input=1_000_000, cache_read=1_000_000, cache_write=1_000_000, output=1_000_000, reasoning=1_000_000)
    assert cost(usage, rates) == (3 + 0.3 + 3.75 + 15 + 15) * USD


def test_a_class_without_its_own_price_costs_what_its_plain_class_does() -> None:
    assert cost(Usage(0, 10, 20, 0, 5), Rates(1_000_000, 2_000_000)) == 10 + 20 + 2 * 5


def test_a_cached_token_can_be_free_and_then_costs_nothing() -> None:
    assert cost(Usage(0, 1_000_000, None, 0), Rates(USD, USD, cache_read=0)) == 0


def test_a_tier_is_a_cliff_over_the_whole_request_by_all_input() -> None:
    rates = Rates(USD, 2 * USD, tiers=((200_000, Rates(2 * USD, 3 * USD)),))
    assert cost(Usage(200_000, output=1_000_000), rates) == USD // 5 + 2 * USD
    assert cost(Usage(200_001, output=1_000_000), rates) == 2 * 200_001 * 1000 + 3 * USD
    assert cost(Usage(1, cache_read=200_000, output=0), rates) == 2 * 200_001 * 1000


def test_tiers_count_in_any_order() -> None:
    low, high = (100, Rates(2_000_000, 0)), (1000, Rates(9_000_000, 0))
    for tiers in ((low, high), (high, low)):
        assert cost(Usage(2_000, output=0), Rates(1_000_000, 0, tiers=tiers)) == 9 * 2_000


def test_a_price_for_each_request_comes_on_top() -> None:
    assert cost(Usage(1, output=1), Rates(1_000_000, 1_000_000, per_request=7)) == 9


def test_a_fraction_of_a_nano_usd_is_rounded_up_once() -> None:
    assert cost(Usage(1, output=0), Rates(1, 1)) == 1
    assert cost(Usage(1, 1, 1, 1, 1), Rates(1, 1)) == 1
    assert cost(Usage(1_000_001, output=0), Rates(1, 1)) == 2


def test_no_price_is_unknown_and_zero_is_free() -> None:
    assert cost(Usage(10, output=10), None) is None
    assert cost(Usage(10, output=10), Rates(0, 0)) == 0
    assert cost(Usage(), Rates(0, 0)) == 0


def test_no_usage_is_unknown_under_a_price() -> None:
    assert cost(Usage(), Rates(1, 1)) is None


@pytest.mark.parametrize("rates", [Rates(0, 0, cache_write=5), Rates(0, 0, cache_read=5), Rates(0, 0, per_request=1)])
def test_what_asks_money_for_anything_is_not_free(rates: Rates) -> None:
    assert not rates.is_free
    assert cost(Usage(0, 1_000_000, 1_000_000, 0), rates)


prices = st.integers(0, 10**12)
flat: Any = st.builds(Rates, prices, prices, st.none() | prices, st.none() | prices, st.integers(0, 10**9))
tiers = st.lists(st.tuples(st.integers(0, 10**6), flat), max_size=3).map(tuple)
any_rates: Any = st.builds(
    lambda base, steps: Rates(base.input, base.output, base.cache_read, base.cache_write, base.per_request, steps),
    flat,
    tiers,
)
tokens = st.integers(0, 10**6)


@settings(max_examples=120, deadline=None)
@given(any_rates, tokens, tokens, tokens, tokens, tokens, tokens, tokens)
def test_no_bill_exceeds_the_upper_bound(
    rates: Rates, fresh: int, read: int, written: int, out: int, thought: int, more_in: int, more_out: int
) -> None:
    usage = Usage(fresh, read, written, out, thought)
    bill = cost(usage, rates)
    assert bill is not None
    assert bill <= upper_bound(usage.input_total + more_in, usage.output_total + more_out, rates)


@settings(max_examples=100, deadline=None)
@given(flat, tokens, tokens, tokens, tokens, tokens)
def test_a_cost_is_the_exact_sum_rounded_up(
    rates: Rates, fresh: int, read: int, written: int, out: int, thought: int
) -> None:
    per = [rates.input, rates.cache_read, rates.cache_write, rates.output, rates.output]
    per[1] = rates.input if per[1] is None else per[1]
    per[2] = rates.input if per[2] is None else per[2]
    counted = zip((fresh, read, written, out, thought), per, strict=True)
    exact = sum(Fraction(count * (price or 0), 1_000_000) for count, price in counted)
    assert cost(Usage(fresh, read, written, out, thought), rates) == ceil(exact) + rates.per_request


@settings(max_examples=120, deadline=None)
@given(any_rates, tokens, st.integers(0, 10**13))
def test_what_can_be_afforded_fits_what_there_is(rates: Rates, size: int, available: int) -> None:
    output = affordable_output(size, available, rates)
    if output is None:
        assert rates.is_free or upper_bound(size, 10**9, rates) <= available
    elif output > 0:
        assert upper_bound(size, output, rates) <= available
    else:
        assert upper_bound(size, 1, rates) > available


@given(flat, tokens, st.integers(0, 10**13))
def test_no_more_could_be_afforded_at_a_flat_price(rates: Rates, size: int, available: int) -> None:
    output = affordable_output(size, available, rates)
    if output is not None and rates.output:
        rounding = 1_000_000 // rates.output + 2
        assert upper_bound(size, output + rounding, rates) > available


# -- beside plain tokens ---------------------------------------------------------------------------


def test_tokens_of_sound_and_pictures_have_prices_of_their_own_and_are_counted_once() -> None:
    rates = Rates(1_000_000, 2_000_000, input_audio=10_000_000, output_image=40_000_000)
    usage = Usage(input=100, output=50, input_audio=30, output_image=20)
    assert cost(usage, rates) == 70 * 1 + 30 * 10 + 30 * 2 + 20 * 40
    assert cost(Usage(input=100, output=50, input_audio=30, output_image=20), Rates(1_000_000, 2_000_000)) == 200
    assert cost(Usage(input=10, output=0, input_audio=999), rates) == 10 * 10  # a part is never more than its whole


@pytest.mark.parametrize(
    ("rates", "usage", "nano"),
    [
        (Rates(0, 0, per_image=40_000_000), Usage(images=2), 80_000_000),
        (Rates(0, 0, per_second=100_000), Usage(seconds=Decimal("12.3456789")), 1_234_568),
        (Rates(0, 0, per_character=15_000), Usage(characters=1_000), 15_000_000),
        (Rates(5_000_000, 10_000_000, per_image=1), Usage(images=3), 3),
        (Rates(0, 0, per_image=40_000_000), Usage(input=100, output=5), None),  # its pictures were not counted
        (Rates(0, 0, per_second=100), Usage(characters=9), None),
        (Rates(1_000_000, 0), Usage(images=1), None),
    ],
)
def test_pictures_seconds_and_characters_are_charged_or_the_cost_is_unknown(
    rates: Rates, usage: Usage, nano: int | None
) -> None:
    assert cost(usage, rates) == nano


def test_the_providers_own_bill_counts_where_no_price_is_known() -> None:
    assert cost(Usage(10, output=5, billed_usd=Decimal("0.00001234")), None) == 12_340
    assert cost(Usage(1_000_000, output=0, billed_usd=Decimal(9)), Rates(1_000, 0)) == 1_000


@given(
    st.integers(0, 10_000), st.integers(0, 10_000), st.integers(0, 9), st.integers(0, 99), st.integers(0, 5_000),
    st.lists(st.none() | st.integers(0, 10**9), min_size=7, max_size=7),
)  # fmt: skip
def test_no_call_costs_more_than_its_bound(
    tokens_in: int, tokens_out: int, images: int, seconds: int, characters: int, finer: list[int | None]
) -> None:
    rates = Rates(1_000, 3_000, None, None, 7, (), *finer)
    most = Most(tokens_in, images, Decimal(seconds), characters)
    for audio in (0, tokens_in // 2, tokens_in):
        usage = Usage(
            input=tokens_in - audio, cache_read=0, input_audio=(tokens_in - audio) // 2, cache_write=audio,
            output=tokens_out, output_audio=tokens_out // 3, output_image=tokens_out // 3,
            images=images, seconds=Decimal(seconds), characters=characters,
        )  # fmt: skip
        charged = cost(usage, rates)
        assert charged is not None
        assert charged <= upper_bound(most, tokens_out, rates)


def test_a_cache_written_for_an_hour_has_a_price_of_its_own_and_is_counted_once() -> None:
    rates = Rates(1_000_000, 0, cache_write=2_000_000, cache_write_1h=4_000_000)
    assert cost(Usage(input=1, output=0, cache_write=10, cache_write_1h=3), rates) == 1 + 7 * 2 + 3 * 4
    assert cost(Usage(input=1, output=0, cache_write=10), rates) == 1 + 20
    assert cost(Usage(input=0, output=0, cache_write=2, cache_write_1h=9), rates) == 2 * 4, "a part is never more"
    assert cost(Usage(input=0, output=0, cache_write=10, cache_write_1h=3), Rates(1_000_000, 0)) == 10
    assert rates.dearest_input == 4_000_000


def test_a_picture_costs_what_its_size_and_quality_cost() -> None:
    large, fine = Variant(frozenset({"1024x1792"}), per_image=60), Variant(frozenset({"1024x1792", "hd"}), per_image=80)
    rates = Rates(0, 0, per_image=40, variants=(large, fine))
    one = Usage(images=2)
    for options, nano in (
        ({}, 40),
        ({"size": "1024x1024", "quality": "hd"}, 40),
        ({"size": "1024x1792", "quality": "standard"}, 60),
        ({"quality": "HD", "size": "1024x1792", "count": 2}, 80),
    ):
        assert cost(one, rates, options) == 2 * nano, options
        assert upper_bound(Most(0, images=2), 0, rates.of(options)) == 2 * nano
    film = Rates(0, 0, per_second=10, variants=(Variant(frozenset({"1080p"}), per_second=25),))
    assert cost(Usage(seconds=Decimal(8)), film, {"resolution": "1080p"}) == 200
    assert not film.is_free
