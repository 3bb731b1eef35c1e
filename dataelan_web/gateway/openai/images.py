"""POST /v1/images/generations.

Source: openai/openai-openapi, CreateImageRequest, ImagesResponse, ImageGenStreamEvent.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from functools import partial
from typing import Any, Literal

from pydantic import Field

from ...models import ModelType
from ...models.records import RunRecord
from ...router.types import Asset, Done, Event, Failure, Prompt, Task, Text, Usage, user
from .. import errors
from ..inbound import Inbound, Pieces, Whole
from ..json_body import Strict, checked, unsupported
from ..sse import event as sse
from .unmade import unmade

OPTIONS = {"n": "count", "size": "size", "quality": "quality", "background": "background", "output_format": "format"}
ONLY_OPENAIS = ("style", "complexity", "frame_count", "frame_duration_ms", "svg")


class ImagesRequest(Strict):
    prompt: str = Field(min_length=1, max_length=100_000)
    model: str | None = Field(default=None, min_length=1, max_length=200)
    n: int | None = Field(default=None, ge=1, le=10)
    size: str | None = Field(default=None, max_length=50)
    quality: str | None = Field(default=None, max_length=50)
    background: str | None = Field(default=None, max_length=50)
    output_format: Literal["png", "jpeg", "webp"] | None = None
    output_compression: int | None = Field(default=None, ge=0, le=100)
    response_format: Literal["url", "b64_json"] | None = None
    style: str | None = None
    complexity: str | None = None
    frame_count: int | None = None
    frame_duration_ms: int | None = None
    svg: Any = None
    moderation: str | None = Field(default=None, max_length=50)
    stream: bool | None = None
    partial_images: int | None = Field(default=None, ge=0, le=3)

    def refuse_what_cannot_be_sent(self) -> None:
        """Raises Refused. Drafts while it is drawn (`partial_images`) are no promise, and may be none."""
        if self.response_format == "url":
            raise unsupported("response_format", "pictures come as `b64_json`; nothing is kept at an open address.")
        for name in ONLY_OPENAIS:
            if getattr(self, name):
                raise unsupported(name, "say it in the prompt; only one provider knows this parameter.")

    @property
    def options(self) -> dict[str, Any]:
        """What only OpenAI's own format has, where it is not what everybody does."""
        said = {"moderation": self.moderation, "output_compression": self.output_compression}
        return {name: value for name, value in said.items() if value not in (None, "auto", 100)}

    @property
    def media(self) -> dict[str, Any]:
        said = {ours: getattr(self, theirs) for theirs, ours in OPTIONS.items()}
        return {name: value for name, value in said.items() if value not in (None, "auto")}


def read(body: dict[str, Any]) -> Inbound:
    """Raises Refused (400) naming the first field that is wrong."""
    asked = checked(body, ImagesRequest)
    asked.refuse_what_cannot_be_sent()
    prompt = Prompt((user(asked.prompt),), Task.IMAGE, asked.media, options=asked.options, stream=bool(asked.stream))
    return Inbound(asked.model or "auto", prompt, partial(_answer, asked.media), Pictures, ModelType.IMAGE)


def _answer(media: dict[str, Any], whole: Whole) -> dict[str, Any]:
    """Raises Failure where there is no picture."""
    if not whole.assets:
        raise unmade("picture", whole.text, whole.done)
    data = [{"b64_json": b64encode(one.content).decode(), "revised_prompt": one.note or None} for one in whole.assets]
    said = {theirs: media[ours] for theirs, ours in OPTIONS.items() if ours in media and theirs != "n"}
    format = whole.assets[0].media_type.partition("/")[2]
    created = int(whole.execution.created_at.timestamp())
    return {"created": created, "data": data, **said, "output_format": format, "usage": usage_of(whole.usage)}


def usage_of(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input_total,
        "input_tokens_details": {
            "text_tokens": usage.input_total - (usage.input_image or 0),
            "image_tokens": usage.input_image or 0,
        },
        "output_tokens": usage.output_total,
        "total_tokens": usage.input_total + usage.output_total,
    }


class Pictures(Pieces):
    """An event for each picture; what was used comes with the last, which is held back for it."""

    def __init__(self, execution: RunRecord, model: str):
        self._created = int(execution.created_at.timestamp())
        self._held: Asset | None = None
        self._words = ""

    def of(self, event: Event) -> bytes:
        if isinstance(event, Text):
            self._words += event.delta
        if not isinstance(event, Asset):
            return b""
        before, self._held = self._held, event
        return self._event(before) if before else b""

    def last(self, done: Done | None, usage: Usage, facts: dict[str, Any]) -> Iterator[bytes]:
        if self._held:
            yield self._event(self._held, usage=usage_of(usage), dataelan=facts)
        else:
            yield from self.broken(unmade("picture", self._words, done), facts)

    def broken(self, failure: Failure, facts: dict[str, Any]) -> Iterator[bytes]:
        yield sse({"type": "error", **errors.told(errors.of(failure)), "dataelan": facts})

    def _event(self, asset: Asset, **more: Any) -> bytes:
        return sse(
            {
                "type": "image_generation.completed",
                "b64_json": b64encode(asset.content).decode(),
                "output_format": asset.media_type.partition("/")[2],
                "created_at": self._created,
                **more,
            }
        )
