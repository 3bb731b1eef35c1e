"""Custom conditions in CEL: what they can ask, and that they can do nothing else."""

from __future__ import annotations

import contextlib
import os
import random
import string
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataelan_web.router.candidates import Question
from dataelan_web.router.conditions import ConditionError, read
from dataelan_web.router.expressions import (
    EXAMPLES,
    FUNCTIONS,
    LONGEST,
    VARIABLES,
    ExpressionError,
    context,
    expression,
)
from dataelan_web.router.types import FilePart, ImagePart, Message, Prompt, TextPart, Tool, system, user


def holds(source: str, **facts: dict[str, Any]) -> bool:
    return expression(source).holds(context(facts))


@pytest.mark.parametrize(
    ("source", "facts", "answer"),
    [
        ("prompt.tokens > 1000", {"prompt": {"tokens": 1001}}, True),
        ("prompt.tokens > 1000", {"prompt": {"tokens": 1000}}, False),
        ('session.type == "CODE" || prompt.text.contains("def ")', {"prompt": {"text": "def f():"}}, True),
        ("time.hour >= 9 && time.hour < 18 && time.weekday <= 5", {"time": {"hour": 17, "weekday": 5}}, True),
        ("budget.used_percent >= 80", {"budget": {"used_percent": 79}}, False),
        ('member.role in ["OWNER", "ADMIN"]', {"member": {"role": "ADMIN"}}, True),
        ('member.role in ["OWNER", "ADMIN"]', {}, False),
        ('prompt.text.matches("(?i)urgent|asap")', {"prompt": {"text": "URGENT: help"}}, True),
        ("size(prompt.text) == 3", {"prompt": {"text": "abc"}}, True),
        ('request.token.startsWith("ci")', {"request": {"origin": "gateway", "token": "ci-1"}}, True),
        ("prompt.images > 0 ? prompt.tools == 0 : true", {"prompt": {"images": 1, "tools": 2}}, False),
        ("!prompt.streams", {}, True),
    ],
)  # fmt: skip
def test_an_expression_is_true_of_a_prompt_or_not(source: str, facts: dict[str, Any], answer: bool) -> None:
    assert holds(source, **facts) is answer


@pytest.mark.parametrize("name", [f"{name}.{field}" for name, fields in VARIABLES.items() for field in fields])
def test_every_documented_variable_can_be_asked_for(name: str) -> None:
    variable, field = name.split(".")
    example = EXAMPLES[variable][field]
    literal = str(example).lower() if isinstance(example, bool | int) else f'"{example}"'
    assert holds(f"{name} == {literal}", **EXAMPLES)
    assert isinstance(holds(f"{name} == {literal}"), bool)


@pytest.mark.parametrize(
    "source",
    [
        "prompt.__class__ == 1",
        '().__class__ == ""',
        "prompt.text.__len__() > 1",
        'f"{1}" == ""',
        '__import__("os").system("true")',
        "[x for x in [1]]",
        "2 ** 999999999 > 1",
        '"a" * 999999999 == ""',
        "[1, 2].map(x, x * 2) == [2, 4]",
        "[1].exists(x, x > 0)",
        "[1].all ( prompt, true)",
        '["a"].filter(prompt, true) == []',
        "lambda: 1",
        'timestamp("2020-01-01T00:00:00Z").getHours() > 1',
        'duration("1h") > duration("2h")',
        'type(1) == "int"',
        'int(prompt.text) > 1',
        'bytes("a") == b"a"',
        "cel.bind(x, 1, x > 0)",
        "optional.of(1).hasValue()",
        'prompt["tokens"] > 1',
        "prompt == prompt",
        "secrets.key == 1",
        "model.price < 1",
        "prompt.cost > 1",
        "prompt.tokens",
        '"yes"',
        "prompt.tokens > ",
        "prompt.tokens > \"many\"",
        "",
        "(" * 200 + "true" + ")" * 200,
        "!" * (LONGEST + 1) + "true",
        'prompt.text.matches("(a{1000}){1000}")',
        'prompt.text.matches("(")',
    ],
)  # fmt: skip
def test_what_is_not_a_plain_question_is_refused_when_it_is_read(source: str) -> None:
    with pytest.raises(ConditionError) as refused:
        read({"expression": source})
    assert str(refused.value)
    assert len(str(refused.value)) < 1000


def test_a_refusal_says_what_could_be_written_instead() -> None:
    with pytest.raises(ExpressionError, match=r"prompt\.tokens"):
        expression("prompt.size > 1")
    with pytest.raises(ExpressionError, match="Known: prompt, session"):
        expression("user.name == ''")
    with pytest.raises(ExpressionError, match=f"Functions: {FUNCTIONS[0]}"):
        expression("prompt.text.replace('a', 'b') == ''")


def test_what_cannot_be_computed_of_this_prompt_means_that_the_rule_is_not_used() -> None:
    divides = read({"expression": "1000 / prompt.turns > 10"})
    assert "zero" in str(divides.unmet(Question()))


REPEATED = (
    "(a+)+",
    "(a*)*",
    "(a|a)*",
    "(a|aa)+",
    "([a-z]+)*",
    "(.*)*",
    "(.*a){12}",
    "(a?){60}a{60}",
    "(\\\\w+\\\\s?)*",
    "(a+b?)+",
)
AROUND = ("^{}$", "{}$", "^{}!$", "^{}b$", "{}[^a!]", "^x*{}y", "({}){}", "(?i){}$", "(?s)^{}\\\\z", "\\\\b{}\\\\B!")
"""Together a hundred patterns, each known to keep an engine that goes back busy for ever."""


def test_a_hundred_nasty_patterns_read_100_kb_in_a_moment_or_are_refused() -> None:
    facts = context({"prompt": {"text": "a" * 100_000 + "!"}})
    slow = list[tuple[str, float]]()
    for pattern in (around.replace("{}", one) for one in REPEATED for around in AROUND):
        started = time.thread_time()
        with contextlib.suppress(ExpressionError):
            expression(f'prompt.text.matches("{pattern}")').holds(facts)
        if (took := time.thread_time() - started) > 0.1:
            slow.append((pattern, took))
    assert not slow


def _line(seed: int) -> str:
    """Something like an expression: real pieces in any order."""
    draw = random.Random(seed)
    pieces = [
        *(f"{name}.{field}" for name, fields in VARIABLES.items() for field in fields),
        *"&& || ! == != < > <= >= + - * / % ( ) [ ] { } , . ? : in true false null 1 0 -1 1.5".split(),
        '"a"', "'b'", "size(", ".contains(", '.matches("(a+)+$")', ".map(x,", "prompt", "__class__", "[1,2,3]",
        "[[", "b'x'", "9223372036854775807",
    ]  # fmt: skip
    return " ".join(draw.choice(pieces) for _ in range(draw.randint(1, 30)))


MANY = int(os.environ.get("DATAELAN_EXPRESSIONS") or 900)
"""How many are tried; `make test-faults` tries 10,000."""
MOST_SECONDS, MOST_MEMORY = 0.05, 10 * 1024


@settings(max_examples=MANY * 2 // 3, deadline=None)
@given(st.integers())
def test_no_line_of_pieces_does_anything_but_hold_or_be_refused_quickly(seed: int) -> None:
    _tries(_line(seed))


@settings(max_examples=MANY // 3, deadline=None)
@given(st.text(st.characters() | st.sampled_from(string.punctuation), max_size=80))
def test_no_text_does_anything_but_hold_or_be_refused_quickly(source: str) -> None:
    _tries(source)


LONG = context(EXAMPLES | {"prompt": EXAMPLES["prompt"] | {"text": "a" * 10_000}})


def _tries(source: str) -> None:
    """It is a yes or a no, or refused, in 50 ms of CPU time and 10 MB of memory. What took longer is tried once more:
    Python may have looked for garbage, or the processor for something else."""
    before = _memory()
    assert _seconds(source) < MOST_SECONDS or _seconds(source) < MOST_SECONDS
    assert _memory(peak=True) - before < MOST_MEMORY


def _seconds(source: str) -> float:
    started = time.thread_time()
    with contextlib.suppress(ExpressionError):
        assert expression(source).holds(LONG) in (True, False)
    return time.thread_time() - started


def _memory(*, peak: bool = False) -> int:
    """In KB, now, or the most since this was last asked for now."""
    if not peak:
        CLEAR.write_text("5")
    return int(STATUS.read_text().partition("VmHWM:" if peak else "VmRSS:")[2].split()[0])


CLEAR, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


def test_a_question_is_asked_with_the_facts_of_its_prompt() -> None:
    prompt = Prompt(
        (
            system("Be brief."),
            user("Hello there"),
            Message("user", (TextPart("See"), ImagePart(url="https://x/y.png"), FilePart("application/pdf", "AAAA"))),
        ),
        max_tokens=50,
        tools=(Tool("f"),),
        schema={"type": "object"},
    )
    question = Question.of(prompt, "TEXT", {"member": {"role": "OWNER"}})
    everything = (
        'prompt.turns == 3 && prompt.text == "See" && prompt.images == 1 && prompt.files == 1 && prompt.tools == 1'
        ' && prompt.wants_json && prompt.streams && prompt.max_tokens == 50 && prompt.characters == 23'
        ' && session.type == "TEXT" && session.task == "chat" && member.role == "OWNER" && prompt.tokens > 1000'
    )  # fmt: skip
    assert read({"expression": everything}).unmet(question) is None
