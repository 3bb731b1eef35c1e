"""Asking a provider how many tokens a prompt has: what is asked, and what is answered."""

from __future__ import annotations

import pytest

from dataelan_web.router.providers import COUNTERS, KINDS, counter
from dataelan_web.router.types import Counter, Failure, Prompt, Tool, system, user

from . import recordings
from .recordings import BASE_URLS, COUNTS, answer, expectations, needs_recordings

PROMPT = Prompt(
    (system("Be terse."), user("What is the capital of France?")),
    max_tokens=50,
    temperature=0.5,
    tools=(Tool("look_up", "Looks a thing up", {"type": "object", "properties": {}}),),
)


def counter_of(kind: str) -> Counter:
    found = counter(kind, BASE_URLS[kind])
    assert found
    return found


@needs_recordings
@pytest.mark.parametrize("id", COUNTS)
def test_a_recorded_count_is_read(id: str) -> None:
    expected = expectations()[id]
    kind = recordings.COUNTERS[expected["api"]]
    assert counter_of(kind).counted(answer(id)[1]) == expected["usage"]["input_total"]


@pytest.mark.parametrize(
    ("kind", "path", "names"),
    [
        ("anthropic", "/messages/count_tokens", {"model", "messages", "system", "tools"}),
        ("openai", "/responses/input_tokens", {"model", "input", "instructions", "tools"}),
        ("openai-responses", "/responses/input_tokens", {"model", "input", "instructions", "tools"}),
        ("google", "/models/m-1:countTokens", {"generateContentRequest"}),
        ("bedrock", "/model/m-1/count-tokens", {"input"}),
    ],
)
def test_all_that_is_read_is_asked_about_and_nothing_else(kind: str, path: str, names: set[str]) -> None:
    call = counter_of(kind).count_call(PROMPT, "m-1", "secret")
    assert call.url == BASE_URLS[kind] + path
    assert set(call.body or {}) == names
    said = str(call.body)
    for word in ("Be terse.", "capital of France", "look_up"):
        assert word in said
    for word in ("0.5", "50", "stream", "secret"):
        assert word not in said
    assert "secret" in str(call.headers.values())


def test_vertex_counts_what_it_is_sent_itself() -> None:
    vertex = counter("google", "https://aiplatform.googleapis.com/v1/projects/p/locations/l/publishers/google")
    assert vertex
    assert set(vertex.count_call(PROMPT, "m-1", "").body or {}) == {"contents", "systemInstruction", "tools"}


def test_who_cannot_be_asked_is_not() -> None:
    assert counter("openai", "https://api.groq.com/openai/v1") is None, "it speaks the chat format only"
    assert counter("ollama", "http://localhost:11434") is None
    assert set(COUNTERS) <= set(KINDS)


def test_an_answer_without_a_number_is_no_count() -> None:
    for body in (b"{}", b'{"input_tokens": "many"}', b"[]", b"<html>", b""):
        with pytest.raises(Failure):
            counter_of("anthropic").counted(body)
