"""Reading an interaction: whole, streamed as typed events, or asked for until it is done.

An interaction is a list of steps: thoughts, outputs of the model, calls of functions, and what Google's own tools did.
Before May 2026 it was a flat list of outputs and its events had other names; those are read as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dataelan_web.router.providers.background import WAITING, Background
from dataelan_web.router.providers.failures import failure_in_answer
from dataelan_web.router.providers.framing import Frame
from dataelan_web.router.providers.jobs import cancelled
from dataelan_web.router.providers.json_values import broken, compact, count, mapping, mappings, string
from dataelan_web.router.providers.measures import part_of
from dataelan_web.router.providers.media import asset, decode_base64
from dataelan_web.router.providers.openai_chat_answer import CUT_OFF
from dataelan_web.router.types import (
    Asset,
    AssetAt,
    Done,
    Event,
    Failure,
    Finish,
    Kind,
    Reasoning,
    Text,
    ToolCall,
    Usage,
)

POLL_SECONDS = 5.0

_FINISHES: Mapping[str, Finish] = {
    "completed": Finish.STOP,
    "requires_action": Finish.TOOL_CALLS,
    "incomplete": Finish.LENGTH,
    "budget_exceeded": Finish.LENGTH,
}


class InteractionAnswer:
    def __init__(self, base_url: str) -> None:
        self._background = Background(f"{base_url}/interactions", POLL_SECONDS)
        self._model = self._id = self._status = ""
        self._done = self._spoken = False
        self._calls = self._images = 0
        self._open: dict[int | None, _OpenCall] = {}
        self._sounds: dict[int | None, _Sound] = {}

    def read(self, frame: Frame) -> Iterator[Event]:
        if self._done or frame.done:
            return
        document = mapping(frame.document)
        if document.get("error") and document.get("status") != "failed":
            raise failure_in_answer(document)
        if not frame.whole:
            yield from self._event(document)
        elif document.keys() & {"status", "steps", "outputs"}:
            yield from self._interaction(document)
        else:
            raise broken("The provider's answer is JSON, but not an interaction. Check the base URL.")

    def end(self) -> Iterator[Event]:
        """A stream ends with the interaction's own last event; failing that, a status that is final will do."""
        if not (self._done or self._background.is_waiting):
            if self._status not in _FINISHES:
                raise Failure(Kind.TRANSIENT, CUT_OFF, code="cut_off")
            yield from self._close()
        self._background.is_waiting = False

    # -- the interaction ---------------------------------------------------------------------------

    def _event(self, event: Mapping[str, Any]) -> Iterator[Event]:
        type = string(event.get("event_type"))
        subject, _, what = type.partition(".")
        if subject in ("step", "content"):
            for said in self._step_event(what, count(event.get("index")), event):
                self._spoken = True
                yield said
        elif type in ("interaction.completed", "interaction.complete"):
            yield from self._interaction(mapping(event.get("interaction")))
        elif subject == "interaction":
            self._know(mapping(event.get("interaction")) or event)
        metadata = mapping(event.get("metadata"))
        if not self._done:
            used = mapping(metadata.get("total_usage")) or mapping(metadata.get("usage"))
            yield from self._background.cost(_usage(used))

    def _interaction(self, interaction: Mapping[str, Any]) -> Iterator[Event]:
        """The interaction as it now is: to be asked for again, or at its end."""
        self._know(interaction)
        if self._status in WAITING and self._id:
            yield from self._background.wait(self._id, self._status)
            return
        steps = mappings(interaction.get("steps")) or mappings(interaction.get("outputs"))
        if not self._spoken:
            for number, step in enumerate(steps):
                yield from self._begin(number, step)
                yield from self._stop(number)
        yield from self._background.cost(_usage(mapping(interaction.get("usage"))))
        self._refuse_failures(interaction, steps)
        yield from self._close()

    def _refuse_failures(self, interaction: Mapping[str, Any], steps: list[dict[str, Any]]) -> None:
        if self._status == "cancelled":
            raise cancelled()
        if self._status == "failed":
            errors = [
                interaction.get("error"),
                *mappings(interaction.get("errors")),
                *(step.get("error") for step in steps),
            ]
            raise self._background.failure(next(filter(None, errors), None))

    def _close(self) -> Iterator[Event]:
        for number in [*self._open, *self._sounds]:
            yield from self._stop(number)
        if self._images:
            yield Usage(images=self._images)
        self._done = True
        finish = _FINISHES.get(self._status, Finish.OTHER)
        if finish is Finish.STOP and self._calls:
            finish = Finish.TOOL_CALLS
        yield Done(finish, self._status, self._model, self._id)

    def _know(self, interaction: Mapping[str, Any]) -> None:
        self._model = string(interaction.get("model")) or string(interaction.get("agent")) or self._model
        self._id = string(interaction.get("id")) or self._id
        self._status = string(interaction.get("status")) or self._status

    # -- its steps -----------------------------------------------------------------------------------

    def _step_event(self, what: str, number: int | None, event: Mapping[str, Any]) -> Iterator[Event]:
        match what:
            case "start":
                yield from self._begin(number, mapping(event.get("step")) or mapping(event.get("content")))
            case "delta":
                yield from self._delta(number, mapping(event.get("delta")))
            case "stop":
                yield from self._stop(number)

    def _begin(self, number: int | None, step: Mapping[str, Any]) -> Iterator[Event]:
        """Steps of tools that Google runs itself (google_search_call …) are not ours to answer."""
        match step.get("type"):
            case "thought":
                for part in mappings(step.get("summary")):
                    yield from _thought(part)
            case "model_output":
                for part in mappings(step.get("content")):
                    yield from self._content(number, part)
            case "function_call" if name := string(step.get("name")):
                self._open[number] = _OpenCall(self._calls, step.get("arguments"))
                yield ToolCall(self._calls, string(step.get("id")), name)
                self._calls += 1
            case _:
                yield from self._content(number, step)

    def _delta(self, number: int | None, delta: Mapping[str, Any]) -> Iterator[Event]:
        match delta.get("type"):
            case "thought_summary":
                yield from _thought(mapping(delta.get("content")))
            case "arguments_delta" if (piece := string(delta.get("arguments"))) and number in self._open:
                self._open[number].written = True
                yield ToolCall(self._open[number].number, arguments=piece)
            case "function_call":
                yield from self._begin(number, delta)
            case _:
                yield from self._content(number, delta)

    def _content(self, number: int | None, part: Mapping[str, Any]) -> Iterator[Event]:
        media_type, data, uri = (string(part.get(name)) for name in ("mime_type", "data", "uri"))
        match part.get("type"):
            case "text" if text := string(part.get("text")):
                yield Text(text)
            case "audio" if data:
                sound = self._sounds.setdefault(number, _Sound(media_type, count(part.get("sample_rate"))))
                sound.content += decode_base64(data)
            case "image" | "video" | "document" as kind if data:
                self._images += kind == "image"
                yield asset(media_type, data)
            case "image" | "audio" | "video" | "document" as kind if uri:
                self._images += kind == "image"
                yield AssetAt(uri, media_type)

    def _stop(self, number: int | None) -> Iterator[Event]:
        """Arguments come as deltas, or with the start of the step. Sound comes in slices of one recording."""
        call = self._open.pop(number, None)
        if call and not call.written:
            yield ToolCall(call.number, arguments=compact(mapping(call.arguments)))
        if sound := self._sounds.pop(number, None):
            yield Asset(sound.media_type, bytes(sound.content))


class _OpenCall:
    """A tool call whose arguments are still coming."""

    def __init__(self, number: int, arguments: Any):
        self.number, self.arguments, self.written = number, arguments, False


class _Sound:
    """A recording that is still coming. Raw samples cannot be played without their rate."""

    def __init__(self, media_type: str, rate: int | None):
        is_raw = media_type.lower().startswith("audio/l16")
        self.media_type = f"{media_type};rate={rate}" if is_raw and rate and "rate" not in media_type else media_type
        self.media_type = self.media_type or "audio/wav"
        self.content = bytearray()


def _thought(part: Mapping[str, Any]) -> Iterator[Reasoning]:
    if text := string(part.get("text")):
        yield Reasoning(text)


def _usage(reported: Mapping[str, Any]) -> Usage:
    """Input includes the cache but not what built-in tools read; output excludes thoughts."""
    prompt, tools = count(reported.get("total_input_tokens")), count(reported.get("total_tool_use_tokens"))
    if tools is not None:
        prompt = (prompt or 0) + tools
    read, output = part_of(prompt, reported.get("total_cached_tokens")), count(reported.get("total_output_tokens"))
    fresh = None if prompt is None else prompt - (read or 0)
    cached, inputs, outputs = (
        _modalities(reported.get(f"{what}_tokens_by_modality")) for what in ("cached", "input", "output")
    )
    return Usage(
        input=fresh,
        cache_read=read,
        output=output,
        reasoning=count(reported.get("total_thought_tokens")),
        input_audio=part_of(fresh, inputs["audio"] - cached.get("audio", 0)) if "audio" in inputs else None,
        input_image=part_of(fresh, inputs["image"] - cached.get("image", 0)) if "image" in inputs else None,
        output_audio=part_of(output, outputs.get("audio")),
        output_image=part_of(output, outputs.get("image")),
    )


def _modalities(reported: Any) -> dict[str, int]:
    return {
        string(item.get("modality")).lower(): tokens
        for item in mappings(reported)
        if (tokens := count(item.get("tokens"))) is not None
    }
