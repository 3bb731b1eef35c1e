"""Imagen: `:predict` of the Gemini API and of Vertex AI.

Source: googleapis/python-genai (6680718), _GenerateImagesParameters_to_mldev and _GenerateImagesResponse_from_mldev;
recorded traffic.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from dataelan_web.router.providers import failures
from dataelan_web.router.providers.format import Format
from dataelan_web.router.providers.framing import Frame, decoder
from dataelan_web.router.providers.gemini import key_headers, model_path
from dataelan_web.router.providers.json_values import broken, mapping, mappings, string
from dataelan_web.router.providers.media import asset
from dataelan_web.router.providers.pictures import aspect_ratio, no_transparency, number, option, pixels, said
from dataelan_web.router.types import (
    AssetAt,
    Call,
    Decoder,
    Done,
    Event,
    Finish,
    Prompt,
    Refusal,
    Unsupported,
    Usage,
)


class Imagen(Format):
    def call(self, prompt: Prompt, model: str, key: str) -> Call:
        if prompt.images:
            raise Unsupported("It draws from words only; a picture to work from needs another model.")
        no_transparency(prompt)
        body = {"instances": [{"prompt": prompt.words}], "parameters": _parameters(prompt)}
        return Call(f"{self.base_url}/{model_path(model)}:predict", body, key_headers(key))

    def decoder(self) -> Decoder:
        return decoder(_Predictions())


def _parameters(prompt: Prompt) -> dict[str, Any]:
    """`sampleCount` is always said: unasked, Imagen draws four pictures. Nor does it tell unasked why one was left out,
    and of a prompt whose pictures all were, it says nothing at all."""
    size, format = option(prompt, "size"), option(prompt, "format")
    return said(
        sampleCount=number(prompt, "count") or 1,
        includeRaiReason=True,
        aspectRatio=aspect_ratio(prompt),
        sampleImageSize="" if pixels(size) else size.upper(),
        outputOptions={"mimeType": f"image/{format}"} if format else None,
    )


class _Predictions:
    """A picture that was filtered out is told by its reason, in the place where it would have been."""

    def __init__(self) -> None:
        self._finish: Finish | None = None

    def read(self, frame: Frame) -> Iterator[Event]:
        document = mapping(frame.document)
        if document.get("error"):
            raise failures.failure_in_answer(document)
        if not frame.whole or "predictions" not in document:
            raise broken("The provider's answer is JSON, but no predictions. Check the base URL.")
        predictions = mappings(document.get("predictions"))
        pictures = [found for prediction in predictions if (found := _picture(prediction))]
        reasons = list(filter(None, (string(prediction.get("raiFilteredReason")) for prediction in predictions)))
        if not pictures and not reasons:
            raise broken("The provider's answer holds no picture.")
        yield from pictures
        yield from map(Refusal, reasons)
        yield Usage(images=len(pictures))
        self._finish = Finish.CONTENT_FILTER if reasons else Finish.STOP

    def end(self) -> Iterator[Event]:
        if self._finish is not None:
            yield Done(self._finish)


def _picture(prediction: Mapping[str, Any]) -> Event | None:
    media_type, note = string(prediction.get("mimeType")) or "image/png", string(prediction.get("prompt"))
    if content := string(prediction.get("bytesBase64Encoded")):
        return replace(asset(media_type, content), note=note)
    place = string(prediction.get("gcsUri"))
    return AssetAt(place, media_type, note) if place else None
