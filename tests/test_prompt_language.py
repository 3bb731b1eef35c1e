"""The language of templates: what is a variable, and that nothing else is anything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataelan_web.prompts import language

PIECES = st.sampled_from(
    ["{{", "}}", "{", "}", "\\", "\\\\", "{%", "%}", "{{a}}", "{{ b }}", "{{7*7}}", "a", " ", "\n", "größe", "{#", "${"]
)
TEXTS = st.one_of(st.text(), st.lists(PIECES, max_size=14).map("".join))
VALUES = st.dictionaries(st.sampled_from(["a", "b", "größe"]), TEXTS)

FOREIGN = [
    "{{7*7}}",
    "{{ 7 * 7 }}",
    "{% if a %}yes{% endif %}",
    "{{ a.b }}",
    "{{ a['b'] }}",
    "{{ ''.__class__.__mro__ }}",
    "{{ a|upper }}",
    "{# a comment #}",
    "{%- raw -%}",
    "${a}",
    "#{a}",
    "<%= a %>",
    "{a}",
    "%(a)s",
    "{{#if a}}yes{{/if}}",
    "{{{{raw}}}}"[:6],
    "{{ }}",
    "{{}}",
    "{{a",
    "a}}",
    "{{a}",
    "{{1a}}",
    "{{a-b}}",
    "{{a\n}}",
    f"{{{{{'x' * 65}}}}}",
]


@given(TEXTS, VALUES)
def test_what_is_escaped_is_sent_exactly_as_it_was(text: str, values: dict[str, str]) -> None:
    assert language.names(language.escape(text)) == ()
    assert language.render(language.escape(text), values) == text


@given(TEXTS)
def test_pieces_are_the_whole_text(text: str) -> None:
    pieces = list(language.pieces(text))
    assert "".join(piece.typed for piece in pieces) == text
    assert tuple(dict.fromkeys(piece.name for piece in pieces if piece.name)) == language.names(text)


@given(TEXTS)
def test_a_value_is_put_in_as_it_is_and_never_read_again(value: str) -> None:
    assert language.render("{{a}}", {"a": value, "b": "never"}) == value
    assert language.render("before {{ a }}, {{a}} after", {"a": value}) == f"before {value}, {value} after"


@given(st.text().filter(lambda text: "{{" not in text), VALUES)
def test_a_text_without_two_braces_is_sent_as_typed(text: str, values: dict[str, str]) -> None:
    assert language.render(text, values) == text


@pytest.mark.parametrize("text", FOREIGN)
def test_no_other_language_means_anything(text: str) -> None:
    values = {"a": "VALUE", "raw": "VALUE", "b": "VALUE"}
    assert language.render(text, values) == text
    assert language.names(text) == ()


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("{{a}}", "A"),
        ("{{ a }}", "A"),
        ("{{{a}}}", "{A}"),
        ('{"key": {{a}}}', '{"key": A}'),
        (r"\{{a}}", "{{a}}"),
        (r"\\{{a}}", r"\A"),
        (r"\\\{{a}}", r"\{{a}}"),
        (r"\{{a}} and {{a}}", "{{a}} and A"),
        (r"C:\new\{{7}}", r"C:\new{{7}}"),
        (r"a \ backslash, \n and \\ stay", r"a \ backslash, \n and \\ stay"),
        ("{{größe}} {{_x1}} {{a}}{{a}}", "  AA"),
        ("{{A}}", ""),
    ],
)
def test_how_it_reads(text: str, sent: str) -> None:
    assert language.render(text, {"a": "A"}) == sent


def test_names_come_once_in_the_order_of_their_first_use() -> None:
    assert language.names("{{b}} {{a}} {{b}}", "{{c}}{{a}}") == ("b", "a", "c")


def test_what_is_almost_a_variable_is_told() -> None:
    assert language.almost("{{first name}} {{7*7}} {{name}} {% if x %}") == ["{{first name}}", "{{7*7}}", "{% if x %}"]
    assert language.almost("{{name} is open") == ["{{name}"]
    assert language.almost(r"\{{first name}} was meant so, {{ok}} too") == []


@pytest.mark.parametrize("text", ["\\", "{{", "{", "{%", "{{a", "{{ ", "}}", "\\{{"])
def test_no_text_takes_longer_than_its_length(text: str) -> None:
    """300,000 of them: what grew with the square would not end here."""
    long = text * 300_000
    assert language.names(long) == ()
    assert len(language.escape(long)) >= len(long)
    assert language.almost(long) is not None
