from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import pytest

from dataelan_web.router import names
from dataelan_web.router.candidates import Candidate
from dataelan_web.router.parameters import UNTOLD, fitted, omitted
from dataelan_web.router.providers import KINDS, adapter
from dataelan_web.router.types import FilePart, Message, Prompt, Task, TextPart, Unsupported, user

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


def test_what_would_be_refused_is_left_out_and_said() -> None:
    deep = replace(model("deep"), refuses=frozenset({"temperature"}))
    assert omitted(deep) == {"temperature"}
    prompt, said = fitted(PROMPT, deep)
    assert (prompt.temperature, prompt.reasoning_effort, said) == (
        None,
        "low",
        "Temperature left out: deep takes none.",
    )
    prompt, said = fitted(PROMPT, model("plain", frozenset({"tools"})))
    assert (prompt.temperature, prompt.reasoning_effort, said) == (0.2, None, "Effort left out: plain takes none.")
    both = replace(deep, refuses=frozenset({"temperature", "reasoning_effort"}))
    assert fitted(PROMPT, both)[1] == "Temperature and effort left out: deep takes none."


def test_sound_is_not_streamed_from_a_model_that_cannot_and_nobody_needs_to_know() -> None:
    old = replace(model("old voice"), task=Task.SPEECH, refuses=frozenset({"stream"}))
    prompt = Prompt((user("Hello"),), Task.SPEECH)
    assert fitted(prompt, old) == (replace(prompt, stream=False), "")


def test_a_recording_goes_without_its_hint_to_a_model_that_takes_none() -> None:
    file = FilePart("audio/wav", "AAAA")
    prompt = Prompt((Message("user", (TextPart("Names: Ada"), file)),), Task.TRANSCRIPTION)
    ear = replace(model("ear"), task=Task.TRANSCRIPTION, refuses=frozenset({"prompt"}))
    left, said = fitted(prompt, ear)
    assert (left.words, left.files, said) == ("", (file,), "Hint left out: ear takes none.")


def test_who_thinks_in_anthropics_format_takes_no_temperature_meanwhile() -> None:
    claude = model("claude-sonnet-4-6", ABLE, "anthropic")
    assert fitted(PROMPT, claude)[0].temperature is None
    assert fitted(replace(PROMPT, reasoning_effort="none"), claude)[0].temperature == 0.2


SET = {"temperature": 0.5, "top_p": 0.9, "seed": 7, "stop": ("END",)}


def spoken(kind: str, model: str) -> set[str]:
    """Of SET, what changes the request that is sent."""
    found, bare = adapter(kind, "https://api.example/v1"), Prompt((user("Hello"),))
    plain, said = found.call(bare, model, "k"), set[str]()
    for name, value in SET.items():
        try:
            changed = found.call(replace(bare, **{name: value}), model, "k")
        except Unsupported:
            continue
        said |= {name} if changed.body != plain.body else set()
    return said


@pytest.mark.parametrize("kind", [kind for kind, tasks in KINDS.items() if Task.CHAT in tasks])
def test_a_format_says_what_it_has_no_word_for(kind: str) -> None:
    """So that it is left out, and said, rather than lost on the way."""
    parts = [part for part, _ in names._told()["bedrock"]] if kind == "bedrock-invoke" else []
    for model in [*parts, "another"]:
        assert adapter(kind, "https://api.example/v1").wordless(model) == set(SET) - spoken(kind, model), model


def test_what_a_format_has_no_word_for_is_left_out_and_said() -> None:
    prompt = Prompt((user("Hello"),), top_p=0.9, seed=7, stop=("END",))
    left, said = fitted(prompt, model("claude-3", kind="anthropic"))
    assert (left.top_p, left.seed, left.stop) == (0.9, None, ("END",))
    assert said == "Seed left out: claude-3 takes none."
    left, said = fitted(prompt, model("gpt-9", kind="openai-responses"))
    assert (left.top_p, left.seed, left.stop) == (0.9, None, ())
    assert said == "Seed and stop sequences left out: gpt-9 takes none."
    strict = replace(model("strict"), refuses=frozenset({"top_p", "seed", "stop"}))
    assert fitted(prompt, strict)[1] == "Top p, seed and stop sequences left out: strict takes none."
    assert fitted(prompt, model("llama-9")) == (prompt, "")
    responses = replace(model("codex"), base_url="https://api.openai.com/v1")
    assert omitted(replace(responses, model="gpt-5-pro")) >= {"seed", "stop"}, "it is asked in the Responses format"


def test_a_model_that_takes_one_of_temperature_and_top_p_gets_the_temperature() -> None:
    sonnet = model("claude-sonnet-4-5", kind="anthropic")
    left, said = fitted(replace(PROMPT, reasoning_effort=None, top_p=0.9), sonnet)
    assert (left.temperature, left.top_p) == (0.2, None)
    assert said == "Top p left out: claude-sonnet-4-5 takes none beside a temperature."
    alone = Prompt((user("Hello"),), top_p=0.9)
    assert fitted(alone, sonnet) == (alone, "")
    assert fitted(replace(alone, reasoning_effort="low"), sonnet)[0].top_p is None, "too low while it thinks"
    assert fitted(replace(alone, reasoning_effort="low", top_p=0.97), sonnet)[0].top_p == 0.97


def test_more_than_a_model_writes_is_not_asked_of_it() -> None:
    short = replace(model("short"), max_output_tokens=500)
    left, said = fitted(replace(PROMPT, max_tokens=900), short)
    assert (left.max_tokens, said) == (500, "Max tokens lowered to 500: short writes no more.")
    assert fitted(replace(PROMPT, max_tokens=500), short) == (replace(PROMPT, max_tokens=500), "")


def test_of_what_a_program_sent_only_that_is_left_out_which_it_did_not_choose() -> None:
    old = replace(model("old voice"), task=Task.SPEECH, refuses=frozenset({"stream"}))
    assert not fitted(Prompt((user("Hello"),), Task.SPEECH), old, UNTOLD)[0].stream
    cold = replace(model("cold"), refuses=frozenset({"temperature"}))
    assert fitted(Prompt((user("Hello"),), temperature=0.5), cold, UNTOLD)[0].temperature == 0.5
