"""The simulated provider's sound and vectors, asked by the adapters that ask real providers."""

from __future__ import annotations

import base64
import io
import math
import wave
from decimal import Decimal

import httpx2 as httpx
import pytest

from dataelan_web.local.simulated.sounds import tune
from dataelan_web.local.simulated.vectors import vector
from dataelan_web.router.providers import adapter
from dataelan_web.router.types import (
    Asset,
    Embedding,
    Event,
    Failure,
    FilePart,
    Kind,
    Message,
    Prompt,
    Segment,
    Sound,
    Task,
    Text,
    TextPart,
    Usage,
    user,
)


def asked(client: httpx.Client, prompt: Prompt, model: str) -> list[Event]:
    """What the adapter of this task makes of the answer as a whole, or the Failure it raises."""
    format = adapter("openai", f"{client.base_url}/v1", prompt.task)
    call = format.call(prompt, model, "sk-any")
    files = {upload.name: (upload.filename, upload.content, upload.media_type) for upload in call.uploads}
    answer = client.post(call.url, json=call.body, data=call.form, files=files or None, headers=call.headers)
    if answer.status_code >= 400:
        raise format.failure(answer.status_code, answer.content)
    decode = format.decoder()
    events = (*decode(answer.content, False), *decode(b"", True))
    return [event for event in events if not isinstance(event, Sound)]


def speech(words: str, **options: object) -> Prompt:
    return Prompt((user(words),), Task.SPEECH, options)


def transcription(content: bytes, words: str = "", **options: object) -> Prompt:
    part = FilePart("audio/wav", base64.b64encode(content).decode(), name="memo.wav")
    return Prompt((Message("user", (part, TextPart(words))),), Task.TRANSCRIPTION, options)


def seconds(sound: bytes) -> float:
    with wave.open(io.BytesIO(sound)) as recording:
        return float(recording.getnframes() / recording.getframerate())


def test_speech_is_a_wav_whose_tones_are_as_many_as_the_words(client: httpx.Client) -> None:
    short, usage, _ = asked(client, speech("Good morning"), "simulated-voice")
    assert isinstance(short, Asset)
    assert short.media_type == "audio/wav"
    assert usage == Usage(characters=12)
    assert 0.2 < seconds(short.content) < seconds(tune("Good morning to all of you")) < 5


def test_the_same_words_sound_the_same_whatever_format_is_asked_for(client: httpx.Client) -> None:
    asset = asked(client, speech("Good morning", format="mp3"), "simulated-voice")[0]
    assert asset == Asset("audio/wav", tune("Good morning"))


def test_a_transcript_says_that_it_is_simulated_and_how_long_the_recording_is(client: httpx.Client) -> None:
    sound = tune("one two three")
    text, usage, _ = asked(client, transcription(sound), "simulated-ear")
    assert isinstance(text, Text)
    assert text.delta.startswith("Simulated transcript: nobody listened. The recording memo.wav is ")
    assert f"{seconds(sound):.1f} seconds long" in text.delta
    assert usage == Usage(seconds=Decimal(math.ceil(seconds(sound))))


def test_times_asked_for_come_as_a_segment(client: httpx.Client) -> None:
    events = asked(client, transcription(tune("one two"), timestamps=True), "simulated-ear")
    (segment,) = [event for event in events if isinstance(event, Segment)]
    assert segment.end == pytest.approx(seconds(tune("one two")))


def test_a_recording_that_is_no_wav_has_an_unknown_length(client: httpx.Client) -> None:
    text, *rest = asked(client, transcription(b"ID3 and so on"), "simulated-ear")
    assert isinstance(text, Text)
    assert "of unknown length" in text.delta
    assert not any(isinstance(event, Usage) for event in rest)


def test_embeddings_are_unit_vectors_and_near_where_words_are_shared(client: httpx.Client) -> None:
    prompt = Prompt(tuple(map(user, ("red wine", "red wine glass", "tax law"))), Task.EMBEDDING, {"dimensions": 64})
    vectors = [event.vector for event in asked(client, prompt, "simulated-vectors") if isinstance(event, Embedding)]
    assert [len(found) for found in vectors] == [64] * 3
    assert all(math.hypot(*found) == pytest.approx(1) for found in vectors)
    near, far = (_dot(vectors[0], other) for other in vectors[1:])
    assert near > 0.5 > far
    assert vectors[0] == pytest.approx(vector("red wine", 64))


def _dot(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def test_vectors_packed_in_base64_are_the_same(client: httpx.Client) -> None:
    answers = [
        client.post("/v1/embeddings", json={"model": "simulated-vectors", "input": "hello", **form})
        for form in ({}, {"encoding_format": "base64"})
    ]
    decoded = []
    for answer in answers:
        decode = adapter("openai", "http://x/v1", Task.EMBEDDING).decoder()
        decoded.append(next(event for event in decode(answer.content, True) if isinstance(event, Embedding)))
    assert decoded[0].vector == pytest.approx(decoded[1].vector)


@pytest.mark.parametrize(
    ("prompt", "model"),
    [
        (speech("!simulate fail=rate_limit\nHello"), "simulated-voice"),
        (transcription(tune("a"), "!simulate fail=rate_limit"), "simulated-ear"),
        (Prompt((user("!simulate fail=rate_limit"),), Task.EMBEDDING), "simulated-vectors"),
    ],
)
def test_a_directive_makes_each_of_them_fail(client: httpx.Client, prompt: Prompt, model: str) -> None:
    with pytest.raises(Failure) as failed:
        asked(client, prompt, model)
    assert failed.value.kind is Kind.RATE_LIMIT


def test_a_model_answers_at_its_own_path_only(client: httpx.Client) -> None:
    for model in ("simulated-fast", "simulated-ear", "gpt-4o"):
        assert client.post("/v1/audio/speech", json={"model": model, "input": "Hi"}).status_code == 404


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/audio/speech", b"{"),
        ("/v1/audio/speech", b'{"model": "simulated-voice"}'),
        ("/v1/audio/speech", b'{"model": "simulated-voice", "input": " "}'),
        ("/v1/audio/transcriptions", b"{}"),
        ("/v1/embeddings", b'{"model": "simulated-vectors", "input": []}'),
        ("/v1/embeddings", b'{"model": "simulated-vectors", "input": "a", "dimensions": 0}'),
        ("/v1/embeddings", b'{"model": 7, "input": "a"}'),
    ],
)
def test_a_malformed_request_is_told_what_is_wrong(client: httpx.Client, path: str, body: bytes) -> None:
    answer = client.post(path, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"]


def test_a_form_without_a_recording_is_told_so(client: httpx.Client) -> None:
    answer = client.post("/v1/audio/transcriptions", files={"other": b"x"}, data={"model": "simulated-ear"})
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, "You must send the recording as 'file'.")
