"""What differs between two contents: nothing is left out, nothing is made up, and no text takes for ever."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dataelan_web.prompts.content import Content, Turn
from dataelan_web.prompts.differences import GONE, NEW, SAME, Differences, Text, between
from dataelan_web.prompts.variables import Kind, Variable

WORDS = st.sampled_from(["one", "two", "three", " ", "\n", ".", "{{a}}", "ä"])
TEXTS = st.lists(WORDS, max_size=40).map("".join)


def sides(text: Text) -> tuple[str, str]:
    """Both texts, put together again from what is shown."""
    lines = [line for stretch in text.stretches for line in stretch.lines]
    said = [(line.kind, "".join(span.text for span in line.spans)) for line in lines]
    return tuple("\n".join(words for kind, words in said if kind != other) for other in (NEW, GONE))  # type: ignore[return-value]


def of_system(before: str, after: str) -> Differences:
    return between(Content(system=before), Content(system=after))


@given(TEXTS, TEXTS)
def test_both_texts_can_be_read_from_what_is_shown(before: str, after: str) -> None:
    before, after = before.strip(), after.strip()
    found = of_system(before, after)
    shown = [text for text in found.texts if text.title == "System prompt"]
    assert [sides(text) for text in shown] == ([(before, after)] if before or after else [])
    assert any(text.differs for text in shown) == (before != after)


@given(TEXTS)
def test_a_content_does_not_differ_from_itself(text: str) -> None:
    content = Content(system=text, messages=(Turn("user", text), Turn("assistant", text)))
    found = between(content, content)
    assert not any(text.differs for text in found.texts)
    assert not found.settings
    assert not found.variables
    assert not found.warnings


def test_the_words_that_changed_are_marked_within_their_line() -> None:
    (text,) = of_system("Answer in German, please.", "Answer in Dutch, please.").texts
    gone, new = text.stretches[0].lines
    assert [span.text for span in gone.spans if span.changed] == ["German"]
    assert [span.text for span in new.spans if span.changed] == ["Dutch"]


def test_what_is_the_same_is_folded_but_for_a_few_lines_around() -> None:
    same = "\n".join(f"Line {number}" for number in range(50))
    (text,) = of_system(f"first\n{same}\nlast", f"First\n{same}\nLast").texts
    assert [stretch.folded for stretch in text.stretches] == [False, False, True, False, False]
    assert [len(stretch.lines) for stretch in text.stretches] == [2, 3, 44, 3, 2]


def test_a_new_first_message_does_not_make_the_others_differ() -> None:
    messages = (Turn("user", "One"), Turn("assistant", "Two"), Turn("user", "Three"))
    found = between(Content(messages=messages), Content(messages=(Turn("user", "Zero"), *messages)))
    assert [(text.title, text.kind) for text in found.texts if text.differs] == [("Message 1, user", NEW)]
    assert sum(not text.differs for text in found.texts) == 3


def test_what_the_eye_cannot_see_is_shown() -> None:
    (text,) = of_system("Be kind.", "Be\u200b kind.\u202e\u200e\U000e0041").texts
    shown = "".join(span.text for line in text.stretches[0].lines if line.kind == NEW for span in line.spans)
    for mark in ("U+200B", "U+202E", "U+200E", "U+E0041"):
        assert mark in shown


def test_settings_and_variables_tell_what_changed_in_them() -> None:
    before = Content(messages=(Turn("user", "{{a}} {{b}}"),), temperature="0", variables=(Variable("a"),))
    kind = Variable("a", Kind.CHOICE, default="x", options=("x", "y"), required=False)
    after = Content(messages=(Turn("user", "{{a}} {{c}}"),), temperature="1", requested="gpt", variables=(kind,))
    found = between(before, after)
    assert [(s.title, s.before, s.after) for s in found.settings] == [
        ("Model", "Automatic", "gpt"),
        ("Temperature", "0", "1"),
    ]
    assert [(v.name, v.kind) for v in found.variables] == [("a", SAME), ("c", NEW), ("b", GONE)]
    assert {s.title: (s.before, s.after) for s in found.variables[0].settings} == {
        "type": ("text", "choice"),
        "default": ("", "x"),
        "required": ("yes", "no"),
        "choices": ("", "x, y"),
    }


def test_it_warns_of_what_programs_would_notice() -> None:
    old = Content(messages=(Turn("user", "{{a}} {{gone}} {{n}}"),))
    variables = (Variable("new"), Variable("n", Kind.NUMBER), Variable("easy", default="x"))
    texts = (Turn("user", "{{a}} {{new}} {{n}} {{easy}}"), Turn("assistant", "Yes?"))
    words = between(old, Content(messages=texts, variables=variables)).warnings
    assert [word.split("”")[0].lstrip("“") for word in words[:3]] == ["new", "n", "gone"]
    assert "message from the user" in words[3]
    assert len(words) == 4


def test_of_a_first_version_nothing_changed_and_no_program_is_warned_of() -> None:
    found = between(None, Content(messages=(Turn("user", "In {{language}}"),), model_type="CODE", temperature="0.5"))
    assert [(s.title, s.after) for s in found.settings] == [
        ("Type", "Code"),
        ("Model", "Automatic"),
        ("Temperature", "0.5"),
    ]
    assert [(v.name, v.kind) for v in found.variables] == [("language", NEW)]
    assert found.warnings == ()
    assert found.is_first


def test_texts_in_which_everything_repeats_are_compared_too() -> None:
    """difflib took five minutes for the first of these."""
    half = "\n".join("x" if number % 2 else "y" for number in range(2000))
    assert of_system("x\n" * 2000, half).texts[0].differs
    assert of_system(" ".join("ab" * 3000), " ".join("ba" * 3000)).texts[0].differs
    assert of_system("\n" * 30_000 + "x", "y" + "\n" * 30_000).texts[0].differs
