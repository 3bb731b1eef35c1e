"""Reading an answer that is pictures: one document with all of them, or a stream with an event for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from dataelan_web.router.providers.failures import failure_in_answer, is_error
from dataelan_web.router.providers.framing import Frame
from dataelan_web.router.providers.json_values import broken, count, first_count, mapping, mappings, string
from dataelan_web.router.providers.measures import billed_usd, part_of
from dataelan_web.router.providers.media import asset_from_data_url, decode_base64, sniffed
from dataelan_web.router.types import Asset, AssetAt, Done, Event, Failure, Finish, Kind, Refusal, Usage


class ImagesAnswer:
    def __init__(self) -> None:
        self._images = 0
        self._blocked = False
        self._whole = self._done = False
        self._model = self._id = ""

    def read(self, frame: Frame) -> Iterator[Event]:
        if self._done or frame.done:
            return
        document = mapping(frame.document)
        if is_error(document):
            raise failure_in_answer(document)
        self._whole = self._whole or frame.whole
        self._model = self._model or string(document.get("model"))
        self._id = self._id or string(document.get("id"))
        if string(document.get("type")).endswith(".completed"):  # those before it are drafts
            yield from self._picture(document, document)
        elif isinstance(document.get("data"), list) or "block_reason" in document:
            yield from self._pictures(document)
        elif frame.whole:
            raise broken("The provider's answer is JSON, but no pictures. Check the base URL.")
        if self._images or self._blocked:
            yield usage_of(mapping(document.get("usage")))._replace(images=self._images)

    def end(self) -> Iterator[Event]:
        if self._done:
            return
        if not self._images and not self._blocked:
            raise self._without()
        self._done = True
        yield Done(Finish.CONTENT_FILTER if self._blocked else Finish.STOP, "", self._model, self._id)

    def _pictures(self, document: Mapping[str, Any]) -> Iterator[Event]:
        for picture in mappings(document.get("data")):
            yield from self._picture(picture, document)
        if (reason := string(document.get("block_reason"))) and not self._images:  # xAI
            self._blocked = True
            yield Refusal(reason)

    def _picture(self, picture: Mapping[str, Any], answer: Mapping[str, Any]) -> Iterator[Event]:
        found = _asset(picture, answer)
        if found is not None:
            self._images += 1
            yield found

    def _without(self) -> Failure:
        if self._whole:
            return broken("The provider's answer holds no picture.")
        return Failure(Kind.TRANSIENT, "The provider's answer broke off before its end.", code="cut_off")


def _asset(picture: Mapping[str, Any], answer: Mapping[str, Any]) -> Asset | AssetAt | None:
    note = string(picture.get("revised_prompt"))
    place = string(picture.get("url")) or string(picture.get("b64_json"))
    if place.startswith("data:") and (inside := asset_from_data_url(place)):
        return replace(inside, note=note)
    if url := string(picture.get("url")):
        return AssetAt(url, string(picture.get("mime_type")), note)
    if not place:
        return None
    content = decode_base64(place)
    format = string(answer.get("output_format"))
    said = (
        string(picture.get("mime_type"))
        or string(picture.get("media_type"))
        or (f"image/{format}" if format else "image/png")
    )
    return Asset(sniffed(content, said), content, note)


def usage_of(reported: Mapping[str, Any]) -> Usage:
    """Tokens of the GPT Image models, whose output is pictures unless the details say otherwise."""
    inputs, outputs = mapping(reported.get("input_tokens_details")), mapping(reported.get("output_tokens_details"))
    total = first_count(reported.get("input_tokens"), reported.get("prompt_tokens"))  # the latter: OpenRouter
    output = first_count(reported.get("output_tokens"), reported.get("completion_tokens"))
    cached = count(inputs.get("cached_tokens"))
    if total is not None and cached is not None:
        cached = min(cached, total)
        total -= cached
    return Usage(
        input=total,
        cache_read=cached,
        output=output,
        input_image=part_of(total, inputs.get("image_tokens")),
        output_image=part_of(output, first_count(outputs.get("image_tokens"), output)),
        billed_usd=billed_usd(reported),
    )
