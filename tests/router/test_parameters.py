from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import pytest

from dataelan_web.router.candidates import Candidate
from dataelan_web.router.parameters import fitted, omitted
from dataelan_web.router.types import Prompt, Task, user

PROMPT = Prompt((user("Hello"),), temperature=0.2, reasoning_effort="low")
ABLE = frozenset({"tools", "json_schema", "reasoning"})


def model(name: str, able: frozenset[str] | None = None, kind: str = "openai") -> Candidate:
    return Candidate(uuid4(), name, uuid4(), "Somebody", kind, "https://api.example/v1", (), capabilities=able)


def test_what_nobody_knows_of_a_model_it_takes() -> None:
    assert omitted(model("llama-9")) == frozenset()
    assert fitted(PROMPT, model("llama-9")) == (PROMPT, "")


def test_what_a_list_does_not_say_that_it_can_do_is_not_asked_of_it() -> None:
    assert omitted(model("plain", frozenset({"vision"}))) == {"schema", "tools", "reasoning_effort"}
    assert omitted(model("able", ABLE)) == frozenset()
    assert omitted(replace(model("draws", frozenset({"x"})), task=Task.IMAGE)) == frozenset()


@pytest.mark.parametrize(
    ("name", "takes"),
    [
        ("o3-mini", False),
        ("openai/gpt-5.4", False),
        ("gpt-5-chat-latest", True),
        ("gpt-4o", True),
        ("claude-opus-4-7", False),
        ("us.anthropic.claude-sonnet-5-v1:0", False),
        ("claude-sonnet-4-5", True),
        ("claude-3-5-haiku", True),
        ("deepseek-reasoner", False),
        ("turbo3-mini", True),
    ],
)
def test_families_that_refuse_a_temperature_are_known_by_name(name: str, takes: bool) -> None:
    assert ("temperature" not in omitted(model(name))) is takes


def test_what_would_be_refused_is_left_out_and_said() -> None:
    prompt, said = fitted(PROMPT, model("o3"))
    assert (prompt.temperature, prompt.reasoning_effort, said) == (None, "low", "Temperature left out: o3 takes none.")
    prompt, said = fitted(PROMPT, model("plain", frozenset({"tools"})))
    assert (prompt.temperature, prompt.reasoning_effort, said) == (0.2, None, "Effort left out: plain takes none.")


def test_who_thinks_in_anthropics_format_takes_no_temperature_meanwhile() -> None:
    claude = model("claude-sonnet-4-6", ABLE, "anthropic")
    assert fitted(PROMPT, claude)[0].temperature is None
    assert fitted(replace(PROMPT, reasoning_effort="none"), claude)[0].temperature == 0.2
