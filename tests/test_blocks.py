"""Which blocks of an answer are whole, while it is written."""

from __future__ import annotations

import random

import pytest

from dataelan_web import markdown
from dataelan_web.playground import blocks
from dataelan_web.playground.blocks import Blocks, all_anew, pieces

ANSWER = """# A plan

One line
and its next.

- a first

- a second, in paragraphs

  which go on

1. another list

2. and its second

```python
def f():

    return "```"
```
After the code.

| a | b |
|---|---|
| 1 | 2 |

    indented

- **a** list at the end
"""


def cut(text: str, sizes: random.Random | None = None) -> tuple[list[str], str]:
    """(blocks as they became whole, the last)"""
    whole, place, answer = [], 0, Blocks()
    while place < len(text):
        size = sizes.randint(1, 40) if sizes else len(text)
        whole.append(answer.add(text[place : place + size]))
        place += size
    return [one for one in whole if one], answer.last


def by_blocks(whole: list[str], last: str) -> str:
    return "".join(markdown.render(one) for one in [*whole, last])


@pytest.mark.parametrize("seed", range(20))
def test_however_it_comes_it_is_parted_where_blocks_end_and_looks_as_it_will(seed: int) -> None:
    whole, last = cut(ANSWER, random.Random(seed))
    assert ("".join(whole) + last, last) == (ANSWER, cut(ANSWER)[1]), "who lost the line is told on from there"
    assert by_blocks(whole, last) == markdown.render(ANSWER)
    assert last.startswith(("| a", "- **a**", "    ind"))
    assert len(whole) > 3


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("One\n\nT", "One\n\n"),
        ("One\n\n", ""),
        ("One\n\n  T", ""),
        ("- a\n\n-", ""),
        ("- a\n\n- b", ""),
        ("- a\n\n-not an item", "- a\n\n"),
        ("1. a\n\n1000 words", ""),
        ("1. a\n\n1000 words and more", "1. a\n\n"),
        ("```\na\n\nb", ""),
        ("```\na\n\nb\n```\n", "```\na\n\nb\n```\n"),
        ("~~~\n```\n\nb\n", ""),
        ("````\n```\n\nb\n", ""),
        ("``` a\n```b\n\nc\n", ""),
        ("```a```\n\nb", "```a```\n\n"),
        ("One\n```\n", "One\n"),
        ("\n\nOne", "\n\n"),
        ("One\r\n\r\nTwo", "One\r\n\r\n"),
    ],
)
def test_what_is_whole_is_surely_so(text: str, whole: str) -> None:
    for sizes in (None, random.Random(1)):
        done, last = cut(text, sizes)
        assert ("".join(done), "".join(done) + last) == (whole, text)


def place(name: str, swap: str, html: str) -> str:
    return f'<hx-partial hx-target="#run-1-{name}" hx-swap="{swap}">{html}</hx-partial>'


def written(text: str, look: str = "live-text") -> str:
    return f'<div class="{look}" id="run-1-text">{text}</div>'


def test_a_block_takes_the_place_of_what_was_written() -> None:
    answer, block = Blocks(), '<div class="live-block markdown"><p>A &lt;b&gt; <em>word</em>.</p>\n</div>'
    assert pieces("#run-1", "A <b> *wo", answer) == place("text", "beforeend", "A &lt;b&gt; *wo")
    assert pieces("#run-1", "rd*.\n\nThe <i>", answer) == place("text", "outerHTML", block + written("The &lt;i&gt;"))
    assert pieces("#run-1", "", answer) == ""
    assert all_anew("#run-1", "Anew", Blocks()) == place("words", "innerHTML swapEmpty:true", written("Anew"))
    assert all_anew("#run-1", "", Blocks()) == place("words", "innerHTML swapEmpty:true", written(""))


def test_code_looks_like_code_while_it_is_written() -> None:
    answer, code = Blocks(), "live-text live-code"
    assert pieces("#run-1", "So:\n```p", answer) == place("text", "beforeend", "So:\n```p")
    begun = pieces("#run-1", "y\nif a < b", answer)
    assert begun.endswith(place("", "", written("if a &lt; b", code)).partition(">")[2])
    assert "<p>So:</p>" in begun
    assert pieces("#run-1", ":\n\n  go()\n", answer) == place("text", "beforeend", ":\n\n  go()\n")
    over = pieces("#run-1", "```\n", answer)
    assert 'class="code-language">py<' in over
    assert over.endswith(place("", "", written("")).partition(">")[2])
    assert pieces("#run-1", "```no code``` at all\n", answer) == place("text", "beforeend", "```no code``` at all\n")


def test_what_is_too_long_or_no_markdown_stays_as_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "LARGEST", 20)
    answer = Blocks(20)
    assert answer.add("One\n\nTwo\n\nThree") == "One\n\nTwo\n\n"
    assert answer.add("\n\nFour, and more than so much") == ""
    assert answer.last == "Three\n\nFour, and more than so much"
    assert Blocks(0).add("One\n\nTwo") == ""
