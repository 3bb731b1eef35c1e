"""Pictures and transcripts through the gateway, as OpenAI's clients read them; also where there is nothing to read."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask, Response

from dataelan_web.extensions import db
from dataelan_web.gateway.inbound import Whole
from dataelan_web.gateway.openai import transcriptions
from dataelan_web.models import Execution, ModelType, State, new_id, now
from dataelan_web.router.types import Event, Segment, Text, Usage

from . import people
from .test_gateway_formats import Program
from .upstream import Upstream, upstream

PICTURES, SPEECH = "/v1/images/generations", "/v1/audio/speech"
DECLINED = {"candidates": [{"content": {"parts": [{"text": "I do not draw that."}]}, "finishReason": "STOP"}]}
FILTERED = {"candidates": [{"content": {}, "finishReason": "IMAGE_SAFETY"}]}
UNSPOKEN = {"candidates": [{"content": {}, "finishReason": "PROHIBITED_CONTENT"}]}


@pytest.fixture
def provider() -> Iterator[Upstream]:
    with upstream() as provider:
        yield provider


@pytest.fixture
def program(app: Flask, acme: people.Cast) -> Program:
    return Program(app, acme.token())


def speaks(acme: people.Cast, provider: Upstream) -> None:
    key = people.own_provider(acme, provider.url, "google")
    people.own_model(acme, key, "voice", model_type=ModelType.VOICE, task="speech")
    db.session.commit()


def draws(acme: people.Cast, provider: Upstream, said: Any) -> None:
    key = people.own_provider(acme, provider.url, "google")
    people.own_model(acme, key, "pencil", model_type=ModelType.IMAGE, task="image")
    db.session.commit()
    provider.answers(said)


def transcript(format: str, *events: Event, seconds: str = "2.5") -> str:
    whole = Whole(Execution(id=new_id(), created_at=now()), usage=Usage(seconds=Decimal(seconds)))
    for event in events:
        whole.add(event)
    told = transcriptions._answer(format, None, whole)
    assert isinstance(told, Response)
    return told.get_data(as_text=True)


def states_of(acme: people.Cast) -> set[State]:
    return {run.state for run in db.session.query(Execution).filter_by(organization_id=acme.organization.id)}


def events(answer: Any) -> list[Any]:
    return [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]


def test_a_time_of_subtitles_never_says_sixty_seconds() -> None:
    said = Text("Hi"), Segment("Hi", 59.9996, 3599.9999)
    assert transcript("srt", *said) == "1\n00:01:00,000 --> 01:00:00,000\nHi\n"
    assert transcript("vtt", *said) == "WEBVTT\n\n00:01:00.000 --> 01:00:00.000\nHi\n"


def test_words_without_times_are_one_subtitle_over_all_of_it() -> None:
    assert transcript("srt", Text("Hi there")) == "1\n00:00:00,000 --> 00:00:02,500\nHi there\n"
    assert transcript("vtt") == "WEBVTT\n"


@pytest.mark.parametrize(
    ("said", "code", "words"),
    [(DECLINED, "no_picture", "I do not draw that."), (FILTERED, "content_policy", "IMAGE_SAFETY")],
)
def test_an_answer_without_a_picture_is_400_and_says_why(
    program: Program, acme: people.Cast, provider: Upstream, said: Any, code: str, words: str
) -> None:
    """Clients of OpenAI's API take the first picture without looking whether there is one."""
    draws(acme, provider, said)
    answer = program.post(PICTURES, {"model": "pencil", "prompt": "A fox"})
    assert (answer.status_code, answer.json["error"]["code"]) == (400, code)
    assert words in answer.json["error"]["message"]
    (error,) = events(program.post(PICTURES, {"model": "pencil", "prompt": "A fox", "stream": True}))
    assert (error["type"], error["error"]["code"]) == ("error", code)
    assert states_of(acme) == {State.COMPLETED}, "its provider answered"


@pytest.mark.parametrize("more", [{}, {"response_format": "pcm"}])
def test_speech_without_a_sound_is_400_and_no_empty_file(
    program: Program, acme: people.Cast, provider: Upstream, more: dict[str, str]
) -> None:
    speaks(acme, provider)
    provider.answers(UNSPOKEN)
    asked = {"model": "voice", "input": "Hello", **more}
    answer = program.post(SPEECH, asked)
    assert (answer.status_code, answer.json["error"]["code"]) == (400, "content_policy")
    (error,) = events(program.post(SPEECH, {**asked, "stream_format": "sse"}))
    assert (error["type"], error["error"]["code"]) == ("error", "content_policy")
    assert states_of(acme) == {State.COMPLETED}


def test_a_short_sound_that_comes_whole_says_what_it_is(
    program: Program, acme: people.Cast, provider: Upstream
) -> None:
    """Gemini speaks in raw samples, which are kept as WAV, whatever was asked for."""
    speaks(acme, provider)
    inline = {"inlineData": {"mimeType": "audio/L16;codec=pcm;rate=24000", "data": "AAAA"}}
    provider.answers({"candidates": [{"content": {"parts": [inline]}, "finishReason": "STOP"}]})
    answer = program.post(SPEECH, {"model": "voice", "input": "Hello"})
    assert answer.data.startswith(b"RIFF")
    assert answer.mimetype == "audio/wav"


def test_a_picture_is_told_as_before(program: Program, acme: people.Cast, provider: Upstream) -> None:
    inline = {"inlineData": {"mimeType": "image/png", "data": base64.b64encode(b"\x89PNG").decode()}}
    draws(acme, provider, {"candidates": [{"content": {"parts": [inline]}, "finishReason": "STOP"}]})
    answer = program.post(PICTURES, {"model": "pencil", "prompt": "A fox"})
    assert base64.b64decode(answer.json["data"][0]["b64_json"]) == b"\x89PNG"
