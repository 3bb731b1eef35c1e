"""Expressions that are true of no prompt or of every one: found, named, and never mistaken."""

from __future__ import annotations

import os
import random
import time
from typing import Any
from uuid import uuid4

import pytest

from dataelan_web.models import ModelType, Origin, Role
from dataelan_web.router.candidates import Candidate, Choice, Key, Question
from dataelan_web.router.contradictions import contradiction, warnings
from dataelan_web.router.domains import DOMAINS, TYPES
from dataelan_web.router.expressions import EXAMPLES, ExpressionError, context, expression
from dataelan_web.router.plan import plan
from dataelan_web.router.pricing import Rates
from dataelan_web.router.rules import Rule
from dataelan_web.router.types import Task

from . import asking


def against(source: str) -> str | None:
    return contradiction(expression(source).tree, source, DOMAINS)


def told(source: str) -> list[str]:
    return list(warnings(expression(source).tree, source, DOMAINS))


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("prompt.tokens > 10 && prompt.tokens < 5",
         "“prompt.tokens > 10” and “prompt.tokens < 5” contradict each other."),
        ("time.hour >= 9 && time.hour < 9", "“time.hour >= 9” and “time.hour < 9” contradict each other."),
        ('project.name == "a" && project.name == "b"', "contradict each other."),
        ("prompt.streams && !prompt.streams", "“prompt.streams” and “!prompt.streams” contradict each other."),
        ('prompt.text.matches("a") && !prompt.text.matches("a")', "contradict each other."),
        ("prompt.tokens > 1.5 && prompt.tokens < 2", "contradict each other."),
        ("5 < prompt.tokens && 6 > prompt.tokens", "“5 < prompt.tokens” and “6 > prompt.tokens” contradict"),
        ("prompt.tokens > 3 * 4 - 2 && prompt.tokens == 10", "contradict each other."),
        ("!(prompt.tokens > 5 || prompt.tokens <= 5)", "“!(prompt.tokens > 5)” and “!(prompt.tokens <= 5)”"),
        ("(prompt.tokens > 5) == false && prompt.tokens > 6", "“!(prompt.tokens > 5)” and “prompt.tokens > 6”"),
        ("time.hour in [1, 2] && time.hour in [3]", "contradict each other."),
        ("time.hour > 21 && time.hour != 22 && time.hour != 23", "cannot all be true: time.hour is 0 to 23."),
        ("prompt.tokens < prompt.characters && prompt.characters < prompt.tokens", "contradict each other."),
        ("prompt.tokens != prompt.tokens", "is never true"),
        ('member.role == "BOSS"', "is never true: member.role is OWNER, ADMIN, MEMBER, VIEWER, GUEST or empty."),
        ('member.role in ["OWNER", "ADMIN"] && member.role == "VIEWER"', "contradict each other."),
        ("time.weekday == 0", "time.weekday is 1, Monday, to 7, Sunday."),
        ("time.hour == 24", "time.hour is 0 to 23."),
        ("prompt.tokens < 0", "prompt.tokens is 0 or more."),
        ("budget.used_percent > 100", "0 to 100."),
        ('prompt.tokens == "1000"', "“prompt.tokens == \"1000\"” is never true: prompt.tokens is a number."),
        ('session.type == "text"', "session.type is TEXT, CODE, IMAGE, VOICE or VIDEO."),
        ('request.tags == "eu"', 'ask request.tags.contains(",eu,")'),
        ('time.date == "23.11.2026"', "a date is written 2026-11-23."),
        ('time.date >= "2026-02-01" && time.date < "2026-01-01"', "contradict each other."),
        ('member.email == "Ann@example.com"', "addresses are in small letters."),
        ('request.token.startsWith("a") && request.token.startsWith("b")', "contradict each other."),
        ('request.token.startsWith("ab") && !request.token.contains("b")', "contradict each other."),
        ('request.token == "ci" && request.token.endsWith("x")', "contradict each other."),
        ("false", "“false” is never true."),
        (
            "time.hour < 3 && time.hour > 5 || time.weekday > 7",
            "Whichever part of it is taken, it is never true: “time.hour < 3” and “time.hour > 5” contradict each other"
            "; “time.weekday > 7” is never true",
        ),
        (
            "prompt.images > 0 ? prompt.images == 0 : prompt.images > 3",
            "“!(prompt.images > 0)” and “prompt.images > 3” contradict each other.",
        ),
    ],
)  # fmt: skip
def test_what_no_prompt_can_meet_is_told_with_both_of_its_halves(source: str, words: str) -> None:
    assert words in (against(source) or "")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("prompt.tokens >= 0", "It is always true, and shuts out no prompt."),
        ("time.hour < 9 || time.hour >= 9", "It is always true, and shuts out no prompt."),
        ("true", "It is always true, and shuts out no prompt."),
        ("prompt.tokens > 5 && time.weekday <= 7", "“time.weekday <= 7” is always true, and changes nothing."),
        ("prompt.tokens > 5 || time.hour > 23", "“time.hour > 23” is never true, and changes nothing."),
    ],
)
def test_what_says_nothing_may_be_kept_and_is_told(source: str, words: str) -> None:
    assert against(source) is None
    assert told(source) == [words]


def test_what_may_fail_is_not_called_true() -> None:
    """1 / prompt.images fails where there is no picture, and a rule is not used where its expression fails."""
    assert told("1 / prompt.images >= 0 || 1 / prompt.images < 0") == []
    assert told('prompt.text.matches("a") || !prompt.text.matches("a")') == []


MANY = int(os.environ.get("DATAELAN_EXPRESSIONS") or 500)
PROMPTS = [context(asking.facts(random.Random(seed))) for seed in range(400)]


def test_nothing_that_some_prompt_meets_is_called_contradictory_and_nothing_that_some_does_not_always_true() -> None:
    never, always, tried = 0, 0, 0
    for seed in range(MANY):
        draw = random.Random(seed)
        source = asking.expression_of(draw, draw.randint(1, 3))
        try:
            made = expression(source)
        except ExpressionError:
            continue  # it is too long
        tried += 1
        held = [_holds(made, prompt) for prompt in PROMPTS]
        if against(source) is not None:
            never += 1
            assert not any(held), f"{source} is true of some prompt; {against(source)}"
        if "It is always true, and shuts out no prompt." in told(source):
            always += 1
            assert all(held), f"{source} is not true of some prompt"
    print(f"\n{tried} expressions beside {len(PROMPTS)} prompts: {never} never true, {always} always")
    assert tried > MANY * 0.8
    assert never > tried // 20
    assert always > 3


def _holds(made: Any, prompt: Any) -> bool:
    try:
        return bool(made.holds(prompt))
    except ExpressionError:
        return False


def test_what_has_more_ways_than_are_gone_through_is_possible_and_ends_in_a_moment() -> None:
    """Each of 2^n ways contradicts itself only at its end."""

    def ways(count: int) -> str:
        choices = [f"(prompt.images!={number}||prompt.turns!={number})" for number in range(count)]
        return "&&".join([*choices, "(time.hour>25||time.hour<0)"])

    assert "Whichever part of it is taken" in (against(ways(5)) or "")
    began = time.thread_time()
    assert against(ways(11)) is None
    assert time.thread_time() - began < 0.5


# -- with the rule's other conditions --------------------------------------------------------------


def chat(name: str, **values: Any) -> Choice:
    key = Key(uuid4(), "k", "organization")
    return Choice(Candidate(uuid4(), name, uuid4(), "P", "openai", "http://x/v1", (key,), Rates(1, 1), **values))


@pytest.mark.parametrize(
    ("asked", "values", "words"),
    [
        ('session.type == "IMAGE"', {}, "this rule is for text prompts, whose session.type is TEXT or CODE."),
        ('session.task == "image"', {}, "the models of this rule that pass its other conditions are for chat."),
        ("prompt.tokens > 32000", {"context_window": 32_000}, "has room for more than 32,000 tokens."),
        ("prompt.images > 0", {"capabilities": frozenset({"tools"})}, "takes pictures."),
        ("prompt.tools > 1 && time.hour > 3", {"capabilities": frozenset({"vision"})}, "calls tools."),
        ("prompt.wants_json", {"capabilities": frozenset({"vision"})}, "answers by a schema."),
    ],
)
def test_an_expression_of_prompts_that_no_model_of_the_rule_could_take_contradicts_it(
    asked: str, values: dict[str, Any], words: str
) -> None:
    rule = Rule("R", (chat("a", **values), chat("b", **values)), conditions={"expression": asked})
    assert words in (rule.contradiction() or "")
    assert asked.partition(" &&")[0] in (rule.contradiction() or "")
    spared = Rule("R", (chat("a", **values), chat("b")), conditions={"expression": asked})
    assert (spared.contradiction() is None) is (not asked.startswith("session")), "of b nobody says what it can do"


def test_a_model_that_other_conditions_shut_out_spares_no_expression() -> None:
    choices = (chat("small", context_window=8_000), chat("large", context_window=200_000, capabilities=frozenset()))
    asked = {"expression": "prompt.tokens > 50000"}
    assert Rule("R", choices, conditions=asked).contradiction() is None
    assert "more than 8,000" in (Rule("R", choices[:1], conditions=asked).contradiction() or "")
    tagged = (Choice(choices[0].candidate, tags=frozenset({"eu"})), choices[1])
    assert "more than 8,000" in (Rule("R", tagged, conditions=asked | {"tags": ["eu"]}).contradiction() or "")


def test_no_rule_that_answers_some_prompt_is_called_contradictory() -> None:
    """Against the plan itself, with models that hold and can do little."""
    contradicts = 0
    for seed in range(MANY // 3):
        draw = random.Random(seed)
        source = asking.expression_of(draw, 2)
        able = [None, frozenset[str](), frozenset({"vision"}), frozenset({"tools", "json_schema"})]
        tasks = draw.choice([[Task.CHAT], [Task.CHAT, Task.EMBEDDING]])
        asked = {"context_window": [None, 3, 7], "capabilities": able, "task": tasks}
        choices = tuple(chat(f"m{n}", **{name: draw.choice(among) for name, among in asked.items()}) for n in range(2))
        try:
            rule = Rule("R", choices, conditions={"expression": source})
            why = rule.contradiction()
        except ValueError:
            continue  # it is too long
        if why is None:
            continue
        contradicts += 1
        for each in range(150):
            question = _question(asking.facts(random.Random(each)))
            assert not plan(question, [rule], random.Random(1)).steps, f"{source} answers; {why}"
    assert contradicts > MANY // 60


def _question(facts: asking.Facts) -> Question:
    prompt, session = facts["prompt"], facts["session"]
    asked = ("images", "vision"), ("wants_json", "json_schema")
    is_chat = session["task"] == "chat"
    needs = frozenset(name for field, name in asked if is_chat and prompt[field])
    return Question(session["type"], prompt["tokens"], None, needs, Task(session["task"]), facts)


# -- what variables can be is what they are --------------------------------------------------------


def test_what_variables_are_said_to_be_is_what_the_house_gives_them() -> None:
    assert set(TYPES) == {one.value for one in ModelType}
    assert set(DOMAINS["member.role"].values or ()) == {one.value for one in Role} | {"GUEST", ""}
    routed = {one.value for one in Origin} - {Origin.IMPORT.value}
    assert set(DOMAINS["request.origin"].values or ()) == routed
    for name, domain in DOMAINS.items():
        if not name.startswith("size("):
            variable, field = name.split(".")
            assert against(f"{name} != {_literal(EXAMPLES[variable][field])}") is None, domain
            assert against(f"{name} == {_literal(EXAMPLES[variable][field])}") is None, domain


def _literal(example: Any) -> str:
    return str(example) if isinstance(example, int) else f'"{example}"'
