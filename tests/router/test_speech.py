"""Speech: OpenAI's form and who speaks it differently, ElevenLabs', Deepgram's and Gemini's."""

from __future__ import annotations

import base64
import io
import json
import struct
import wave
from dataclasses import replace
from typing import Any

import pytest

from dataelan_web.router.providers import adapter, lister
from dataelan_web.router.types import (
    Adapter,
    Asset,
    Done,
    Event,
    Failure,
    Finish,
    Kind,
    Prompt,
    Sound,
    Task,
    Unsupported,
    Usage,
    system,
    user,
)

from .recordings import decoded

SAMPLES = bytes(range(256)) * 10
MP3 = b"ID3\x04 and then frames"
DONE = Done(Finish.STOP)


def openai(base_url: str = "https://api.openai.com/v1") -> Adapter:
    return adapter("openai", base_url, Task.SPEECH)


def elevenlabs() -> Adapter:
    return adapter("elevenlabs", "https://api.elevenlabs.io/v1", Task.SPEECH)


def deepgram() -> Adapter:
    return adapter("deepgram", "https://api.deepgram.com/v1", Task.SPEECH)


def gemini() -> Adapter:
    return adapter("google", "https://generativelanguage.googleapis.com/v1beta", Task.SPEECH)


def speech(words: str = "Hello there", **options: Any) -> Prompt:
    return Prompt((user(words),), Task.SPEECH, options)


def answered(format: Adapter, prompt: Prompt, body: bytes, size: int = 7) -> list[Event]:
    """What is read from an answer to this prompt."""
    format.call(prompt, "m", "k")
    events, failure = decoded(format.decoder(), body, size)
    assert failure is None, failure
    return events


def failed(format: Adapter, body: bytes) -> Failure:
    _, failure = decoded(format.decoder(), body, 7)
    assert failure is not None
    return failure


def sound_of(events: list[Event]) -> tuple[int, int, bytes]:
    """Rate, channels and samples of the one sound, which must be a WAV."""
    (asset,) = [event for event in events if isinstance(event, Asset)]
    assert asset.media_type == "audio/wav"
    with wave.open(io.BytesIO(asset.content)) as recording:
        assert recording.getsampwidth() == 2
        return recording.getframerate(), recording.getnchannels(), recording.readframes(10**6)


def stream(*events: dict[str, Any]) -> bytes:
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)


# -- OpenAI: what is sent --------------------------------------------------------------------------


def test_openai_is_told_the_words_and_a_voice() -> None:
    call = openai().call(replace(speech(), stream=False), "tts-1", "sk-1")
    assert call.url == "https://api.openai.com/v1/audio/speech"
    assert call.headers == {"Authorization": "Bearer sk-1"}
    assert call.body == {"model": "tts-1", "input": "Hello there", "voice": "alloy"}


def test_openai_is_told_every_option_and_asked_for_a_stream_that_tells_its_tokens() -> None:
    prompt = speech(voice="nova", format="opus", speed=1.25, instructions="Whisper.")
    assert openai().call(prompt, "gpt-4o-mini-tts", "").body == {
        "model": "gpt-4o-mini-tts",
        "input": "Hello there",
        "voice": "nova",
        "response_format": "opus",
        "speed": 1.25,
        "instructions": "Whisper.",
        "stream_format": "sse",
    }


@pytest.mark.parametrize(
    ("base_url", "told"),
    [("https://api.openai.com/v1", {"id": "voice_1234"}), ("http://localhost:8880/v1", "voice_1234")],
)
def test_a_voice_of_ones_own_is_told_to_openai_by_its_id(base_url: str, told: Any) -> None:
    assert (openai(base_url).call(speech(voice="voice_1234"), "gpt-4o-mini-tts", "").body or {})["voice"] == told


def test_a_system_message_says_how_it_is_to_be_said() -> None:
    prompt = Prompt((system("Be calm."), user("Hello")), Task.SPEECH)
    body = openai().call(prompt, "tts", "").body
    assert body is not None
    assert (body["input"], body["instructions"]) == ("Hello", "Be calm.")


def test_a_compatible_server_is_not_asked_for_openais_stream() -> None:
    assert "stream_format" not in (openai("http://localhost:8880/v1").call(speech(), "gpt-like", "").body or {})


def test_mistral_has_voice_ids_and_no_speed() -> None:
    call = openai("https://api.mistral.ai/v1").call(speech(voice="v1", speed=2.0, format="wav"), "voxtral-tts", "k")
    assert call.body == {"model": "voxtral-tts", "input": "Hello there", "voice_id": "v1", "response_format": "wav"}


def test_xai_has_an_endpoint_of_its_own() -> None:
    call = openai("https://api.x.ai/v1").call(speech(voice="eve", format="mp3"), "grok-tts", "k")
    assert call.url == "https://api.x.ai/v1/tts"
    assert call.body == {
        "text": "Hello there",
        "language": "auto",
        "voice_id": "eve",
        "output_format": {"codec": "mp3"},
    }


@pytest.mark.parametrize("format", [openai(), elevenlabs(), deepgram(), gemini()])
def test_nothing_to_say_is_refused_before_it_is_sent(format: Adapter) -> None:
    with pytest.raises(Unsupported, match="nothing to say"):
        format.call(speech("  "), "m", "k")


# -- OpenAI: what is read --------------------------------------------------------------------------


def test_a_raw_answer_is_one_sound_and_its_characters_are_counted() -> None:
    assert answered(openai(), speech("Grüße"), MP3) == [Asset("audio/mpeg", MP3), Usage(characters=5), DONE]


def test_bytes_without_a_mark_are_what_was_asked_for() -> None:
    assert answered(openai(), speech(format="aac"), b"\x00\x01\x02")[0] == Asset("audio/aac", b"\x00\x01\x02")


@pytest.mark.parametrize("start", [b"", b"{", b"<", b":", b"\n\n", b"  {x"])
def test_raw_samples_get_a_header_whatever_byte_they_begin_with(start: bytes) -> None:
    samples = (start + SAMPLES)[:2000]
    assert sound_of(answered(openai(), speech(format="pcm"), samples)) == (24_000, 1, samples)


def test_a_file_in_answer_to_a_wish_for_samples_is_left_as_it_is() -> None:
    body = b"RIFF\x00\x00\x00\x00WAVEfmt "
    assert answered(openai(), speech(format="pcm"), body)[0] == Asset("audio/wav", body)


def test_a_stream_is_one_sound_with_tokens_that_are_all_audio() -> None:
    pieces = [{"type": "speech.audio.delta", "audio": base64.b64encode(part).decode()} for part in (MP3[:5], MP3[5:])]
    usage = {"input_tokens": 3, "output_tokens": 40, "total_tokens": 43}
    body = stream(*pieces, {"type": "speech.audio.done", "usage": usage})
    assert answered(openai(), speech(), body) == [
        Asset("audio/mpeg", MP3),
        Usage(input=3, output=40, output_audio=40, characters=11),
        DONE,
    ]


LONG = MP3 + bytes(200)


def test_a_sound_is_told_as_it_comes_and_then_whole() -> None:
    format = openai()
    format.call(speech(), "m", "k")
    decode = format.decoder()
    assert list(decode(LONG[:50], False)) == [], "too little to tell what it is"
    assert list(decode(LONG[50:100], False)) == [Sound("audio/mpeg", LONG[:100])]
    assert list(decode(LONG[100:], False)) == [Sound("audio/mpeg", LONG[100:])]
    assert list(decode(b"", True)) == [Asset("audio/mpeg", LONG), Usage(characters=11), DONE]


def test_the_events_of_a_stream_are_told_as_they_come() -> None:
    pieces = [
        {"type": "speech.audio.delta", "audio": base64.b64encode(part).decode()} for part in (LONG[:90], LONG[90:])
    ]
    events = answered(openai(), speech(), stream(*pieces, {"type": "speech.audio.done"}))
    assert events[:2] == [Sound("audio/mpeg", LONG), Asset("audio/mpeg", LONG)]


def test_samples_are_told_as_a_file_without_an_end() -> None:
    events = answered(openai(), speech(format="pcm"), SAMPLES)
    told = events[0]
    assert isinstance(told, Sound)
    with wave.open(io.BytesIO(told.content)) as recording:
        assert (recording.getframerate(), recording.getnchannels()) == (24_000, 1)
    assert told.content[44:] == SAMPLES
    assert sound_of(events) == (24_000, 1, SAMPLES)


def test_a_stream_without_its_end_is_cut_off() -> None:
    piece = {"type": "speech.audio.delta", "audio": base64.b64encode(MP3).decode()}
    assert failed(openai(), stream(piece)).code == "cut_off"


def test_mistrals_raw_samples_are_floats_and_become_those_of_everybody() -> None:
    mistral = openai("https://api.mistral.ai/v1")
    floats = struct.pack("<6f", 0.0, 0.5, -0.5, 1.0, -2.0, 2.0)
    body = json.dumps({"audio_data": base64.b64encode(floats).decode()}).encode()
    rate, channels, samples = sound_of(answered(mistral, speech(format="pcm"), body))
    assert (rate, channels) == (24_000, 1)
    assert struct.unpack("<6h", samples) == (0, 16384, -16384, 32767, -32767, 32767)
    told = stream({"type": "speech.audio.delta", "audio_data": base64.b64encode(floats * 20).decode()},
                  {"type": "speech.audio.done"})  # fmt: skip
    (asset, *_) = answered(mistral, speech(format="pcm"), told)
    assert isinstance(asset, Asset), "and no piece of it is told before, as if it were played like any other"


def test_mistrals_sound_comes_in_json() -> None:
    body = json.dumps({"audio_data": base64.b64encode(MP3).decode()}).encode()
    assert answered(openai(), speech(), body)[0] == Asset("audio/mpeg", MP3)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b'{"error": {"message": "No such voice"}}', "No such voice"),
        (b'{"detail": "No such voice"}', "No such voice"),
        (b"<html></html>", "web page"),
        (b"{}", "without any sound"),
        (b"", "empty"),
    ],
)
def test_what_is_no_sound_is_a_failure(body: bytes, says: str) -> None:
    assert says in failed(openai(), body).message


# -- ElevenLabs ------------------------------------------------------------------------------------


def test_elevenlabs_is_asked_for_a_voice_in_the_address() -> None:
    call = elevenlabs().call(speech(voice="a/b", speed=1.1), "eleven_v3", "xi")
    assert call.url == "https://api.elevenlabs.io/v1/text-to-speech/a%2Fb/stream?output_format=mp3_44100_128"
    whole = elevenlabs().call(replace(speech(), stream=False), "eleven_v3", "xi")
    assert "/stream" not in whole.url
    assert call.headers == {"xi-api-key": "xi"}
    assert call.body == {"text": "Hello there", "model_id": "eleven_v3", "voice_settings": {"speed": 1.1}}


def test_elevenlabs_speaks_with_its_example_voice_unless_told() -> None:
    assert "/text-to-speech/JBFqnCBsd6RMkjVDRZzb/stream?" in elevenlabs().call(speech(), "m", "k").url


def test_a_wav_of_elevenlabs_is_made_of_its_samples() -> None:
    assert elevenlabs().call(speech(format="wav"), "m", "k").url.endswith("output_format=pcm_24000")
    assert sound_of(answered(elevenlabs(), speech(format="wav"), SAMPLES)) == (24_000, 1, SAMPLES)
    assert sound_of(answered(elevenlabs(), speech(format="pcm_16000"), SAMPLES)) == (16_000, 1, SAMPLES)


@pytest.mark.parametrize("format", ["flac", "pcm_16000&x=1", "mp3_"])
def test_a_format_that_elevenlabs_does_not_speak_is_refused(format: str) -> None:
    with pytest.raises(Unsupported, match="it knows mp3"):
        elevenlabs().call(speech(format=format), "m", "k")


def test_an_exhausted_account_of_elevenlabs_is_a_matter_of_money() -> None:
    body = b'{"detail": {"status": "quota_exceeded", "message": "This request exceeds your quota."}}'
    refused = elevenlabs().failure(401, body)
    assert (refused.kind, refused.message) == (Kind.BILLING, "This request exceeds your quota.")


def test_elevenlabs_lists_the_models_that_speak() -> None:
    models = lister("elevenlabs", "https://api.elevenlabs.io/v1")
    assert models is not None
    assert models.list_call("xi").url == "https://api.elevenlabs.io/v1/models"
    listed = models.listed(
        json.dumps([
            {
                "model_id": "eleven_v3",
                "name": "Eleven v3",
                "can_do_text_to_speech": True,
                "maximum_text_length_per_request": 5000,
            },
            {"model_id": "eleven_sts", "name": "Voice changer", "can_do_text_to_speech": False},
        ]).encode()
    )  # fmt: skip
    assert [(model.name, model.display_name, model.task) for model in listed] == [
        ("eleven_v3", "Eleven v3", Task.SPEECH)
    ]
    with pytest.raises(Failure, match="Invalid API key"):
        models.listed(b'{"detail": {"status": "invalid_api_key", "message": "Invalid API key"}}')


# -- Deepgram --------------------------------------------------------------------------------------


def test_deepgram_is_told_model_and_format_in_the_address() -> None:
    call = deepgram().call(speech(format="wav", voice="alloy"), "aura-2-thalia-en", "dg")
    assert call.url == (
        "https://api.deepgram.com/v1/speak?model=aura-2-thalia-en&encoding=linear16&container=wav"
    )  # fmt: skip
    assert call.headers == {"Authorization": "Token dg"}
    assert call.body == {"text": "Hello there"}


def test_deepgrams_samples_get_a_header() -> None:
    assert sound_of(answered(deepgram(), speech(format="pcm"), SAMPLES))[0] == 24_000


def test_deepgram_lists_voices_and_ears() -> None:
    models = lister("deepgram", "https://api.deepgram.com/v1")
    assert models is not None
    body = {
        "stt": [
            {"name": "general", "canonical_name": "nova-3-general", "batch": True},
            {"name": "general", "canonical_name": "nova-3-general", "batch": True},
            {"name": "flux", "canonical_name": "flux-general-en", "batch": False},
        ],
        "tts": [{"name": "thalia", "canonical_name": "aura-2-thalia-en"}],
    }
    assert [(model.name, model.task) for model in models.listed(json.dumps(body).encode())] == [
        ("nova-3-general", Task.TRANSCRIPTION),
        ("aura-2-thalia-en", Task.SPEECH),
    ]


# -- Gemini ----------------------------------------------------------------------------------------


def inline(content: bytes, media_type: str = "audio/L16;codec=pcm;rate=24000") -> dict[str, Any]:
    return {"inlineData": {"mimeType": media_type, "data": base64.b64encode(content).decode()}}


def gemini_answer(*parts: dict[str, Any], finish: str = "STOP") -> bytes:
    usage = {
        "promptTokenCount": 5,
        "candidatesTokenCount": 50,
        "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 50}],
    }
    candidate = {"content": {"parts": list(parts)}, "finishReason": finish}
    return json.dumps({"candidates": [candidate], "usageMetadata": usage}).encode()


def test_gemini_is_asked_for_audio_in_a_voice() -> None:
    call = gemini().call(speech(voice="Puck", instructions="Say cheerfully:"), "gemini-tts", "k")
    assert call.url.endswith("/v1beta/models/gemini-tts:generateContent")
    assert call.body == {
        "contents": [{"role": "user", "parts": [{"text": "Say cheerfully: Hello there"}]}],
        "generationConfig": {
            "responseModalities": ["AUDIO"],
            "speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Puck"}}},
        },
    }


def test_geminis_samples_become_one_wav_and_its_tokens_are_audio() -> None:
    events = answered(gemini(), speech(), gemini_answer(inline(SAMPLES), inline(SAMPLES)))
    assert sound_of(events) == (24_000, 1, SAMPLES * 2)
    assert Usage(input=5, output=50, output_audio=50) in events
    assert events[-1] == Done(Finish.STOP, "STOP")


def test_the_rate_of_the_samples_is_the_one_that_gemini_says() -> None:
    body = gemini_answer(inline(SAMPLES, "audio/L16;codec=pcm;rate=16000"))
    assert sound_of(answered(gemini(), speech(), body))[0] == 16_000


def test_an_answer_of_gemini_without_sound_is_a_failure_unless_it_was_filtered() -> None:
    assert "without any sound" in failed(gemini(), gemini_answer({"text": "Hello"})).message
    assert "without any sound" in failed(gemini(), gemini_answer(finish="OTHER")).message
    assert answered(gemini(), speech(), gemini_answer(finish="SAFETY"))[-1] == Done(Finish.CONTENT_FILTER, "SAFETY")
