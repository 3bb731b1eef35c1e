"""Sheets as people have them, and rules that score answers, whatever is in either."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataelan_web.batches import judging, rules, sheet
from dataelan_web.formats import BYTE_ORDER_MARK, csv_line
from dataelan_web.models import CheckKind


def read(text: str) -> sheet.Sheet:
    return sheet.read(text.encode())


def rows(text: str) -> list[tuple[str, ...]]:
    return [line.values for line in read(text).rows]


@pytest.mark.parametrize(
    "content",
    [
        "name,text\nAda,x\n",
        "name;text\r\nAda;x\r\n",
        "name\ttext\nAda\tx",
        "name|text\rAda|x\r",
        "\ufeffname,text\n\n  ,  \nAda,x\n\n",
        "sep=;\r\nname;text\r\nAda;x\r\n",
        '"name","text"\n"Ada","x"\n',
    ],
)
def test_a_sheet_is_read_however_it_is_written(content: str) -> None:
    assert read(content).columns == ("name", "text")
    assert rows(content) == [("Ada", "x")]
    assert sheet.read(content.replace("\ufeff", "").encode("utf-16")).columns == ("name", "text")


def test_quoted_cells_hold_marks_quotes_and_lines() -> None:
    assert rows('a,b\n"x, ""y""","1\n2"\n') == [('x, "y"', "1\n2")]
    assert [line.number for line in read('a,b\n"x\ny",1\nz,2\n').rows] == [2, 4]


def test_a_file_of_ours_comes_back_as_it_was() -> None:
    cells = ("=1+1", "- a list", "@somebody", "-5", "'tis so", "plain")
    names = ("-a", *"bcdef")
    found = read(BYTE_ORDER_MARK + csv_line(names) + csv_line(cells))
    assert (found.columns, found.rows[0].values) == (names, cells)
    assert found.told == [sheet.UNMARKED], "and it is said"
    assert sheet.read_text(BYTE_ORDER_MARK + "text\nx\n").columns == ("text",), "pasted, mark and all"


def test_of_one_column_nothing_is_split() -> None:
    assert rows("text\nHello, world; and | all\n") == [("Hello, world; and | all",)]


def test_columns_that_lack_or_are_too_many_are_told_by_line() -> None:
    found = read("a,b\n1\n1,2,3\n4,5,\n")
    assert [line.values for line in found.rows] == [("1", ""), ("4", "5")]
    assert found.told == [
        "Line 2 ends early: “b” is taken as empty.",
        "Line 3 was left out: it has 3 columns, and the first row names 2.",
    ]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "nothing in it"),
        (b"a,b\n", "nothing below it"),
        (b"a,a\n1,2\n", "Two columns are called"),
        (b"a,,c\n1,2,3\n", "Column 2 has no name"),
        (b'a,b\n1,2\n"x,3\n', "from line 3 opens a quote"),
        (b'a,b\n"x"y,3\n', "from line 2 cannot be read"),
        (b"PK\x03\x04rest", "This is a spreadsheet"),
        (b"a,b\x00\n1,2\n", "zero bytes"),
        (b"a\n" + b"x\n" * 10_001, "more than 10,000 rows"),
        (b"a\n" + b"x" * 1_000_001, "more than 1,000,000 characters"),
        (b"x" * (10 * 1024 * 1024 + 1), "the most is 10 MB"),
        (",".join(f"c{n}" for n in range(201)).encode() + b"\n1\n", "201 columns"),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_to_do(content: bytes, says: str) -> None:
    with pytest.raises(sheet.Refused, match=says):
        sheet.read(content)


def test_windows_text_is_read_and_said_so() -> None:
    found = sheet.read("a,b\né,ü\n".encode("cp1252"))
    assert found.rows[0].values == ("é", "ü")
    assert "not UTF-8" in found.told[0]


@given(st.binary(max_size=300))
def test_nothing_but_a_refusal_comes_of_any_bytes(content: bytes) -> None:
    try:
        found = sheet.read(content)
    except sheet.Refused:
        return
    assert all(len(line.values) == len(found.columns) for line in found.rows)


# -- rules -----------------------------------------------------------------------------------------


def passes(kind: CheckKind, text: str, answer: str, *, loosely: bool = False, **row: str) -> bool:
    return rules.judge(kind, rules.settings_of(kind, text, loosely=loosely), answer, row).passed


def test_an_answer_contains_matches_and_equals() -> None:
    contains, regex, equal = CheckKind.CONTAINS, CheckKind.REGEX, CheckKind.EQUAL
    assert passes(contains, "{{city}}", "I like\n PARIS", loosely=True, city="paris")
    assert not passes(contains, "{{city}}", "I like PARIS", city="paris")
    assert not passes(contains, "{{city}}", "anything", city=""), "an empty wish is no pass"
    assert passes(regex, r"^\d{4}-\d\d$", "2026-11")
    assert passes(regex, "yes", "YES, sure", loosely=True)
    assert not passes(regex, "^yes$", "yes, sure")
    assert passes(equal, "", " “Paris.” ", loosely=True, expected="paris")
    assert not passes(equal, "", "Paris.", expected="Paris")
    assert passes(equal, "", "Paris\n", expected="Paris")


def test_an_answer_fits_a_schema_with_or_without_a_fence() -> None:
    schema = json.dumps({"type": "object", "required": ["n"], "properties": {"n": {"type": "string", "pattern": "^a"}}})
    assert passes(CheckKind.SCHEMA, schema, '{"n": "ab"}')
    assert passes(CheckKind.SCHEMA, schema, '```json\n{"n": "ab"}\n```')
    assert not passes(CheckKind.SCHEMA, schema, '{"n": "b"}')
    assert not passes(CheckKind.SCHEMA, schema, "no JSON")
    said = rules.judge(CheckKind.SCHEMA, {"text": schema, "loosely": False}, "{}", {})
    assert said.reason == "'n' is a required property"


def test_an_answers_numbers_are_multiples_by_their_digits() -> None:
    cents = json.dumps({"multipleOf": 0.01})
    assert passes(CheckKind.SCHEMA, cents, "19.99")
    assert passes(CheckKind.SCHEMA, cents, "1" + "0" * 400)
    for answer in ("19.995", "NaN", "Infinity", "-1e999"):
        assert not passes(CheckKind.SCHEMA, cents, answer)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (CheckKind.CONTAINS, " "),
        (CheckKind.REGEX, "("),
        (CheckKind.REGEX, "(?=look)"),
        (CheckKind.REGEX, r"(\w{1000}){1000}"),
        (CheckKind.SCHEMA, "[]"),
        (CheckKind.SCHEMA, '{"type": 7}'),
        (CheckKind.SCHEMA, '{"$schema": 7}'),
        (CheckKind.SCHEMA, '{"patternProperties": {"(a+)+$": {}}}'),
        (CheckKind.SCHEMA, '{"a":' * 5000 + "1" + "}" * 5000),
    ],
)
def test_a_rule_that_cannot_be_is_refused(kind: CheckKind, text: str) -> None:
    with pytest.raises(rules.Wrong):
        rules.settings_of(kind, text, loosely=False)


def test_no_rule_takes_for_ever_and_none_fetches_anything() -> None:
    doubling = {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(40)} | {"a40": {}}
    patterns = {"type": "string", "pattern": "(a+)+$"}
    for schema in (
        {"$defs": doubling, "$ref": "#/$defs/a0"},
        {"$ref": "#"},
        {"$ref": "http://127.0.0.1:9/never"},
        {"$ref": "#/nowhere"},
        {"type": "string", "$ref": "#/type"},
        {"type": "string", "$ref": "#/type/x"},
        {"x": {"type": "nope"}, "$ref": "#/x"},
        {"$schema": "http://json-schema.org/draft-04/schema#", "type": "object"},
    ):
        began = time.process_time()
        assert not passes(CheckKind.SCHEMA, json.dumps(schema), json.dumps("a" * 50_000 + "b"))
        assert time.process_time() - began < 20
    assert not passes(CheckKind.SCHEMA, json.dumps(patterns), json.dumps("a" * 50_000 + "b"))
    assert not passes(CheckKind.REGEX, "^(a|a)*$", "a" * 100_000 + "b")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"score": 5, "reason": "Right"}', (1.0, "Right")),
        ('```json\n{"score": 1}\n```', (0.0, "")),
        ('{"score": 3.5, "reason": null}', (0.625, "")),
    ],
)
def test_a_judges_verdict_is_read(text: str, found: tuple[float, str]) -> None:
    assert judging.verdict(text) == found


@pytest.mark.parametrize("text", ["", "4", "[]", '{"score": "5"}', '{"score": true}', '{"score": 9}', '{"score": NaN}'])
def test_what_is_no_verdict_is_none(text: str) -> None:
    with pytest.raises(rules.Wrong):
        judging.verdict(text)
