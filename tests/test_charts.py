"""What of a table can be drawn."""

from __future__ import annotations

import pytest

from dataelan_web.playground.charts import chart, number


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("12", 12), ("-4.5", -4.5), ("−4 %", -4), ("$1,234.50", 1234.5), ("12 ms", 12), (".5", 0.5), ("€ 3", 3)),
        *(("+7", 7), ("1.2M", 1.2), ("", None), ("-", None), ("high", None), ("1, 2", None), ("2026-11-27", None)),
        *(("3–4", None), ("v1.2.3", None), ("1,23", None), ("$", None)),
        ("9" * 400, None),
    ],
)
def test_a_number_is_read_with_its_currency_thousands_and_unit(text: str, value: float | None) -> None:
    assert number(text) == value


def test_columns_of_numbers_are_drawn_over_the_first_of_words() -> None:
    table = {
        "header": ["Fruit", "Price", "Note", ""],
        "rows": [["apple", "$1.20", "red", "3"], ["pear", "n/a", "", "4"], ["fig", "2", "", "5"]],
    }
    assert chart(table) == {
        "labels": ["apple", "pear", "fig"],
        "lines": [{"name": "Column 4", "values": [3, 4, 5]}],
    }


def test_where_all_are_numbers_the_first_is_what_the_others_are_drawn_over() -> None:
    assert chart({"header": ["Year", "Sold"], "rows": [["2025", "3"], ["2026", "4", "too many"], ["2027"]]}) == {
        "labels": ["2025", "2026", "2027"],
        "lines": [{"name": "Sold", "values": [3, 4, None]}],
    }
    assert chart({"header": ["Sold"], "rows": [["3"], ["4"]]}) == {
        "labels": ["1", "2"],
        "lines": [{"name": "Sold", "values": [3, 4]}],
    }


def test_without_two_rows_or_numbers_there_is_nothing_to_draw() -> None:
    for rows in ([], [["a", "1"]], [["a", "b"], ["c", "d"]]):
        assert chart({"header": ["x", "y"], "rows": rows}) is None
