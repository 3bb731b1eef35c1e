"""Veo: `:predictLongRunning` of the Gemini API, whose operation is asked after until it is done.

Source: googleapis/python-genai (6680718), _GenerateVideosParameters_to_mldev and _GenerateVideosOperation_from_mldev;
ai.google.dev/gemini-api/docs/video.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from dataelan_web.router.providers import failures, jobs
from dataelan_web.router.providers.gemini import key_headers, model_path
from dataelan_web.router.providers.jobs import JobFormat
from dataelan_web.router.providers.json_values import broken, mapping, mappings, sequence, string
from dataelan_web.router.providers.media import asset
from dataelan_web.router.providers.pictures import inline, number, option, said
from dataelan_web.router.types import (
    Again,
    Asset,
    AssetAt,
    Call,
    Done,
    Event,
    Failure,
    Finish,
    Kind,
    Progress,
    Prompt,
    Refusal,
    Unsupported,
    Usage,
)

# The length that every Veo can film, and films when none is said. It is always said: it is what a film costs.
USUAL_SECONDS = 8

# google.rpc.Code, as far as another kind of failure than a passing one follows from it.
_CODES: Mapping[int, Kind] = {
    3: Kind.BAD_REQUEST,
    5: Kind.BAD_REQUEST,
    7: Kind.CREDENTIAL,
    8: Kind.RATE_LIMIT,
    9: Kind.BAD_REQUEST,
    16: Kind.CREDENTIAL,
}


class Veo(JobFormat):
    def __init__(self, base_url: str) -> None:
        super().__init__(base_url)
        self._seconds: int | None = None

    def call(self, prompt: Prompt, model: str, key: str) -> Call:
        self._seconds = number(prompt, "seconds") or USUAL_SECONDS
        body = {"instances": [_instance(prompt)], "parameters": _parameters(prompt, self._seconds)}
        return Call(f"{self.base_url}/{model_path(model)}:predictLongRunning", body, key_headers(key))

    def read(self, operation: Mapping[str, Any]) -> Iterator[Event]:
        name = string(operation.get("name"))
        if error := mapping(operation.get("error")):
            raise _failed(operation, error)
        if operation.get("done") is True:
            yield from self._films(mapping(mapping(operation.get("response")).get("generateVideoResponse")))
        elif name:
            yield Progress(None, "running")
            place = f"{self.base_url}/{quote(name, safe='/-._~')}"
            yield Again(Call(place, method="GET"), jobs.FILM_POLL)
        else:
            raise broken("The provider's answer is JSON, but not an operation. Check the base URL.")

    def _films(self, response: Mapping[str, Any]) -> Iterator[Event]:
        samples = mappings(response.get("generatedSamples"))
        films = [film for sample in samples if (film := _film(mapping(sample.get("video"))))]
        reasons = list(filter(None, map(string, sequence(response.get("raiMediaFilteredReasons")))))
        if not films:
            raise jobs.failed("; ".join(reasons), Kind.CONTENT_POLICY if reasons else None)
        yield from films
        yield from map(Refusal, reasons)
        yield Usage(seconds=jobs.seconds(self._seconds and self._seconds * len(films)))
        yield Done(Finish.CONTENT_FILTER if reasons else Finish.STOP)


def _instance(prompt: Prompt) -> dict[str, Any]:
    """The film begins with the picture of a prompt."""
    if len(prompt.images) > 1:
        raise Unsupported("It films from one picture, not from several.")
    instance: dict[str, Any] = {"prompt": prompt.words}
    for image in prompt.images:
        media_type, content = inline(image)
        instance["image"] = {"bytesBase64Encoded": content, "mimeType": media_type}
    return instance


def _parameters(prompt: Prompt, seconds: int) -> dict[str, Any]:
    return said(
        durationSeconds=seconds,
        sampleCount=number(prompt, "count"),
        aspectRatio=option(prompt, "aspect_ratio"),
        resolution=option(prompt, "resolution"),
        negativePrompt=option(prompt, "negative_prompt"),
    )


def _film(video: Mapping[str, Any]) -> Asset | AssetAt | None:
    media_type = string(video.get("encoding")) or "video/mp4"
    if uri := string(video.get("uri")):
        return AssetAt(uri, media_type)
    content = string(video.get("encodedVideo"))
    return asset(media_type, content) if content else None


def _failed(operation: Mapping[str, Any], error: Mapping[str, Any]) -> Failure:
    """An operation that went wrong; without `done` it is no operation but an error document with status 200."""
    if operation.get("done") is not True:
        return failures.failure_in_answer(operation)
    failure = jobs.failed(operation)
    if failure.kind is Kind.TRANSIENT:
        code = error.get("code")
        failure.kind = _CODES.get(code, Kind.TRANSIENT) if isinstance(code, int) else Kind.TRANSIENT
    return failure
