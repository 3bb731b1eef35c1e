"""Reading a generateContent answer, whole or streamed; every document of a stream has the form of the whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dataelan_web.router.providers import logprobs
from dataelan_web.router.providers.failures import failure_in_answer
from dataelan_web.router.providers.framing import Frame
from dataelan_web.router.providers.gemini_calls import Calls
from dataelan_web.router.providers.json_values import broken, count, mapping, mappings, string
from dataelan_web.router.providers.measures import part_of
from dataelan_web.router.providers.media import asset
from dataelan_web.router.types import Done, Event, Failure, Finish, Kind, Reasoning, Text, Usage

KIND = "google"

_FINISHES: Mapping[str, Finish] = {
    "STOP": Finish.STOP,
    "MAX_TOKENS": Finish.LENGTH,
    "SAFETY": Finish.CONTENT_FILTER,
    "RECITATION": Finish.CONTENT_FILTER,
    "BLOCKLIST": Finish.CONTENT_FILTER,
    "PROHIBITED_CONTENT": Finish.CONTENT_FILTER,
    "SPII": Finish.CONTENT_FILTER,
    "MODEL_ARMOR": Finish.CONTENT_FILTER,
    "IMAGE_SAFETY": Finish.CONTENT_FILTER,
    "IMAGE_PROHIBITED_CONTENT": Finish.CONTENT_FILTER,
    "IMAGE_RECITATION": Finish.CONTENT_FILTER,
}

_COUNTS = (
    "promptTokenCount",
    "toolUsePromptTokenCount",
    "cachedContentTokenCount",
    "candidatesTokenCount",
    "thoughtsTokenCount",
)

# Parts of a count that have prices of their own: where they are told, of which modality, and our name for them.
_PARTS = (
    ("promptTokensDetails", "AUDIO", "input_audio"),
    ("promptTokensDetails", "IMAGE", "input_image"),
    ("cacheTokensDetails", "AUDIO", "cached_audio"),
    ("cacheTokensDetails", "IMAGE", "cached_image"),
    ("candidatesTokensDetails", "AUDIO", "output_audio"),
    ("candidatesTokensDetails", "IMAGE", "output_image"),
)


class GeminiAnswer:
    """The documents of one answer as Events. Only the first candidate is read: we never ask for more."""

    def __init__(self) -> None:
        self._model = self._id = self._finish = self._blocked = self._model_ends = ""
        self._whole = self._done = False
        self._calls, self._images = Calls(), 0
        self._counts: dict[str, int] = {}

    def read(self, frame: Frame) -> Iterator[Event]:
        if self._done:
            return
        document = mapping(frame.document)
        if document.get("error"):
            raise failure_in_answer(document)
        if frame.whole and not (document.keys() & {"candidates", "promptFeedback", "usageMetadata"}):
            raise broken("The provider's answer is JSON, but not Gemini's. Check the base URL.")
        self._whole = self._whole or frame.whole
        self._model = self._model or string(document.get("modelVersion"))
        self._id = self._id or string(document.get("responseId"))
        self._model_ends = string(mapping(document.get("modelStatus")).get("retirementTime")) or self._model_ends
        self._blocked = self._blocked or string(mapping(document.get("promptFeedback")).get("blockReason"))
        for candidate in mappings(document.get("candidates"))[:1]:
            likely = logprobs.of_gemini(candidate.get("logprobsResult"))
            for part in mappings(mapping(candidate.get("content")).get("parts")):
                for event in self._part(part):
                    if likely and isinstance(event, Text):
                        event, likely = Text(event.delta, likely), ()
                    yield event
            self._finish = string(candidate.get("finishReason")) or self._finish
        yield from self._cost(mapping(document.get("usageMetadata")))

    def end(self) -> Iterator[Event]:
        """There is no terminal event: an answer ends with a finish reason, or never began (a blocked prompt)."""
        if self._done:
            return
        if not (self._finish or self._blocked or self._whole):
            raise Failure(Kind.TRANSIENT, "The provider's answer broke off before its end.", code="cut_off")
        self._done = True
        yield from self._calls.close()
        if self._images:
            yield Usage(images=self._images)
        said = self._finish or self._blocked
        is_blocked = bool(self._blocked and not self._finish)
        made = self._normalised(), said, self._model, self._id
        yield Done(*made, model_ends=self._model_ends, is_blocked=is_blocked)

    def _normalised(self) -> Finish:
        if self._blocked and not self._finish:
            return Finish.CONTENT_FILTER
        finish = _FINISHES.get(self._finish, Finish.OTHER)
        return Finish.TOOL_CALLS if finish is Finish.STOP and self._calls.count else finish

    def _part(self, part: Mapping[str, Any]) -> Iterator[Event]:
        """Parts of tools that Google runs itself (executableCode, toolCall …) are not ours to answer. A signature comes
        with the words or the call that it seals."""
        if seal := string(part.get("thoughtSignature")) or string(part.get("thought_signature")):
            yield Reasoning("", seal, KIND)
        if text := string(part.get("text")):
            yield Reasoning(text) if part.get("thought") is True else Text(text)
        inline = mapping(part.get("inlineData")) or mapping(part.get("inline_data"))
        if inline and part.get("thought") is not True:  # image models show drafts while they think
            made = asset(string(inline.get("mimeType")) or string(inline.get("mime_type")), string(inline.get("data")))
            self._images += made.media_type.startswith("image/")
            yield made
        if "functionCall" in part:
            yield from self._calls.read(mapping(part["functionCall"]))

    def _cost(self, metadata: Mapping[str, Any]) -> Iterator[Usage]:
        """Counters grow from document to document, and not every document has all of them."""
        found = {name: number for name in _COUNTS if (number := count(metadata.get(name))) is not None}
        found |= _parts(metadata)
        if found and found != self._counts:
            self._counts |= found
            yield _usage(self._counts)


def _parts(metadata: Mapping[str, Any]) -> dict[str, int]:
    found: dict[str, int] = {}
    for place, modality, name in _PARTS:
        for detail in mappings(metadata.get(place)):
            if detail.get("modality") == modality and (tokens := count(detail.get("tokenCount"))) is not None:
                found[name] = tokens
    return found


def _usage(counts: Mapping[str, int]) -> Usage:
    """Input includes the cache but not what built-in tools read; output excludes thoughts."""
    prompt, tools = counts.get("promptTokenCount"), counts.get("toolUsePromptTokenCount")
    if tools is not None:
        prompt = (prompt or 0) + tools
    read = counts.get("cachedContentTokenCount")
    if prompt is not None and read is not None:
        read = min(read, prompt)
        prompt -= read
    output, reasoning = counts.get("candidatesTokenCount"), counts.get("thoughtsTokenCount")

    def fresh(kind: str) -> int | None:
        """Those of the input that were not read from the cache."""
        told = counts.get(f"input_{kind}")
        return None if told is None else max(0, told - counts.get(f"cached_{kind}", 0))

    return Usage(
        input=prompt,
        cache_read=read,
        output=output,
        reasoning=reasoning,
        input_audio=part_of(prompt, fresh("audio")),
        input_image=part_of(prompt, fresh("image")),
        output_audio=part_of(output, counts.get("output_audio")),
        output_image=part_of(output, counts.get("output_image")),
    )
