"""Expressions drawn at random, and prompts to ask them of: for holding what is said of an expression against it."""

from __future__ import annotations

import random
from typing import Any

from dataelan_web.router.domains import TYPES
from dataelan_web.router.types import Task

Facts = dict[str, dict[str, Any]]

NUMBERS = {"prompt.tokens": (0, 1, 4, 5, 6, 9, 10, 11, 40), "prompt.images": (0, 1, 2), "time.hour": range(24),
           "time.weekday": range(1, 8), "budget.used_percent": (0, 1, 50, 99, 100)}  # fmt: skip
TEXTS = {
    "session.type": TYPES,
    "session.task": [task.value for task in Task],
    "member.role": ["OWNER", "ADMIN", "MEMBER", "VIEWER", "GUEST", ""],
    "request.origin": ["playground", "gateway", "batch", "judge"],
    "request.tags": ["", ",a,", ",a,b,", ",eu,"],
    "project.name": ["", "a", "ab", "abc", "b", "B", "Ab", "a\0", "é", "\U0001f642"],
    "prompt.text": ["", "a", "ab", "ba", "abc", "A", "b", "aa"],
    "time.date": ["2026-01-01", "2026-11-23", "2027-02-03"],
    "member.email": ["", "ann@example.com", "ab@a.b"],
}
FLAGS = ("prompt.streams", "prompt.wants_json")


def facts(draw: random.Random) -> Facts:
    """Of a prompt that could be: each variable within what it can be at all."""
    found: Facts = {}
    values = {name: draw.choice(among) for name, among in (NUMBERS | TEXTS).items()}
    values |= {name: draw.random() < 0.5 for name in FLAGS}
    values["prompt.characters"] = draw.choice((0, 5, 10))
    for name, value in values.items():
        variable, field = name.split(".")
        found.setdefault(variable, {})[field] = value
    return found


def expression_of(draw: random.Random, depth: int) -> str:
    """Few variables in one expression, so that its parts are often about the same."""
    names = draw.sample([*NUMBERS, *TEXTS, *FLAGS], draw.randint(1, 3))
    return _question(draw, depth, names)


def _question(draw: random.Random, depth: int, names: list[str]) -> str:
    kind = draw.random()
    if depth <= 0 or kind < 0.15:
        return _simple(draw, draw.choice(names))
    if kind < 0.75:
        sign = draw.choice(("&&", "&&", "||"))
        return f"({f' {sign} '.join(_question(draw, depth - 1, names) for _ in range(draw.randint(2, 3)))})"
    if kind < 0.87:
        return f"!({_question(draw, depth - 1, names)})"
    if kind < 0.93:
        one, two, three = (_question(draw, depth - 1, names) for _ in range(3))
        return f"({one} ? {two} : {three})"
    return f"(({_question(draw, depth - 1, names)}) {draw.choice(('==', '!='))} {draw.choice(('true', 'false'))})"


def _simple(draw: random.Random, name: str) -> str:
    if name in FLAGS:
        return draw.choice((name, f"!{name}", f"{name} == true", f"{name} != true", f"false == {name}"))
    if name in NUMBERS:
        return _of_number(draw, name)
    return _of_text(draw, name)


def _of_number(draw: random.Random, name: str) -> str:
    numbers = ["-1", "0", "1", "5", "5.5", "2 + 3", "10", "23", "24", "100", "2 * 3 - 1", "7u", "12"]
    number, sign = draw.choice(numbers), draw.choice(("<", "<=", ">", ">=", "==", "!="))
    others = (
        f"{name} {sign} {number}",
        f"{number} {sign} {name}",
        f"{name} in [{', '.join(draw.choices(numbers, k=draw.randint(0, 3)))}]",
        f"{name} {sign} prompt.characters",
        f"{name} {sign} {name}",
        f"{name} % 2 == {draw.choice('012')}",
        f'{name} {draw.choice(("==", "!="))} "5"',
        f"10 / {name} {sign} {number}",
    )
    return draw.choices(others, (8, 3, 3, 1, 1, 1, 1, 1))[0]


def _of_text(draw: random.Random, name: str) -> str:
    texts = [*TEXTS[name], "", "a", "b", "zz", "A"]
    one, sign = draw.choice(texts), draw.choice(("==", "!=", "==", "<", "<=", ">", ">="))
    function = draw.choice(("startsWith", "endsWith", "contains"))
    others = (
        f"{name} {sign} {_written(one)}",
        f"{_written(one)} {sign} {name}",
        f"{name} in [{', '.join(_written(text) for text in draw.choices(texts, k=draw.randint(0, 3)))}]",
        f"{name}.{function}({_written(one)})",
        f'{name}.matches("^a")',
        f"size({name}) {sign} {draw.choice((0, 1, 2))}",
        f"{name}.{function}(prompt.text)",
        f"{name} {sign} project.name",
    )
    return draw.choices(others, (8, 3, 3, 5, 1, 1, 1, 1))[0]


def _written(text: str) -> str:
    return '"' + text.replace("\0", "\\x00") + '"'
