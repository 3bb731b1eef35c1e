from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

from dataelan_web.router.candidates import Candidate
from dataelan_web.router.parameters import UNTOLD, fitted, omitted
from dataelan_web.router.types import FilePart, Message, Prompt, Task, TextPart, user

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


def test_of_what_a_program_sent_only_that_is_left_out_which_it_did_not_choose() -> None:
    old = replace(model("old voice"), task=Task.SPEECH, refuses=frozenset({"stream"}))
    assert not fitted(Prompt((user("Hello"),), Task.SPEECH), old, UNTOLD)[0].stream
    cold = replace(model("cold"), refuses=frozenset({"temperature"}))
    assert fitted(Prompt((user("Hello"),), temperature=0.5), cold, UNTOLD)[0].temperature == 0.5
