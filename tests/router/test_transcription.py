"""Transcription: OpenAI's form and who asks differently, ElevenLabs', Deepgram's and Gemini's."""

from __future__ import annotations

import base64
import json
from decimal import Decimal
from typing import Any

import pytest

from dataelan_web.router.providers import adapter
from dataelan_web.router.types import (
    Adapter,
    Done,
    Event,
    Failure,
    FilePart,
    Finish,
    ImagePart,
    Kind,
    Message,
    Part,
    Prompt,
    Segment,
    Task,
    Text,
    TextPart,
    Unsupported,
    Upload,
    Usage,
)

from .recordings import decoded

SOUND = b"RIFF and so on"
WAV = FilePart("audio/wav", base64.b64encode(SOUND).decode(), name="memo.wav")
UPLOAD = Upload("file", "memo.wav", "audio/wav", SOUND)
DONE = Done(Finish.STOP)


def openai(base_url: str = "https://api.openai.com/v1") -> Adapter:
    return adapter("openai", base_url, Task.TRANSCRIPTION)


def elevenlabs() -> Adapter:
    return adapter("elevenlabs", "https://api.elevenlabs.io/v1", Task.TRANSCRIPTION)


def deepgram() -> Adapter:
    return adapter("deepgram", "https://api.deepgram.com/v1", Task.TRANSCRIPTION)


def gemini() -> Adapter:
    return adapter("google", "https://generativelanguage.googleapis.com/v1beta", Task.TRANSCRIPTION)


EVERY = [openai(), elevenlabs(), deepgram(), gemini()]


def recording(part: Part = WAV, words: str = "", *, stream: bool = False, **options: Any) -> Prompt:
    message = Message("user", (TextPart(words), part))
    return Prompt((message,), Task.TRANSCRIPTION, options, stream=stream)


def read(format: Adapter, body: Any) -> list[Event]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    events, failure = decoded(format.decoder(), content, 7)
    assert failure is None, failure
    return events


def stream(*events: dict[str, Any]) -> bytes:
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)


# -- the recording ---------------------------------------------------------------------------------


@pytest.mark.parametrize("format", EVERY)
def test_a_prompt_without_a_recording_is_refused(format: Adapter) -> None:
    for part in (ImagePart("image/png", "AAAA"), FilePart("application/pdf", "AAAA")):
        with pytest.raises(Unsupported, match="no recording"):
            format.call(recording(part), "m", "k")


@pytest.mark.parametrize("format", [openai(), elevenlabs(), deepgram()])
@pytest.mark.parametrize("data", ["", "A"])
def test_a_recording_that_cannot_be_read_is_refused(format: Adapter, data: str) -> None:
    with pytest.raises(Unsupported, match="recording"):
        format.call(recording(FilePart("audio/wav", data)), "m", "k")


@pytest.mark.parametrize(
    ("media_type", "name", "filename"),
    [
        ("audio/mpeg", "", "recording.mp3"),
        ("audio/webm;codecs=opus", "", "recording.webm"),
        ("audio/x-m4a", "Memo 7", "Memo 7.m4a"),
        ("video/mp4", "talk.mov", "talk.mov"),
        ("audio/x-strange", "", "recording.strange"),
    ],
)
def test_a_recording_has_a_name_that_servers_understand(media_type: str, name: str, filename: str) -> None:
    call = openai().call(recording(FilePart(media_type, WAV.data, name=name)), "whisper-1", "k")
    assert [upload.filename for upload in call.uploads] == [filename]


# -- OpenAI: what is sent --------------------------------------------------------------------------


def test_openai_gets_the_recording_in_a_form() -> None:
    call = openai().call(recording(words="Names: Ada", language="en"), "whisper-1", "sk-1")
    assert call.url == "https://api.openai.com/v1/audio/transcriptions"
    assert call.headers == {"Authorization": "Bearer sk-1"}
    assert call.body is None
    assert call.form == {"model": "whisper-1", "language": "en", "response_format": "json", "prompt": "Names: Ada"}
    assert call.uploads == (UPLOAD,)


def test_times_are_asked_for_in_the_form_that_has_them() -> None:
    form = openai().call(recording(timestamps=True, stream=True), "whisper-1", "k").form
    assert form == {
        "model": "whisper-1",
        "response_format": "verbose_json",
        "timestamp_granularities[]": "segment",
    }


def test_openais_newer_models_stream() -> None:
    form = openai().call(recording(stream=True), "gpt-4o-transcribe", "k").form
    assert form == {"model": "gpt-4o-transcribe", "response_format": "json", "stream": "true"}


def test_speakers_are_told_apart_without_a_prompt() -> None:
    form = openai().call(recording(words="Names: Ada", diarize=True), "gpt-4o-transcribe-diarize", "k").form
    assert form == {
        "model": "gpt-4o-transcribe-diarize",
        "response_format": "diarized_json",
        "chunking_strategy": "auto",
    }


def test_a_compatible_server_is_not_asked_to_stream() -> None:
    form = openai("http://localhost:8000/v1").call(recording(stream=True), "whisper-large", "").form
    assert form == {"model": "whisper-large", "response_format": "json"}


def test_mistral_tells_speakers_apart_together_with_times_and_without_a_language() -> None:
    mistral = openai("https://api.mistral.ai/v1")
    assert mistral.call(recording(language="fr"), "voxtral", "k").form == {"model": "voxtral", "language": "fr"}
    assert mistral.call(recording(language="fr", diarize=True), "voxtral", "k").form == {
        "model": "voxtral",
        "diarize": "true",
        "timestamp_granularities": "segment",
    }


def test_mistral_takes_an_address_where_openai_refuses_one() -> None:
    prompt = recording(FilePart("audio/mpeg", url="https://example.org/a.mp3"))
    call = openai("https://api.mistral.ai/v1").call(prompt, "voxtral", "k")
    assert (call.form, call.uploads) == ({"model": "voxtral", "file_url": "https://example.org/a.mp3"}, ())
    with pytest.raises(Unsupported, match="not as an address"):
        openai().call(prompt, "whisper-1", "k")


def test_xai_has_an_endpoint_of_its_own() -> None:
    call = openai("https://api.x.ai/v1").call(recording(language="en", diarize=True), "grok-transcribe", "k")
    assert call.url == "https://api.x.ai/v1/stt"
    assert call.form == {"model": "grok-transcribe", "language": "en", "format": "true", "diarize": "true"}


def test_openrouter_takes_json() -> None:
    call = openai("https://openrouter.ai/api/v1").call(recording(language="en"), "openai/whisper-1", "k")
    assert call.url == "https://openrouter.ai/api/v1/audio/transcriptions"
    assert call.body == {
        "model": "openai/whisper-1",
        "input_audio": {"data": WAV.data, "format": "wav"},
        "language": "en",
    }


# -- OpenAI: what is read --------------------------------------------------------------------------


def test_a_transcript_has_its_tokens_and_those_that_are_audio() -> None:
    usage = {"type": "tokens", "input_tokens": 25, "output_tokens": 6, "input_token_details": {"audio_tokens": 21}}
    assert read(openai(), {"text": "Hello", "usage": usage}) == [
        Text("Hello"),
        Usage(input=25, output=6, input_audio=21),
        DONE,
    ]


def test_a_transcript_billed_by_time_has_its_seconds() -> None:
    body = {"text": "Hello", "duration": 36.7, "usage": {"type": "duration", "seconds": 37}}
    assert read(openai(), body) == [Text("Hello"), Usage(seconds=Decimal(37)), DONE]
    assert read(openai(), {"text": "Hello", "duration": 36.7})[1] == Usage(seconds=Decimal("36.7"))


def test_openrouter_says_its_price() -> None:
    body = {"text": "Hello", "usage": {"cost": 0.0006, "seconds": 6}}
    assert read(openai(), body)[1] == Usage(seconds=Decimal(6), billed_usd=Decimal("0.0006"))


def test_segments_have_their_times_and_speakers() -> None:
    segments = [
        {"text": " Hello.", "start": 0.0, "end": 1.5, "speaker": "A"},
        {"text": " Hi.", "start": 2, "end": 3, "speaker_id": "speaker_2"},
        {"text": "timeless"},
    ]
    assert read(openai(), {"text": "Hello. Hi.", "segments": segments}) == [
        Text("Hello. Hi."),
        Segment("Hello.", 0.0, 1.5, "A"),
        Segment("Hi.", 2.0, 3.0, "speaker_2"),
        DONE,
    ]


def test_words_alone_are_put_together_to_segments() -> None:
    said = [("So", 0.0, 0.2, 0), ("what?", 0.3, 0.5, 0), ("Well", 0.6, 0.8, 0), ("no", 0.9, 1.0, 1), ("no", 3, 4, 1)]
    words = [{"word": word, "start": start, "end": end, "speaker": who} for word, start, end, who in said]
    events = read(openai(), {"text": "So what? Well no no", "words": words})
    assert [event for event in events if isinstance(event, Segment)] == [
        Segment("So what?", 0.0, 0.5, "0"),
        Segment("Well", 0.6, 0.8, "0"),
        Segment("no", 0.9, 1.0, "1"),
        Segment("no", 3.0, 4.0, "1"),
    ]


def test_a_stream_is_read_as_it_comes_and_its_end_is_not_said_twice() -> None:
    body = stream(
        {"type": "transcript.text.delta", "delta": "Hel"},
        {"type": "transcript.text.delta", "delta": "lo"},
        {"type": "transcript.text.segment", "text": "Hello", "start": 0, "end": 1, "speaker": "A"},
        {"type": "transcript.text.done", "text": "Hello", "usage": {"input_tokens": 4, "output_tokens": 2}},
    )
    assert read(openai(), body) == [
        Text("Hello"),
        Segment("Hello", 0.0, 1.0, "A"),
        Usage(input=4, output=2),
        DONE,
    ]


def test_mistrals_stream_has_names_of_its_own() -> None:
    usage = {"prompt_audio_seconds": 3, "prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6}
    body = stream(
        {"type": "transcription.language", "audio_language": "en"},
        {"type": "transcription.text.delta", "text": "Hello"},
        {"type": "transcription.segment", "text": "Hello", "start": 0, "end": 1},
        {"type": "transcription.done", "model": "voxtral", "text": "Hello", "language": "en", "usage": usage},
    )
    assert read(openai(), body) == [
        Text("Hello"),
        Segment("Hello", 0.0, 1.0),
        Usage(input=4, output=2, seconds=Decimal(3)),
        Done(Finish.STOP, "", "voxtral"),
    ]


def test_a_stream_without_its_end_is_cut_off() -> None:
    _, failure = decoded(openai().decoder(), stream({"type": "transcript.text.delta", "delta": "Hel"}), 7)
    assert failure is not None
    assert failure.code == "cut_off"


def test_plain_text_is_the_transcript_itself() -> None:
    assert read(openai(), "1\n00:00 --> 00:01\nGrüße".encode()) == [Text("1\n00:00 --> 00:01\nGrüße"), DONE]


def test_silence_is_a_transcript_without_words() -> None:
    assert read(openai(), {"text": ""}) == [DONE]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b'{"error": {"message": "Too long"}}', "Too long"),
        (b'{"detail": [{"loc": ["body", "file"], "msg": "Field required"}]}', "body.file: Field required"),
        (b'{"choices": []}', "not a transcript"),
        (b"<html></html>", "web page"),
        (b"", "empty"),
    ],
)
def test_what_is_no_transcript_is_a_failure(body: bytes, says: str) -> None:
    _, failure = decoded(openai().decoder(), body, 3)
    assert failure is not None
    assert says in failure.message


# -- ElevenLabs ------------------------------------------------------------------------------------


def test_elevenlabs_gets_the_recording_in_a_form() -> None:
    call = elevenlabs().call(recording(language="en", diarize=True), "scribe_v1", "xi")
    assert call.url == "https://api.elevenlabs.io/v1/speech-to-text"
    assert call.headers == {"xi-api-key": "xi"}
    assert call.form == {
        "model_id": "scribe_v1",
        "language_code": "en",
        "diarize": "true",
        "timestamps_granularity": "word",
    }
    assert call.uploads == (UPLOAD,)


def test_elevenlabs_fetches_a_recording_from_its_address() -> None:
    call = elevenlabs().call(recording(FilePart("video/mp4", url="https://example.org/a.mp4")), "scribe_v1", "xi")
    assert call.form is not None
    assert call.form["source_url"] == "https://example.org/a.mp4"
    assert call.uploads == ()


def test_elevenlabs_words_become_segments_by_speaker() -> None:
    words = [
        {"text": "Hi", "start": 0.0, "end": 0.2, "type": "word", "speaker_id": "speaker_0"},
        {"text": " ", "start": 0.2, "end": 0.3, "type": "spacing", "speaker_id": "speaker_0"},
        {"text": "there.", "start": 0.3, "end": 0.6, "type": "word", "speaker_id": "speaker_0"},
        {"text": "Hello.", "start": 0.7, "end": 0.9, "type": "word", "speaker_id": "speaker_1"},
    ]
    body = {"text": "Hi there. Hello.", "words": words, "audio_duration_secs": 1.25, "transcription_id": "t1"}
    assert read(elevenlabs(), body) == [
        Text("Hi there. Hello."),
        Segment("Hi there.", 0.0, 0.6, "speaker_0"),
        Segment("Hello.", 0.7, 0.9, "speaker_1"),
        Usage(seconds=Decimal("1.25")),
        Done(Finish.STOP, response_id="t1"),
    ]


def test_where_elevenlabs_tells_of_no_space_there_is_none() -> None:
    words = [{"text": sign, "start": at, "end": at + 0.2, "type": "word"} for at, sign in enumerate("你好。", 1)]
    words.append({"text": "Hi", "start": 4.0, "end": 4.2, "type": "word"})
    segments = [one for one in read(elevenlabs(), {"text": "你好。Hi", "words": words}) if isinstance(one, Segment)]
    assert "".join(one.text for one in segments) == "你好。Hi"


def test_one_recording_is_written_down_a_call() -> None:
    two = Prompt((Message("user", (WAV, WAV)),), Task.TRANSCRIPTION)
    for format in EVERY:
        with pytest.raises(Unsupported, match="one recording at a time"):
            format.call(two, "m", "k")


def test_several_channels_are_several_transcripts() -> None:
    events = read(elevenlabs(), {"transcripts": [{"text": "One", "words": []}, {"text": "Two", "words": []}]})
    assert events[0] == Text("One\nTwo")


# -- Deepgram --------------------------------------------------------------------------------------


def test_deepgram_gets_the_recording_as_the_body() -> None:
    call = deepgram().call(recording(language="en", diarize=True), "nova-3", "dg")
    assert call.url == (
        "https://api.deepgram.com/v1/listen?model=nova-3&smart_format=true&utterances=true&language=en&diarize=true"
    )
    assert call.headers == {"Authorization": "Token dg", "Content-Type": "audio/wav"}
    assert (call.body, call.content) == (None, SOUND)


def test_deepgram_finds_out_the_language_unless_told_and_takes_an_address() -> None:
    call = deepgram().call(recording(FilePart("audio/mpeg", url="https://example.org/a.mp3")), "nova-3", "dg")
    assert call.url.endswith("&detect_language=true")
    assert (call.body, call.content) == ({"url": "https://example.org/a.mp3"}, None)


def test_deepgrams_utterances_are_segments() -> None:
    utterances = [{"transcript": "Hello.", "start": 0.1, "end": 0.9, "speaker": 0, "channel": 0}]
    body = {
        "metadata": {"duration": 1.5, "request_id": "r1", "model_info": {"x": {"name": "general-nova-3"}}},
        "results": {"channels": [{"alternatives": [{"transcript": "Hello."}]}], "utterances": utterances},
    }
    assert read(deepgram(), body) == [
        Text("Hello."),
        Segment("Hello.", 0.1, 0.9, "0"),
        Usage(seconds=Decimal("1.5")),
        Done(Finish.STOP, "", "general-nova-3", "r1"),
    ]


def test_a_refusal_of_deepgram_is_said_in_its_words() -> None:
    refused: Failure = deepgram().failure(401, b'{"err_code": "INVALID_AUTH", "err_msg": "Invalid credentials."}')
    assert (refused.kind, refused.message) == (Kind.CREDENTIAL, "Invalid credentials.")


# -- Gemini ----------------------------------------------------------------------------------------


def test_gemini_is_asked_to_write_down_the_recording() -> None:
    call = gemini().call(recording(words="Ada, Grace", language="en", timestamps=True), "gemini-x", "k")
    assert call.url.endswith("/models/gemini-x:generateContent")
    assert call.body is not None
    sound, request = call.body["contents"][0]["parts"]
    assert sound == {"inlineData": {"mimeType": "audio/wav", "data": WAV.data}}
    assert request["text"].startswith("Write down what is said in this recording, word for word.")
    assert "The language is en." in request["text"]
    assert "[01:23]" in request["text"]
    assert "Ada, Grace" in request["text"]
