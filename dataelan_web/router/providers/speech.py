"""What speech has in common, whoever speaks: the words, and a sound that comes as bytes, in JSON or in events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dataelan_web.router.providers import either_body, failures, sound
from dataelan_web.router.providers.format import Format
from dataelan_web.router.providers.framing import MEBIBYTE, Frame
from dataelan_web.router.providers.json_values import broken, first_count, mapping, string
from dataelan_web.router.providers.media import SIGNED, decode_base64
from dataelan_web.router.providers.openai_chat_answer import CUT_OFF
from dataelan_web.router.types import Decoder, Done, Event, Failure, Finish, Kind, Prompt, Sound, Unsupported, Usage

EVENT_LIMIT = 32 * MEBIBYTE


class Speech(Format):
    """`call` notes in `_spoken` what is said aloud and as what, for that is not told again with the sound."""

    def __init__(self, base_url: str) -> None:
        super().__init__(base_url)
        self._spoken = sound.Spoken()

    def decoder(self) -> Decoder:
        answer = SpeechAnswer(self._spoken)
        marks = either_body.MARKS_BESIDE_SAMPLES if self._spoken.pcm_rate else either_body.MARKS
        return either_body.decoder(answer, answer.raw, marks, EVENT_LIMIT, as_it_comes=True)


def words_of(prompt: Prompt) -> str:
    """What is to be said aloud. Raises Unsupported when there is nothing."""
    if not prompt.words.strip():
        raise Unsupported("There is nothing to say aloud: the prompt has no text.")
    return prompt.words


def instructions(prompt: Prompt) -> str:
    """How it is to be said."""
    return string(prompt.media.get("instructions")) or prompt.system


class SpeechAnswer:
    """A sound, however it is wrapped: its pieces as they come, then the whole. What was said is known from the request,
    so its characters are counted there."""

    def __init__(self, spoken: sound.Spoken) -> None:
        self._spoken = spoken
        self._sound = bytearray()
        self._told = 0
        """Of its bytes, in pieces."""
        self._media_type = ""
        self._usage = Usage()
        self._is_whole = False

    def raw(self, body: bytes) -> Iterator[Event]:
        self._is_whole = True
        self._sound += body
        yield from self._pieces()

    def read(self, frame: Frame) -> Iterator[Event]:
        if self._is_whole:
            return
        document = mapping(frame.document)
        if failures.is_error(document):
            raise failures.failure_in_answer(document)
        if "detail" in document or "message" in document:
            raise failures.failure_in_answer(document)
        # `audio_data`: Mistral, in streams and in whole answers.
        self._sound += decode_base64(string(document.get("audio")) or string(document.get("audio_data")))
        if not frame.whole:
            yield from self._pieces()
        if reported := mapping(document.get("usage")):
            self._usage = usage_of(reported)
        self._is_whole = frame.whole or frame.done or document.get("type") == "speech.audio.done"

    def _pieces(self) -> Iterator[Sound]:
        """What is new, once enough came to tell what it is. Samples that are to become others are told as a whole."""
        size = len(self._sound)
        if size == self._told or size < SIGNED or (self._spoken.pcm_rate and self._spoken.is_float):
            return
        piece = bytes(self._sound[self._told :])
        first = None if self._told else sound.first_piece(piece, self._spoken)
        self._media_type = first.media_type if first else self._media_type
        self._told = size
        yield first or Sound(self._media_type, piece)

    def end(self) -> Iterator[Event]:
        if not self._is_whole:
            raise Failure(Kind.TRANSIENT, CUT_OFF, code="cut_off")
        if not self._sound:
            raise broken("The provider answered without any sound. Check the base URL.")
        yield sound.asset(bytes(self._sound), self._spoken)
        usage = self._usage.updated(Usage(characters=self._spoken.characters))
        if usage.known:
            yield usage
        yield Done(Finish.STOP)


def usage_of(reported: Mapping[str, Any]) -> Usage:
    """Tokens in OpenAI's words or in Mistral's. All that a voice puts out is sound."""
    output = first_count(reported.get("output_tokens"), reported.get("completion_tokens"))
    return Usage(
        input=first_count(reported.get("input_tokens"), reported.get("prompt_tokens")),
        output=output,
        output_audio=output,
    )
